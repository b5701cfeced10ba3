//! What the loop needs of a model: sample, take a policy-gradient step, save itself.
//!
//! The methods are `async` because a browser reads GPU results back asynchronously; native code drives the
//! same loop with a blocking executor. Implementations keep one adapter that is live in [`Policy::sample`] and
//! trained by [`Policy::update`], and the optimizer's state that belongs to it.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use crate::Result;
pub use crate::model::generate::{Completion, Request, Sampling};
use crate::task::PromptStyle;
use crate::train::checkpoint::State;
use crate::train::loss::{LogprobGap, LossConfig};
use crate::train::trainer::{Optimizer, Trajectory};

/// How far a call to [`Policy::sample`] has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SampleProgress {
    /// Completions that are done.
    pub done: usize,
    /// Completions asked for.
    pub total: usize,
    /// Tokens generated so far.
    pub tokens: usize,
}

/// Called between slices of GPU work; `Break` asks the policy to stop with [`crate::Error::Cancelled`].
pub type OnProgress<'a> = dyn FnMut(SampleProgress) -> ControlFlow<()> + 'a;

/// What one call to [`Policy::update`] did.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct UpdateStats {
    /// The loss, KL term included.
    pub loss: f64,
    /// Global L2 norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Mean KL estimate to the base model (adapter off), per token; 0 when `kl_coef` is 0 and it is not measured.
    pub kl: f64,
    /// Mean entropy of the policy, nats per completion token.
    pub entropy: f64,
    /// Share of tokens whose ratio was clipped.
    pub clip_fraction: f64,
    /// How far the log-probabilities of the update are from those that sampling gave; `None` where it gave none.
    #[serde(default)]
    pub logprob_gap: Option<LogprobGap>,
    /// Completion tokens that carried loss.
    pub tokens: usize,
    /// The loss or the gradient was not finite, and weights and optimizer were left as they were.
    pub skipped: bool,
}

/// What a policy is, for run cards and `started` events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct PolicyInfo {
    /// The model as the user named it.
    pub model: String,
    /// GPU adapter, backend and driver in words.
    pub device: String,
    /// Parameters of the base model.
    pub parameters: u64,
    /// Parameters of the LoRA adapter.
    pub trainable_parameters: u64,
    /// Longest sequence, prompt and completion together.
    pub context_length: usize,
}

/// A file of the adapter's PEFT folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdapterFile {
    /// File name without folder (`adapter_config.json`, `adapter_model.safetensors`).
    pub name: String,
    /// Content.
    pub bytes: Vec<u8>,
}

/// A language model with a trainable adapter.
#[allow(
    async_fn_in_trait,
    reason = "the loop is generic over its policy and never sends the futures to another thread"
)]
pub trait Policy {
    /// What it is.
    fn info(&self) -> PolicyInfo;

    /// How its prompts are worded.
    fn prompt_style(&self) -> PromptStyle;

    /// Tokens of a prompt that poses `user_message`, with the chat template where the model has one.
    ///
    /// # Errors
    /// [`crate::Error::Context`] if the prompt leaves no room in the context.
    fn encode_prompt(&self, user_message: &str) -> Result<Vec<u32>> {
        self.encode_dialogue(&[], user_message)
    }

    /// [`Policy::encode_prompt`] after solved examples, each a user message and the text that answers it: earlier turns of
    /// the chat template, or without one texts as the model was trained on, each with its end token.
    ///
    /// # Errors
    /// [`crate::Error::Context`] if all of it leaves no room in the context.
    fn encode_dialogue(&self, shots: &[(String, String)], user_message: &str) -> Result<Vec<u32>>;

    /// Tokens of prompts that [`Policy::sample`] has computed since the policy was made; what all prompts of a call begin
    /// with may count once.
    fn prefilled_tokens(&self) -> u64;

    /// Completions of every request: outer index request, inner index sample.
    ///
    /// # Errors
    /// [`crate::Error::Cancelled`] after `progress` answered `Break`; GPU errors.
    async fn sample(
        &mut self,
        requests: &[Request],
        progress: &mut OnProgress<'_>,
    ) -> Result<Vec<Vec<Completion>>>;

    /// One optimizer step on `batch`. A step whose loss or gradient is not finite changes nothing and says so in
    /// [`UpdateStats::skipped`].
    ///
    /// # Errors
    /// GPU errors.
    async fn update(&mut self, batch: &[Trajectory], settings: &UpdateSettings) -> Result<UpdateStats>;

    /// Tokens of a plain text, as the model would read it.
    ///
    /// # Errors
    /// The tokenizer's.
    fn encode_text(&self, text: &str) -> Result<Vec<u32>>;

    /// The text of tokens, without special ones.
    ///
    /// # Errors
    /// The tokenizer's.
    fn decode(&self, tokens: &[u32]) -> Result<String>;

    /// Log-probabilities at temperature 1 of the tokens of each `(first, tokens)` from place `first` (at least 1) on, given those
    /// before; under the live adapter, or under the base model without one.
    ///
    /// # Errors
    /// [`crate::Error::Usage`] for a sequence longer than the context; GPU errors.
    async fn logprobs(&mut self, sequences: &[(usize, Vec<u32>)], adapter: bool) -> Result<Vec<Vec<f32>>>;

    /// The adapter as the files of a PEFT folder.
    ///
    /// # Errors
    /// GPU errors while reading the weights back.
    async fn adapter(&mut self) -> Result<Vec<AdapterFile>>;

    /// Everything that [`Policy::restore`] needs to go on with the same bits: adapter weights, optimizer moments
    /// and step count. The name `ladder` in its JSON value is taken by the run.
    ///
    /// # Errors
    /// GPU errors while reading the state back.
    async fn state(&mut self) -> Result<State>;

    /// Goes back to a state that [`Policy::state`] made.
    ///
    /// # Errors
    /// [`crate::Error::Input`] if it is incomplete or belongs to an adapter of another shape.
    async fn restore(&mut self, state: &State) -> Result<()>;

    /// Sets the current adapter and optimizer aside and goes on with a copy of the adapter and a fresh optimizer
    /// (test-time RL trains the copy). Calls nest.
    ///
    /// # Errors
    /// GPU errors.
    async fn push_adapter(&mut self) -> Result<()>;

    /// Ends what [`Policy::push_adapter`] began: the temporary adapter is dropped and the one set aside is live
    /// again, or with `keep` the temporary one replaces it.
    ///
    /// # Errors
    /// [`crate::Error::Usage`] if nothing was set aside; GPU errors.
    async fn pop_adapter(&mut self, keep: bool) -> Result<()>;
}

/// What one optimizer step is told.
#[derive(Debug, Clone, PartialEq)]
pub struct UpdateSettings {
    /// The loss and its KL term. Advantages are given with the trajectories, and truncated ones are already left out.
    pub loss: LossConfig,
    /// Learning rate of this step, warm-up and decay applied.
    pub learning_rate: f64,
    /// AdamW's settings and the bound of the gradient norm.
    pub optimizer: Optimizer,
}
