//! What a server that learns has beside one that answers: its library, what was answered last, feedback that waits, and how the
//! lesson at hand goes.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::log::Log;
use super::recent::Recent;
use super::refusal::Refusal;
use crate::lessons::card::Lesson;
use crate::lessons::course::{Listener, News};
use crate::lessons::gate::Decision;
use crate::lessons::learn::Epoch;
use crate::lessons::library::Library;
use crate::lessons::settings::LearnSettings;
use crate::lessons::standing::Status;
use crate::session::Opened;
use crate::train::fingerprint::Base;
use crate::train::fit::Fit;
use crate::{Error, Result};

/// The library of a server.
#[derive(Debug, Clone)]
pub struct Learning {
    /// Its folder; one that is not there is made with the first lesson.
    pub library: PathBuf,
    /// What ties a library to the model as this program computes it; or why this program cannot teach the one that is there.
    pub base: std::result::Result<Base, String>,
}

impl Learning {
    /// How its lessons are learnt.
    ///
    /// # Errors
    /// Those of reading the library.
    pub(super) fn settings(&self, opened: &Opened) -> Result<LearnSettings> {
        match Library::exists(&self.library) {
            true => Ok(Library::open(&self.library)?.card().settings.clone()),
            false => LearnSettings::for_library(&opened.name, &opened.config, opened.context_length, &[]),
        }
    }

    /// What a lesson takes on the GPU.
    ///
    /// # Errors
    /// As [`Learning::settings`].
    pub(super) fn fit(&self, opened: &Opened) -> Result<Fit> {
        let settings = self.settings(opened)?;
        Ok(opened.fit(&settings.workload(&opened.config, opened.context_length)?))
    }
}

/// How the lesson goes that was begun last by this program.
#[derive(Debug, Clone, Default)]
pub(super) struct AtHand {
    pub(super) name: String,
    /// Its number, once it is in the library.
    pub(super) number: Option<u32>,
    pub(super) is_running: bool,
    /// What is done, in words, and how much of it.
    what: String,
    done: u64,
    all: u64,
    epoch: Option<Epoch>,
    /// What was left out, and what was tried.
    pub(super) notes: Vec<String>,
    /// Why it ended before its time.
    pub(super) error: Option<String>,
}

impl AtHand {
    /// A lesson that begins.
    pub(super) fn new(name: String) -> Self {
        Self { name, is_running: true, what: "beginning".into(), ..Self::default() }
    }

    fn state(&self) -> &'static str {
        match (self.is_running, &self.error) {
            (true, _) => "learning",
            (false, Some(_)) => "failed",
            (false, None) => "stopped",
        }
    }

    fn add_to(&self, value: &mut Value) {
        value["state"] = json!(self.state());
        if self.is_running {
            let share = if self.all > 0 { self.done as f64 / self.all as f64 } else { 0.0 };
            value["progress"] =
                json!({ "what": self.what, "done": self.done, "of": self.all, "share": share });
            value["epoch"] = json!(self.epoch);
        }
        value["notes"] = json!(self.notes);
        value["error"] = json!(self.error);
    }
}

/// What learning needs on both threads.
#[derive(Debug)]
pub(super) struct School {
    pub(super) learning: Learning,
    pub(super) recent: Recent,
    pub(super) log: Log,
    at_hand: Mutex<Option<AtHand>>,
}

impl School {
    /// No lesson is at hand yet.
    pub(super) fn new(learning: Learning) -> Self {
        let log = Log::beside(&learning.library);
        Self { learning, recent: Recent::default(), log, at_hand: Mutex::default() }
    }

    /// The lesson at hand.
    pub(super) fn at_hand(&self) -> MutexGuard<'_, Option<AtHand>> {
        self.at_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is known of the lesson at hand.
    pub(super) fn note(&self, change: impl FnOnce(&mut AtHand)) {
        if let Some(lesson) = &mut *self.at_hand() {
            change(lesson);
        }
    }

    /// The library, to read; `None` before the first lesson.
    ///
    /// # Errors
    /// As [`Library::open`].
    pub(super) fn library(&self) -> Result<Option<Library>> {
        let place = &self.learning.library;
        Library::exists(place).then(|| Library::open(place)).transpose()
    }

