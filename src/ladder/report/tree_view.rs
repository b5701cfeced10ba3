//! The tree as nested rows.

use std::collections::BTreeMap;

use serde::Serialize;

use super::text::printable;
use crate::ladder::tree::{Node, NodeKind};

/// Most nodes that the page shows.
const MAX_NODES: usize = 3000;
/// Deepest level of the tree that the page shows.
const MAX_DEPTH: u32 = 12;

/// A node with what is below it.
#[derive(Debug, Serialize)]
pub(super) struct TreeNode {
    id: u32,
    problem: String,
    kind: &'static str,
    level: Option<u32>,
    /// Per cent; `None` if never answered.
    rate: Option<f64>,
    text: String,
    persona: Option<String>,
    promoted: bool,
    resting: bool,
    /// Open in the page.
    open: bool,
    descendants: usize,
    children: Vec<TreeNode>,
}

/// The tree for the page and the number of nodes in it: whole subtrees of early roots first, so that what is left out
/// is left out together.
pub(super) fn tree(nodes: &[Node], step: u64) -> (Vec<TreeNode>, usize) {
    let mut children: BTreeMap<Option<u32>, Vec<&Node>> = BTreeMap::new();
    for node in nodes {
        children.entry(node.parent).or_default().push(node);
    }
    let mut room = MAX_NODES;
    let roots = branch(&children, None, step, &mut room);
    (roots, MAX_NODES - room)
}

fn branch(
    children: &BTreeMap<Option<u32>, Vec<&Node>>,
    parent: Option<u32>,
    step: u64,
    room: &mut usize,
) -> Vec<TreeNode> {
    let mut shown = Vec::new();
    for node in children.get(&parent).into_iter().flatten() {
        if *room == 0 || node.depth > MAX_DEPTH {
            break;
        }
        *room -= 1;
        let below = branch(children, Some(node.id), step, room);
        let rate = (node.recent_attempts > 0.0).then(|| node.recent_successes / node.recent_attempts);
        shown.push(TreeNode {
            id: node.id,
            problem: printable(&node.problem),
            kind: match node.kind {
                NodeKind::Root => "root",
                NodeKind::Easier => "easier",
                NodeKind::Equivalent => "equivalent",
                NodeKind::Harder => "harder",
            },
            level: node.level,
            rate: rate.map(|rate| (rate * 100.0).clamp(0.0, 100.0)),
            text: match node.attempts {
                0 => "not tried".to_owned(),
                attempts if node.scores > 0.0 => {
                    format!("{:.2} in {attempts}", node.pass_rate().unwrap_or_default())
                }
                attempts => format!("{} of {attempts}", node.successes),
            },
            persona: node.persona.as_deref().map(printable),
            promoted: node.promoted.is_some(),
            resting: node.rests_until > step,
            open: parent.is_none() && node.id < 3,
            descendants: below.iter().map(|child| 1 + child.descendants).sum(),
            children: below,
        });
    }
    shown
}
