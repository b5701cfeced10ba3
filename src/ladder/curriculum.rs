//! Which problems come next: a Beta belief about each node's pass rate, and what follows from it.
//!
//! What a group of rollouts teaches is bounded below by p(1-p) of its problem (arXiv 2504.03380), so problems are
//! drawn by its expectation. Most variants of a weak generator are either trivial or out of reach, and a flat prior
//! would spend nine groups in ten on finding that out; the prior of a node is therefore inferred from its relatives:
//! the parent's rate shifted by what that kind of variant has changed so far, the siblings, and its own children.

use std::collections::{HashMap, HashSet};

use rand_pcg::Pcg64Mcg;

use crate::ladder::settings::CurriculumSettings;
use crate::ladder::tree::{Limits, Node, NodeKind, Tree};
use crate::random::{permutation, uniform};

/// A Beta distribution over a pass rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Beta {
    /// Pseudo-count of successes.
    pub a: f64,
    /// Pseudo-count of failures.
    pub b: f64,
}

impl Beta {
    /// E\[p\].
    pub fn mean(self) -> f64 {
        self.a / (self.a + self.b)
    }

    /// E\[p(1-p)\], the expected variance of one rollout's outcome.
    pub fn outcome_variance(self) -> f64 {
        let n = self.a + self.b;
        self.a * self.b / (n * (n + 1.0))
    }

    /// The chance that `n` further rollouts are not all alike: 1 - E\[p^n\] - E\[(1-p)^n\].
    pub fn signal(self, n: usize) -> f64 {
        let alike =
            |from: f64| (0..n).map(|i| (from + i as f64) / (self.a + self.b + i as f64)).product::<f64>();
        (1.0 - alike(self.a) - alike(self.b)).max(0.0)
    }
}

/// How far a kind of variant moves the logit of the pass rate before anything is measured.
const EXPECTED_SHIFT: f64 = 1.5;
/// Measured parent-child pairs that [`EXPECTED_SHIFT`] counts as.
const SHIFT_PAIRS: f64 = 4.0;
/// Rollouts that the parent's estimate counts as when relatives are averaged.
const PARENT_WEIGHT: f64 = 4.0;
/// Rollouts that siblings, or children, count as at most.
const RELATIVES_WEIGHT: f64 = 8.0;

/// Beliefs about all nodes of a tree at one moment.
#[derive(Debug, Clone)]
pub struct Beliefs {
    posteriors: Vec<Beta>,
}

impl Beliefs {
    /// Infers priors from relatives and adds each node's own (discounted) rollouts.
    pub fn of(tree: &Tree, settings: &CurriculumSettings) -> Self {
        let shifts = Shifts::measure(tree);
        let levels = root_rates(tree);
        let siblings = sibling_counts(tree);
        let mut posteriors: Vec<Beta> = Vec::with_capacity(tree.len());
        // Parents come before their children, so each prior finds its parent's posterior ready.
        for node in tree.nodes() {
            let mut prior = match node.parent {
                None => levels[&node.level],
                Some(parent) => {
                    let from_parent =
                        sigmoid(logit(posteriors[parent as usize].mean()) + shifts.of(node.kind));
                    let (attempts, successes) = siblings[&(parent, node.kind)];
                    blend(from_parent, attempts - node.recent_attempts, successes - node.recent_successes)
                }
            };
            let (attempts, successes) = children_evidence(tree, node, &shifts);
            prior = blend(prior, attempts, successes).clamp(0.02, 0.98);
            posteriors.push(Beta {
                a: settings.prior_strength * prior + node.recent_successes,
                b: settings.prior_strength * (1.0 - prior) + node.recent_attempts - node.recent_successes,
            });
        }
        Self { posteriors }
    }

    /// The belief about node `id`.
    pub fn posterior(&self, id: u32) -> Beta {
        self.posteriors[id as usize]
    }

    /// Number of nodes whose expected pass rate lies in 0.2 to 0.8: where learning happens.
    pub fn frontier(&self) -> usize {
        self.posteriors.iter().filter(|belief| (0.2..=0.8).contains(&belief.mean())).count()
    }
}

/// Mean change of the logit from parent to child, by kind.
struct Shifts {
    easier: f64,
    equivalent: f64,
    harder: f64,
}

impl Shifts {
    fn measure(tree: &Tree) -> Self {
        let mean = |kind, expected: f64| {
            let (mut sum, mut weight) = (expected * SHIFT_PAIRS, SHIFT_PAIRS);
            for node in tree.nodes().iter().filter(|node| node.kind == kind && node.recent_attempts > 0.0) {
                let Some(parent) = node.parent.map(|id| tree.node(id)).filter(|p| p.recent_attempts > 0.0)
                else {
                    continue;
                };
                let pair =
                    node.recent_attempts.min(parent.recent_attempts).min(RELATIVES_WEIGHT) / RELATIVES_WEIGHT;
                sum += pair * (logit(smoothed(node)) - logit(smoothed(parent)));
                weight += pair;
            }
            sum / weight
        };
        Self {
            easier: mean(NodeKind::Easier, EXPECTED_SHIFT),
            equivalent: mean(NodeKind::Equivalent, 0.0),
            harder: mean(NodeKind::Harder, -EXPECTED_SHIFT),
        }
    }

