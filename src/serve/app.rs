//! What every request needs, and what it means by the names in it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use axum::http::StatusCode;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::access::Access;
use super::adapters::{Adapter, Adapters};
use super::body::{Outcome, on_disk};
use super::dataset::{Begun, Files};
use super::job::{Wish, Work};
use super::metrics::Metrics;
use super::models::{self, Names, of_lesson};
use super::refusal::Refusal;
use super::school::School;
use crate::ladder::learner::Language;
use crate::model::config::ModelConfig;
use crate::model::config::advice::SamplingAdvice;
use crate::model::guide::{Compiled, Form, Forms};

/// What every request needs.
pub(super) struct App {
    pub(super) names: Names,
    pub(super) language: Arc<Language>,
    pub(super) config: ModelConfig,
    pub(super) advice: SamplingAdvice,
    pub(super) context: usize,
    pub(super) forms: Forms,
    pub(super) access: Access,
    /// Places of requests that wait.
    pub(super) queue: Arc<Semaphore>,
    pub(super) jobs: UnboundedSender<Work>,
    pub(super) adapters: Arc<Adapters>,
    /// Below it lie adapters that clients may load.
    pub(super) adapter_folder: Option<PathBuf>,
    /// What there is to learn with.
    pub(super) school: Option<Arc<School>>,
    /// What clients uploaded to train on.
    pub(super) files: Files,
    /// Fine-tuning jobs of this process.
    pub(super) begun: Begun,
    pub(super) metrics: Arc<Metrics>,
    pub(super) stopping: Arc<AtomicBool>,
}

impl App {
    /// The listed name that a request means, and what it is computed with.
    pub(super) async fn choose(
        self: &Arc<Self>,
        name: Option<&str>,
    ) -> Result<(String, Arc<Adapter>), Refusal> {
        if let (Some(lesson), Some(_)) = (name.and_then(models::lesson), &self.school) {
            return self.lesson(lesson).await;
        }
        if let Some((name, adapter)) = name.and_then(|name| Some((name, self.adapters.named(name)?))) {
            return Ok((name.to_owned(), adapter));
        }
        // `base:poet` is `poet` on the base.
        let bare = name.and_then(models::bare).filter(|bare| self.names.is_taken(bare));
        let (name, place) = self.names.find(bare.or(name))?;
        let adapter = self.adapters.get(place).ok_or_else(Refusal::stopping)?;
        Ok((name.to_owned(), adapter))
    }

    /// What holds answers to a form.
    pub(super) fn compile(&self, form: &Form) -> Result<Compiled, Refusal> {
        let compiled = self.forms.compile(
            form,
            &self.language.tokenizer,
            self.config.vocab_size,
            &self.config.eos_token_ids,
        );
        let field = if matches!(form, Form::Lark(_)) { "tools" } else { "response_format" };
        compiled.map_err(|error| Refusal::from(error).of_field(field))
    }

    /// What a lesson of the library made, put on the GPU if it is not there.
    ///
    /// # Errors
    /// A refusal where there is no such lesson, or nothing was learnt of it.
    async fn lesson(self: &Arc<Self>, name: &str) -> Result<(String, Arc<Adapter>), Refusal> {
        let number = self.number(name.to_owned()).await?;
        self.wish(Wish::Lesson(number)).await?;
        let name = of_lesson(number);
        let adapter = self.adapters.named(&name).ok_or_else(Refusal::stopping)?;
        Ok((name, adapter))
    }

    /// What a server without a library lacks.
    pub(super) fn school(&self) -> Result<Arc<School>, Refusal> {
        self.school.clone().ok_or_else(|| {
            let message =
                "this server has no library to learn into; start it with `stepladder serve --library FOLDER`";
            Refusal::new(StatusCode::NOT_FOUND, "no_library", message)
        })
    }

    /// The number of a lesson that its name means.
    pub(super) async fn number(&self, name: String) -> Result<u32, Refusal> {
        let school = self.school()?;
        let lesson = on_disk(move || school.describe(&name)).await?;
        lesson["number"].as_u64().and_then(|number| u32::try_from(number).ok()).ok_or_else(|| {
            let message = "the lesson is not in the library yet; ask again in a moment";
            Refusal::new(StatusCode::CONFLICT, "busy", message).retry_after(1)
        })
    }

    /// A place in the queue.
    pub(super) fn queue_up(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        Arc::clone(&self.queue).try_acquire_owned().map_err(|_| {
            let message =
                "all places of the queue are taken; try again later, or start the server with a longer queue";
            let seconds = self.metrics.retry_after();
            Refusal::new(StatusCode::TOO_MANY_REQUESTS, "queue_full", message).retry_after(seconds)
        })
    }

    /// Asks the thread that owns the GPU.
    pub(super) async fn wish(&self, wish: Wish) -> Outcome {
        let (sender, outcome) = oneshot::channel();
        self.jobs.send(Work::Wish((wish, sender))).map_err(|_| Refusal::stopping())?;
        outcome.await.unwrap_or_else(|_| Err(Refusal::stopping()))
    }
}
