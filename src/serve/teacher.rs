//! Lessons on the thread that owns the GPU: one at a time, polled a slice at a time between the blocks of completions.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::adapters::Adapters;
use super::job::{LibraryWish, Plan};
use super::refusal::Refusal;
use super::school::{AtHand, Reporter, School, refused};
use super::upload::load_lesson;
use crate::lessons::begin::{Place, begin};
use crate::lessons::card::Card;
use crate::lessons::course::Course;
use crate::lessons::decide::{self, Accepted, conclude};
use crate::lessons::gate::Decision;
use crate::lessons::library::Library;
use crate::lessons::source::{Source, Wanted};
use crate::lessons::standing::Status;
use crate::session::Session;
use crate::train::adapter;
use crate::{Error, Result};

type Lesson<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// Teaches the library.
pub(super) struct Teacher<'a> {
    session: &'a Session,
    school: Arc<School>,
    adapters: Arc<Adapters>,
    /// The place of the library's head among the adapters.
    place: usize,
    lesson: Option<Lesson<'a>>,
    /// The head that is served.
    head: Option<String>,
}

impl<'a> Teacher<'a> {
    /// A teacher who goes on with the lesson that was stopped, if there is one.
    ///
    /// # Errors
    /// Those of reading the library.
    pub(super) fn new(
        session: &'a Session,
        school: Arc<School>,
        adapters: Arc<Adapters>,
        place: usize,
    ) -> Result<Self> {
        let library = school.library()?;
        let head = library.as_ref().and_then(|library| library.standing().head().map(str::to_owned));
        let mut teacher = Self { session, school, adapters, place, lesson: None, head };
        let standing = library.as_ref().map(Library::standing);
        let pending = standing.and_then(|standing| {
            let number = standing.pending()?;
            (standing.status(number) == Some(Status::Proposed)).then_some(number)
        });
        if let (Some(library), Some(number), Ok(_)) = (&library, pending, &teacher.school.learning.base) {
            let (source, wanted, name) =
                (Source::Pending, Wanted::default(), library.lesson(number)?.card.name.clone());
            teacher.begin(Plan { source, wanted, feedback: None, accept: false, name });
        }
        Ok(teacher)
    }

    /// Whether a lesson is being learnt.
    pub(super) fn is_teaching(&self) -> bool {
        self.lesson.is_some()
    }

    /// Drops the lesson at hand; it goes on from its last checkpoint.
    pub(super) fn stop(&mut self) {
        self.lesson = None;
        self.school.note(|lesson| lesson.is_running = false);
    }

    /// Puts what a lesson made among the adapters.
    pub(super) fn load(&self, number: u32) -> Result<(), Refusal> {
        load_lesson(self.session, &self.adapters, &self.school, number)
    }

    /// Changes the library, or begins to.
    pub(super) fn grant(&mut self, wish: LibraryWish) -> Result<Value, Refusal> {
        if self.is_teaching() && !self.is_of_lesson(&wish) {
            let message = "a lesson is being learnt; wait for it, or stop it by its reject";
            return Err(Refusal::new(StatusCode::CONFLICT, "busy", message).retry_after(5));
        }
        match wish {
            LibraryWish::Begin(plan) => {
                let value = json!({ "object": "lesson", "name": plan.name, "state": "learning" });
                self.begin(*plan);
                Ok(value)
            }
            LibraryWish::Accept(number) => self.decide(|library| {
                expect_pending(library, number)?;
                let Accepted { lesson, head, against } = decide::accept(library)?;
                Ok(json!({ "event": "accepted", "lesson": lesson, "head": head, "against": against }))
            }),
            LibraryWish::Reject(number, reason) => {
                self.stop();
                self.decide(|library| {
                    expect_pending(library, number)?;
                    let lesson = decide::reject(library, &reason)?;
                    Ok(json!({ "event": "rejected", "lesson": lesson, "reason": reason }))
                })
            }
            LibraryWish::RollBack(lesson) => self.decide(|library| {
                let (lessons, head) = decide::roll_back(library, lesson)?;
                Ok(json!({ "event": "rolled_back", "lessons": lessons, "head": head }))
            }),
        }
    }

    /// Whether a wish is to give up the lesson at hand.
    fn is_of_lesson(&self, wish: &LibraryWish) -> bool {
        let number = self.school.at_hand().as_ref().and_then(|lesson| lesson.number);
        matches!(wish, LibraryWish::Reject(wished, _) if Some(*wished) == number)
    }

