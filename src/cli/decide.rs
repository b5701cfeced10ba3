//! `stepladder accept`, `reject` and `rollback`: which lessons of a library count. No GPU is needed.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::json;
use stepladder::Result;
use stepladder::lessons::board::wrapped;
use stepladder::lessons::decide::{self, Accepted};
use stepladder::lessons::library::Library;

use super::context::Context;
use super::signals::say;

/// Options of `accept`.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct AcceptArgs {
    /// The folder of the library
    #[arg(value_name = "LIBRARY")]
    pub(super) library: PathBuf,
}

/// Options of `reject`.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct RejectArgs {
    /// The folder of the library
    #[arg(value_name = "LIBRARY")]
    pub(super) library: PathBuf,
    /// Why, for the ledger
    #[arg(long, value_name = "TEXT", default_value = "by the user")]
    pub(super) reason: String,
}

/// Options of `rollback`.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct RollbackArgs {
    /// The folder of the library
    #[arg(value_name = "LIBRARY")]
    pub(super) library: PathBuf,
    /// The lesson to take back, with all that were accepted after it [default: the last one]
    #[arg(value_name = "LESSON")]
    pub(super) lesson: Option<u32>,
}

/// Makes the candidate that waits the head.
pub(super) fn accept(args: &AcceptArgs, context: &Context) -> Result<()> {
    let mut library = open(&args.library)?;
    let Accepted { lesson, head, against } = decide::accept(&mut library)?;
    if let Some(reason) = against {
        say(wrapped(&format!("the gate did not let it through: {reason}"), "  ").trim_end());
    }
    let title = library.lesson(lesson)?.title();
    context.answer(&json!({ "event": "accepted", "lesson": lesson, "head": head }), || {
        format!("{title} is accepted")
    })
}

/// Keeps the lesson that waits apart.
pub(super) fn reject(args: &RejectArgs, context: &Context) -> Result<()> {
    let mut library = open(&args.library)?;
    let lesson = decide::reject(&mut library, &args.reason)?;
    let title = library.lesson(lesson)?.title();
    context.answer(&json!({ "event": "rejected", "lesson": lesson, "reason": args.reason }), || {
        format!("{title} is kept apart; the head is unchanged")
    })
}

/// Takes lessons back.
pub(super) fn rollback(args: &RollbackArgs, context: &Context) -> Result<()> {
    let mut library = open(&args.library)?;
    let (lessons, head) = decide::roll_back(&mut library, args.lesson)?;
    let names: Vec<String> = lessons
        .iter()
        .map(|number| library.lesson(*number).map(|lesson| lesson.title()))
        .collect::<Result<_>>()?;
    context.answer(&json!({ "event": "rolled_back", "lessons": lessons, "head": head }), || {
        let head = head.as_deref().unwrap_or("the base model");
        format!("taken back: {}; the head is {head}", names.join(", "))
    })
}

fn open(path: &std::path::Path) -> Result<Library> {
    let library = Library::open_to_write(path)?;
    if let Some(word) = library.ledger().warning() {
        say(&word);
    }
    Ok(library)
}
