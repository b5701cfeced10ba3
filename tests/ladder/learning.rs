//! Whole runs: the tree grows, what may not be learned from is not, budgets hold.

use std::collections::HashSet;

use stepladder::ladder::events::{Event, FinishReason, Phase, WarningCode};
use stepladder::ladder::presets::Preset;
use stepladder::ladder::settings::{Method, Settings};
use stepladder::ladder::tree::{NodeKind, Rejection};
use stepladder::task::{PromptStyle, Task};

use crate::mock::{Fault, HOSTILE, Mock, Pairs, card, problems, run_in_memory, settings};

#[test]
fn a_run_learns_what_its_roots_alone_do_not_teach() {
    let long = |variants: bool| {
        let mut settings = settings();
        settings.steps = 40;
        settings.variants.enabled = variants;
        let mut card = card(settings);
        card.problems = problems(&["5:1", "5:2", "5:3"]);
        card.held_out = problems(&["5:7", "5:8", "5:9"]);
        let mut policy = Mock::new();
        let before = policy.rate(5);
        let outcome = run_in_memory(&mut policy, &card).0.unwrap();
        (before, policy.rate(5), outcome)
    };
    let (before, with_variants, outcome) = long(true);
    let (_, without_variants, _) = long(false);
    assert!(before < 0.02 && with_variants > 0.3, "{before} to {with_variants}");
    assert!(with_variants > 2.0 * without_variants, "{with_variants} against {without_variants}");
    let rates = (outcome.finished.before.unwrap(), outcome.finished.after.unwrap());
    assert!(rates.1.pass_at_1 > rates.0.pass_at_1, "{rates:?}");
    assert_eq!(outcome.finished.reason, FinishReason::Completed);
}

#[test]
fn every_pass_over_a_step_is_an_update() {
    let updates = |passes: usize| {
        let mut settings = settings();
        settings.steps = 3;
        settings.passes_per_step = passes;
        let mut policy = Mock::new();
        run_in_memory(&mut policy, &card(settings)).0.unwrap();
        policy.updates()
    };
    assert_eq!((updates(1), updates(3)), (3, 9));
}

#[test]
fn only_the_first_pass_compares_training_with_sampling() {
    let largest = |passes: usize| -> Vec<f64> {
        let mut settings = settings();
        settings.steps = 3;
        settings.passes_per_step = passes;
        let (outcome, store) = run_in_memory(&mut Mock::new(), &card(settings));
        outcome.unwrap();
        let of = |event: &Event| match event {
            Event::Step(step) => Some(step.logprob_gap.unwrap().max),
            _ => None,
        };
        store.events.iter().filter_map(of).collect()
    };
    // The mock tells of as many units as it has made updates.
    let units = |counts: [u64; 3]| counts.map(|count| f64::from(3e-6 * count as f32)).to_vec();
    assert_eq!((largest(1), largest(3)), (units([1, 2, 3]), units([1, 4, 7])));
}

#[test]
fn the_tree_holds_only_problems_of_their_own() {
    let mut settings = settings();
    settings.steps = 12;
    let limits = settings.variants.limits;
    let card = card(settings);
    let (outcome, store) = run_in_memory(&mut Mock::new(), &card);
    let nodes = outcome.unwrap().nodes;
    assert!(nodes.len() > 20, "{} nodes", nodes.len());
    let canonical: HashSet<&str> = nodes.iter().map(|node| node.canonical.as_str()).collect();
    assert_eq!(canonical.len(), nodes.len(), "duplicates");
    for problem in &card.held_out {
        assert!(!canonical.contains(problem.problem.as_str()), "{} is held out", problem.problem);
    }
    let mut children = vec![0; nodes.len()];
    for node in &nodes {
        assert!(node.depth <= limits.depth && Pairs.canonical(&node.problem).is_ok());
        let Some(parent) = node.parent else { continue };
        let parent = &nodes[parent as usize];
        children[parent.id as usize] += 1;
        assert_eq!(node.depth, parent.depth + 1);
        assert!(!Pairs.is_restatement(&parent.problem, &node.problem));
        assert_ne!(node.kind, NodeKind::Root);
    }
    assert!(children.iter().all(|&count| count <= limits.children));
    assert!(nodes.iter().any(|node| node.depth >= 2), "unsolved variants grow variants of their own");
    // Everything that was dropped is counted, by the reason that the mock gave cause for.
    let (mut accepted, mut rejected) = (0, 0);
    let mut reasons = HashSet::new();
    for event in &store.events {
        if let Event::Variants(event) = event {
            accepted += event.accepted;
            rejected += event.rejected.values().sum::<usize>();
            reasons.extend(event.rejected.keys().copied());
            assert_eq!(event.variants.len(), event.accepted + event.rejected.values().sum::<usize>());
            assert!(event.variants.iter().all(|variant| variant.id.is_some() != variant.rejection.is_some()));
        }
    }
    assert_eq!(accepted, nodes.len() - card.problems.len());
    let counted: u64 = store.snapshot.unwrap().progress.rejections.values().sum();
    assert_eq!(counted as usize, rejected);
    assert!(nodes.iter().all(|node| !node.problem.ends_with(":13")), "unsolvable");
    let expected = [
        Rejection::Invalid,
        Rejection::Unsolvable,
        Rejection::Duplicate,
        Rejection::Restatement,
        Rejection::HeldOut,
    ];
    for reason in expected {
        assert!(reasons.contains(&reason), "{reason:?} did not occur");
    }
}

