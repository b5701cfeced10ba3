//! The curriculum's rules, each on a small tree.

use std::collections::{HashMap, HashSet};

use stepladder::ladder::curriculum::{Beliefs, Beta, Draw, Outcomes, after_step, observe, select};
use stepladder::ladder::presets::Preset;
use stepladder::ladder::settings::{CurriculumSettings, Settings};
use stepladder::ladder::tree::{Limits, Proposal, Rejection, Tree};
use stepladder::random::stream;
use stepladder::task::VariantKind;

use crate::mock::{Pairs, problems};

const LIMITS: Limits = Limits { depth: 2, children: 3, nodes: 50, problem_bytes: 20 };

fn of(judged: usize, correct: usize) -> Outcomes {
    Outcomes { judged, correct, scores: 0.0 }
}

fn curriculum() -> CurriculumSettings {
    Settings::preset(Preset::Tiny).curriculum
}

fn add(tree: &mut Tree, parent: u32, problem: &str, kind: VariantKind) -> Result<u32, Rejection> {
    let proposal = Proposal {
        parent,
        problem,
        kind,
        persona: None,
        transformations: &[],
        step: 0,
        check_solvable: true,
    };
    tree.propose(&Pairs, &LIMITS, &proposal)
}

/// Roots 0 and 1 (level 5), children 2, 3, 4 of root 0 (easier) and 5 (equivalent).
fn family() -> Tree {
    let mut tree = Tree::new(HashSet::from(["3:9".to_owned()]));
    for problem in problems(&["5:1", "5:2"]) {
        tree.add_root(&Pairs, &problem).unwrap();
    }
    for problem in ["4:1", "4:2"] {
        add(&mut tree, 0, problem, VariantKind::Easier).unwrap();
    }
    add(&mut tree, 1, "4:3", VariantKind::Easier).unwrap();
    add(&mut tree, 0, "5:3", VariantKind::Equivalent).unwrap();
    tree
}

fn mean(tree: &Tree, id: u32) -> f64 {
    Beliefs::of(tree, &curriculum()).posterior(id).mean()
}

#[test]
fn proposals_are_checked_in_order_and_counted() {
    let mut tree = family();
    assert_eq!(add(&mut tree, 0, "4:4", VariantKind::Easier), Err(Rejection::Limit), "three children");
    assert_eq!(add(&mut tree, 1, "4:1", VariantKind::Easier), Err(Rejection::Duplicate));
    assert_eq!(add(&mut tree, 1, " 04:1", VariantKind::Easier), Err(Rejection::Duplicate), "by meaning");
    assert_eq!(add(&mut tree, 1, "5:1002", VariantKind::Easier), Err(Rejection::Restatement));
    assert_eq!(add(&mut tree, 1, "3:9", VariantKind::Easier), Err(Rejection::HeldOut));
    assert_eq!(add(&mut tree, 1, "nine", VariantKind::Easier), Err(Rejection::Invalid));
    assert_eq!(add(&mut tree, 1, &"9".repeat(1_000_000), VariantKind::Easier), Err(Rejection::TooLong));
    let child = add(&mut tree, 4, "3:1", VariantKind::Easier).unwrap();
    assert_eq!(add(&mut tree, child, "2:1", VariantKind::Easier), Err(Rejection::Limit), "depth");
    // The grandparent in other clothes is a restatement too.
    assert_eq!(add(&mut tree, 4, "5:2002", VariantKind::Harder), Err(Rejection::Restatement));
    let counts = tree.rejections();
    assert_eq!(
        counts[&Rejection::Limit] + counts[&Rejection::Duplicate] + counts[&Rejection::Restatement],
        6
    );
}

#[test]
fn integrals_are_compared_by_meaning() {
    let task = stepladder::task::create("integral", &Default::default()).unwrap();
    let held_out = task.canonical("sin(x)*cos(x)").unwrap();
    let mut tree = Tree::new(HashSet::from([held_out]));
    let roots = problems(&["x*exp(x)", "exp(x)*x", "sin(2*x)/2", "x^2+"]);
    let outcomes: Vec<_> = roots.iter().map(|root| tree.add_root(&*task, root)).collect();
    assert_eq!(
        outcomes,
        [Ok(0), Err(Rejection::Duplicate), Err(Rejection::HeldOut), Err(Rejection::Invalid)]
    );
    let limits = Limits { depth: 2, children: 9, nodes: 50, problem_bytes: 200 };
    let mut propose = |problem: &str| {
        let kind = VariantKind::Easier;
        let proposal = Proposal {
            parent: 0,
            problem,
            kind,
            persona: None,
            transformations: &[],
            step: 0,
            check_solvable: false,
        };
        tree.propose(&*task, &limits, &proposal)
    };
    assert_eq!(propose("3*x*exp(x)"), Err(Rejection::Restatement), "a constant multiple");
    assert_eq!(propose("x*2*exp(x)/2"), Err(Rejection::Restatement));
    assert_eq!(propose("cos(x)*sin(x)"), Err(Rejection::HeldOut));
    assert_eq!(propose("y*exp(y"), Err(Rejection::Invalid));
    assert_eq!(propose("exp(x)"), Ok(1));
    assert_eq!(propose("exp(2*x)*exp(-x)"), Err(Rejection::Duplicate));
}

