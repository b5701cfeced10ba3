//! Rewards as numbers: what is learnt from them, how they are weighed, and what is told of them.

use std::collections::BTreeMap;

use stepladder::ladder::eval::{Evaluation, Questions, evaluate};
use stepladder::ladder::events::{Event, Step, WarningCode};
use stepladder::ladder::report::render;
use stepladder::ladder::run::RunCard;
use stepladder::ladder::settings::{Method, Settings};
use stepladder::ladder::state::{Host, MemoryStore};
use stepladder::ladder::ttrl::{TtrlSettings, ttrl};
use stepladder::settings::Tabled;
use stepladder::task::{
    Parameter, Problem, PromptStyle, RewardRange, Task, VariantKind, VariantRequest, Verdict, VerdictKind,
};

use crate::mock::{Mock, Pairs, Seen, card, problems, run_in_memory, run_task_in_memory, settings};

/// [`Pairs`] whose answers are judged by a function from what was said to numbers; what it says nothing of keeps its verdict.
struct Graded {
    grade: fn(&str) -> Numbers,
    range: RewardRange,
}

/// A reward, and others by name.
type Numbers = (Option<f64>, &'static [(&'static str, f64)]);

impl Task for Graded {
    fn name(&self) -> &'static str {
        "graded"
    }

    fn parameters(&self) -> &'static [Parameter] {
        &[]
    }

    fn prompt(&self, problem: &str, style: PromptStyle) -> String {
        Pairs.prompt(problem, style)
    }

    fn variant_prompt(&self, problem: &str, request: &VariantRequest, style: PromptStyle) -> String {
        Pairs.variant_prompt(problem, request, style)
    }

    fn transformations(&self, kind: VariantKind) -> &'static [&'static str] {
        Pairs.transformations(kind)
    }

    fn parse_variants(&self, completion: &str) -> Vec<String> {
        Pairs.parse_variants(completion)
    }

    fn canonical(&self, problem: &str) -> Result<String, String> {
        Pairs.canonical(problem)
    }

    fn is_restatement(&self, parent: &str, variant: &str) -> bool {
        Pairs.is_restatement(parent, variant)
    }

    fn reward_range(&self) -> RewardRange {
        self.range
    }

    fn take_warnings(&self) -> Vec<String> {
        vec!["the checker coughed".to_owned()]
    }

    fn verify(&self, problem: &Problem, completion: &str) -> Verdict {
        let verdict = Pairs.verify(problem, completion);
        let (reward, named) = (self.grade)(completion);
        let rewards: BTreeMap<String, f64> =
            named.iter().map(|&(name, value)| (name.to_owned(), value)).collect();
        let kind = match verdict.verdict {
            VerdictKind::Unverifiable => return verdict,
            _ if reward.is_some() || !rewards.is_empty() => VerdictKind::Scored,
            kind => kind,
        };
        Verdict { verdict: kind, reward, rewards, ..verdict }
    }
}

fn graded(grade: fn(&str) -> Numbers) -> Graded {
    Graded { grade, range: RewardRange::new(-1.0, 1.0).unwrap() }
}

/// Right answers 0.75, wrong ones 0.25, others -1.
fn numbers(said: &str) -> Numbers {
    let value = match said {
        "ok" => 0.75,
        "no" => 0.25,
        _ => -1.0,
    };
    (Some(value), &[])
}

fn steps(store: &MemoryStore) -> Vec<Step> {
    let step = |event: &'_ Event| match event {
        Event::Step(step) => Some(step.as_ref().clone()),
        _ => None,
    };
    store.events.iter().filter_map(step).collect()
}

