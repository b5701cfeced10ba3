//! A climb is done in units (an evaluation, a batch of variants, a step), and a checkpoint can stand between two of them. When a
//! unit is cancelled the state before it is saved, so a resumed climb repeats it with the same random numbers and goes on as the
//! one that was never stopped.

use crate::ladder::climb::{Climb, Goal};
use crate::ladder::eval::{Questions, evaluate};
use crate::ladder::events::{self, Event, FinishReason, Finished};
use crate::ladder::policy::Policy;
use crate::ladder::state::Snapshot;
use crate::train::guard::MAX_NON_FINITE;
use crate::{Error, Result};

/// Nodes that are varied in one batch.
const GROW_BATCH: usize = 16;

/// What is to be done next.
enum Unit {
    Evaluate,
    Grow,
    Step,
    Done(FinishReason),
}

impl<P: Policy> Climb<'_, '_, P> {
    /// The roots are the first nodes that wait for variants.
    pub(crate) fn plant(&mut self) {
        self.progress.pending.extend(self.tree.roots());
        self.progress.levels_grown = 1;
    }

    /// Says that it begins, or goes on from a step.
    pub(crate) fn start(&mut self, version: &str, task: &str, resumed_from: Option<u64>) -> Result<()> {
        self.host.emit(&Event::Started(events::Started {
            version: version.to_owned(),
            task: task.to_owned(),
            policy: self.policy.info(),
            settings: Box::new(self.settings.clone()),
            roots: self.tree.roots().count(),
            held_out: self.held_out().len(),
            resumed_from,
        }))
    }

