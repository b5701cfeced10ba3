//! Test-time RL: a temporary adapter, no look at the problem's own verdict before the vote.

use stepladder::Result;
use stepladder::ladder::events::{Event, FinishReason};
use stepladder::ladder::settings::Settings;
use stepladder::ladder::state::{Host, MemoryStore, Snapshot, Store};
use stepladder::ladder::tree::Rejection;
use stepladder::ladder::ttrl::{TtrlOutcome, TtrlSettings, ttrl, ttrl_with_checkpoints};
use stepladder::ladder::variants::variant_tree;
use stepladder::task::VerdictKind;

use crate::mock::{Fault, Mock, Pairs, problems, settings};

fn solve(
    policy: &mut Mock,
    problem: &str,
    settings: Settings,
    keep: bool,
) -> (Result<TtrlOutcome>, MemoryStore) {
    let sampling = settings.sampling;
    let settings = TtrlSettings { settings, votes: 32, sampling, confident: None, keep };
    let (mut store, mut sink) = (MemoryStore::default(), |_: &Event| Ok(()));
    let cancel = policy.cancel;
    let mut host = Host { store: &mut store, sink: &mut sink, clock: &|| 0.0, cancel };
    let outcome = pollster::block_on(ttrl(policy, &Pairs, &problems(&[problem])[0], &settings, &mut host));
    (outcome, store)
}

#[test]
fn a_problem_out_of_reach_is_learned_and_forgotten() {
    let mut long = settings();
    long.steps = 60;
    let mut policy = Mock::new();
    let before = policy.rate(4);
    let outcome = solve(&mut policy, "4:1", long.clone(), false).0.unwrap();
    assert!(before < 0.06);
    assert_eq!(outcome.answer.as_deref(), Some("ok"), "{:?}", outcome.votes);
    assert_eq!(outcome.verdict.unwrap().verdict, VerdictKind::Correct);
    assert_eq!(policy.rate(4), before, "the adapter is dropped");
    assert!(outcome.steps == 60 && outcome.rollout_tokens > 0 && outcome.vote_tokens > 0);
    assert!(
        policy.seen.iter().flatten().all(|seen| seen.prompt != "solve 4:1"),
        "the problem is not trained on"
    );
    // Without the steps the vote goes the other way.
    let mut short = long.clone();
    short.steps = 1;
    let unlearned = solve(&mut policy, "4:1", short, false).0.unwrap();
    assert_eq!(unlearned.answer.as_deref(), Some("no"));
    assert_eq!(unlearned.verdict.unwrap().verdict, VerdictKind::Wrong);
    let kept = solve(&mut policy, "4:1", long, true).0.unwrap();
    assert!(kept.answer.is_some() && policy.rate(4) > before);
}

#[test]
fn votes_are_counted_by_class() {
    let mut policy = Mock { noise: 0.0, ..Mock::new() };
    let (outcome, store) = solve(&mut policy, "2:1", settings(), false);
    let outcome = outcome.unwrap();
    assert_eq!(outcome.votes.iter().map(|vote| vote.count).sum::<usize>(), 32);
    assert!(outcome.votes.is_sorted_by_key(|vote| std::cmp::Reverse(vote.count)));
    assert!(matches!(store.events.first(), Some(Event::Started(_))));
    assert!(matches!(store.events.last(), Some(Event::Finished(f)) if f.reason == FinishReason::Completed));
}

#[test]
fn budgets_hold_and_faults_put_the_adapter_back() {
    let mut budget = settings();
    (budget.steps, budget.token_budget) = (1000, Some(800));
    let mut policy = Mock::new();
    let outcome = solve(&mut policy, "4:1", budget, false).0.unwrap();
    assert!(outcome.steps < 1000 && outcome.rollout_tokens >= 800);

    for (fault, code) in
        [(Fault::Cancel(5), "cancelled"), (Fault::Lost(5), "device_lost"), (Fault::NotFinite, "diverged")]
    {
        let mut policy = Mock::with(fault);
        let rates: Vec<f64> = (0..10).map(|difficulty| policy.rate(difficulty)).collect();
        // Keeping is for a run that went well.
        assert_eq!(solve(&mut policy, "4:1", settings(), true).0.unwrap_err().code(), code);
        assert_eq!((0..10).map(|difficulty| policy.rate(difficulty)).collect::<Vec<_>>(), rates);
    }
    let error = solve(&mut Mock::new(), "nonsense", settings(), false).0.unwrap_err().to_string();
    assert!(error.starts_with("problem") && error.contains("nonsense"), "{error}");
}