#[test]
fn a_prior_comes_from_relatives() {
    let fresh = family();
    assert!(mean(&fresh, 2) > mean(&fresh, 0), "easier variants are expected to be easier");
    assert!((mean(&fresh, 5) - mean(&fresh, 0)).abs() < 0.05, "equivalent ones to be alike");

    // A hopeless parent lowers what is expected of its children.
    let mut tree = family();
    observe(&mut tree, 0, of(8, 0), true, 0.7);
    assert!(mean(&tree, 2) < mean(&fresh, 2));
    // Root 1 is of the same level: it is expected to be as hopeless.
    assert!(mean(&tree, 1) < mean(&fresh, 1));

    // A solved sibling raises it.
    let (sibling, cousin) = (mean(&tree, 3), mean(&tree, 4));
    observe(&mut tree, 2, of(8, 8), true, 0.7);
    assert!(mean(&tree, 3) > sibling + 0.05);
    // And that of the other root's variant too: "easier" has turned out to help.
    assert!(mean(&tree, 4) > cousin);

    // Own rollouts outweigh relatives.
    observe(&mut tree, 3, of(16, 0), true, 0.7);
    assert!(mean(&tree, 3) < 0.12);
}

#[test]
fn solved_children_raise_the_parents_belief() {
    let mut tree = family();
    observe(&mut tree, 0, of(4, 0), true, 0.7);
    let before = mean(&tree, 0);
    for child in [2, 3] {
        observe(&mut tree, child, of(8, 8), true, 0.7);
    }
    assert!(mean(&tree, 0) > before);
}

#[test]
fn beliefs_know_their_own_chances() {
    // Uniform: p^2 + (1-p)^2 has mean 2/3.
    let flat = Beta { a: 1.0, b: 1.0 };
    assert!((flat.signal(2) - 1.0 / 3.0).abs() < 1e-12);
    assert!((flat.outcome_variance() - 1.0 / 6.0).abs() < 1e-12);
    assert_eq!(flat.signal(1), 0.0);
    let sure = Beta { a: 1000.0, b: 0.001 };
    assert!(sure.signal(8) < 1e-4 && sure.mean() > 0.999);
}

#[test]
fn old_rollouts_fade_once_a_step() {
    let mut tree = family();
    observe(&mut tree, 2, of(8, 4), true, 0.5);
    observe(&mut tree, 2, of(2, 2), false, 0.5);
    assert_eq!((tree.node(2).recent_attempts, tree.node(2).recent_successes), (10.0, 6.0));
    observe(&mut tree, 2, of(8, 8), true, 0.5);
    assert_eq!((tree.node(2).recent_attempts, tree.node(2).recent_successes), (13.0, 11.0));
    assert_eq!((tree.node(2).attempts, tree.node(2).successes), (18, 14));
}

#[test]
fn numbers_count_as_parts_of_a_success() {
    let (mut by_numbers, mut by_verdicts) = (family(), family());
    observe(&mut by_numbers, 2, Outcomes { judged: 8, correct: 0, scores: 6.0 }, true, 0.7);
    observe(&mut by_verdicts, 2, of(8, 6), true, 0.7);
    assert_eq!(by_numbers.node(2).pass_rate(), Some(0.75));
    assert_eq!(by_numbers.node(2).successes, 0);
    let mean = |tree: &Tree| Beliefs::of(tree, &curriculum()).posterior(2).mean();
    assert_eq!(mean(&by_numbers), mean(&by_verdicts));
}

#[test]
fn the_frontier_is_drawn_most_and_roots_keep_their_share() {
    let mut tree = Tree::new(HashSet::new());
    tree.add_root(&Pairs, &problems(&["9:1"])[0]).unwrap();
    let wide = Limits { depth: 3, children: 100, nodes: 1000, problem_bytes: 20 };
    let mut propose = |parent, problem: &str| {
        let kind = VariantKind::Easier;
        let proposal = Proposal {
            parent,
            problem,
            kind,
            persona: None,
            transformations: &[],
            step: 0,
            check_solvable: false,
        };
        tree.propose(&Pairs, &wide, &proposal).unwrap()
    };
    let child = propose(0, "8:0");
    let below: Vec<u32> = (0..90).map(|index| propose(child, &format!("7:{index}"))).collect();
    // Eighty trivial nodes, ten at the frontier; root and child hopeless.
    for (place, &id) in below.iter().enumerate() {
        observe(&mut tree, id, of(8, if place < 80 { 8 } else { 4 }), true, 0.7);
    }
    observe(&mut tree, 0, of(8, 0), true, 0.7);
    observe(&mut tree, child, of(8, 0), true, 0.7);
    let draw_with = |settings: &CurriculumSettings| {
        let beliefs = Beliefs::of(&tree, settings);
        let mut counts: HashMap<u32, u32> = HashMap::new();
        for seed in 0..300 {
            let used = HashSet::from([below[89]]);
            let draw = Draw { step: 5, count: 8, used: &used, or_resting: false };
            let drawn = select(&tree, &beliefs, settings, &draw, &mut stream(seed, &[]));
            assert_eq!(drawn.len(), 8);
            assert_eq!(drawn.iter().collect::<HashSet<_>>().len(), 8, "without replacement");
            drawn.into_iter().for_each(|id| *counts.entry(id).or_default() += 1);
        }
        assert!(!counts.contains_key(&below[89]), "used nodes are left out");
        counts
    };
    let mut settings = curriculum();
    (settings.adaptive, settings.root_share) = (true, 0.25);
    let counts = draw_with(&settings);
    assert_eq!((counts[&0], counts[&child]), (300, 300), "a quarter of eight is for the root and its child");
    let frontier: u32 = below[80..89].iter().map(|id| counts[id]).sum();
    assert!(frontier > 1500, "{frontier} of 1800");
    settings.adaptive = false;
    let counts = draw_with(&settings);
    let trivial: u32 = below[..80].iter().filter_map(|id| counts.get(id)).sum();
    assert!((1950..2350).contains(&trivial), "{trivial} of 2400 drawn uniformly");
}