#[test]
fn only_verdicts_enter_the_gradient() {
    let mut settings = settings();
    settings.loss.mask_truncated = true;
    let mut policy = Mock { noise: 0.2, ..Mock::new() };
    let (_, store) = run_in_memory(&mut policy, &card(settings));
    assert!(policy.seen.len() > 10);
    for group in &policy.seen {
        let sum: f32 = group.iter().map(|seen| seen.advantage).sum();
        assert!(sum.abs() < 1e-4, "advantages of {group:?}");
        assert!(
            group.iter().any(|seen| seen.advantage > 0.0) && group.iter().any(|seen| seen.advantage < 0.0)
        );
        for seen in group {
            assert_ne!(seen.text, "?", "an unverifiable answer was scored");
            assert!(!seen.truncated, "a truncated answer was scored");
            assert_eq!(seen.advantage > 0.0, seen.text == "ok", "{seen:?}");
        }
    }
    assert!(policy.seen.iter().flatten().any(|seen| seen.text == HOSTILE), "malformed answers are scored");
    let unverifiable =
        store.events.iter().any(|e| matches!(e, Event::Step(s) if s.verdicts.unverifiable > 0));
    assert!(unverifiable, "they are counted");
}

#[test]
fn groups_without_signal_are_refilled_up_to_the_cap() {
    // All but the roots' level is solved: most variants give no signal.
    let mut policy = Mock { noise: 0.0, ..Mock::new() };
    for difficulty in 0..4 {
        policy.set_logit(difficulty, 30.0);
    }
    policy.set_logit(4, 0.0);
    let mut settings = settings();
    settings.curriculum.root_share = 0.0;
    settings.curriculum.rest_steps = 0;
    let cap = settings.curriculum.refill_rounds;
    let (group_size, probes) = (settings.group_size, settings.curriculum.probe_samples);
    let (_, store) = run_in_memory(&mut policy, &card(settings));
    let steps: Vec<_> =
        store.events.iter().filter_map(|e| if let Event::Step(s) = e { Some(s) } else { None }).collect();
    assert_eq!(steps.len(), 6);
    assert!(steps.iter().any(|step| step.refills > 0) && steps.iter().all(|step| step.refills <= cap));
    assert!(steps.iter().any(|step| step.groups > 0), "the roots have signal");
    // Once the tree is known, a solved problem costs its probes and not a group.
    let mut solved = 0;
    for event in &store.events {
        let Event::Verified(event) = event else { continue };
        assert!(event.counts.total() == group_size || !event.signal);
        if event.step >= 4 && !event.problem.starts_with('4') {
            assert_eq!(event.counts.total(), probes, "{event:?}");
            solved += 1;
        }
    }
    assert!(solved > 0);
}

#[test]
fn a_step_without_any_signal_updates_nothing_and_says_so() {
    let mut policy = Mock { noise: 0.0, ..Mock::new() };
    for difficulty in 0..10 {
        policy.set_logit(difficulty, -40.0);
    }
    let (outcome, store) = run_in_memory(&mut policy, &card(settings()));
    assert_eq!(outcome.unwrap().finished.step, 6);
    assert_eq!(policy.updates(), 0);
    let warned = |e: &&Event| matches!(e, Event::Warning(w) if w.code == WarningCode::NoSignal);
    assert_eq!(store.events.iter().filter(warned).count(), 6);
    let empty = |e: &Event| matches!(e, Event::Step(s) if s.loss.is_none() && s.groups == 0 && s.pass_rate == Some(0.0));
    assert!(store.events.iter().any(empty));
}

