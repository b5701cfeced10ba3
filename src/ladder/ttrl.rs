//! Test-time RL: learn one problem's neighbourhood with a temporary adapter, then answer it by vote
//! (LADDER section 3.1.5).
//!
//! Only the variants are trained on. The verifier is not asked about the problem itself until the vote is decided, so
//! the answer is one that a user without a verifier for it would have got (the paper counts a problem as solved if
//! any answer on the way was right).

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::ladder::climb::{Climb, Goal, judge};
use crate::ladder::events::{FinishReason, Phase, WarningCode};
use crate::ladder::policy::{Completion, Policy, Request, Sampling};
use crate::ladder::presets::Preset;
use crate::ladder::settings::Settings;
use crate::ladder::state::{Host, Progress, Snapshot};
use crate::ladder::tree::Tree;
use crate::ladder::variants::single_root;
use crate::ladder::vote::{self, Vote};
use crate::random::stream;
use crate::task::{Attempt, Problem, Task, Verdict};
use crate::{Error, Result};

/// How one problem is learned and answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TtrlSettings {
    /// Settings of the loop; `steps` and `token_budget` bound it, evaluations do not occur, and checkpoints only in
    /// [`ttrl_with_checkpoints`].
    pub settings: Settings,
    /// Answers that vote.
    pub votes: usize,
    /// How they are drawn.
    pub sampling: Sampling,
    /// Ask for a vote before anything is learnt, and answer at once if this share of it agrees: agreement is what a model
    /// can know of its own certainty without a verifier. `None` always learns.
    pub confident: Option<f64>,
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
        Self { settings: Settings { steps, ..settings }, votes, sampling, confident: None, keep: false }
    }
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
    work(policy, task, problem, settings, None, host).await
}

/// [`ttrl`] that saves the temporary adapter with all else in the host's store: while the first levels of the tree are made,
/// every `checkpoint_every` steps, and when it is cancelled. It goes on from `saved`, with the numbers of the run that was never
/// stopped.
///
/// # Errors
/// As [`ttrl`]; [`Error::Input`] or [`Error::Usage`] for a checkpoint of another run.
pub async fn ttrl_with_checkpoints<P: Policy>(
    policy: &mut P,
    task: &dyn Task,
    problem: &Problem,
    settings: &TtrlSettings,
    saved: Option<Snapshot>,
    host: &mut Host<'_>,
) -> Result<TtrlOutcome> {
    work(policy, task, problem, settings, Some(saved), host).await
}

/// `checkpoints` is `None` where none are made, and else holds the one to go on from.
async fn work<P: Policy>(
    policy: &mut P,
    task: &dyn Task,
    problem: &Problem,
    settings: &TtrlSettings,
    checkpoints: Option<Option<Snapshot>>,
    host: &mut Host<'_>,
) -> Result<TtrlOutcome> {
    settings.check()?;
    let tree = single_root(task, problem)?;
    policy.push_adapter().await?;
    let outcome = learn_and_vote(policy, task, problem, settings, checkpoints, host, tree).await;
    policy.pop_adapter(settings.keep && outcome.is_ok()).await?;
    outcome
}

impl TtrlSettings {
    /// Checks every number.
    ///
    /// # Errors
    /// [`Error::Usage`] that names the setting.
    pub fn check(&self) -> Result<()> {
        self.settings.check()?;
        if self.votes == 0 || self.sampling.max_tokens == 0 {
            return Err(Error::usage(
                "votes",
                "there is nothing to vote with",
                "use at least one vote of one token",
            ));
        }
        if self.confident.is_some_and(|share| !(share > 0.0 && share <= 1.0)) {
            return Err(Error::usage("confident", "is not a share", "use a number above 0 and up to 1"));
        }
        self.sampling.validate()
    }

    /// Settings for question `index` of several: equal values, and a seed of its own.
    pub fn for_question(&self, index: usize) -> Self {
        let seed = rand::Rng::next_u64(&mut stream(self.settings.seed, &[QUESTION, index as u64]));
        Self { settings: Settings { seed, ..self.settings.clone() }, ..self.clone() }
    }
}

