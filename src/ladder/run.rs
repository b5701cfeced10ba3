//! A LADDER run from roots to result, in units that a checkpoint can stand between.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::ladder::engine::Engine;
use crate::ladder::eval::{Questions, evaluate};
use crate::ladder::events::{self, Event, FinishReason, Finished, WarningCode};
use crate::ladder::policy::{Policy, PolicyInfo};
use crate::ladder::settings::Settings;
use crate::ladder::state::{Host, Progress, Snapshot};
use crate::ladder::tree::{Node, Tree};
use crate::task::{Problem, Task, TaskOptions};
use crate::train::fingerprint::Base;
use crate::train::guard::MAX_NON_FINITE;
use crate::{Error, Result};

/// Nodes that are varied in one batch.
const GROW_BATCH: usize = 16;

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
/// Work is done in units (an evaluation, a batch of variants, a step), and a checkpoint stands between units: when a
/// unit is cancelled the state before it is saved, so a resumed run repeats the unit with the same random numbers and
/// goes on as the run that was never stopped.
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
    let mut run = Run {
        engine: Engine {
            policy,
            task,
            settings: &card.settings,
            host,
            tree,
            progress,
            withheld: HashSet::new(),
        },
        held_out: &card.held_out,
    };
    run.start(card, resumed_from)?;
    for (problem, reason) in refused {
        let message =
            format!("root `{}` is not used: {}", events::logged_text(&problem.problem), reason.words());
        run.engine.warn(0, WarningCode::RefusedRoot, message)?;
    }
    run.finish().await
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

struct Run<'a, 'h, P: Policy> {
    engine: Engine<'a, 'h, P>,
    held_out: &'a [Problem],
}

/// What is to be done next.
enum Unit {
    Evaluate,
    Grow,
    Step,
    Done(FinishReason),
}

impl<P: Policy> Run<'_, '_, P> {
    fn start(&mut self, card: &RunCard, resumed_from: Option<u64>) -> Result<()> {
        let engine = &mut self.engine;
        if resumed_from.is_none() && engine.settings.variants.enabled {
            let roots: Vec<u32> = engine.tree.roots().collect();
            engine.progress.pending.extend(roots);
            engine.progress.levels_grown = 1;
        }
        engine.host.emit(&Event::Started(events::Started {
            version: card.version.clone(),
            task: card.task.clone(),
            policy: engine.policy.info(),
            settings: Box::new(card.settings.clone()),
            roots: engine.tree.roots().count(),
            held_out: card.held_out.len(),
            resumed_from,
        }))?;
        match engine.settings.schedule().note() {
            Some(note) => {
                engine.warn(engine.progress.step, WarningCode::Other, format!("warmup_steps: {note}"))
            }
            None => Ok(()),
        }
    }

