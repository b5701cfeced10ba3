//! What a run and test-time RL share: a policy, a tree, and how completions are sampled and judged.

use std::collections::HashSet;
use std::ops::ControlFlow;

use crate::Result;
use crate::ladder::events::{self, Event, Phase, WarningCode, logged_text};
use crate::ladder::policy::{Completion, Policy, Request};
use crate::ladder::settings::Settings;
use crate::ladder::state::{Host, Progress};
use crate::ladder::tree::Tree;
use crate::task::{Attempt, Problem, Task, Verdict, VerdictKind};

/// Seconds between `rollout` events of one batch.
const PROGRESS_SECONDS: f64 = 0.2;

/// A policy at work on a tree. [`crate::ladder::variants`] grows the tree, [`crate::ladder::step`] learns from it,
/// [`crate::ladder::units`] does both until the goal is reached.
pub(crate) struct Climb<'a, 'h, P: Policy> {
    pub(crate) policy: &'a mut P,
    pub(crate) task: &'a dyn Task,
    pub(crate) settings: &'a Settings,
    pub(crate) host: &'a mut Host<'h>,
    pub(crate) tree: Tree,
    pub(crate) progress: Progress,
    pub(crate) goal: Goal<'a>,
    /// Whether the host's store is to hold checkpoints.
    pub(crate) keeps: bool,
}

/// What a climb is for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal<'a> {
    /// A policy that solves problems of the kind; those that are held out measure it.
    Skill { held_out: &'a [Problem] },
    /// The answer to the one root, which is therefore varied but never answered in training.
    Answer,
}

impl<P: Policy> Climb<'_, '_, P> {
    /// Problems that measure what is learnt.
    pub(crate) fn held_out(&self) -> &[Problem] {
        match self.goal {
            Goal::Skill { held_out } => held_out,
            Goal::Answer => &[],
        }
    }

    /// Nodes that are varied but never answered in training.
    pub(crate) fn withheld(&self) -> HashSet<u32> {
        match self.goal {
            Goal::Skill { .. } => HashSet::new(),
            Goal::Answer => self.tree.roots().collect(),
        }
    }

    pub(crate) async fn sample(
        &mut self,
        phase: Phase,
        step: u64,
        requests: &[Request],
    ) -> Result<Vec<Vec<Completion>>> {
        sample(self.policy, self.host, phase, step, requests).await
    }

    pub(crate) fn warn(&mut self, step: u64, code: WarningCode, message: String) -> Result<()> {
        self.host.emit(&Event::Warning(events::Warning { step, code, message }))
    }
}

/// Samples with progress events and cancellation.
pub(crate) async fn sample<P: Policy>(
    policy: &mut P,
    host: &mut Host<'_>,
    phase: Phase,
    step: u64,
    requests: &[Request],
) -> Result<Vec<Vec<Completion>>> {
    host.check_cancelled()?;
    let total = requests.iter().map(|request| request.samples).sum();
    let began = (host.clock)();
    let event = |done: usize, tokens: usize, now: f64| {
        let seconds = (now - began).max(1e-9);
        let tokens_per_second = if now > began { tokens as f64 / seconds } else { 0.0 };
        Event::Rollout(events::Rollout { step, phase, done, total, tokens, tokens_per_second })
    };
    let mut last = began;
    let mut listener_error = None;
    let answer = {
        let (sink, clock, cancel) = (&mut *host.sink, host.clock, host.cancel);
        let mut progress = |progress: crate::ladder::policy::SampleProgress| {
            if cancel.load(std::sync::atomic::Ordering::Relaxed) {
                return ControlFlow::Break(());
            }
            let now = clock();
            if now - last >= PROGRESS_SECONDS && progress.done < total {
                last = now;
                if let Err(error) = sink.event(&event(progress.done, progress.tokens, now)) {
                    listener_error = Some(error);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        };
        policy.sample(requests, &mut progress).await
    };
    if let Some(error) = listener_error {
        return Err(error);
    }
    let samples = answer?;
    let tokens = samples.iter().flatten().map(|sample| sample.tokens.len()).sum();
    let now = (host.clock)();
    host.emit(&event(total, tokens, now))?;
    Ok(samples)
}

/// Judges completions, with cancellation; what the verifier has to tell becomes a warning of `step`.
pub(crate) async fn judge(
    task: &dyn Task,
    host: &mut Host<'_>,
    step: u64,
    attempts: &[Attempt<'_>],
) -> Result<Vec<Verdict>> {
    let mut verdicts = task.verify_all(attempts, host.cancel).await;
    // Once the user asked to stop, a verifier may have judged no more.
    host.check_cancelled()?;
    let missing = || Verdict::new(VerdictKind::Unverifiable, "the task gave no verdict", None);
    verdicts.resize_with(attempts.len(), missing);
    for warning in task.take_warnings() {
        let message = logged_text(&warning);
        host.emit(&Event::Warning(events::Warning { step, code: WarningCode::Checker, message }))?;
    }
    Ok(verdicts)
}