    /// Changes which lessons count, and serves what follows from it.
    fn decide(&mut self, change: impl FnOnce(&mut Library) -> Result<Value>) -> Result<Value, Refusal> {
        let place = self.school.learning.library.clone();
        let value = Library::open_to_write(&place).and_then(|mut library| change(&mut library));
        let value = value.map_err(refused)?;
        self.serve_head().map_err(refused)?;
        Ok(value)
    }

    fn begin(&mut self, plan: Plan) {
        *self.school.at_hand() = Some(AtHand::new(plan.name.clone()));
        self.lesson = Some(Box::pin(teach(self.session, Arc::clone(&self.school), plan)));
    }

    /// A slice of the lesson at hand.
    pub(super) fn slice(&mut self) {
        let Some(lesson) = &mut self.lesson else { return };
        let gpu = self.session.model().gpu();
        gpu.set_patient(true);
        // It is polled again whatever wakes it.
        let polled = lesson.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        gpu.set_patient(false);
        let Poll::Ready(outcome) = polled else { return };
        // The library is closed with it.
        self.lesson = None;
        let outcome = outcome.and_then(|()| self.serve_head());
        self.school.note(|lesson| {
            lesson.is_running = false;
            match &outcome {
                Ok(()) | Err(Error::Cancelled) => {}
                Err(error) => lesson.error = Some(error.to_string()),
            }
        });
        if let Err(error) = outcome {
            tracing::warn!("the lesson ended: {error}");
        }
    }

    /// Puts the library's head on the GPU, if it is another one than is served.
    fn serve_head(&mut self) -> Result<()> {
        let Some(library) = self.school.library()? else { return Ok(()) };
        let head = library.standing().head();
        if head == self.head.as_deref() {
            return Ok(());
        }
        let (gpu, config) = (self.session.model().gpu(), self.session.model().config());
        let file = head.map(|head| library.head(head, &adapter::dims(config))).transpose()?;
        let lora = file.as_ref().map(|file| adapter::upload(gpu, config, file)).transpose()?;
        self.adapters.replace(self.place, lora, Some(library.path().to_owned()));
        self.head = head.map(str::to_owned);
        Ok(())
    }
}

/// Fails where another lesson waits than the one that is meant.
fn expect_pending(library: &Library, number: u32) -> Result<()> {
    if library.standing().pending() == Some(number) {
        return Ok(());
    }
    let problem = format!("{} does not wait for a decision", library.lesson(number)?.title());
    Err(Error::usage("lesson", problem, "GET /v1/lessons tells how each stands"))
}

/// Learns a lesson, examines it, and follows the gate.
async fn teach(session: &Session, school: Arc<School>, plan: Plan) -> Result<()> {
    let opened = session.opened();
    let place: &Path = &school.learning.library;
    let base = school.learning.base.clone();
    let base =
        base.map_err(|words| Error::usage("library", words, "start the server as the library was made"))?;
    let library = Library::exists(place).then(|| Library::open_to_write(place)).transpose()?;
    if !matches!(plan.source, Source::Pending) {
        library.as_ref().map_or(Ok(()), Library::expect_decided)?;
    }
    let settings = school.learning.settings(opened)?;
    plan.source.check(&opened.language, &base.sha256)?;
    opened.tell_lacking(plan.source.texts());
    let mut learner = session.learner(&settings.fresh(&opened.config)?)?;
    let mut reporter = Reporter { school: Arc::clone(&school), stopped: Arc::clone(&opened.cancel) };
    let mut tell = |words: &str| school.note(|lesson| lesson.notes.push(words.to_owned()));
    let mut progress = |done, all, what: &str| reporter.go_on(done, all, what);
    let source = plan.source.worked_out((&opened.name, None), &mut learner, &mut tell, &mut progress).await?;
    let make = |card: &Card, anchors: &[_]| Library::create(place, card, anchors);
    let at = match library {
        Some(library) => Place::There(Box::new(library)),
        None => Place::New { model: opened.name.clone(), base, settings: Box::new(settings), make: &make },
    };
    let (mut library, number) =
        begin(&source, &plan.wanted, at, &mut learner, &mut tell, &mut progress).await?;
    school.note(|lesson| lesson.number = Some(number));
    if let Some(taken) = &plan.feedback {
        school.log.remove(taken)?;
    }
    let verdict = Course::new(&mut library, &mut learner, &mut reporter)?.teach(number).await?;
    let accept = plan.accept && verdict.decision == Decision::Accepted;
    conclude(&mut library, number, &verdict, accept)?;
    Ok(())
}