#[test]
fn numbers_are_learnt_from_as_they_are() {
    let mut settings = settings();
    settings.steps = 12;
    settings.loss.advantage = stepladder::train::advantage::AdvantageKind::GroupMean;
    let mut policy = Mock { noise: 0.1, ..Mock::new() };
    let before = policy.rate(4);
    let card = card(settings);
    let (outcome, store) = run_task_in_memory(&mut policy, &graded(numbers), &card);
    let outcome = outcome.unwrap();
    assert!(policy.seen.len() > 10 && policy.rate(4) > before, "{} groups", policy.seen.len());
    for group in &policy.seen {
        let rewards: Vec<f64> = group.iter().map(|seen| numbers(&seen.text).0.unwrap()).collect();
        let mean = rewards.iter().sum::<f64>() / rewards.len() as f64;
        for (Seen { text, advantage, .. }, reward) in group.iter().zip(rewards) {
            assert_ne!(text, "?", "an answer that cannot be judged was scored");
            assert!((f64::from(*advantage) - (reward - mean)).abs() < 1e-5, "{text}: {advantage}");
        }
    }
    // Neither right nor wrong: no pass rate is claimed, before, after or between.
    assert_eq!((outcome.finished.before, outcome.finished.after), (None, None));
    for step in steps(&store) {
        assert_eq!((step.pass_rate, step.verdicts.with_verdict()), (None, 0));
        let part = &step.rewards["reward"];
        assert_eq!((part.weight, Some(part.mean), Some(part.std)), (1.0, step.reward_mean, step.reward_std));
        assert!(part.samples == step.verdicts.scored && part.std > 0.0);
        assert!(step.by_depth.iter().all(|rate| rate.samples == 0));
    }
    // A problem's estimate is the mean of its numbers on their scale.
    let tried: Vec<_> = outcome.nodes.iter().filter(|node| node.attempts > 0).collect();
    assert!(
        tried.iter().all(|node| node.successes == 0 && (0.0..=0.875).contains(&node.pass_rate().unwrap()))
    );
    assert!(tried.iter().any(|node| node.recent_successes > 0.5 * node.recent_attempts));
    let Some(Event::Evaluated(last)) = store.events.iter().rfind(|e| matches!(e, Event::Evaluated(_))) else {
        panic!("no evaluation");
    };
    assert!(last.pass_at.is_empty() && last.by_level.is_empty());
    let [low, high] = last.rewards["reward"].ci95.unwrap();
    assert!(low < last.rewards["reward"].mean && last.rewards["reward"].mean < high);
    // The verifier's warnings are the run's.
    let coughed = |event: &Event| matches!(event, Event::Warning(w) if w.code == WarningCode::Checker);
    assert!(store.events.iter().any(coughed));
    let page = render(&card, &store.events, &outcome.nodes).unwrap();
    assert!(page.contains("Means of the rewards on the held-out problems") && !page.contains("pass@1 on"));
    assert!(page.contains("mean and standard deviation") && !page.contains("No held-out problems"));
}

#[test]
fn named_rewards_are_weighed_and_told() {
    let grade = |said: &str| -> Numbers {
        match said {
            "ok" => (None, &[("right", 1.0), ("style", 0.0)]),
            "no" => (None, &[("right", 0.0), ("style", 1.0)]),
            _ => (None, &[("right", 0.0)]),
        }
    };
    let run = |weights: &[(&str, &str)]| {
        let mut settings = settings();
        for (name, weight) in weights {
            settings.set(&format!("reward.weights.{name}"), weight).unwrap();
        }
        let mut policy = Mock { noise: 0.1, ..Mock::new() };
        let (outcome, store) = run_task_in_memory(&mut policy, &graded(grade), &card(settings));
        outcome.unwrap();
        (policy, store)
    };
    // What answers alike and unlike is worth follows from the weights alone.
    for (weights, right_is_better) in [(&[("style", "0.5")], true), (&[("style", "2")], false)] {
        let (policy, store) = run(weights);
        for group in policy.seen.iter().filter(|group| group.iter().any(|seen| seen.text == "no")) {
            let best =
                |text: &str| group.iter().filter(|s| s.text == text).map(|s| s.advantage).reduce(f32::max);
            if let (Some(ok), Some(no)) = (best("ok"), best("no")) {
                assert_eq!(ok > no, right_is_better, "{weights:?}");
            }
        }
        let step = &steps(&store)[0];
        assert_eq!(step.rewards.keys().collect::<Vec<_>>(), ["right", "style"]);
        assert!(
            step.rewards["style"].samples < step.rewards["right"].samples,
            "not every answer has a style"
        );
        let part = &step.rewards["style"];
        assert!(part.std > 0.0 && part.without_signal.is_some_and(|share| (0.0..=1.0).contains(&share)));
        assert_eq!((part.weight, step.rewards["right"].weight), (weights[0].1.parse().unwrap(), 1.0));
    }
    // With weights that cancel, no group of right and wrong answers teaches anything.
    let (policy, store) = run(&[("right", "0"), ("style", "0")]);
    assert!(policy.seen.is_empty() && steps(&store).iter().all(|step| step.groups == 0));
    // A name that no answer has is told, once.
    let (_, store) = run(&[("stile", "0.5"), ("format", "0.1")]);
    let told = store.events.iter().filter_map(|event| match event {
        Event::Warning(warning) if warning.message.contains("reward.weights") => Some(&warning.message),
        _ => None,
    });
    let told: Vec<_> = told.collect();
    assert!(
        told.len() == 1 && told[0].contains("named stile,") && told[0].contains("right, style"),
        "{told:?}"
    );
}

