//! The engine: one thread owns the GPU, takes jobs from a channel and tells their clients what comes of them.
//!
//! Completions begin in the order of their requests, between decode steps, as soon as a row and pages are free. Rows of one
//! batch have one adapter; a request for another waits until those before it have ended.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use pollster::block_on;
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::error::TryRecvError;

use super::adapters::{Adapter, Adapters};
use super::job::{Event, Job, Wish, Work};
use super::metrics::{Metrics, add};
use super::refusal::Refusal;
use super::teacher::Teacher;
use super::text::{Answer, Piece};
use super::upload::load_folder;
use crate::lessons::folder::count_asked;
use crate::model::generate::{Continuous, End, News, Request};
use crate::model::guide::Compiled;
use crate::model::score::{Pooling, embedding};
use crate::model::tokenizer::Tokenizer;
use crate::session::Session;
use crate::{Error, Result};

/// What all completions of a job share.
struct Shared {
    job: Job,
    /// Completions that have not ended.
    left: Cell<usize>,
    /// Its place in the queue, until it begins.
    place: Cell<Option<OwnedSemaphorePermit>>,
    is_waiting: Cell<bool>,
    /// Whether a token was told.
    is_told: Cell<bool>,
    metrics: Arc<Metrics>,
}

impl Shared {
    fn new(mut job: Job, metrics: Arc<Metrics>) -> Self {
        add(&metrics.requests, 1);
        metrics.waiting.fetch_add(1, Ordering::Relaxed);
        Self {
            left: Cell::new(job.requests.iter().map(|request| request.samples).sum()),
            place: Cell::new(job.place.take()),
            is_waiting: Cell::new(true),
            is_told: Cell::new(false),
            job,
            metrics,
        }
    }

    /// It waits no more.
    fn begin(&self) {
        self.place.take();
        if self.is_waiting.replace(false) {
            self.metrics.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn milliseconds(&self) -> usize {
        self.job.since.elapsed().as_millis() as usize
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.begin();
        if self.left.get() > 0 && self.job.events.is_closed() {
            add(&self.metrics.abandoned, 1);
        }
    }
}

/// A completion, waiting or running.
struct Choice<'a> {
    shared: Rc<Shared>,
    prompt: usize,
    sample: usize,
    answer: Answer<'a>,
}

impl Choice<'_> {
    fn request(&self) -> &Request {
        &self.shared.job.requests[self.prompt]
    }

    fn is_wanted(&self) -> bool {
        !self.shared.job.events.is_closed()
    }

    fn tell(&self, event: Event) {
        // A client that is gone is noticed before the next step.
        let _ = self.shared.job.events.send(event);
    }

    /// Tells the client what its row did. Whether the completion ended with it.
    fn follow(&mut self, news: &News<'_>) -> Result<bool> {
        let choice = self.prompt * self.request().samples + self.sample;
        let (mut told, mut stopped) = (Piece::default(), false);
        for (index, (&token, &logprob)) in news.tokens.iter().zip(news.logprobs).enumerate() {
            let is_end = news.end == Some(End::Stop) && index + 1 == news.tokens.len();
            let likeliest = news.likeliest.get(index).map_or(&[][..], Vec::as_slice);
            let (piece, stops) = self.answer.push(token, logprob, likeliest, is_end)?;
            told.append(piece);
            stopped = stops;
            if stopped {
                break;
            }
        }
        if news.end == Some(End::NotFinite) {
            return Err(Error::NotFinite { what: "the log-probability of a token" });
        }
        if news.end == Some(End::Unguided) {
            let problem = "could not be followed to its end";
            return Err(Error::usage("response_format", problem, "write a simpler schema"));
        }
        if news.end.is_some() && !stopped {
            let (piece, stops) = self.answer.finish()?;
            told.append(piece);
            stopped = stops;
        }
        if self.answer.count() > 0 && !self.shared.is_told.replace(true) {
            add(&self.shared.metrics.first_token_ms, self.shared.milliseconds());
        }
        if !told.is_empty() {
            self.tell(Event::News { choice, piece: told });
        }
        let is_done = stopped || news.end.is_some();
        if is_done {
            let (tokens, cut) = (self.answer.count(), news.end == Some(End::Length) && !stopped);
            add(&self.shared.metrics.completion_tokens, tokens);
            self.tell(Event::End { choice, tokens, cut });
        }
        Ok(is_done)
    }
}

/// How much of the time a lesson gets while there are requests: one part to so many of theirs.
const PARTS: u32 = 9;

/// Shares the time between requests and a lesson.
#[derive(Debug, Default)]
struct Turns {
    /// What a lesson may take.
    due: Duration,
    /// What its last slice took.
    slice: Duration,
}

impl Turns {
    fn served(&mut self, time: Duration) {
        // What was not asked for is not saved up.
        self.due = (self.due + time / PARTS).min(2 * self.slice);
    }