#[test]
fn solved_nodes_rest_until_nothing_else_is_left() {
    let mut tree = family();
    let settings = curriculum();
    for id in 0..6 {
        observe(&mut tree, id, of(40, 40), true, 0.7);
    }
    after_step(&mut tree, &settings, &LIMITS, &[0, 1, 2, 3, 4], 3);
    let beliefs = Beliefs::of(&tree, &settings);
    let nobody = HashSet::new();
    let draw = |step, or_resting| {
        let draw = Draw { step, count: 6, used: &nobody, or_resting };
        let mut drawn = select(&tree, &beliefs, &settings, &draw, &mut stream(1, &[]));
        drawn.sort_unstable();
        drawn
    };
    assert_eq!(draw(4, true), [5], "only the node that was not touched is awake");
    assert_eq!(draw(3 + 1 + settings.rest_steps, false).len(), 6, "rest ends");
    tree_all_resting(settings);
}

fn tree_all_resting(settings: CurriculumSettings) {
    let mut tree = family();
    for id in 0..6 {
        observe(&mut tree, id, of(40, 40), true, 0.7);
    }
    after_step(&mut tree, &settings, &LIMITS, &[0, 1, 2, 3, 4, 5], 3);
    let beliefs = Beliefs::of(&tree, &settings);
    let nobody = HashSet::new();
    for (or_resting, expected) in [(true, 6), (false, 0)] {
        let draw = Draw { step: 4, count: 6, used: &nobody, or_resting };
        assert_eq!(select(&tree, &beliefs, &settings, &draw, &mut stream(1, &[])).len(), expected);
    }
}

#[test]
fn a_parent_is_promoted_when_its_children_are_solved() {
    let mut tree = family();
    let settings = curriculum();
    observe(&mut tree, 0, of(8, 0), true, 0.7);
    observe(&mut tree, 2, of(40, 40), true, 0.7);
    let changes = after_step(&mut tree, &settings, &LIMITS, &[0, 2], 1);
    assert!(changes.promoted.is_empty(), "one child is too few");
    observe(&mut tree, 3, of(40, 40), true, 0.7);
    let evidence = tree.node(0).recent_attempts;
    let changes = after_step(&mut tree, &settings, &LIMITS, &[3], 2);
    assert_eq!(changes.promoted, [0]);
    assert_eq!(tree.node(0).promoted, Some(2));
    assert!(tree.node(0).recent_attempts < evidence, "old failures count less");
    assert!(after_step(&mut tree, &settings, &LIMITS, &[3], 3).promoted.is_empty(), "not again at once");
    // The promoted parent is drawn in the next step before nodes of equal chances.
    let beliefs = Beliefs::of(&tree, &settings);
    let nobody = HashSet::new();
    let drawn = (0..200).filter(|&seed| {
        let draw = Draw { step: 3, count: 1, used: &nobody, or_resting: false };
        select(&tree, &beliefs, &settings, &draw, &mut stream(seed, &[])) == [0]
    });
    assert!(drawn.count() > 50);
}

#[test]
fn unsolved_nodes_grow_within_the_limits() {
    let mut tree = family();
    let mut settings = curriculum();
    settings.grow_per_step = 2;
    for id in [0, 1, 2, 3, 4] {
        observe(&mut tree, id, of(8, 0), true, 0.7);
    }
    observe(&mut tree, 5, of(8, 1), true, 0.7);
    let touched = [0, 1, 2, 3, 4, 5];
    let changes = after_step(&mut tree, &settings, &LIMITS, &touched, 1);
    // Node 0 has all its children, node 5 was solved once; those without children come first.
    assert_eq!(changes.grow, [2, 3]);
    settings.grow_per_step = 9;
    assert_eq!(after_step(&mut tree, &settings, &LIMITS, &touched, 1).grow, [2, 3, 4, 1]);
    settings.adaptive = false;
    assert!(after_step(&mut tree, &settings, &LIMITS, &touched, 1).grow.is_empty());
}