    /// What is told of every lesson, in order.
    ///
    /// # Errors
    /// Those of reading the library.
    pub(super) fn list(&self) -> Result<Vec<Value>> {
        // Before the library, so that a lesson which ends meanwhile is not told of as one that was stopped.
        let at_hand = self.at_hand().clone();
        let library = self.library()?;
        let known = library.iter().flat_map(Library::lessons);
        let mut list: Vec<Value> =
            known.map(|lesson| told(library.as_ref(), lesson, at_hand.as_ref())).collect();
        if let Some(new) = at_hand.filter(|lesson| lesson.number.is_none()) {
            let mut value = json!({ "object": "lesson", "number": null, "name": new.name });
            new.add_to(&mut value);
            list.push(value);
        }
        Ok(list)
    }

    /// What is told of the lesson of this number, or the last one of this name.
    ///
    /// # Errors
    /// A refusal where there is none; those of reading the library.
    pub(super) fn describe(&self, name: &str) -> std::result::Result<Value, Refusal> {
        let number = name.parse::<u64>().ok();
        let is_it = |lesson: &Value| {
            number.is_some_and(|number| lesson["number"] == number) || lesson["name"] == name
        };
        self.list()?.into_iter().rev().find(is_it).ok_or_else(|| {
            let shown: String = name.chars().take(80).collect();
            let message = format!("there is no lesson {shown:?}; GET /v1/lessons lists them");
            Refusal::new(StatusCode::NOT_FOUND, "lesson_not_found", message)
        })
    }
}

/// What is told of a lesson of the library.
fn told(library: Option<&Library>, lesson: &Lesson, at_hand: Option<&AtHand>) -> Value {
    let card = &lesson.card;
    let mut value = json!({
        "object": "lesson", "number": card.number, "name": card.name, "kind": card.kind.name(), "facts": lesson.facts.len(),
    });
    let Some(standing) = library.map(Library::standing) else { return value };
    let verdict = standing.verdict(card.number);
    let is_against = verdict.is_some_and(|verdict| verdict.decision == Decision::Rejected);
    value["state"] = json!(match standing.status(card.number) {
        Some(Status::Waiting) => "waiting",
        Some(Status::Accepted) => "accepted",
        Some(Status::Rejected) if is_against => "kept_apart",
        Some(Status::Rejected) => "rejected",
        Some(Status::RolledBack) => "rolled_back",
        Some(Status::Proposed) | None => "stopped",
    });
    value["gate"] = json!(verdict.map(|verdict| json!({
        "decision": verdict.decision, "words": verdict.lines(),
    })));
    value["cost"] = json!(standing.cost(card.number));
    let open = matches!(standing.status(card.number), Some(Status::Proposed));
    // One that was accepted a moment ago runs until its head is served.
    if let Some(lesson) =
        at_hand.filter(|lesson| lesson.number == Some(card.number) && (open || lesson.is_running))
    {
        lesson.add_to(&mut value);
    }
    value
}

/// Notes what a course tells.
pub(super) struct Reporter {
    pub(super) school: Arc<School>,
    pub(super) stopped: Arc<std::sync::atomic::AtomicBool>,
}

impl Reporter {
    /// Notes how far work is that tells of itself. Whether to go on.
    pub(super) fn go_on(&mut self, done: usize, all: usize, words: &str) -> bool {
        self.progress(done as u64, all as u64, words);
        !self.stopped()
    }
}

impl Listener for Reporter {
    fn news(&mut self, news: &News) -> Result<()> {
        self.school.note(|lesson| match news {
            News::Exam { what, questions } => {
                (lesson.what, lesson.done, lesson.all) = (format!("exam {what}"), 0, *questions as u64);
            }
            News::Epoch { epoch, .. } => lesson.epoch = Some(*epoch),
            News::Next { what } => lesson.notes.push(what.clone()),
            News::Recall { .. } | News::Judged { .. } => {}
        });
        Ok(())
    }

    fn progress(&mut self, done: u64, all: u64, words: &str) {
        self.school.note(|lesson| {
            (lesson.done, lesson.all) = (done, all);
            words.clone_into(&mut lesson.what);
        });
    }

    fn stopped(&self) -> bool {
        self.stopped.load(std::sync::atomic::Ordering::Relaxed)
    }
}

/// What a client is told that asked for something which a library does not do.
pub(super) fn refused(error: Error) -> Refusal {
    let status = match &error {
        Error::Input { .. } => StatusCode::BAD_REQUEST,
        Error::Busy { .. } => StatusCode::CONFLICT,
        _ => return error.into(),
    };
    Refusal::new(status, error.code(), error.to_string())
}
