//! Test-time RL: learn one problem's neighbourhood with a temporary adapter, then answer it by vote
//! (LADDER section 3.1.5).
//!
//! Only the variants are trained on. The verifier is not asked about the problem itself until the vote is decided, so
//! the answer is one that a user without a verifier for it would have got (the paper counts a problem as solved if
//! any answer on the way was right).

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::ladder::engine::{Engine, sample};
use crate::ladder::events::{self, Event, FinishReason, Phase, WarningCode};
use crate::ladder::policy::{Policy, Sample, SampleRequest, Sampling};
use crate::ladder::settings::{Preset, Settings};
use crate::ladder::state::{Host, Progress};
use crate::ladder::tree::Tree;
use crate::ladder::variants::single_root;
use crate::task::{Problem, Task, Verdict};
use crate::train::guard::MAX_NON_FINITE;
use crate::{Error, Result};

/// How one problem is learned and answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TtrlSettings {
    /// Settings of the loop; `steps` and `token_budget` bound it, evaluation and checkpoints do not occur.
    pub settings: Settings,
    /// Answers that vote.
    pub votes: usize,
    /// How they are drawn.
    pub sampling: Sampling,
    /// Keep the adapter instead of dropping it.
    pub keep: bool,
}

impl TtrlSettings {
    /// The settings of a preset with the course of test-time learning: fewer steps (100 in LADDER section 4.3), as many
    /// votes as keep a plurality from being chance, and no problem drawn but variants, since the root is withheld.
    pub fn preset(preset: Preset) -> Self {
        let (steps, votes) = match preset {
            Preset::Paper => (100, 64),
            Preset::Small => (40, 32),
            Preset::Software => (4, 8),
            Preset::Tiny => (20, 32),
        };
        let settings = Settings::preset(preset);
        let sampling = settings.sampling;
        Self { settings: Settings { steps, ..settings }, votes, sampling, keep: false }
    }
}

/// A class of equal answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// The answer as it was first written.
    pub answer: String,
    /// How many answers were equal to it.
    pub count: usize,
}

/// What test-time RL on one problem came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TtrlOutcome {
    /// The problem.
    pub problem: String,
    /// The answer that most votes were for; `None` if no completion held one.
    pub answer: Option<String>,
    /// The verifier's judgement on it, asked for after the vote.
    pub verdict: Option<Verdict>,
    /// All classes, largest first.
    pub votes: Vec<Vote>,
    /// Steps done.
    pub steps: u64,
    /// Nodes in the tree, the problem included.
    pub nodes: usize,
    /// Tokens spent on variants and training rollouts.
    pub rollout_tokens: u64,
    /// Tokens spent on the vote.
    pub vote_tokens: usize,
}

/// Learns `problem`'s variants in a temporary adapter and answers it. The adapter from before is live again when this
/// returns, also after an error, unless [`TtrlSettings::keep`] is set and all went well.
///
/// # Errors
/// [`Error::Usage`] if the problem or the settings are unusable; [`Error::Cancelled`]; [`Error::Diverged`]; errors of
/// the policy and the host.
pub async fn ttrl<P: Policy>(
    policy: &mut P,
    task: &dyn Task,
    problem: &Problem,
    settings: &TtrlSettings,
    host: &mut Host<'_>,
) -> Result<TtrlOutcome> {
    settings.settings.check()?;
    if settings.votes == 0 || settings.sampling.max_tokens == 0 {
        return Err(Error::usage(
            "--votes",
            "there is nothing to vote with",
            "use at least one vote of one token",
        ));
    }
    let tree = single_root(task, problem)?;
    policy.push_adapter().await?;
    let outcome = learn_and_vote(policy, task, problem, settings, host, tree).await;
    policy.pop_adapter(settings.keep && outcome.is_ok()).await?;
    outcome
}

