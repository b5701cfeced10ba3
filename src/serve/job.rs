//! What goes from clients to the thread that owns the GPU, and what comes back.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::adapters::Adapter;
use super::refusal::Refusal;
use super::text::Piece;
use crate::lessons::source::{Source, Wanted};
use crate::model::generate::{Adjustment, Request};
use crate::model::guide::Compiled;
use crate::model::score::Pooling;

/// What a client hears of its request. A job says a bounded number of things, so that its channel needs no bound.
#[derive(Debug)]
pub(super) enum Event {
    /// The completions of a prompt begin; so many of its tokens were in the cache.
    Begun { cached: usize },
    /// A completion goes on.
    News { choice: usize, piece: Piece },
    /// A completion ended, after so many tokens; it was cut if it ran into its limit.
    End { choice: usize, tokens: usize, cut: bool },
    /// There is no answer; nothing follows.
    Failed(Refusal),
}

/// What the engine is asked for.
#[derive(Debug)]
pub(super) enum Work {
    /// Completions.
    Draw(Box<Job>),
    /// Anything else.
    Wish(Order),
}

/// A request on its way through the engine.
#[derive(Debug)]
pub(super) struct Job {
    /// One for each prompt.
    pub(super) requests: Vec<Request>,
    pub(super) stop: Vec<String>,
    pub(super) adjustment: Adjustment,
    /// What every answer is held to.
    pub(super) form: Option<Compiled>,
    /// Whether log-probabilities are told, and of how many of the likeliest tokens.
    pub(super) logprobs: Option<usize>,
    /// What it is computed with.
    pub(super) adapter: Arc<Adapter>,
    pub(super) events: UnboundedSender<Event>,
    /// Its place in the queue, until it begins.
    pub(super) place: Option<OwnedSemaphorePermit>,
    pub(super) since: Instant,
}

/// A lesson that is to begin.
#[derive(Debug)]
pub(super) struct Plan {
    /// What is learnt; [`Source::Pending`] goes on with the one that was stopped.
    pub(super) source: Source,
    pub(super) wanted: Wanted,
    /// What of the feedback that waits it is made from.
    pub(super) feedback: Option<String>,
    /// Whether the head becomes what the gate lets through.
    pub(super) accept: bool,
    /// Its name, until the library knows it.
    pub(super) name: String,
}

/// What is asked of the thread that owns the GPU beside completions.
#[derive(Debug)]
pub(super) enum Wish {
    /// The adapter in this folder can be chosen by this name.
    Load { name: String, place: PathBuf },
    /// A text in tokens as one vector.
    Vector { tokens: Vec<u32>, adapter: Arc<Adapter>, pooling: Pooling },
    /// What the lesson of the library made can be chosen by requests.
    Lesson(u32),
    /// The library changes.
    Library(LibraryWish),
}

/// How the library is to change.
#[derive(Debug)]
pub(super) enum LibraryWish {
    /// Learn this.
    Begin(Box<Plan>),
    /// The lesson's candidate becomes the head.
    Accept(u32),
    /// The lesson is kept apart, for a reason.
    Reject(u32, String),
    /// Lessons are taken back: this one, or the last, with all after it.
    RollBack(Option<u32>),
}

/// A wish, and who waits for what comes of it.
pub(super) type Order = (Wish, oneshot::Sender<Result<Value, Refusal>>);
