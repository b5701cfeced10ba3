//! `stepladder accept`, `reject` and `rollback`: which lessons of a library count. No GPU is needed.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::json;
use stepladder::lessons::board::wrapped;
use stepladder::lessons::gate::Decision;
use stepladder::lessons::ledger::Entry;
use stepladder::lessons::library::Library;
use stepladder::lessons::standing::Status;
use stepladder::{Error, Result};

use super::context::Context;
use super::signals::{quoted, say};

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
    let number = pending(&library)?;
    let title = library.lesson(number)?.title();
    let examined = library.standing().status(number) == Some(Status::Waiting);
    let Some(head) = library.standing().candidate(number).filter(|_| examined).map(str::to_owned) else {
        let hint = format!("go on with: stepladder learn {}", quoted(&args.library));
        return Err(Error::usage("library", format!("{title} is not examined yet"), hint));
    };
    library.head_folder(&head)?;
    let verdict = library.standing().verdict(number);
    if let Some(verdict) = verdict.filter(|verdict| verdict.decision != Decision::Accepted) {
        say(wrapped(&format!("the gate did not let it through: {}", verdict.reason()), "  ").trim_end());
    }
    library.note(Entry::Accepted { lesson: number, head: head.clone() })?;
    context.answer(&json!({ "event": "accepted", "lesson": number, "head": head }), || {
        format!("{title} is accepted")
    })
}

/// Keeps the lesson that waits apart.
pub(super) fn reject(args: &RejectArgs, context: &Context) -> Result<()> {
    let mut library = open(&args.library)?;
    let number = pending(&library)?;
    let title = library.lesson(number)?.title();
    library.note(Entry::Rejected { lesson: number, reason: args.reason.clone() })?;
    context.answer(&json!({ "event": "rejected", "lesson": number, "reason": args.reason }), || {
        format!("{title} is kept apart; the head is unchanged")
    })
}

/// Takes lessons back.
pub(super) fn rollback(args: &RollbackArgs, context: &Context) -> Result<()> {
    let mut library = open(&args.library)?;
    library.expect_decided()?;
    let active = library.standing().active();
    let Some(number) = args.lesson.or(active.last().copied()) else {
        return Err(Error::usage(
            "lesson",
            "no lesson counts, so that there is nothing to take back",
            "see `stepladder board`",
        ));
    };
    let title = library.lesson(number)?.title();
    if !active.contains(&number) {
        let problem = format!("{title} does not count, so that it cannot be taken back");
        return Err(Error::usage("lesson", problem, "`stepladder board` lists those that do"));
    }
    let Some((head, lessons)) = library.standing().before(number) else {
        let problem = format!("the head before {title} knows a lesson that was left out since");
        let hint = format!("use: stepladder consolidate {} --without {number}", quoted(&args.library));
        return Err(Error::usage("lesson", problem, hint));
    };
    if let Some(head) = &head {
        library.head_folder(head)?;
    }
    library.note(Entry::RolledBack { lessons: lessons.clone(), head: head.clone() })?;
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

fn pending(library: &Library) -> Result<u32> {
    library.standing().pending().ok_or_else(|| {
        Error::usage("library", "no lesson waits for a decision", "`stepladder learn` makes one")
    })
}
