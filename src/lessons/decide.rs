//! Decisions about lessons: which of them count. No model is needed.

use serde::Serialize;

use super::gate::{Decision, Verdict};
use super::ledger::Entry;
use super::library::Library;
use super::standing::Status;
use crate::{Error, Result};

/// A lesson that was accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// Its number.
    pub lesson: u32,
    /// The new head.
    pub head: String,
    /// Why the gate had not let it through, if it had not.
    pub against: Option<String>,
}

/// What became of a lesson that was examined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Its candidate is the head.
    Accepted,
    /// It is kept apart.
    Rejected,
    /// The gate let it through, and a person decides.
    Waiting,
    /// The gate cannot tell, and a person decides.
    CannotTell,
}

/// Follows the gate's word on a lesson: what it rejects is kept apart; the rest becomes the head if `accept` says so, or waits.
///
/// # Errors
/// [`Error::Io`].
pub fn conclude(library: &mut Library, lesson: u32, verdict: &Verdict, accept: bool) -> Result<Outcome> {
    let head = library.standing().candidate(lesson).map(str::to_owned);
    match (verdict.decision, head) {
        (Decision::Rejected, _) => {
            library.note(Entry::Rejected { lesson, reason: verdict.reason() })?;
            Ok(Outcome::Rejected)
        }
        (_, Some(head)) if accept => {
            library.note(Entry::Accepted { lesson, head })?;
            Ok(Outcome::Accepted)
        }
        (Decision::CannotTell, _) => Ok(Outcome::CannotTell),
        (Decision::Accepted, _) => Ok(Outcome::Waiting),
    }
}

/// Makes the candidate that waits the head.
///
/// # Errors
/// [`Error::Usage`] if none waits; [`Error::Input`] if its head is damaged; [`Error::Io`].
pub fn accept(library: &mut Library) -> Result<Accepted> {
    let lesson = pending(library)?;
    let examined = library.standing().status(lesson) == Some(Status::Waiting);
    let Some(head) = library.standing().candidate(lesson).filter(|_| examined).map(str::to_owned) else {
        let problem = format!("{} is not examined yet", library.lesson(lesson)?.title());
        return Err(Error::usage("library", problem, "`learn` without a source goes on with it"));
    };
    library.head_files(&head)?;
    let verdict = library.standing().verdict(lesson);
    let against = verdict.filter(|verdict| verdict.decision != Decision::Accepted).map(Verdict::reason);
    library.note(Entry::Accepted { lesson, head: head.clone() })?;
    Ok(Accepted { lesson, head, against })
}

/// Keeps the lesson that waits apart, for a `reason`; its number.
///
/// # Errors
/// [`Error::Usage`] if none waits; [`Error::Io`].
pub fn reject(library: &mut Library, reason: &str) -> Result<u32> {
    let lesson = pending(library)?;
    library.note(Entry::Rejected { lesson, reason: reason.to_owned() })?;
    Ok(lesson)
}

/// Takes back `lesson`, or the last one that counts, with all that were accepted after it: their numbers, and the head of the
/// time before them, `None` for the base.
///
/// # Errors
/// [`Error::Usage`] if it does not count, or the head before it knows what was left out since; [`Error::Input`] if that head is
/// damaged; [`Error::Io`].
pub fn roll_back(library: &mut Library, lesson: Option<u32>) -> Result<(Vec<u32>, Option<String>)> {
    library.expect_decided()?;
    let active = library.standing().active();
    let Some(number) = lesson.or(active.last().copied()) else {
        let problem = "no lesson counts, so that there is nothing to take back";
        return Err(Error::usage("lesson", problem, "accept a lesson first"));
    };
    let title = library.lesson(number)?.title();
    if !active.contains(&number) {
        let problem = format!("{title} does not count, so that it cannot be taken back");
        return Err(Error::usage("lesson", problem, "the board lists those that do"));
    }
    let Some((head, lessons)) = library.standing().before(number) else {
        let problem = format!("the head before {title} knows a lesson that was left out since");
        return Err(Error::usage("lesson", problem, "`consolidate` without it learns the others anew"));
    };
    if let Some(head) = &head {
        library.head_files(head)?;
    }
    library.note(Entry::RolledBack { lessons: lessons.clone(), head: head.clone() })?;
    Ok((lessons, head))
}

/// Fails where the lessons that count cannot be learnt anew, leaving those of `without` out.
///
/// # Errors
/// [`Error::Usage`] while a lesson waits, without any that counts, and for one of `without` that does not.
pub fn expect_consolidation(library: &Library, without: &[u32]) -> Result<()> {
    library.expect_decided()?;
    let active = library.standing().active();
    if active.is_empty() {
        return Err(Error::usage("library", "no lesson counts", "accept a lesson first"));
    }
    match without.iter().find(|number| !active.contains(number)) {
        None => Ok(()),
        Some(number) => {
            let problem = format!("lesson {number} does not count");
            Err(Error::usage("without", problem, "the board lists those that do"))
        }
    }
}

fn pending(library: &Library) -> Result<u32> {
    library
        .standing()
        .pending()
        .ok_or_else(|| Error::usage("library", "no lesson waits for a decision", "`learn` makes one"))
}