#[test]
fn the_format_as_a_part_gives_the_bits_that_it_gave_in_the_verdicts_rewards() {
    let run = |rewards: &str| {
        let mut settings = settings();
        settings.reward = serde_json::from_str(rewards).unwrap();
        let mut policy = Mock { noise: 0.2, ..Mock::new() };
        let outcome = run_in_memory(&mut policy, &card(settings)).0.unwrap();
        (policy.seen, outcome.nodes)
    };
    // As run cards had it before rewards had names, and as the paper's preset has it.
    let before = run(r#"{"correct": 1.05, "wrong": 0.05, "malformed": 0.0}"#);
    let parts =
        run(r#"{"correct": 1, "wrong": 0, "malformed": 0, "weights": {"format": 0.05}, "length_from": 0.8}"#);
    assert_eq!(before, parts);
}

#[test]
fn cards_and_logs_from_before_rewards_had_names_open() {
    let mut value = serde_json::to_value(card(settings())).unwrap();
    value["settings"]["reward"] = serde_json::json!({ "correct": 1.05, "wrong": 0.05, "malformed": 0.0 });
    let opened: RunCard = serde_json::from_value(value).unwrap();
    assert!(opened.settings.reward.weights.is_empty() && opened.settings.check().is_ok());
    let (_, store) = run_in_memory(&mut Mock::new(), &card(settings()));
    for event in store.events {
        let mut value = serde_json::to_value(&event).unwrap();
        let fields = value.as_object_mut().unwrap();
        for name in ["rewards", "reward_std"] {
            fields.shift_remove(name);
        }
        for name in ["verdicts", "counts"] {
            fields.get_mut(name).and_then(|counts| counts.as_object_mut()?.shift_remove("scored"));
        }
        assert!(serde_json::from_value::<Event>(value.clone()).is_ok(), "{value}");
    }
}

#[test]
fn expert_iteration_learns_the_best_by_number() {
    let mut settings = settings();
    settings.method = Method::ExpertIteration;
    let mut policy = Mock { noise: 0.1, ..Mock::new() };
    let (_, store) = run_task_in_memory(&mut policy, &graded(numbers), &card(settings));
    assert!(!policy.seen.is_empty() && steps(&store).iter().any(|step| step.groups > 0));
    for group in &policy.seen {
        assert_eq!(group.len(), 1, "the same text once: {group:?}");
        assert!(group[0].text == "ok" || group[0].text == "no", "{group:?}");
    }
}

fn evaluation(grade: fn(&str) -> Numbers, asked: &[&str]) -> Evaluation {
    let mut store = MemoryStore::default();
    let mut policy = Mock { noise: 0.0, ..Mock::new() };
    policy.set_logit(0, 30.0);
    policy.set_logit(9, -30.0);
    let cancel = policy.cancel;
    let mut sink = |_: &Event| Ok(());
    let mut host = Host { store: &mut store, sink: &mut sink, clock: &|| 0.0, cancel };
    let settings: Settings = settings();
    let questions = Questions { problems: &problems(asked), shots: &[] };
    let evaluation = &settings.evaluation;
    pollster::block_on(evaluate(&mut policy, &graded(grade), questions, evaluation, 1, 0, &mut host)).unwrap()
}

#[test]
fn evaluations_give_means_with_intervals_beside_the_pass_rate() {
    // Right on one problem, wrong on the other: means of 0.75 and 0.25.
    let by_number = evaluation(numbers, &["0:1", "9:1"]);
    let json = serde_json::to_value(&by_number).unwrap();
    assert_eq!(json["rewards"]["reward"]["mean"], 0.5);
    let half = 1.96 * 0.25;
    assert!((json["rewards"]["reward"]["ci95"][0].as_f64().unwrap() - (0.5 - half)).abs() < 1e-3, "{json}");
    assert_eq!(json["pass_at"], serde_json::json!({}));
    // Verdicts without numbers have a pass rate and no rewards; both may stand side by side.
    let none = |_: &str| -> Numbers { (None, &[]) };
    let by_verdict = evaluation(none, &["0:1", "9:1"]);
    assert!(by_verdict.rewards.is_empty() && by_verdict.pass_rate().unwrap().pass_at_1 == 0.5);
    let mixed =
        |said: &str| -> Numbers { if said == "no" { (None, &[("style", 0.5)]) } else { (None, &[]) } };
    let mixed = evaluation(mixed, &["0:1", "9:1"]);
    assert_eq!(mixed.pass_rate().unwrap().pass_at_1, 0.5);
    assert_eq!(mixed.rewards["style"].mean, 0.5);
}

#[test]
fn test_time_learning_takes_numbers() {
    let mut policy = Mock { noise: 0.0, ..Mock::new() };
    let cancel = policy.cancel;
    let (mut store, mut sink) = (MemoryStore::default(), |_: &Event| Ok(()));
    let mut host = Host { store: &mut store, sink: &mut sink, clock: &|| 0.0, cancel };
    let settings = TtrlSettings {
        settings: settings(),
        ..TtrlSettings::preset(stepladder::ladder::presets::Preset::Tiny)
    };
    let problem = &problems(&["3:1"])[0];
    let outcome =
        pollster::block_on(ttrl(&mut policy, &graded(numbers), problem, &settings, &mut host)).unwrap();
    let verdict = outcome.verdict.unwrap();
    // The most frequent answer wins; its number is told and plays no part.
    assert_eq!((verdict.verdict, verdict.reward), (VerdictKind::Scored, numbers(&outcome.answer.unwrap()).0));
    assert!(!policy.seen.is_empty());
}