    fn is_due(&self) -> bool {
        self.due >= self.slice
    }

    fn taught(&mut self, time: Duration, is_idle: bool) {
        self.slice = time;
        if !is_idle {
            self.due = self.due.saturating_sub(time);
        }
    }
}

/// Draws the completions of jobs.
pub(super) struct Engine<'a> {
    batch: Continuous,
    session: &'a Session,
    adapters: Arc<Adapters>,
    /// Who teaches the library, if there is one.
    teacher: Option<Teacher<'a>>,
    tokenizer: &'a Tokenizer,
    metrics: Arc<Metrics>,
    /// Nothing new is begun once it is set.
    stopping: Arc<AtomicBool>,
    turns: Turns,
    waiting: VecDeque<Choice<'a>>,
    running: Vec<(u64, Choice<'a>)>,
    next_id: u64,
}

impl<'a> Engine<'a> {
    /// An engine that nobody has asked yet.
    pub(super) fn new(
        batch: Continuous,
        session: &'a Session,
        adapters: Arc<Adapters>,
        teacher: Option<Teacher<'a>>,
        metrics: Arc<Metrics>,
        stopping: Arc<AtomicBool>,
    ) -> Self {
        let (waiting, running, turns) = (VecDeque::new(), Vec::new(), Turns::default());
        let tokenizer = &session.opened().language.tokenizer;
        Self {
            batch,
            session,
            adapters,
            teacher,
            tokenizer,
            metrics,
            stopping,
            turns,
            waiting,
            running,
            next_id: 0,
        }
    }

    /// Works until nobody can send a job any more.
    ///
    /// # Errors
    /// Those of the GPU, after all who wait were told.
    pub(super) fn run(mut self, mut jobs: UnboundedReceiver<Work>) -> Result<()> {
        let outcome = self.work(&mut jobs);
        if let Err(error) = &outcome {
            let lost = || {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                Event::Failed(Refusal::new(status, error.code(), error.to_string()))
            };
            jobs.close();
            while let Ok(work) = jobs.try_recv() {
                // Who has a wish hears of it by the channel that is dropped.
                if let Work::Draw(job) = work {
                    let _ = job.events.send(lost());
                }
            }
            self.waiting.iter().for_each(|choice| choice.tell(lost()));
            self.running.iter().for_each(|(_, choice)| choice.tell(lost()));
        }
        outcome
    }