    async fn finish(mut self) -> Result<Outcome> {
        loop {
            let unit = self.next();
            if let Unit::Done(reason) = unit {
                return match self.stop(reason).await {
                    Ok(finished) => Ok(Outcome { finished, nodes: self.engine.tree.nodes().to_vec() }),
                    Err(error) => self.failed(error),
                };
            }
            let before = (self.engine.tree.clone(), self.engine.progress.clone());
            let position = self.engine.host.store.position();
            let began = (self.engine.host.clock)();
            let outcome = match unit {
                Unit::Evaluate => self.evaluate().await,
                Unit::Grow => self.grow().await,
                Unit::Step | Unit::Done(_) => self.engine.step().await,
            };
            match outcome {
                Ok(()) => {
                    self.engine.progress.elapsed += (self.engine.host.clock)() - began;
                    if let Err(error) = self.after(&unit).await {
                        return self.failed(error);
                    }
                }
                Err(Error::Cancelled) => {
                    (self.engine.tree, self.engine.progress) = before;
                    self.engine.host.store.rewind(position)?;
                    return match self.stop(FinishReason::Cancelled).await {
                        Ok(_) => Err(Error::Cancelled),
                        Err(error) => self.failed(error),
                    };
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn next(&self) -> Unit {
        let progress = &self.engine.progress;
        let settings = self.engine.settings;
        let spent = settings.token_budget.is_some_and(|budget| progress.total_rollout_tokens >= budget);
        let over = spent || progress.step >= settings.steps;
        let every = settings.evaluation.every;
        let due = progress.step == 0 || over || (every > 0 && progress.step.is_multiple_of(every));
        if !self.held_out.is_empty() && due && progress.evaluated_at != Some(progress.step) {
            return Unit::Evaluate;
        }
        match (over, progress.pending.is_empty()) {
            (true, _) if spent => Unit::Done(FinishReason::TokenBudget),
            (true, _) => Unit::Done(FinishReason::Completed),
            (false, false) => Unit::Grow,
            (false, true) => Unit::Step,
        }
    }

    async fn evaluate(&mut self) -> Result<()> {
        let engine = &mut self.engine;
        let began = (engine.host.clock)();
        let (settings, step) = (&engine.settings.evaluation, engine.progress.step);
        let evaluation = evaluate(
            engine.policy,
            engine.task,
            Questions { problems: self.held_out, shots: &[] },
            settings,
            engine.settings.seed,
            step,
            engine.host,
        )
        .await?;
        let seconds = (engine.host.clock)() - began;
        let rate = evaluation.pass_rate();
        engine.progress.before = engine.progress.before.or(rate);
        engine.progress.after = rate;
        engine.progress.evaluated_at = Some(step);
        let event = evaluation.event(step, engine.progress.total_rollout_tokens, seconds);
        engine.host.emit(&Event::Evaluated(event))
    }

    async fn grow(&mut self) -> Result<()> {
        let engine = &mut self.engine;
        engine.extend_library().await?;
        let count = engine.progress.pending.len().min(GROW_BATCH);
        let parents: Vec<u32> = engine.progress.pending.drain(..count).collect();
        engine.grow(&parents).await?;
        // The levels that are made before the first step follow each other.
        let variants = &engine.settings.variants;
        if engine.progress.step == 0
            && engine.progress.pending.is_empty()
            && engine.progress.levels_grown < variants.initial_levels
        {
            let level = engine.progress.levels_grown;
            engine.progress.levels_grown += 1;
            let nodes = engine.tree.nodes().iter().filter(|node| node.depth == level).map(|node| node.id);
            engine.progress.pending.extend(nodes.take(variants.parents_per_level));
        }
        Ok(())
    }

    /// What follows a finished unit: checkpoints, and giving up on a run that has diverged.
    async fn after(&mut self, unit: &Unit) -> Result<()> {
        let progress = &self.engine.progress;
        if progress.non_finite_in_a_row >= MAX_NON_FINITE {
            let steps = progress.non_finite_in_a_row;
            self.stop(FinishReason::Diverged).await?;
            return Err(Error::Diverged { steps });
        }
        let due = match unit {
            Unit::Step => progress.step.is_multiple_of(self.engine.settings.checkpoint_every),
            Unit::Grow => progress.step == 0,
            Unit::Evaluate | Unit::Done(_) => false,
        };
        if due { self.checkpoint().await } else { Ok(()) }
    }

    async fn checkpoint(&mut self) -> Result<()> {
        let snapshot = self.snapshot().await?;
        self.announce_checkpoint()?;
        self.engine.host.store.save(&snapshot)
    }

    fn announce_checkpoint(&mut self) -> Result<()> {
        let step = self.engine.progress.step;
        self.engine.host.emit(&Event::Checkpoint(events::Checkpoint { step }))
    }

    /// All that there is to save.
    ///
    /// # Errors
    /// [`Error::NotKept`] where that is worth nothing; what was saved before stays.
    async fn snapshot(&mut self) -> Result<Snapshot> {
        let engine = &mut self.engine;
        let trainer = engine.policy.state().await?;
        if trainer.not_finite().is_some() {
            return Err(Error::NotKept {
                what: format!("the adapter is not finite after step {}", engine.progress.step),
                hint: "the last checkpoint is kept; go on from it with <resume> and a lower <learning_rate>"
                    .into(),
            });
        }
        Ok(Snapshot {
            progress: engine.progress.clone(),
            nodes: engine.tree.nodes().to_vec(),
            trainer,
            adapter: engine.policy.adapter().await?,
        })
    }

    /// Ends the run so that it can be resumed. What is logged after the checkpoint goes when it is: for a run that
    /// was cancelled that includes the announcement, so that its log becomes that of a run that never stopped.
    async fn stop(&mut self, reason: FinishReason) -> Result<Finished> {
        match reason {
            FinishReason::Cancelled => {
                let snapshot = self.snapshot().await?;
                self.engine.host.store.save(&snapshot)?;
                self.announce_checkpoint()?;
            }
            FinishReason::Diverged => {
                // A resumed run gets its tries again.
                self.engine.progress.non_finite_in_a_row = 0;
                self.checkpoint().await?;
            }
            FinishReason::Completed | FinishReason::TokenBudget => self.checkpoint().await?,
        }
        self.finished(reason)
    }

    fn finished(&mut self, reason: FinishReason) -> Result<Finished> {
        let progress = &self.engine.progress;
        let finished = Finished {
            reason,
            step: progress.step,
            elapsed: progress.elapsed,
            total_rollout_tokens: progress.total_rollout_tokens,
            before: progress.before,
            after: progress.after,
        };
        self.engine.host.emit(&Event::Finished(finished.clone()))?;
        Ok(finished)
    }

    /// The end of a run that cannot be saved; one that is not finite says so in its log.
    fn failed(mut self, error: Error) -> Result<Outcome> {
        if matches!(error, Error::NotKept { .. }) {
            self.finished(FinishReason::Diverged)?;
        }
        Err(error)
    }
}
