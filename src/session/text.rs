//! Text from a model, and the score of a given text.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use super::{Opened, Session};
use crate::kernel::cache::CacheFormat;
use crate::ladder::learner::LearnerSettings;
use crate::model::chat::Message;
use crate::model::generate::{Completion, Generator, Lengths, Progress, Request, Sampling};
use crate::model::score::logprobs;
use crate::train::adapter;
use crate::train::fit::Workload;
use crate::train::peft::AdapterFile;
use crate::{Error, Result};

/// New text of a completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Which of the request's completions it is of, from 0.
    pub sample: usize,
    /// Its new tokens.
    pub tokens: &'a [u32],
    /// The text that they add; it may be empty, where a character takes several tokens.
    pub text: &'a str,
    /// The completion ends with it.
    pub done: bool,
}

/// Hears new text as it comes; an error stops the generation, which then ends with it.
pub type OnText<'a> = dyn FnMut(Piece<'_>) -> Result<()> + 'a;

/// A text as the model sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// Token ids, with the begin-of-text token where the model has one.
    pub tokens: Vec<u32>,
    /// Log-probability of each token but the first, given those before it, in nats.
    pub logprobs: Vec<f32>,
}

impl Opened {
    /// One completion of a text as it stands.
    ///
    /// # Errors
    /// The tokenizer's.
    pub fn request(&self, prompt: &str, sampling: Sampling) -> Result<Request> {
        self.language.tokenizer.check_length("the prompt", prompt, self.context_length)?;
        let tokens = self.language.tokenizer.encode_prompt(prompt)?;
        self.tell_lacking([prompt]);
        Ok(Request { prompt: tokens, samples: 1, sampling, seed: 0 })
    }

    /// One answer in a conversation, by the model's chat template.
    ///
    /// # Errors
    /// [`Error::Usage`] if the model has no chat template; those of the template and the tokenizer.
    pub fn chat_request(&self, messages: &[Message], sampling: Sampling) -> Result<Request> {
        let Some(template) = &self.language.chat else {
            let problem = format!("{} has no chat template", self.name);
            return Err(Error::usage("chat", problem, "use generate, or an instruction-tuned model"));
        };
        let prompt = template.render(messages, true)?;
        self.language.tokenizer.check_length("the prompt", &prompt, self.context_length)?;
        let tokens = self.language.tokenizer.encode(&prompt, false)?;
        self.tell_lacking(messages.last().map(Message::text));
        Ok(Request { prompt: tokens, samples: 1, sampling, seed: 0 })
    }

    /// Fails if a request cannot be answered: by its own numbers, the context or the memory.
    ///
    /// # Errors
    /// [`Error::Usage`], [`Error::Context`], [`Error::OutOfMemory`].
    pub fn check_request(
        &self,
        request: &Request,
        adapter: Option<&AdapterFile>,
        format: CacheFormat,
    ) -> Result<()> {
        request.check(&self.config, self.context_length)?;
        let Request { prompt, samples, sampling, .. } = request;
        let lengths = Lengths { prompt: prompt.len(), samples: *samples, max_tokens: sampling.max_tokens };
        self.check_sampling(&[lengths], 0, adapter, format)
    }

    /// Tokens of a text that is to be scored, with the begin-of-text token where the model has one.
    ///
    /// # Errors
    /// [`Error::Context`] for one that is too long, [`Error::OutOfMemory`]; the tokenizer's.
    pub fn text_to_score(&self, text: &str, adapter: Option<&AdapterFile>) -> Result<Vec<u32>> {
        self.language.tokenizer.check_length("the text", text, self.context_length)?;
        let tokens = self.language.tokenizer.encode(text, true)?;
        self.tell_lacking([text]);
        if tokens.len() > self.context_length {
            return Err(Error::context("the text", tokens.len(), self.context_length));
        }
        let adapter = adapter.map(|file| adapter::layout(&self.config, &file.config)).transpose()?;
        let workload = Workload { adapter, scoring: Some(tokens.len()), ..Workload::default() };
        self.check_memory("scoring the text", &workload)?;
        Ok(tokens)
    }
}

impl Session {
    /// The completions of a request, with an adapter or without; `on_text` hears them as they come.
    ///
    /// # Errors
    /// [`Error::Usage`], [`Error::Context`], [`Error::OutOfMemory`]; those of `on_text`; [`Error::Cancelled`]; GPU errors.
    pub async fn generate(
        &self,
        request: &Request,
        adapter: Option<&AdapterFile>,
        on_text: &mut OnText<'_>,
    ) -> Result<Vec<Completion>> {
        self.opened().check_request(request, adapter, CacheFormat::default())?;
        let rows = request.samples.min(LearnerSettings::default().rows);
        self.complete(&mut self.generator(adapter, rows)?, request, on_text).await
    }

    /// [`Session::generate`] by a generator of [`Session::generator`], which may keep what it computed for the next call.
    ///
    /// # Errors
    /// [`Error::Usage`], [`Error::Context`], those of `on_text`; [`Error::Cancelled`]; GPU errors.
    #[doc(hidden)]
    pub async fn complete(
        &self,
        generator: &mut Generator,
        request: &Request,
        on_text: &mut OnText<'_>,
    ) -> Result<Vec<Completion>> {
        let opened = self.opened();
        let tokenizer = &opened.language.tokenizer;
        let mut streams: Vec<_> = (0..request.samples).map(|_| Some(tokenizer.stream())).collect();
        let mut news = |Progress { sample, tokens, done, .. }: Progress<'_>| {
            if opened.cancel.load(Ordering::Relaxed) {
                return Err(Error::Cancelled);
            }
            let mut text = String::new();
            if let Some(stream) = streams.get_mut(sample).and_then(Option::as_mut) {
                for &token in tokens {
                    text += &stream.push(token)?;
                }
            }
            if done && let Some(stream) = streams.get_mut(sample).and_then(Option::take) {
                text += &stream.finish()?;
            }
            on_text(Piece { sample, tokens, text: &text, done })
        };
        let mut failed = None;
        let mut progress = |progress: Progress<'_>| match news(progress) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        };
        let outcome = generator.generate(std::slice::from_ref(request), &mut progress).await;
        if let Some(error) = failed {
            return Err(error);
        }
        outcome?.into_iter().flatten().map(|completion| completion.decoded(tokenizer)).collect()
    }

    /// Log-probabilities of a text, under an adapter or without.
    ///
    /// # Errors
    /// [`Error::Usage`] for a text of fewer than two tokens; [`Error::Context`], [`Error::OutOfMemory`], [`Error::Cancelled`]; GPU errors.
    pub async fn score(&self, text: &str, adapter: Option<&AdapterFile>) -> Result<Scored> {
        let tokens = self.opened().text_to_score(text, adapter)?;
        let logprobs = self.logprobs(&tokens, adapter).await?;
        Ok(Scored { tokens, logprobs })
    }

    /// Log-probability of each of `tokens` but the first, given those before it, in nats.
    ///
    /// # Errors
    /// As [`Session::score`].
    #[doc(hidden)]
    pub async fn logprobs(&self, tokens: &[u32], adapter: Option<&AdapterFile>) -> Result<Vec<f32>> {
        let (gpu, config) = (self.model().gpu(), self.model().config());
        let lora = adapter.map(|file| adapter::upload(gpu, config, file)).transpose()?;
        logprobs(self.model(), lora.as_ref(), tokens, &self.opened().cancel).await
    }
}
