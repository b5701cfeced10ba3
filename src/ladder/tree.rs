//! The tree of problems: roots that the user gave, and under them the variants that the model wrote.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::task::{Problem, Task, VariantKind};

/// How a node came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    /// Given by the user.
    Root,
    /// Asked for as easier than its parent.
    Easier,
    /// Asked for as hard as its parent.
    Equivalent,
    /// Asked for as harder than its parent.
    Harder,
}

impl From<VariantKind> for NodeKind {
    fn from(kind: VariantKind) -> Self {
        match kind {
            VariantKind::Easier => Self::Easier,
            VariantKind::Equivalent => Self::Equivalent,
            VariantKind::Harder => Self::Harder,
        }
    }
}

/// Why a proposed problem did not become a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Rejection {
    /// Not a problem of the task.
    Invalid,
    /// Longer than the limit.
    TooLong,
    /// No answer to it could be found or confirmed, as far as the task can tell.
    Unsolvable,
    /// Equivalent to its parent or another ancestor, only rewritten.
    Restatement,
    /// The same problem is in the tree already.
    Duplicate,
    /// A held-out problem: learning it would make the evaluation worthless.
    HeldOut,
    /// The parent has as many children, or the tree as many nodes, as it may.
    Limit,
}

impl Rejection {
    /// The reason in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Invalid => "it is not a problem of the task",
            Self::TooLong => "it is too long",
            Self::Unsolvable => "no answer to it could be found or confirmed",
            Self::Restatement => "it restates its parent",
            Self::Duplicate => "it occurs twice",
            Self::HeldOut => "it is a held-out problem",
            Self::Limit => "the tree is full there",
        }
    }
}

/// One problem of the tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Index in the tree.
    pub id: u32,
    /// The node that it is a variant of; `None` for roots.
    pub parent: Option<u32>,
    /// The problem as it was written.
    pub problem: String,
    /// Its semantic identity ([`Task::canonical`]).
    pub canonical: String,
    /// How it came to be.
    pub kind: NodeKind,
    /// Distance from the root.
    pub depth: u32,
    /// Level of the problems file; roots only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<u32>,
    /// The user's name for it; roots only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Known answer; roots only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// The persona that its author was asked to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persona: Option<String>,
    /// The transformations that its author was offered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transformations: Vec<String>,
    /// Step in which it was added; 0 is before the first.
    pub born: u64,
    /// Judged rollouts.
    pub attempts: u32,
    /// Correct ones.
    pub successes: u32,
    /// Sum of the qualities, from 0 to 1, of those that numbers judged.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub scores: f64,
    /// Judged rollouts with older ones discounted, because the policy has changed since.
    pub recent_attempts: f64,
    /// Correct ones and the qualities of those that numbers judged, discounted alike.
    pub recent_successes: f64,
    /// Times that variants of it were asked for.
    pub expansions: u32,
    /// Not drawn before this step, because it is solved.
    pub rests_until: u64,
    /// Step in which it was last promoted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promoted: Option<u64>,
}

impl Node {
    /// The node as a problem to verify answers to.
    pub fn as_problem(&self) -> Problem {
        Problem {
            problem: self.problem.clone(),
            id: self.name.clone(),
            level: self.level,
            answer: self.answer.clone(),
        }
    }

    /// Share of correct rollouts, or the mean quality of those that numbers judged; `None` before the first.
    pub fn pass_rate(&self) -> Option<f64> {
        (self.attempts > 0).then(|| (f64::from(self.successes) + self.scores) / f64::from(self.attempts))
    }
}

fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

/// Bounds of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Largest distance from a root.
    pub depth: u32,
    /// Most children of a node.
    pub children: usize,
    /// Most nodes, roots included.
    pub nodes: usize,
    /// Longest problem in bytes.
    pub problem_bytes: usize,
}

/// A proposed variant with where it came from.
#[derive(Debug, Clone, Copy)]
pub struct Proposal<'a> {
    /// The node that it is a variant of.
    pub parent: u32,
    /// The problem as the model wrote it.
    pub problem: &'a str,
    /// The kind that was asked for.
    pub kind: VariantKind,
    /// The persona that the model was asked to be.
    pub persona: Option<&'a str>,
    /// The transformations that it was offered.
    pub transformations: &'a [String],
    /// Current step.
    pub step: u64,
    /// Whether the task is asked if the problem can be solved.
    pub check_solvable: bool,
}

/// The problems of a run. Nodes are never removed, so ids are indices.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    nodes: Vec<Node>,
    children: Vec<Vec<u32>>,
    by_canonical: HashMap<String, u32>,
    held_out: HashSet<String>,
    yields: BTreeMap<Rejection, u64>,
}

impl Tree {
    /// An empty tree that refuses the problems whose canonical forms are in `held_out`.
    pub fn new(held_out: HashSet<String>) -> Self {
        Self { held_out, ..Self::default() }
    }

    /// A tree from nodes that [`Tree::nodes`] gave, and the counts of [`Tree::rejections`].
    ///
    /// # Errors
    /// The reason, if ids are not indices or parents do not come before their children.
    pub fn from_nodes(
        nodes: Vec<Node>,
        rejections: BTreeMap<Rejection, u64>,
        held_out: HashSet<String>,
    ) -> Result<Self, String> {
        let mut tree = Self { held_out, yields: rejections, ..Self::default() };
        for (index, node) in nodes.into_iter().enumerate() {
            if node.id as usize != index {
                return Err(format!("node {} is in place {index}", node.id));
            }
            if node.parent.is_some_and(|parent| parent >= node.id) {
                return Err(format!("node {} comes before its parent", node.id));
            }
            tree.push(node);
        }
        Ok(tree)
    }