#[test]
fn without_variants_the_tree_is_the_roots() {
    let mut settings = settings();
    settings.variants.enabled = false;
    let (outcome, store) = run_in_memory(&mut Mock::new(), &card(settings));
    assert_eq!(outcome.unwrap().nodes.len(), 4);
    assert!(!store.events.iter().any(|event| matches!(event, Event::Variants(_))));
}

#[test]
fn a_token_budget_ends_the_run() {
    let mut settings = settings();
    settings.steps = 1000;
    settings.token_budget = Some(3000);
    let (outcome, store) = run_in_memory(&mut Mock::new(), &card(settings));
    let finished = outcome.unwrap().finished;
    assert_eq!(finished.reason, FinishReason::TokenBudget);
    assert!(finished.step < 1000 && finished.total_rollout_tokens >= 3000);
    // Variants count, evaluations do not.
    let tokens: usize = store
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Rollout(rollout) if rollout.phase != Phase::Evaluation => Some(rollout.tokens),
            _ => None,
        })
        .sum();
    assert_eq!(tokens as u64, finished.total_rollout_tokens);
    let evaluated = |event: &&Event| matches!(event, Event::Evaluated(e) if e.step == finished.step);
    assert_eq!(store.events.iter().filter(evaluated).count(), 1, "the end is evaluated");
}

#[test]
fn a_run_that_diverges_stops_with_a_checkpoint() {
    let mut policy = Mock::with(Fault::NotFinite);
    let (outcome, store) = run_in_memory(&mut policy, &card(settings()));
    let error = outcome.unwrap_err();
    assert_eq!(error.code(), "diverged");
    assert!(error.to_string().contains('3') && error.to_string().contains("lower learning_rate"));
    let snapshot = store.snapshot.unwrap();
    assert_eq!((snapshot.progress.step, snapshot.progress.non_finite_in_a_row), (3, 0));
    let Some(Event::Finished(finished)) = store.events.last() else { panic!("no finished event") };
    assert_eq!(finished.reason, FinishReason::Diverged);
    let skipped: Vec<_> = store.events.iter().filter(|e| matches!(e, Event::Step(s) if s.skipped)).collect();
    assert_eq!(skipped.len(), 3);
    // Not-a-number is null in JSON and comes back.
    let json = serde_json::to_string(skipped[0]).unwrap();
    assert!(json.contains("\"loss\":null"));
    assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), *skipped[0]);
}