#[test]
fn the_variant_tree_alone_lists_everything_proposed() {
    let (mut store, mut sink) = (MemoryStore::default(), |_: &Event| Ok(()));
    let mut policy = Mock::new();
    let cancel = policy.cancel;
    let mut host = Host { store: &mut store, sink: &mut sink, clock: &|| 0.0, cancel };
    let mut settings = settings();
    settings.variants.initial_levels = 2;
    let problem = &problems(&["4:1"])[0];
    let nodes = pollster::block_on(variant_tree(&mut policy, &Pairs, problem, &settings, &mut host)).unwrap();
    assert_eq!((nodes[0].id, nodes[0].parent, nodes[0].problem.as_str()), (Some(0), None, "4:1"));
    assert!(nodes.iter().all(|node| node.valid == node.id.is_some() && node.valid == node.reason.is_none()));
    assert!(nodes.iter().any(|node| node.reason == Some(Rejection::Invalid)));
    assert!(
        nodes.iter().any(|node| node.valid && node.parent.is_some_and(|parent| parent > 0)),
        "two levels"
    );
    let ids: Vec<u32> = nodes.iter().filter_map(|node| node.id).collect();
    let mut sorted = ids.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..ids.len() as u32).collect::<Vec<_>>());
    assert_eq!(policy.updates(), 0);
}

#[test]
fn a_confident_vote_is_taken_as_it_is() {
    let sure = |share: f64, policy: &mut Mock| {
        let settings = settings();
        let sampling = settings.sampling;
        let settings = TtrlSettings { settings, votes: 32, sampling, confident: Some(share), keep: false };
        let (mut store, mut sink) = (MemoryStore::default(), |_: &Event| Ok(()));
        let cancel = policy.cancel;
        let mut host = Host { store: &mut store, sink: &mut sink, clock: &|| 0.0, cancel };
        pollster::block_on(ttrl(policy, &Pairs, &problems(&["1:1"])[0], &settings, &mut host))
    };
    let mut policy = Mock { noise: 0.0, ..Mock::new() };
    policy.set_logit(1, 30.0);
    let outcome = sure(0.9, &mut policy).unwrap();
    assert_eq!((outcome.steps, outcome.rollout_tokens, policy.updates()), (0, 0, 0));
    assert_eq!(outcome.answer.as_deref(), Some("ok"));
    // A model that is sure and wrong is not stopped by the verifier: it is not asked.
    policy.set_logit(1, -30.0);
    let outcome = sure(0.9, &mut policy).unwrap();
    assert_eq!((outcome.steps, outcome.verdict.unwrap().verdict), (0, VerdictKind::Wrong));
    policy.set_logit(1, 0.0);
    let outcome = sure(0.9, &mut policy).unwrap();
    assert!(outcome.steps > 0 && outcome.rollout_tokens > 0);
    assert!(sure(1.5, &mut policy).unwrap_err().to_string().starts_with("confident"));
}

/// Test-time learning with checkpoints, from the one that `store` holds if it holds one. What was logged after it goes, as a
/// store does when its run is taken up again.
fn solve_on(policy: &mut Mock, store: &mut Positioned) -> Result<TtrlOutcome> {
    let inner = Settings { checkpoint_every: 1, ..settings() };
    let sampling = inner.sampling;
    let settings = TtrlSettings { settings: inner, votes: 32, sampling, confident: Some(0.99), keep: false };
    let saved = store.snapshot.clone();
    store.events.truncate(saved.as_ref().map_or(0, |(_, position)| *position));
    let (mut sink, cancel) = (|_: &Event| Ok(()), policy.cancel);
    let mut host = Host { store, sink: &mut sink, clock: &|| 0.0, cancel };
    let problem = &problems(&["4:1"])[0];
    let saved = saved.map(|(snapshot, _)| snapshot);
    pollster::block_on(ttrl_with_checkpoints(policy, &Pairs, problem, &settings, saved, &mut host))
}

