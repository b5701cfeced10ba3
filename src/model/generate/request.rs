//! What is asked of a generator, and what it answers and tells meanwhile.

use std::ops::ControlFlow;

use super::super::config::ModelConfig;
use super::super::tokenizer::Tokenizer;
use crate::{Error, Result};

/// How completions are drawn.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// Most tokens, the stop token included.
    pub max_tokens: usize,
    /// Softmax temperature; 0 is greedy.
    pub temperature: f32,
    /// Keep this many of the most likely tokens; 0 keeps all.
    pub top_k: usize,
    /// Of these, keep the fewest whose probability reaches this; 1 keeps all.
    pub top_p: f32,
    /// Of these, keep those with at least this share of the largest probability; 0 keeps all.
    pub min_p: f32,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { max_tokens: 256, temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0 }
    }
}

impl Sampling {
    /// Fails on values that mean nothing.
    pub fn validate(&self) -> Result<()> {
        let fail =
            |option: &str, value: f32, hint: &str| Err(Error::usage(option, format!("is {value}"), hint));
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            return fail("temperature", self.temperature, "use a number from 0 (greedy) up, such as 1");
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return fail("top_p", self.top_p, "use a number above 0 and up to 1");
        }
        if !(0.0..=1.0).contains(&self.min_p) {
            return fail("min_p", self.min_p, "use a number from 0 to 1");
        }
        if self.max_tokens == 0 {
            return fail("max_tokens", 0.0, "use at least 1");
        }
        Ok(())
    }
}

/// Several completions of one prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Tokens of the prompt; at least one.
    pub prompt: Vec<u32>,
    /// Number of completions.
    pub samples: usize,
    /// How they are drawn.
    pub sampling: Sampling,
    /// Completion i depends on this and i, not on what else is in the batch.
    pub seed: u64,
}

impl Request {
    /// The most tokens that a completion can have in a context of `context` tokens.
    ///
    /// # Errors
    /// [`Error::Context`] if the prompt leaves no room, [`Error::Usage`] for what cannot be sampled.
    pub fn check(&self, config: &ModelConfig, context: usize) -> Result<usize> {
        self.sampling.validate()?;
        let len = self.prompt.len();
        if len == 0 {
            return Err(Error::usage("prompt", "is empty", "give at least one token of text"));
        }
        if len >= context {
            return Err(Error::context("the prompt", len, context));
        }
        let vocab = config.vocab_size;
        if let Some(token) = self.prompt.iter().find(|&&token| token as usize >= vocab) {
            return Err(Error::usage(
                "prompt",
                format!("token {token} is outside of the vocabulary of {vocab}"),
                "use the tokenizer that belongs to the model",
            ));
        }
        Ok(self.sampling.max_tokens.min(context - len))
    }
}

/// One completion.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Completion {
    /// Tokens, the stop token included when it was drawn.
    pub tokens: Vec<u32>,
    /// Log-probability of each token at temperature 1 under the model that drew it; as long as `tokens`.
    pub logprobs: Vec<f32>,
    /// Its text without special tokens; empty from a generator, which knows no tokenizer.
    pub text: String,
    /// Whether it ran into `max_tokens` or the context before a stop token ended it.
    pub truncated: bool,
}

impl Completion {
    /// The same with its text.
    ///
    /// # Errors
    /// The tokenizer's.
    pub(crate) fn decoded(self, tokenizer: &Tokenizer) -> Result<Self> {
        Ok(Self { text: tokenizer.decode(&self.tokens)?, ..self })
    }
}

/// News from a running generation.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// Index of the request.
    pub request: usize,
    /// Index of the sample.
    pub sample: usize,
    /// Its tokens since the last news.
    pub tokens: &'a [u32],
    /// Whether it is complete.
    pub done: bool,
}

/// Called for every row with news; `Break` stops with [`Error::Cancelled`].
pub type OnProgress<'a> = dyn FnMut(Progress<'_>) -> ControlFlow<()> + 'a;