/// Names the random streams of questions that are answered one after the other.
const QUESTION: u64 = 0x7174_696f;

async fn learn_and_vote<P: Policy>(
    policy: &mut P,
    task: &dyn Task,
    problem: &Problem,
    settings: &TtrlSettings,
    checkpoints: Option<Option<Snapshot>>,
    host: &mut Host<'_>,
    mut tree: Tree,
) -> Result<TtrlOutcome> {
    let keeps = checkpoints.is_some();
    let (mut progress, mut resumed_from) = (Progress::new(settings.settings.seed), None);
    if let Some(saved) = checkpoints.flatten() {
        policy.restore(&saved.trainer).await?;
        let damaged = |problem| Error::usage("resume", problem, "start on the problem anew");
        let roots = tree.roots().collect::<Vec<u32>>();
        tree = Tree::from_nodes(saved.nodes, saved.progress.rejections.clone(), HashSet::new())
            .map_err(damaged)?;
        if !tree.roots().eq(roots) {
            return Err(damaged("the checkpoint is not of a single problem".to_owned()));
        }
        progress = saved.progress;
        resumed_from = Some(progress.step);
    }
    let goal = Goal::Answer;
    let mut climb = Climb { policy, task, settings: &settings.settings, host, tree, progress, goal, keeps };
    climb.start(env!("CARGO_PKG_VERSION"), task.name(), resumed_from)?;
    let mut vote_tokens = 0;
    let mut votes = match settings.confident {
        // A run that went on to learn was not sure enough, and its first vote is spent.
        Some(_) if resumed_from.is_none() => climb.vote(problem, settings, &mut vote_tokens).await?,
        _ => Vec::new(),
    };
    let agreed = votes.first().map_or(0.0, |vote| vote.count as f64 / settings.votes as f64);
    let mut reason = FinishReason::Completed;
    if settings.confident.is_none_or(|share| agreed < share) {
        match resumed_from {
            None => climb.plant(),
            Some(_) => climb.next_level(),
        }
        reason = climb.ascend().await?;
        if climb.tree.len() == 1 {
            let message = "no usable variant was written, so nothing was learned before the vote".to_owned();
            climb.warn(0, WarningCode::Other, message)?;
        }
        votes = climb.vote(problem, settings, &mut vote_tokens).await?;
    }
    let finished = climb.finished(reason)?;
    Ok(TtrlOutcome {
        problem: problem.problem.clone(),
        answer: votes.first().map(|vote| vote.answer.clone()),
        verdict: votes.first().map(|vote| vote.verdict.clone()),
        votes,
        steps: finished.step,
        nodes: climb.tree.len(),
        rollout_tokens: finished.total_rollout_tokens,
        vote_tokens,
    })
}

impl<P: Policy> Climb<'_, '_, P> {
    /// Answers `problem` as often as there are votes, and counts equal answers.
    async fn vote(
        &mut self,
        problem: &Problem,
        settings: &TtrlSettings,
        tokens: &mut usize,
    ) -> Result<Vec<Vote>> {
        let style = self.policy.prompt_style();
        let request = Request {
            prompt: self.policy.encode_prompt(&self.task.prompt(&problem.problem, style))?,
            samples: settings.votes,
            sampling: settings.sampling,
            seed: self.progress.random.seed(),
        };
        let answers = self.sample(Phase::Vote, self.progress.step, &[request]).await?;
        let samples: Vec<Completion> = answers.into_iter().flatten().collect();
        *tokens += samples.iter().map(|sample| sample.tokens.len()).sum::<usize>();
        let attempts: Vec<Attempt<'_>> =
            samples.iter().map(|sample| Attempt { problem, completion: &sample.text }).collect();
        let verdicts = judge(self.task, self.host, self.progress.step, &attempts).await?;
        Ok(vote::count(self.task, problem, &verdicts))
    }
}
