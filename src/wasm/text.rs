//! Text from a model, and the score of a given text.

use std::cell::Cell;

use js_sys::Function;
use serde_json::json;
use wasm_bindgen::prelude::*;

use super::convert::{Answer, from_json, to_json};
use super::engine::Engine;
use super::options::SampleOptions;
use super::voice::Voice;
use crate::model::generate::Generator;
use crate::session::{Completion, Message, OnText, Piece, Request};
use crate::{Error, Result};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn milliseconds() -> f64;
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
        let options: SampleOptions = from_json("options", &options)?;
        self.answer(self.opened().request(&prompt, options.sampling())?, &options, &on_text).await
    }

    /// Answers a conversation, a JSON list of messages; otherwise as [`Engine::generate`].
    ///
    /// # Errors
    /// As [`Engine::generate`], and `usage` if the model has no chat template.
    pub async fn chat(&self, messages: String, options: String, on_text: Function) -> Answer<String> {
        let messages: Vec<Message> = from_json("messages", &messages)?;
        let options: SampleOptions = from_json("options", &options)?;
        self.answer(self.opened().chat_request(&messages, options.sampling())?, &options, &on_text).await
    }

    /// Log-probability of each token of `text` given those before it, as JSON.
    ///
    /// # Errors
    /// `context`, `usage`, `cancelled`, GPU errors.
    pub async fn score(&self, text: String, with_adapter: bool, with_head: bool) -> Answer<String> {
        self.begin();
        let adapter = self.voiced(Voice::of(with_adapter, with_head));
        let scored = self.session.score(&text, adapter.as_ref()).await?;
        to_json(&json!({ "tokens": scored.tokens, "logprobs": scored.logprobs }))
    }
}

impl Engine {
    /// The generator of a voice: the one that spoke last, or a new one.
    fn generator(&self, voice: Voice) -> Result<Generator> {
        if let Some(spoke) = self.generators.borrow_mut().remove(&voice) {
            return Ok(spoke);
        }
        let mut generator = self.session.generator(self.voiced(voice).as_ref(), 1)?;
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
        on_text: &mut OnText<'_>,
    ) -> Result<(Completion, usize)> {
        let there = match voice {
            Voice::Base => false,
            Voice::Adapter => self.has_adapter(),
            Voice::Head => self.head.borrow().is_some(),
        };
        let voice = if there { voice } else { Voice::Base };
        let mut generator = self.generator(voice)?;
        let outcome = self.session.complete(&mut generator, request, on_text).await;
        let cached = generator.cached_tokens();
        if matches!(outcome, Ok(_) | Err(Error::Cancelled)) {
            self.generators.borrow_mut().insert(voice, generator);
        }
        Ok((outcome?.into_iter().next().unwrap_or_default(), cached))
    }

    async fn answer(&self, request: Request, options: &SampleOptions, on_text: &Function) -> Answer<String> {
        self.begin();
        let request = Request { seed: options.seed, ..request };
        request.check(&self.opened().config, self.opened().context_length)?;
        let (told, began) = (Cell::new(false), seconds());
        let mut hear = |piece: Piece<'_>| {
            if !piece.text.is_empty() {
                told.set(true);
                // A listener that throws has gone; the abort that follows ends this.
                let _ = on_text.call1(&JsValue::NULL, &piece.text.into());
            }
            Ok(())
        };
        let mut outcome = self.speak(options.voice(), &request, &mut hear).await;
        // What is kept of texts before may be in the way.
        if matches!(outcome, Err(Error::OutOfMemory { .. })) && !told.get() && self.silence() {
            outcome = self.speak(options.voice(), &request, &mut hear).await;
        }
        let (Completion { text, tokens, logprobs, truncated }, cached) = outcome?;
        let rate = tokens.len() as f64 / (seconds() - began).max(1e-9);
        to_json(&json!({
            "text": text,
            "tokens": tokens,
            "logprobs": logprobs,
            "finishReason": if truncated { "length" } else { "stop" },
            "tokensPerSecond": rate,
            "promptTokens": request.prompt.len(),
            "cachedTokens": cached,
        }))
    }
}
