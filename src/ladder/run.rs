//! A LADDER run from roots to result.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::ladder::climb::{Climb, Goal};
use crate::ladder::events::{self, Finished, WarningCode};
use crate::ladder::policy::{Policy, PolicyInfo};
use crate::ladder::settings::Settings;
use crate::ladder::state::{Host, Progress, Snapshot};
use crate::ladder::tree::{Node, Tree};
use crate::task::{Problem, Task, TaskOptions};
use crate::train::fingerprint::Base;
use crate::{Error, Result};

/// Everything that defines a run; `run.json` holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunCard {
    /// Version of this program.
    pub version: String,
    /// The model as the user named it.
    pub model: String,
    /// Adapter folder that the run started from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
    /// Name of the task.
    pub task: String,
    /// The task's options.
    #[serde(default)]
    pub task_options: TaskOptions,
    /// Hashes of the files of a checker that is not part of this program, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub checker: BTreeMap<String, String>,
    /// Every setting.
    pub settings: Settings,
    /// The training problems.
    pub problems: Vec<Problem>,
    /// The held-out problems.
    pub held_out: Vec<Problem>,
    /// The weights that it stands on and how they are computed with, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Base>,
    /// The completions of each request are drawn by themselves, as workers of a swarm draw them: see
    /// [`Learner::draw_alone`](super::learner::Learner::draw_alone).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub alone: bool,
    /// The run's name on servers that carry its tasks, if any did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swarm: Option<String>,
    /// Model, device and sizes, once the model is loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyInfo>,
}

impl RunCard {
    /// A run of this version that goes on from no adapter; what it stands on is not known yet.
    pub fn new(
        model: String,
        (task, task_options): (String, TaskOptions),
        settings: Settings,
        [problems, held_out]: [Vec<Problem>; 2],
    ) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").into(),
            model,
            adapter: None,
            task,
            task_options,
            checker: BTreeMap::new(),
            settings,
            problems,
            held_out,
            base: None,
            alone: false,
            swarm: None,
            policy: None,
        }
    }
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The last event.
    pub finished: Finished,
    /// The tree at the end.
    pub nodes: Vec<Node>,
}

/// Runs `card` from the beginning, or from `saved`.
///
/// Work is done in units, and a checkpoint can stand between two: a resumed run goes on as the one that was never stopped.
///
/// # Errors
/// [`Error::Usage`] if the settings or all root problems are unusable; [`Error::Cancelled`] and [`Error::Diverged`]
/// after a checkpoint; errors of the policy, the store and the listener.
pub async fn run<P: Policy>(
    policy: &mut P,
    task: &dyn Task,
    card: &RunCard,
    saved: Option<Snapshot>,
    host: &mut Host<'_>,
) -> Result<Outcome> {
    card.settings.check()?;
    let held_out = canonical_forms(task, &card.held_out)?;
    let resumed_from = saved.as_ref().map(|saved| saved.progress.step);
    let mut refused = Vec::new();
    let (tree, progress) = match saved {
        Some(saved) => {
            policy.restore(&saved.trainer).await?;
            let damaged = |problem| Error::usage("resume", problem, "start a new run in another folder");
            let tree = Tree::from_nodes(saved.nodes, saved.progress.rejections.clone(), held_out)
                .map_err(damaged)?;
            if let Some(id) = saved.progress.pending.iter().find(|&&id| id as usize >= tree.len()) {
                return Err(damaged(format!("node {id} waits for variants but is not in the tree")));
            }
            (tree, saved.progress)
        }
        None => {
            let mut tree = Tree::new(held_out);
            for problem in &card.problems {
                if let Err(reason) = tree.add_root(task, problem) {
                    refused.push((problem, reason));
                }
            }
            (tree, Progress::new(card.settings.seed))
        }
    };
    if tree.is_empty() {
        return Err(no_roots(&refused));
    }
    check_prompts(policy, task, &tree, &card.held_out)?;
    let goal = Goal::Skill { held_out: &card.held_out };
    let mut climb = Climb { policy, task, settings: &card.settings, host, tree, progress, goal, keeps: true };
    if resumed_from.is_none() && card.settings.variants.enabled {
        climb.plant();
    }
    climb.start(&card.version, &card.task, resumed_from)?;
    if let Some(note) = card.settings.schedule().note() {
        climb.warn(climb.progress.step, WarningCode::Other, format!("warmup_steps: {note}"))?;
    }
    for (problem, reason) in refused {
        let message =
            format!("root `{}` is not used: {}", events::logged_text(&problem.problem), reason.words());
        climb.warn(0, WarningCode::RefusedRoot, message)?;
    }
    let reason = climb.ascend().await?;
    let finished = climb.end(reason).await?;
    Ok(Outcome { finished, nodes: climb.tree.nodes().to_vec() })
}

fn canonical_forms(task: &dyn Task, problems: &[Problem]) -> Result<HashSet<String>> {
    problems
        .iter()
        .map(|problem| {
            task.canonical(&problem.problem).map_err(|reason| {
                Error::usage(
                    "eval_problems",
                    format!("`{}`: {reason}", events::logged_text(&problem.problem)),
                    "correct or remove that line",
                )
            })
        })
        .collect()
}

fn no_roots(refused: &[(&Problem, crate::ladder::tree::Rejection)]) -> Error {
    let problem = match refused.first() {
        None => "there are no training problems".to_owned(),
        Some((problem, reason)) => format!(
            "none of the {} training problems can be used; `{}`: {}",
            refused.len(),
            events::logged_text(&problem.problem),
            reason.words()
        ),
    };
    Error::usage("problems", problem, "give at least one problem of the task that is not held out")
}

/// Whether every problem that the user gave fits into the context, before anything is computed.
fn check_prompts<P: Policy>(policy: &P, task: &dyn Task, tree: &Tree, held_out: &[Problem]) -> Result<()> {
    let style = policy.prompt_style();
    let roots = tree.roots().map(|id| tree.node(id).problem.as_str());
    for problem in roots.chain(held_out.iter().map(|problem| problem.problem.as_str())) {
        policy.encode_prompt(&task.prompt(problem, style))?;
    }
    Ok(())
}