#[test]
fn a_held_out_root_is_refused() {
    let mut card = card(settings());
    card.problems = problems(&["4:7", "4:1", " 4:01", "nonsense"]);
    let (outcome, store) = run_in_memory(&mut Mock::new(), &card);
    assert_eq!(outcome.unwrap().nodes.iter().filter(|node| node.parent.is_none()).count(), 1);
    let warnings: Vec<&str> = store
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Warning(w) if w.code == WarningCode::RefusedRoot => Some(w.message.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(warnings.len(), 3);
    assert!(warnings[0].contains("`4:7`") && warnings[0].contains("held-out"));
    assert!(warnings[1].contains("twice") && warnings[2].contains("nonsense"));

    card.problems = problems(&["4:7"]);
    let error = run_in_memory(&mut Mock::new(), &card).0.unwrap_err();
    assert!(error.to_string().starts_with("problems") && error.to_string().contains("held-out"), "{error}");
    card.problems.clear();
    assert!(
        run_in_memory(&mut Mock::new(), &card).0.unwrap_err().to_string().contains("no training problems")
    );
    card.held_out = problems(&["oops"]);
    let error = run_in_memory(&mut Mock::new(), &card).0.unwrap_err();
    assert!(error.to_string().starts_with("eval_problems") && error.to_string().contains("oops"), "{error}");
}

#[test]
fn instruct_prompts_cycle_temperatures_and_personas() {
    let mut settings = Settings::preset(Preset::Small);
    (settings.steps, settings.prompts_per_step) = (1, 4);
    let mut policy = Mock { style: PromptStyle::Instruct, ..Mock::new() };
    let (outcome, _) = run_in_memory(&mut policy, &card(settings.clone()));
    assert!(outcome.unwrap().nodes.len() > 8);
    let asked: Vec<_> = policy.requests.iter().filter(|(prompt, ..)| !prompt.starts_with("solve")).collect();
    for (place, (prompt, samples, temperature)) in asked.iter().enumerate() {
        assert_eq!(
            *temperature,
            settings.variants.temperatures[place % settings.variants.temperatures.len()]
        );
        assert!(
            prompt.contains(&settings.variants.personas[place % settings.variants.personas.len()]),
            "{prompt}"
        );
        let offered = prompt.split('+').count();
        assert!((3..=6).contains(&offered), "{offered} transformations");
        assert_eq!(*samples, 1);
    }
    assert!(asked.len() >= 8);
}

#[test]
fn the_papers_tree_is_static_and_made_before_the_first_step() {
    let mut settings = Settings::preset(Preset::Paper);
    (settings.steps, settings.prompts_per_step) = (3, 8);
    let (outcome, store) = run_in_memory(&mut Mock::new(), &card(settings));
    let nodes = outcome.unwrap().nodes;
    assert!(nodes.iter().all(|node| node.born == 0) && nodes.iter().any(|node| node.depth == 3));
    for event in &store.events {
        match event {
            Event::Variants(event) => assert_eq!(event.step, 0),
            Event::Step(step) => assert_eq!((step.groups + step.groups_without_signal, step.probes), (8, 0)),
            _ => {}
        }
    }
}

#[test]
fn the_learning_rate_follows_its_schedule() {
    let mut settings = settings();
    settings.schedule = stepladder::train::schedule::ScheduleKind::Linear;
    settings.warmup_steps = 1;
    let mut policy = Mock::new();
    let schedule = settings.schedule();
    run_in_memory(&mut policy, &card(settings)).0.unwrap();
    assert_eq!(policy.learning_rates, (0..6).map(|step| schedule.at(step)).collect::<Vec<_>>());
}

#[test]
fn unsolvable_variants_are_kept_where_the_setting_says_so() {
    let mut settings = settings();
    settings.variants.check_solvable = false;
    let (outcome, _) = run_in_memory(&mut Mock::new(), &card(settings));
    assert!(outcome.unwrap().nodes.iter().any(|node| node.problem.ends_with(":13")));
}

#[test]
fn expert_iteration_learns_right_answers_alone() {
    let mut settings = settings();
    settings.method = Method::ExpertIteration;
    settings.variants.enabled = false;
    let mut policy = Mock { noise: 0.1, ..Mock::new() };
    policy.set_logit(4, 0.0);
    let (outcome, store) = run_in_memory(&mut policy, &card(settings));
    assert_eq!(outcome.unwrap().finished.step, 6);
    assert!(policy.updates() > 0 && !policy.seen.is_empty());
    for group in &policy.seen {
        // Distinct solutions: the mock knows one.
        assert_eq!(group.len(), 1, "{group:?}");
        assert!(group[0].text == "ok" && !group[0].truncated && group[0].advantage == 1.0);
    }
    for event in &store.events {
        if let Event::Verified(event) = event {
            assert!(event.signal || event.counts.correct <= event.counts.truncated, "{event:?}");
            assert!(event.counts.total() == 8, "no probes");
        }
    }
}

#[test]
fn the_model_extends_the_library_once() {
    let mut settings = Settings::preset(Preset::Small);
    (settings.steps, settings.prompts_per_step) = (2, 4);
    settings.variants.extend_library = 2;
    settings.variants.transformations = [10, 10];
    settings.variants.personas.clear();
    let mut policy = Mock { style: PromptStyle::Instruct, ..Mock::new() };
    let (outcome, store) = run_in_memory(&mut policy, &card(settings.clone()));
    let asked =
        |policy: &Mock| policy.requests.iter().filter(|(prompt, ..)| prompt.starts_with("Here is")).count();
    // One request a kind in use.
    assert_eq!(asked(&policy), 2);
    // What is in the library already is not added; the line that was cut off is not read.
    let library = &store.snapshot.as_ref().unwrap().progress.library;
    assert!(library.iter().all(|own| own.text != "take the other half" && own.text != "lower"));
    assert_eq!(library.len(), 4, "{library:?}");
    let nodes = outcome.unwrap().nodes;
    assert!(nodes.iter().any(|node| node.transformations.iter().any(|text| text == "turn it upside down")));
    let counted: usize = store
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Rollout(rollout) if rollout.phase != Phase::Evaluation => Some(rollout.tokens),
            _ => None,
        })
        .sum();
    assert_eq!(counted as u64, store.snapshot.unwrap().progress.total_rollout_tokens);
    // Terse prompts name no transformations, so none are asked for.
    let mut terse = Mock::new();
    run_in_memory(&mut terse, &card(settings)).0.unwrap();
    assert_eq!(asked(&terse), 0);
}