    /// All nodes in order of their ids.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node `id`.
    pub fn node(&self, id: u32) -> &Node {
        &self.nodes[id as usize]
    }

    /// The node `id`, to change its estimates.
    pub(crate) fn node_mut(&mut self, id: u32) -> &mut Node {
        &mut self.nodes[id as usize]
    }

    /// Children of `id` in order of birth.
    pub fn children(&self, id: u32) -> &[u32] {
        &self.children[id as usize]
    }

    /// Ids of the roots.
    pub fn roots(&self) -> impl Iterator<Item = u32> + '_ {
        self.nodes.iter().filter(|node| node.parent.is_none()).map(|node| node.id)
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are no nodes.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// How many proposals were dropped, by reason.
    pub fn rejections(&self) -> &BTreeMap<Rejection, u64> {
        &self.yields
    }

    /// Adds a root.
    ///
    /// # Errors
    /// [`Rejection::Invalid`], [`Rejection::Duplicate`] or [`Rejection::HeldOut`]; counted.
    pub fn add_root(&mut self, task: &dyn Task, problem: &Problem) -> Result<u32, Rejection> {
        let outcome =
            task.canonical(&problem.problem).map_err(|_| Rejection::Invalid).and_then(|canonical| {
                if self.held_out.contains(&canonical) {
                    Err(Rejection::HeldOut)
                } else if self.by_canonical.contains_key(&canonical) {
                    Err(Rejection::Duplicate)
                } else {
                    Ok(canonical)
                }
            });
        let canonical = self.counted(outcome)?;
        Ok(self.push(Node {
            id: self.nodes.len() as u32,
            parent: None,
            problem: problem.problem.clone(),
            canonical,
            kind: NodeKind::Root,
            depth: 0,
            level: problem.level,
            name: problem.id.clone(),
            answer: problem.answer.clone(),
            persona: None,
            transformations: Vec::new(),
            born: 0,
            attempts: 0,
            successes: 0,
            scores: 0.0,
            recent_attempts: 0.0,
            recent_successes: 0.0,
            expansions: 0,
            rests_until: 0,
            promoted: None,
        }))
    }

    /// Adds a variant if it is a problem of its own.
    ///
    /// # Errors
    /// Why not; counted in [`Tree::rejections`].
    pub fn propose(
        &mut self,
        task: &dyn Task,
        limits: &Limits,
        proposal: &Proposal<'_>,
    ) -> Result<u32, Rejection> {
        let outcome = self.check(task, limits, proposal);
        let canonical = self.counted(outcome)?;
        let depth = self.node(proposal.parent).depth + 1;
        Ok(self.push(Node {
            id: self.nodes.len() as u32,
            parent: Some(proposal.parent),
            problem: proposal.problem.to_owned(),
            canonical,
            kind: proposal.kind.into(),
            depth,
            level: None,
            name: None,
            answer: None,
            persona: proposal.persona.map(str::to_owned),
            transformations: proposal.transformations.to_vec(),
            born: proposal.step,
            attempts: 0,
            successes: 0,
            scores: 0.0,
            recent_attempts: 0.0,
            recent_successes: 0.0,
            expansions: 0,
            rests_until: 0,
            promoted: None,
        }))
    }

    /// Counts a proposal that was dropped before it came here.
    ///
    /// # Errors
    /// Always, with `reason`.
    pub(crate) fn reject(&mut self, reason: Rejection) -> Result<u32, Rejection> {
        self.counted(Err(reason))
    }

    /// Whether variants of `id` may still be added.
    pub fn may_grow(&self, id: u32, limits: &Limits) -> bool {
        self.node(id).depth < limits.depth
            && self.children(id).len() < limits.children
            && self.nodes.len() < limits.nodes
    }

    /// Cheap checks come first: the text is the model's, and `canonical` costs most.
    fn check(&self, task: &dyn Task, limits: &Limits, proposal: &Proposal<'_>) -> Result<String, Rejection> {
        if !self.may_grow(proposal.parent, limits) {
            return Err(Rejection::Limit);
        }
        if proposal.problem.len() > limits.problem_bytes {
            return Err(Rejection::TooLong);
        }
        let canonical = task.canonical(proposal.problem).map_err(|_| Rejection::Invalid)?;
        if self.held_out.contains(&canonical) {
            return Err(Rejection::HeldOut);
        }
        let mut ancestor = Some(proposal.parent);
        while let Some(id) = ancestor {
            let node = self.node(id);
            if node.canonical == canonical || task.is_restatement(&node.problem, proposal.problem) {
                return Err(Rejection::Restatement);
            }
            ancestor = node.parent;
        }
        if self.by_canonical.contains_key(&canonical) {
            return Err(Rejection::Duplicate);
        }
        if proposal.check_solvable && task.solvable(proposal.problem).is_err() {
            return Err(Rejection::Unsolvable);
        }
        Ok(canonical)
    }

    fn counted<T>(&mut self, outcome: Result<T, Rejection>) -> Result<T, Rejection> {
        if let Err(reason) = &outcome {
            *self.yields.entry(*reason).or_default() += 1;
        }
        outcome
    }

    fn push(&mut self, node: Node) -> u32 {
        let id = node.id;
        if let Some(parent) = node.parent {
            self.children[parent as usize].push(id);
        }
        self.by_canonical.insert(node.canonical.clone(), id);
        self.children.push(Vec::new());
        self.nodes.push(node);
        id
    }
}