    fn of(&self, kind: NodeKind) -> f64 {
        match kind {
            NodeKind::Root => 0.0,
            NodeKind::Easier => self.easier,
            NodeKind::Equivalent => self.equivalent,
            NodeKind::Harder => self.harder,
        }
    }
}

/// Pooled rate of the roots of each level, with one success and one failure added.
fn root_rates(tree: &Tree) -> HashMap<Option<u32>, f64> {
    let mut counts: HashMap<Option<u32>, (f64, f64)> = HashMap::new();
    for root in tree.roots().map(|id| tree.node(id)) {
        let (attempts, successes) = counts.entry(root.level).or_default();
        *attempts += root.recent_attempts;
        *successes += root.recent_successes;
    }
    counts
        .into_iter()
        .map(|(level, (attempts, successes))| (level, (successes + 1.0) / (attempts + 2.0)))
        .collect()
}

/// Attempts and successes of all children of a parent, by kind.
fn sibling_counts(tree: &Tree) -> HashMap<(u32, NodeKind), (f64, f64)> {
    let mut counts: HashMap<(u32, NodeKind), (f64, f64)> = HashMap::new();
    for node in tree.nodes() {
        if let Some(parent) = node.parent {
            let (attempts, successes) = counts.entry((parent, node.kind)).or_default();
            *attempts += node.recent_attempts;
            *successes += node.recent_successes;
        }
    }
    counts
}

/// What measured children say about their parent, as attempts and successes: their rates shifted back.
fn children_evidence(tree: &Tree, node: &Node, shifts: &Shifts) -> (f64, f64) {
    let children =
        tree.children(node.id).iter().map(|&id| tree.node(id)).filter(|child| child.recent_attempts > 0.0);
    children.fold((0.0, 0.0), |(attempts, successes), child| {
        let rate = sigmoid(logit(smoothed(child)) - shifts.of(child.kind));
        // A child is indirect evidence: a full group of it counts as one rollout.
        let weight = (child.recent_attempts / RELATIVES_WEIGHT).min(1.0);
        (attempts + weight, successes + weight * rate)
    })
}

/// `prior`, worth [`PARENT_WEIGHT`] rollouts, averaged with evidence that counts at most [`RELATIVES_WEIGHT`].
fn blend(prior: f64, attempts: f64, successes: f64) -> f64 {
    if attempts <= 1e-9 {
        return prior;
    }
    let weight = attempts.min(RELATIVES_WEIGHT);
    (prior * PARENT_WEIGHT + successes / attempts * weight) / (PARENT_WEIGHT + weight)
}

fn smoothed(node: &Node) -> f64 {
    (node.recent_successes + 0.5) / (node.recent_attempts + 1.0)
}

fn logit(p: f64) -> f64 {
    (p / (1.0 - p)).ln()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// What [`select`] draws from.
#[derive(Debug, Clone, Copy)]
pub struct Draw<'a> {
    /// Current step.
    pub step: u64,
    /// Most nodes to draw.
    pub count: usize,
    /// Nodes that are left out.
    pub used: &'a HashSet<u32>,
    /// Whether resting nodes may be drawn when nothing else is left.
    pub or_resting: bool,
}

/// Draws nodes without replacement.
///
/// Adaptive: half of a fixed share from the roots, half from roots and their children, the rest from all nodes, each
/// with weight E\[p(1-p)\]^sharpness. Static: uniformly.
pub fn select(
    tree: &Tree,
    beliefs: &Beliefs,
    settings: &CurriculumSettings,
    draw: &Draw<'_>,
    rng: &mut Pcg64Mcg,
) -> Vec<u32> {
    let &Draw { step, count, used, or_resting } = draw;
    let free: Vec<u32> = tree.nodes().iter().map(|node| node.id).filter(|id| !used.contains(id)).collect();
    if !settings.adaptive {
        return permutation(rng, free.len()).into_iter().take(count).map(|place| free[place]).collect();
    }
    let awake: Vec<u32> = free.iter().copied().filter(|&id| tree.node(id).rests_until <= step).collect();
    let candidates = if awake.is_empty() && or_resting { free } else { awake };
    // One key a node, u^(1/w): the largest keys are a weighted sample without replacement (Efraimidis and Spirakis 2006).
    let mut keyed: Vec<(f64, u32)> = candidates
        .into_iter()
        .map(|id| {
            let node = tree.node(id);
            let just_promoted = node.promoted.is_some_and(|promoted| promoted + 1 == step);
            let variance = if just_promoted { 0.25 } else { beliefs.posterior(id).outcome_variance() };
            (uniform(rng).ln() / variance.max(1e-6).powf(settings.sharpness), id)
        })
        .collect();
    keyed.sort_by(|x, y| y.0.total_cmp(&x.0).then(x.1.cmp(&y.1)));
    let near = (count as f64 * settings.root_share).round() as usize;
    let mut chosen: Vec<u32> = Vec::with_capacity(count);
    // Half of the share is for the roots alone: children closer to p = 1/2 would starve them.
    for (depth, until) in [(0, near.div_ceil(2)), (1, near), (u32::MAX, count)] {
        for &(_, id) in &keyed {
            if chosen.len() >= until {
                break;
            }
            if tree.node(id).depth <= depth && !chosen.contains(&id) {
                chosen.push(id);
            }
        }
    }
    chosen
}

