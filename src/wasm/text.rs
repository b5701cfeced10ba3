//! Text from a model, and the score of a given text.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use js_sys::Function;
use serde_json::json;
use wasm_bindgen::prelude::*;

use super::convert::{Answer, from_json, to_json};
use super::engine::Engine;
use super::options::Sample;
use super::voice::Voice;
use crate::model::chat::Message;
use crate::model::generate::{Completion, Generator, OnProgress, Progress, Request};
use crate::model::score::logprobs;
use crate::model::tokenizer::Lacking;
use crate::train::adapter;
use crate::train::fit::Workload;
use crate::{Error, Result};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn milliseconds() -> f64;

    #[wasm_bindgen(js_namespace = console, js_name = warn)]
    fn console_warn(text: &str);
}

/// Tells the developer what the caller should know; nothing fails.
pub(super) fn warn(text: &str) {
    console_warn(&format!("stepladder: {text}"));
}

/// Seconds since some moment.
pub(super) fn seconds() -> f64 {
    milliseconds() / 1e3
}

#[wasm_bindgen]
impl Engine {
    /// Continues `prompt`; `on_text(text)` gets the pieces as they come. The answer is JSON (`Completion`).
    ///
    /// # Errors
    /// `context`, `usage`, `cancelled`, GPU errors.
    pub async fn generate(&self, prompt: String, options: String, on_text: Function) -> Answer<String> {
        let tokens = self.language.tokenizer.encode_prompt(&prompt)?;
        self.tell_lacking([prompt.as_str()]);
        self.complete(tokens, &options, &on_text).await
    }

    /// Answers a conversation, a JSON list of messages; otherwise as [`Engine::generate`].
    ///
    /// # Errors
    /// As [`Engine::generate`], and `usage` if the model has no chat template.
    pub async fn chat(&self, messages: String, options: String, on_text: Function) -> Answer<String> {
        let messages: Vec<Message> = from_json("messages", &messages)?;
        let Some(template) = &self.language.chat else {
            let problem = format!("{} has no chat template", self.name);
            return Err(Error::usage("chat", problem, "use generate, or an instruction-tuned model").into());
        };
        let tokens = self.language.tokenizer.encode(&template.render(&messages, true)?, false)?;
        self.tell_lacking(messages.last().map(Message::text));
        self.complete(tokens, &options, &on_text).await
    }

    /// Log-probability of each token of `text` given those before it, as JSON.
    ///
    /// # Errors
    /// `context`, `usage`, `cancelled`, GPU errors.
    pub async fn score(&self, text: String, with_adapter: bool, with_head: bool) -> Answer<String> {
        self.begin();
        let tokens = self.language.tokenizer.encode(&text, true)?;
        self.tell_lacking([text.as_str()]);
        let file = self.voiced(Voice::of(with_adapter, with_head));
        let config = self.model.config();
        let layout = file.as_ref().map(|file| adapter::layout(config, &file.config)).transpose()?;
        let workload = Workload { adapter: layout, scoring: Some(tokens.len()), ..Workload::default() };
        self.check_memory("scoring the text", &workload)?;
        let lora = file.as_ref().map(|file| adapter::upload(self.model.gpu(), config, file)).transpose()?;
        let logprobs = logprobs(&self.model, lora.as_ref(), &tokens, &self.cancel).await?;
        to_json(&json!({ "tokens": tokens, "logprobs": logprobs }))
    }
}

impl Engine {
    /// Says so if the vocabulary lacks characters of `texts`.
    pub(super) fn tell_lacking<'a>(&self, texts: impl IntoIterator<Item = &'a str>) {
        let lacking = Lacking::of(&self.language.tokenizer, texts);
        if !lacking.is_empty() {
            warn(&lacking.to_string());
        }
    }

    /// The generator of a voice: the one that spoke last, or a new one.
    fn generator(&self, voice: Voice) -> Result<Generator> {
        if let Some(spoke) = self.generators.borrow_mut().remove(&voice) {
            return Ok(spoke);
        }
        let (config, gpu) = (self.model.config(), self.model.gpu());
        let file = self.voiced(voice);
        let lora = file.map(|file| adapter::upload(gpu, config, &file)).transpose()?;
        let mut generator = Generator::new(Arc::clone(&self.model), lora.as_ref(), 1);
        generator.set_cancel(Arc::clone(&self.cancel));
        generator.keep_as(self.kv_cache);
        generator.keep();
        Ok(generator)
    }

    /// The completion of a request, and how many tokens of its prompt were in the cache. A voice without an adapter is that
    /// of the base. The generator stays for the next text, unless something is wrong with it.
    async fn speak(
        &self,
        voice: Voice,
        request: &Request,
        progress: &mut OnProgress<'_>,
    ) -> Result<(Completion, usize)> {
        let there = match voice {
            Voice::Base => false,
            Voice::Adapter => self.has_adapter(),
            Voice::Head => self.head.borrow().is_some(),
        };
        let voice = if there { voice } else { Voice::Base };
        let mut generator = self.generator(voice)?;
        let outcome = generator.generate(std::slice::from_ref(request), progress).await;
        let cached = generator.cached_tokens();
        if matches!(outcome, Ok(_) | Err(Error::Cancelled)) {
            self.generators.borrow_mut().insert(voice, generator);
        }
        Ok((outcome?.into_iter().flatten().next().unwrap_or_default(), cached))
    }

    async fn complete(&self, prompt: Vec<u32>, options: &str, on_text: &Function) -> Answer<String> {
        self.begin();
        let options: Sample = from_json("options", options)?;
        let request = Request { prompt, samples: 1, sampling: options.sampling(), seed: options.seed };
        request.check(self.model.config(), self.model.context())?;
        let tokenizer = &self.language.tokenizer;
        let mut stream = tokenizer.stream();
        let (mut failed, told) = (None, Cell::new(false));
        let began = seconds();
        let mut progress = |news: Progress<'_>| {
            if self.cancel.load(Ordering::Relaxed) {
                return ControlFlow::Break(());
            }
            let mut text = String::new();
            for &token in news.tokens {
                match stream.push(token) {
                    Ok(piece) => text.push_str(&piece),
                    Err(error) => {
                        failed = Some(error);
                        return ControlFlow::Break(());
                    }
                }
            }
            if !text.is_empty() {
                told.set(true);
                // A listener that throws has gone; the abort that follows ends this.
                let _ = on_text.call1(&JsValue::NULL, &text.into());
            }
            ControlFlow::Continue(())
        };
        let mut outcome = self.speak(options.voice(), &request, &mut progress).await;
        // What is kept of texts before may be in the way.
        if matches!(outcome, Err(Error::OutOfMemory { .. })) && !told.get() && self.silence() {
            outcome = self.speak(options.voice(), &request, &mut progress).await;
        }
        if let Some(error) = failed {
            return Err(error.into());
        }
        let rest = stream.finish()?;
        if !rest.is_empty() {
            let _ = on_text.call1(&JsValue::NULL, &rest.into());
        }
        let (Completion { tokens, logprobs, stopped }, cached) = outcome?;
        let rate = tokens.len() as f64 / (seconds() - began).max(1e-9);
        to_json(&json!({
            "text": tokenizer.decode(&tokens)?,
            "tokens": tokens,
            "logprobs": logprobs,
            "finishReason": if stopped { "stop" } else { "length" },
            "tokensPerSecond": rate,
            "promptTokens": request.prompt.len(),
            "cachedTokens": cached,
        }))
    }
}