    fn work(&mut self, jobs: &mut UnboundedReceiver<Work>) -> Result<()> {
        loop {
            let is_idle = self.waiting.is_empty() && self.running.is_empty();
            if is_idle && !self.is_teaching() {
                match jobs.blocking_recv() {
                    Some(work) => self.take(work),
                    None => return Ok(()),
                }
            }
            loop {
                match jobs.try_recv() {
                    Ok(work) => self.take(work),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) if is_idle => return Ok(()),
                    Err(TryRecvError::Disconnected) => break,
                }
            }
            self.forget()?;
            self.begin()?;
            if !self.running.is_empty() {
                let since = Instant::now();
                self.step()?;
                self.turns.served(since.elapsed());
            }
            self.metrics.running.store(self.running.len() as u64, Ordering::Relaxed);
            self.teach();
        }
    }

    fn is_teaching(&self) -> bool {
        self.teacher.as_ref().is_some_and(Teacher::is_teaching)
    }

    fn take(&mut self, work: Work) {
        match work {
            Work::Draw(job) => self.enqueue(*job),
            Work::Wish((wish, sender)) => {
                // Who asked may be gone.
                let _ = sender.send(self.grant(wish));
            }
        }
    }

    /// Does what is asked, as far as that takes no time.
    fn grant(&mut self, wish: Wish) -> Result<Value, Refusal> {
        // A server without a library refuses what needs one before it becomes a wish.
        let teacher = self.teacher.as_mut().ok_or_else(Refusal::stopping);
        match wish {
            Wish::Load { name, place } => {
                load_folder(self.session, &self.adapters, &name, &place).map(|()| Value::Null)
            }
            Wish::Vector { tokens, adapter, pooling } => self.vector(&tokens, &adapter, pooling),
            Wish::Lesson(number) => teacher?.load(number).map(|()| Value::Null),
            Wish::Library(wish) => teacher?.grant(wish),
        }
    }

    /// A text as one vector.
    fn vector(&self, tokens: &[u32], adapter: &Adapter, pooling: Pooling) -> Result<Value, Refusal> {
        let model = self.session.model();
        let cancel = &self.session.opened().cancel;
        let vector = block_on(embedding(model, adapter.lora.as_ref(), tokens, pooling, cancel))?;
        Ok(json!(vector))
    }

    /// Goes on with the lesson at hand: while nobody waits, and else for its share of the time.
    fn teach(&mut self) {
        let Some(teacher) = self.teacher.as_mut().filter(|teacher| teacher.is_teaching()) else { return };
        if self.stopping.load(Ordering::Relaxed) {
            return teacher.stop();
        }
        let is_idle = self.waiting.is_empty() && self.running.is_empty();
        if is_idle || self.turns.is_due() {
            let since = Instant::now();
            teacher.slice();
            self.turns.taught(since.elapsed(), is_idle);
        }
    }

    /// Puts the completions of a job behind those that wait.
    fn enqueue(&mut self, job: Job) {
        let shared = Rc::new(Shared::new(job, Arc::clone(&self.metrics)));
        for (prompt, request) in shared.job.requests.iter().enumerate() {
            for sample in 0..request.samples {
                let tells = shared.job.logprobs.is_some();
                let answer = Answer::new(self.tokenizer, shared.job.stop.clone(), tells);
                self.waiting.push_back(Choice { shared: Rc::clone(&shared), prompt, sample, answer });
            }
        }
    }

    /// Drops what nobody waits for any more, and frees its rows.
    fn forget(&mut self) -> Result<()> {
        if self.stopping.load(Ordering::Relaxed) {
            let waiting = self.waiting.drain(..);
            // One of several completions may run already; its client gets no half answer.
            waiting.for_each(|choice| choice.tell(Event::Failed(Refusal::stopping())));
        }
        self.waiting.retain(Choice::is_wanted);
        let gone = self.running.extract_if(.., |(_, choice)| !choice.is_wanted());
        for (id, _) in gone.collect::<Vec<_>>() {
            self.batch.stop(id)?;
        }
        Ok(())
    }

    /// Gives free rows to those that wait, the first first.
    fn begin(&mut self) -> Result<()> {
        while let Some(choice) = self.waiting.front() {
            let job = &choice.shared.job;
            if job.adapter.number != self.batch.adapter() {
                if !self.running.is_empty() {
                    break;
                }
                self.batch.take_adapter(job.adapter.number, job.adapter.lora.as_ref())?;
            }
            let likeliest = job.logprobs.unwrap_or(0);
            let (request, adjustment) = (choice.request(), job.adjustment.clone());
            let mut guide = || job.form.as_ref().map(Compiled::guide);
            let (id, sample) = (self.next_id, choice.sample);
            let admitted = self.batch.admit_adjusted(id, request, sample, likeliest, adjustment, &mut guide);
            let cached = match block_on(admitted) {
                Ok(Some(cached)) => cached,
                Ok(None) if !self.running.is_empty() => break,
                Ok(None) => {
                    let problem = "does not fit into the cache of the server";
                    choice.tell(Event::Failed(Refusal::field("max_tokens", problem, "lower it")));
                    self.waiting.pop_front();
                    continue;
                }
                Err(error @ (Error::Usage { .. } | Error::Context { .. } | Error::OutOfMemory { .. })) => {
                    choice.tell(Event::Failed(error.into()));
                    self.waiting.pop_front();
                    continue;
                }
                Err(error) => return Err(error),
            };
            let Some(choice) = self.waiting.pop_front() else { break };
            if choice.sample == 0 {
                add(&self.metrics.prompt_tokens, choice.request().prompt.len());
                add(&self.metrics.cached_tokens, cached);
                choice.tell(Event::Begun { cached });
            }
            choice.shared.begin();
            self.running.push((self.next_id, choice));
            self.next_id += 1;
        }
        Ok(())
    }

    /// A few tokens for every row.
    fn step(&mut self) -> Result<()> {
        let Self { batch, running, .. } = self;
        let (mut done, mut stopped) = (Vec::new(), Vec::new());
        let mut news = |news: News<'_>| {
            let Some(at) = running.iter().position(|(id, _)| *id == news.id) else { return };
            let outcome = running[at].1.follow(&news);
            if matches!(outcome, Ok(false)) {
                return;
            }
            let (id, choice) = running.swap_remove(at);
            match outcome {
                Ok(_) => done.push(choice),
                Err(error) => choice.tell(Event::Failed(error.into())),
            }
            if news.end.is_none() {
                stopped.push(id);
            }
        };
        block_on(batch.step(&mut news))?;
        stopped.into_iter().try_for_each(|id| batch.stop(id))?;
        for choice in done {
            self.finish(&choice.shared);
        }
        Ok(())
    }

    /// Notes that a completion of a job ended.
    fn finish(&self, shared: &Shared) {
        shared.left.set(shared.left.get() - 1);
        if shared.left.get() > 0 {
            return;
        }
        add(&self.metrics.answered, 1);
        add(&self.metrics.answer_ms, shared.milliseconds());
        let library = shared.job.adapter.library.as_ref();
        if let Some(Err(error)) = library.map(|place| count_asked(place, 1)) {
            tracing::warn!("{error}");
        }
    }
}