/// How the rollouts of a problem came out.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Outcomes {
    /// Rollouts that were judged.
    pub judged: usize,
    /// Answers with the verdict that they are right.
    pub correct: usize,
    /// Sum of the qualities, from 0 to 1, of those that numbers judged.
    pub scores: f64,
}

/// Adds rollouts to node `id`; older ones fade by `memory` at the first visit in a step.
///
/// A rollout that numbers judged counts as a fraction of a success, so that a Beta belief about its mean quality takes the place of that
/// about a pass rate: of all outcomes in 0 to 1 with a given mean, right and wrong alone have the largest variance.
pub fn observe(tree: &mut Tree, id: u32, outcomes: Outcomes, first_in_step: bool, memory: f64) {
    let Outcomes { judged, correct, scores } = outcomes;
    let node = tree.node_mut(id);
    if first_in_step {
        node.recent_attempts *= memory;
        node.recent_successes *= memory;
    }
    node.recent_attempts += judged as f64;
    node.recent_successes += correct as f64 + scores;
    node.attempts = node.attempts.saturating_add(judged as u32);
    node.successes = node.successes.saturating_add(correct as u32);
    node.scores += scores;
}

/// What a step changed in the tree.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Parents whose children are solved and which get a fresh look.
    pub promoted: Vec<u32>,
    /// Unsolved nodes that should grow variants.
    pub grow: Vec<u32>,
}

/// Rests solved nodes, promotes parents of solved children, and names the nodes that should grow.
/// `touched` are the nodes that had rollouts in this step.
pub fn after_step(
    tree: &mut Tree,
    settings: &CurriculumSettings,
    limits: &Limits,
    touched: &[u32],
    step: u64,
) -> Changes {
    let mut changes = Changes::default();
    if !settings.adaptive {
        return changes;
    }
    let beliefs = Beliefs::of(tree, settings);
    let solved = |tree: &Tree, id: u32| {
        tree.node(id).recent_attempts > 0.0 && beliefs.posterior(id).mean() >= settings.solved_rate
    };
    for &id in touched {
        if solved(tree, id) {
            tree.node_mut(id).rests_until = step + 1 + settings.rest_steps;
        }
    }
    let parents: HashSet<u32> = touched.iter().filter_map(|&id| tree.node(id).parent).collect();
    let mut parents: Vec<u32> = parents.into_iter().collect();
    parents.sort_unstable();
    for parent in parents {
        let measured: Vec<u32> =
            tree.children(parent).iter().copied().filter(|&id| tree.node(id).recent_attempts > 0.0).collect();
        let done = measured.iter().filter(|&&id| solved(tree, id)).count();
        let recently =
            tree.node(parent).promoted.is_some_and(|promoted| promoted + settings.rest_steps.max(1) > step);
        if measured.len() >= 2
            && done as f64 >= settings.promote_share * measured.len() as f64
            && done > 0
            && !recently
            && !solved(tree, parent)
        {
            // Its old failures are from before its children were learned: let the belief start from them anew.
            let node = tree.node_mut(parent);
            node.recent_attempts *= 0.25;
            node.recent_successes *= 0.25;
            node.promoted = Some(step);
            changes.promoted.push(parent);
        }
    }
    let mut stuck: Vec<u32> = touched
        .iter()
        .copied()
        .filter(|&id| {
            let node = tree.node(id);
            node.recent_attempts >= settings.grow_after
                && node.recent_successes < 0.5
                && node.expansions < MAX_EXPANSIONS
                && tree.may_grow(id, limits)
        })
        .collect();
    // Fewest children first: breadth before a second helping.
    stuck.sort_by_key(|&id| (tree.node(id).expansions, tree.children(id).len(), id));
    stuck.truncate(settings.grow_per_step);
    changes.grow = stuck;
    changes
}

/// Times that variants of one node are asked for: a model that finds no rung in so many tries has none.
const MAX_EXPANSIONS: u32 = 4;
