//! Text that is held to a form.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Opened, Session};
use crate::kernel::cache::CacheFormat;
use crate::ladder::learner::LearnerSettings;
use crate::model::generate::{Adjustment, Completion, Continuous, End, News, Request, Sizes};
use crate::model::guide::{Compiled, Form, Forms};
use crate::session::{OnText, Piece};
use crate::train::adapter;
use crate::train::fit::Workload;
use crate::train::peft::AdapterFile;
use crate::{Error, Result};

impl Opened {
    /// What holds texts of this model to a form.
    ///
    /// # Errors
    /// [`Error::Usage`] for a form that cannot be compiled, with llguidance's words.
    pub fn compile(&self, form: &Form) -> Result<Compiled> {
        let (tokenizer, config) = (&self.language.tokenizer, &self.config);
        Forms::default().compile(form, tokenizer, config.vocab_size, &config.eos_token_ids)
    }

    /// Fails if a request cannot be answered in a form: by its own numbers, the context or the memory.
    ///
    /// # Errors
    /// [`Error::Usage`], [`Error::Context`], [`Error::OutOfMemory`].
    pub fn check_formed(
        &self,
        request: &Request,
        adapter: Option<&AdapterFile>,
        format: CacheFormat,
    ) -> Result<()> {
        let sizes = self.formed_sizes(request, format)?;
        let adapter = adapter.map(|file| adapter::layout(&self.config, &file.config)).transpose()?;
        let workload = Workload { adapter, sampling: Some(sizes), ..Workload::default() };
        self.check_memory(&format!("sampling from {}", self.name), &workload)
    }

    fn formed_sizes(&self, request: &Request, format: CacheFormat) -> Result<Sizes> {
        let limit = request.check(&self.config, self.context_length)?;
        let rows = request.samples.clamp(1, LearnerSettings::default().rows);
        Ok(Continuous::sizes(rows, request.prompt.len() + limit, format))
    }
}

impl Session {
    /// [`Session::generate`] of texts that are held to a form. One that ends by a stop token has it whole.
    ///
    /// # Errors
    /// As [`Session::generate`]; [`Error::Usage`] if the form cannot be followed within llguidance's limits.
    pub async fn generate_formed(
        &self,
        request: &Request,
        form: &Compiled,
        adapter: Option<&AdapterFile>,
        format: CacheFormat,
        on_text: &mut OnText<'_>,
    ) -> Result<Vec<Completion>> {
        let (opened, model) = (self.opened(), self.model());
        opened.check_formed(request, adapter, format)?;
        let tokenizer = &opened.language.tokenizer;
        let mut batch = Continuous::new(Arc::clone(model), opened.formed_sizes(request, format)?)?;
        let lora = adapter.map(|file| adapter::upload(model.gpu(), model.config(), file)).transpose()?;
        batch.take_adapter(1, lora.as_ref())?;
        let mut made = vec![Completion::default(); request.samples];
        let mut streams: Vec<_> = (0..request.samples).map(|_| Some(tokenizer.stream())).collect();
        let (mut begun, mut ended) = (0, 0);
        while ended < request.samples {
            while begun < request.samples {
                let (id, none) = (begun as u64, Adjustment::default());
                let mut guide = || Some(form.guide());
                let admitted = batch.admit_adjusted(id, request, begun, 0, none, &mut guide);
                if admitted.await?.is_none() {
                    break;
                }
                begun += 1;
            }
            let mut outcome = Ok(());
            let mut news = |news: News<'_>| {
                let sample = news.id as usize;
                let done = news.end.is_some();
                ended += usize::from(done);
                let completion = &mut made[sample];
                completion.tokens.extend_from_slice(news.tokens);
                completion.logprobs.extend_from_slice(news.logprobs);
                completion.truncated = news.end == Some(End::Length);
                let told = failure(news.end).and_then(|()| {
                    let mut text = String::new();
                    if let Some(stream) = &mut streams[sample] {
                        for &token in news.tokens {
                            text += &stream.push(token)?;
                        }
                    }
                    if let Some(stream) = streams[sample].take_if(|_| done) {
                        text += &stream.finish()?;
                    }
                    on_text(Piece { sample, tokens: news.tokens, text: &text, done })
                });
                if outcome.is_ok() {
                    outcome = told;
                }
            };
            batch.step(&mut news).await?;
            outcome?;
            if opened.cancel.load(Ordering::Relaxed) {
                return Err(Error::Cancelled);
            }
        }
        made.into_iter().map(|completion| completion.decoded(tokenizer)).collect()
    }
}

/// Fails for a row that ended because it could not go on.
fn failure(end: Option<End>) -> Result<()> {
    match end {
        Some(End::NotFinite) => Err(Error::NotFinite { what: "the log-probability of a token" }),
        Some(End::Unguided) => {
            Err(Error::usage("form", "could not be followed to its end", "write a simpler one"))
        }
        Some(End::Stop | End::Length) | None => Ok(()),
    }
}