async fn learn_and_vote<P: Policy>(
    policy: &mut P,
    task: &dyn Task,
    problem: &Problem,
    settings: &TtrlSettings,
    host: &mut Host<'_>,
    tree: Tree,
) -> Result<TtrlOutcome> {
    let withheld: HashSet<u32> = tree.roots().collect();
    let progress = Progress::new(settings.settings.seed);
    let mut engine = Engine { policy, task, settings: &settings.settings, host, tree, progress, withheld };
    engine.host.emit(&Event::Started(events::Started {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        task: task.name().to_owned(),
        policy: engine.policy.info(),
        settings: Box::new(settings.settings.clone()),
        roots: 1,
        held_out: 0,
        resumed_from: None,
    }))?;
    learn(&mut engine).await?;
    let (nodes, progress) = (engine.tree.len(), engine.progress);
    let style = policy.prompt_style();
    let mut random = progress.random;
    let request = SampleRequest {
        prompt: policy.encode_prompt(&task.prompt(&problem.problem, style))?,
        samples: settings.votes,
        sampling: settings.sampling,
        seed: random.seed(),
    };
    let answers = sample(policy, host, Phase::Vote, progress.step, &[request]).await?;
    let samples: Vec<Sample> = answers.into_iter().flatten().collect();
    let (votes, verdict) = decide(task, problem, &samples);
    let budget = settings.settings.token_budget.is_some_and(|budget| progress.total_rollout_tokens >= budget);
    host.emit(&Event::Finished(events::Finished {
        reason: if budget { FinishReason::TokenBudget } else { FinishReason::Completed },
        step: progress.step,
        elapsed: progress.elapsed,
        total_rollout_tokens: progress.total_rollout_tokens,
        before: None,
        after: None,
    }))?;
    Ok(TtrlOutcome {
        problem: problem.problem.clone(),
        answer: votes.first().map(|vote| vote.answer.clone()),
        verdict,
        votes,
        steps: progress.step,
        nodes,
        rollout_tokens: progress.total_rollout_tokens,
        vote_tokens: samples.iter().map(|sample| sample.tokens.len()).sum(),
    })
}

/// Makes the tree and trains on its variants until the steps or the tokens are spent.
async fn learn<P: Policy>(engine: &mut Engine<'_, '_, P>) -> Result<()> {
    let settings = engine.settings;
    engine.grow_levels().await?;
    if engine.tree.len() == engine.withheld.len() {
        let message = "no usable variant was written, so nothing was learned before the vote".to_owned();
        return engine.warn(0, WarningCode::Other, message);
    }
    while engine.progress.step < settings.steps
        && settings.token_budget.is_none_or(|budget| engine.progress.total_rollout_tokens < budget)
    {
        let began = (engine.host.clock)();
        let pending: Vec<u32> = engine.progress.pending.drain(..).collect();
        engine.grow(&pending).await?;
        engine.step().await?;
        engine.progress.elapsed += (engine.host.clock)() - began;
        if engine.progress.non_finite_in_a_row >= MAX_NON_FINITE {
            return Err(Error::Diverged { steps: engine.progress.non_finite_in_a_row });
        }
    }
    Ok(())
}

/// Counts equal answers. Answers are equal if their canonical forms are, or, in a task whose answers are not of the
/// form of its problems, if their normalised texts are. Ties go to the answer that was given first.
fn decide(task: &dyn Task, problem: &Problem, samples: &[Sample]) -> (Vec<Vote>, Option<Verdict>) {
    let mut classes: Vec<(String, Vote, Verdict)> = Vec::new();
    for verdict in samples.iter().map(|sample| task.verify(problem, &sample.text)) {
        let Some(answer) = verdict.answer.clone() else { continue };
        let class = task.canonical(&answer).unwrap_or_else(|_| answer.clone());
        match classes.iter_mut().find(|(known, ..)| *known == class) {
            Some((_, vote, _)) => vote.count += 1,
            None => classes.push((class, Vote { answer, count: 1 }, verdict)),
        }
    }
    classes.sort_by_key(|(_, vote, _)| std::cmp::Reverse(vote.count));
    let verdict = classes.first().map(|(.., verdict)| verdict.clone());
    (classes.into_iter().map(|(_, vote, _)| vote).collect(), verdict)
}