/// A store in memory that knows to what length of its log the checkpoint belongs.
#[derive(Default)]
struct Positioned {
    events: Vec<Event>,
    snapshot: Option<(Snapshot, usize)>,
}

impl Store for Positioned {
    fn append(&mut self, event: &Event) -> Result<()> {
        self.events.push(event.clone());
        Ok(())
    }

    fn position(&self) -> u64 {
        self.events.len() as u64
    }

    fn rewind(&mut self, position: u64) -> Result<()> {
        self.events.truncate(position as usize);
        Ok(())
    }

    fn save(&mut self, snapshot: &Snapshot) -> Result<()> {
        self.snapshot = Some((snapshot.clone(), self.events.len()));
        Ok(())
    }
}

#[test]
fn learning_for_a_problem_that_was_stopped_at_any_moment_goes_on_to_the_same_answer() {
    let told = |store: &Positioned| -> Vec<Event> {
        store.events.iter().filter(|event| !matches!(event, Event::Started(_))).cloned().collect()
    };
    let (mut whole, mut policy) = (Positioned::default(), Mock::new());
    let expected = solve_on(&mut policy, &mut whole).unwrap();
    let checkpoints = whole.events.iter().filter(|event| matches!(event, Event::Checkpoint(_))).count();
    assert_eq!(checkpoints as u64, settings().steps + u64::from(settings().variants.initial_levels));
    let (calls, rate) = (policy.calls, policy.rate(4));
    let mut taken_up_at = std::collections::BTreeSet::new();
    for call in 1..=calls {
        for fault in [Fault::Cancel(call), Fault::Lost(call)] {
            let (mut store, mut stopped) = (Positioned::default(), Mock::with(fault));
            let error = solve_on(&mut stopped, &mut store).unwrap_err();
            assert!(["cancelled", "device_lost"].contains(&error.code()), "{error}");
            assert_eq!(stopped.rate(4), rate, "the adapter from before is back");
            // The first call is a vote and the last one too: between them there is something to save.
            if fault == Fault::Cancel(call) && (2..calls).contains(&call) {
                assert!(store.snapshot.is_some(), "{fault:?} saved nothing");
            }
            taken_up_at.extend(store.snapshot.as_ref().map(|(snapshot, _)| snapshot.progress.step));
            let mut fresh = Mock::new();
            let outcome = solve_on(&mut fresh, &mut store).unwrap();
            // The first vote is not asked for again, so its tokens are missing where the run had passed it.
            let votes = TtrlOutcome { vote_tokens: expected.vote_tokens, ..outcome };
            assert_eq!(votes, expected, "{fault:?}");
            assert_eq!(told(&store), told(&whole), "{fault:?}");
            assert_eq!(fresh.rate(4), rate, "the temporary adapter is dropped");
        }
    }
    assert_eq!(taken_up_at.len() as u64, settings().steps + 1, "{taken_up_at:?}");
    // A checkpoint of a run on several problems is not one of this.
    let (snapshot, _) = whole.snapshot.as_mut().unwrap();
    let root = snapshot.nodes[0].clone();
    snapshot.nodes[1] = stepladder::ladder::tree::Node { id: 1, ..root };
    assert_eq!(solve_on(&mut Mock::new(), &mut whole).unwrap_err().code(), "usage");
}

#[test]
fn questions_have_seeds_of_their_own() {
    let settings = TtrlSettings::preset(stepladder::ladder::presets::Preset::Tiny);
    let seeds: std::collections::BTreeSet<u64> =
        (0..20).map(|index| settings.for_question(index).settings.seed).collect();
    assert_eq!(seeds.len(), 20);
    assert_eq!(settings.for_question(3), settings.for_question(3));
}
