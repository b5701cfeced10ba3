//! A policy whose completions other processes draw: a trainer gives out tasks and takes answers; all else it does itself.
//!
//! A task owns its seed, so an answer does not depend on who gives it, and each waits for all answers before anything is learnt
//! (staleness 0): a run ends with the same bits as in one process that draws each request alone
//! ([`Learner::draw_alone`](super::learner::Learner::draw_alone)), on devices that compute alike.

pub mod ledger;
pub mod message;
mod rollouts;

pub use rollouts::{Delivered, Next, Published, Rollouts, Transport, adapter_hash};

use std::path::Path;

use ledger::{Fates, Ledger};
use message::{Answer, Task, Terms};

use super::policy::{
    AdapterFile, Completion, OnProgress, Policy, PolicyInfo, Request, UpdateSettings, UpdateStats,
};
use crate::task::PromptStyle;
use crate::train::checkpoint::{STATE_FILE, State};
use crate::train::trainer::Trajectory;
use crate::{Error, Result};

/// Where the ledger is in the JSON value of the policy's state.
const LEDGER: &str = "ledger";

/// `P`, sampled from over `T`.
#[derive(Debug)]
pub struct Remote<P, T> {
    policy: P,
    rollouts: Rollouts<T>,
    /// The hash of the adapter that workers were told of last, while it is the one in use.
    adapter: Option<String>,
    /// Up to where answers were read when the state was last asked for.
    saved: u64,
}

impl<P: Policy, T: Transport> Remote<P, T> {
    /// A policy that gives out what is to be sampled.
    pub fn new(policy: P, transport: T, terms: Terms) -> Self {
        let rollouts = Rollouts { transport, ledger: Ledger::default(), terms };
        Self { policy, rollouts, adapter: None, saved: 0 }
    }

    /// What became of answers so far.
    pub fn fates(&self) -> Fates {
        self.rollouts.ledger.fates()
    }

    /// The policy behind it.
    pub fn into_inner(self) -> P {
        self.policy
    }

    /// Makes the adapter known to workers, if that has not been done since it changed; answers its hash.
    async fn publish_adapter(&mut self) -> Result<String> {
        if let Some(hash) = &self.adapter {
            return Ok(hash.clone());
        }
        let files = self.policy.adapter().await?;
        let published = Published { hash: adapter_hash(&files), files };
        self.rollouts.transport.put_adapter(&published).await?;
        self.adapter = Some(published.hash.clone());
        Ok(published.hash)
    }
}

/// A worker's answer to `task`, with a policy that has the adapter which the task names. The task is drawn alone, with all of its
/// rows.
///
/// # Errors
/// Those of sampling; [`Error::Usage`] if the answer cannot be sent.
pub async fn answer<P: Policy>(
    policy: &mut P,
    task: &Task,
    progress: &mut OnProgress<'_>,
) -> Result<Vec<u8>> {
    let groups = policy.sample(&[task.request()], progress).await?;
    let group = groups.first().map_or(&[][..], Vec::as_slice);
    let answer = Answer::new(task, group).and_then(|answer| answer.to_bytes());
    answer.map_err(|problem| {
        Error::usage("task", problem, "lower <group_size> or <sampling.max_tokens> of the run")
    })
}

impl<P: Policy, T: Transport> Policy for Remote<P, T> {
    fn info(&self) -> PolicyInfo {
        self.policy.info()
    }

    fn prompt_style(&self) -> PromptStyle {
        self.policy.prompt_style()
    }

    fn encode_dialogue(&self, shots: &[(String, String)], user_message: &str) -> Result<Vec<u32>> {
        self.policy.encode_dialogue(shots, user_message)
    }

    fn encode_text(&self, text: &str) -> Result<Vec<u32>> {
        self.policy.encode_text(text)
    }

    fn decode(&self, tokens: &[u32]) -> Result<String> {
        self.policy.decode(tokens)
    }

    fn prefilled_tokens(&self) -> u64 {
        self.policy.prefilled_tokens()
    }

    async fn sample(
        &mut self,
        requests: &[Request],
        progress: &mut OnProgress<'_>,
    ) -> Result<Vec<Vec<Completion>>> {
        let adapter = self.publish_adapter().await?;
        let mut groups = self.rollouts.collect(&adapter, requests, progress).await?;
        for one in groups.iter_mut().flatten() {
            one.text = self.policy.decode(&one.tokens)?;
        }
        Ok(groups)
    }

    async fn update(&mut self, batch: &[Trajectory], settings: &UpdateSettings) -> Result<UpdateStats> {
        self.adapter = None;
        self.policy.update(batch, settings).await
    }

    async fn logprobs(&mut self, sequences: &[(usize, Vec<u32>)], adapter: bool) -> Result<Vec<Vec<f32>>> {
        self.policy.logprobs(sequences, adapter).await
    }

    async fn adapter(&mut self) -> Result<Vec<AdapterFile>> {
        self.policy.adapter().await
    }

    async fn state(&mut self) -> Result<State> {
        let mut state = self.policy.state().await?;
        state.put(LEDGER, &self.rollouts.ledger)?;
        // The state that was asked for before has been saved, or the run would have ended; this one may yet be lost.
        self.rollouts.transport.forget(self.saved).await?;
        self.saved = self.rollouts.ledger.position();
        Ok(state)
    }

    async fn restore(&mut self, state: &State) -> Result<()> {
        self.adapter = None;
        self.policy.restore(state).await?;
        let file = Path::new(STATE_FILE);
        // A run that was begun without others has no ledger.
        self.rollouts.ledger = match state.value.get(LEDGER) {
            Some(_) => state.get(LEDGER, file)?,
            None => Ledger::default(),
        };
        self.rollouts.ledger.check().map_err(|problem| {
            let hint = "the file is damaged; restore it if there is a copy";
            Error::input(file, LEDGER, problem, hint)
        })?;
        // What asked for tasks that wait asks again.
        self.rollouts.ledger.abandon();
        self.saved = self.rollouts.ledger.position();
        Ok(())
    }

    async fn push_adapter(&mut self) -> Result<()> {
        self.adapter = None;
        self.policy.push_adapter().await
    }

    async fn pop_adapter(&mut self, keep: bool) -> Result<()> {
        self.adapter = None;
        self.policy.pop_adapter(keep).await
    }
}