    /// Works until the steps or the tokens are spent, and says which.
    ///
    /// # Errors
    /// [`Error::Cancelled`] and [`Error::Diverged`], after a checkpoint where those are kept; errors of policy, store and listener.
    pub(crate) async fn ascend(&mut self) -> Result<FinishReason> {
        loop {
            let unit = self.next();
            if let Unit::Done(reason) = unit {
                return Ok(reason);
            }
            let before = (self.tree.clone(), self.progress.clone());
            let position = self.host.store.position();
            let began = (self.host.clock)();
            let outcome = match unit {
                Unit::Evaluate => self.evaluate().await,
                Unit::Grow => self.grow_batch().await.map(|_| ()),
                Unit::Step | Unit::Done(_) => self.step().await,
            };
            match outcome {
                Ok(()) => {
                    self.progress.elapsed += (self.host.clock)() - began;
                    if let Err(error) = self.after(&unit).await {
                        return Err(self.failed(error));
                    }
                }
                Err(Error::Cancelled) if self.keeps => {
                    (self.tree, self.progress) = before;
                    self.host.store.rewind(position)?;
                    self.end(FinishReason::Cancelled).await?;
                    return Err(Error::Cancelled);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn next(&self) -> Unit {
        let (progress, settings) = (&self.progress, self.settings);
        let spent = settings.token_budget.is_some_and(|budget| progress.total_rollout_tokens >= budget);
        let over = spent || progress.step >= settings.steps;
        let every = settings.evaluation.every;
        let due = progress.step == 0 || over || (every > 0 && progress.step.is_multiple_of(every));
        if !self.held_out().is_empty() && due && progress.evaluated_at != Some(progress.step) {
            return Unit::Evaluate;
        }
        match (over, progress.pending.is_empty()) {
            (true, _) if spent => Unit::Done(FinishReason::TokenBudget),
            (true, _) => Unit::Done(FinishReason::Completed),
            (false, false) => Unit::Grow,
            (false, true) if self.withheld().len() == self.tree.len() => Unit::Done(FinishReason::Completed),
            (false, true) => Unit::Step,
        }
    }

    async fn evaluate(&mut self) -> Result<()> {
        let Goal::Skill { held_out: problems } = self.goal else { return Ok(()) };
        let began = (self.host.clock)();
        let (settings, step) = (self.settings, self.progress.step);
        let questions = Questions { problems, shots: &[] };
        let (policy, task, host) = (&mut *self.policy, self.task, &mut *self.host);
        let evaluation =
            evaluate(policy, task, questions, &settings.evaluation, settings.seed, step, host).await?;
        let seconds = (self.host.clock)() - began;
        let rate = evaluation.pass_rate();
        self.progress.before = self.progress.before.or(rate);
        self.progress.after = rate;
        self.progress.evaluated_at = Some(step);
        let event = evaluation.event(step, self.progress.total_rollout_tokens, seconds);
        self.host.emit(&Event::Evaluated(event))
    }

    /// Variants of the next nodes that wait for them; a report on every parent.
    pub(crate) async fn grow_batch(&mut self) -> Result<Vec<events::Variants>> {
        self.extend_library().await?;
        let count = self.progress.pending.len().min(GROW_BATCH);
        let parents: Vec<u32> = self.progress.pending.drain(..count).collect();
        let reports = self.grow(&parents).await?;
        self.next_level();
        Ok(reports)
    }

    /// The levels that are made before the first step follow each other.
    pub(crate) fn next_level(&mut self) {
        let variants = &self.settings.variants;
        let progress = &mut self.progress;
        if progress.step == 0
            && progress.pending.is_empty()
            && progress.levels_grown < variants.initial_levels
        {
            let level = progress.levels_grown;
            progress.levels_grown += 1;
            let nodes = self.tree.nodes().iter().filter(|node| node.depth == level).map(|node| node.id);
            progress.pending.extend(nodes.take(variants.parents_per_level));
        }
    }

    /// What follows a finished unit: checkpoints, and giving up on a climb that has diverged.
    async fn after(&mut self, unit: &Unit) -> Result<()> {
        let progress = &self.progress;
        if progress.non_finite_in_a_row >= MAX_NON_FINITE {
            let steps = progress.non_finite_in_a_row;
            self.stop(FinishReason::Diverged).await?;
            return Err(Error::Diverged { steps });
        }
        let due = match unit {
            Unit::Step => progress.step.is_multiple_of(self.settings.checkpoint_every),
            Unit::Grow => progress.step == 0,
            Unit::Evaluate | Unit::Done(_) => false,
        };
        if due { self.checkpoint().await } else { Ok(()) }
    }

    /// Saves where that is asked for.
    async fn checkpoint(&mut self) -> Result<()> {
        if !self.keeps {
            return Ok(());
        }
        let snapshot = self.snapshot().await?;
        self.announce_checkpoint()?;
        self.host.store.save(&snapshot)
    }

    fn announce_checkpoint(&mut self) -> Result<()> {
        let step = self.progress.step;
        self.host.emit(&Event::Checkpoint(events::Checkpoint { step }))
    }

    /// All that there is to save.
    ///
    /// # Errors
    /// [`Error::NotKept`] where that is worth nothing; what was saved before stays.
    async fn snapshot(&mut self) -> Result<Snapshot> {
        let trainer = self.policy.state().await?;
        if trainer.not_finite().is_some() {
            return Err(Error::NotKept {
                what: format!("the adapter is not finite after step {}", self.progress.step),
                hint: "the last checkpoint is kept; go on from it with <resume> and a lower <learning_rate>"
                    .into(),
            });
        }
        let adapter = match self.goal {
            Goal::Skill { .. } => self.policy.adapter().await?,
            // A temporary adapter is for going on alone.
            Goal::Answer => Vec::new(),
        };
        Ok(Snapshot { progress: self.progress.clone(), nodes: self.tree.nodes().to_vec(), trainer, adapter })
    }

    /// Saves and says that it ends; a climb that is not finite, and so cannot be saved, ends as diverged.
    ///
    /// # Errors
    /// [`Error::NotKept`]; errors of policy, store and listener.
    pub(crate) async fn end(&mut self, reason: FinishReason) -> Result<Finished> {
        match self.stop(reason).await {
            Ok(finished) => Ok(finished),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Ends the climb so that it can be resumed. What is logged after the checkpoint goes when it is: for one that
    /// was cancelled that includes the announcement, so that its log becomes that of one that never stopped.
    async fn stop(&mut self, reason: FinishReason) -> Result<Finished> {
        match reason {
            FinishReason::Cancelled => {
                let snapshot = self.snapshot().await?;
                self.host.store.save(&snapshot)?;
                self.announce_checkpoint()?;
            }
            FinishReason::Diverged => {
                // A resumed one gets its tries again.
                self.progress.non_finite_in_a_row = 0;
                self.checkpoint().await?;
            }
            FinishReason::Completed | FinishReason::TokenBudget => self.checkpoint().await?,
        }
        self.finished(reason)
    }

    /// Says that it ends.
    pub(crate) fn finished(&mut self, reason: FinishReason) -> Result<Finished> {
        let progress = &self.progress;
        let finished = Finished {
            reason,
            step: progress.step,
            elapsed: progress.elapsed,
            total_rollout_tokens: progress.total_rollout_tokens,
            before: progress.before,
            after: progress.after,
        };
        self.host.emit(&Event::Finished(finished.clone()))?;
        Ok(finished)
    }

    fn failed(&mut self, error: Error) -> Error {
        let told = match &error {
            Error::NotKept { .. } => self.finished(FinishReason::Diverged).err(),
            _ => None,
        };
        told.unwrap_or(error)
    }
}
