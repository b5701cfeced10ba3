//! How a lesson begins: what a user gave becomes a lesson of a library, which is made where there is none yet.

use super::anchors::{self, Anchor};
use super::card::Card;
use super::library::Library;
use super::settings::LearnSettings;
use super::source::{Source, Wanted};
use crate::Result;
use crate::ladder::learner::Learner;
use crate::train::fingerprint::Base;

/// Where the lesson goes.
pub enum Place<'a> {
    /// A library, open for writing.
    There(Box<Library>),
    /// One that is to be made.
    New {
        /// The base model as the user named it.
        model: String,
        /// What ties the library to it.
        base: Base,
        /// How its lessons are learnt.
        settings: Box<LearnSettings>,
        /// Makes it.
        make: &'a dyn Fn(&Card, &[Anchor]) -> Result<Library>,
    },
}

/// Puts `source`, of which a document has been worked out, into a library: the library, and the number of the lesson that waits
/// to be learnt, which is the source's unless another one is not decided yet. The learner's adapter does nothing yet. `tell`
/// gets what is left out, `progress` (done, all, what) and may ask to stop by `false`.
///
/// # Errors
/// As [`Source::expect_fitting`], [`Source::propose`] and [`Library::create_in`]; GPU errors.
pub async fn begin(
    source: &Source,
    wanted: &Wanted,
    place: Place<'_>,
    learner: &mut Learner,
    tell: &mut dyn FnMut(&str),
    progress: &mut dyn FnMut(usize, usize, &str) -> bool,
) -> Result<(Library, u32)> {
    let settings = match &place {
        Place::There(library) => library.card().settings.clone(),
        Place::New { settings, .. } => (**settings).clone(),
    };
    source.expect_fitting(learner, &settings)?;
    let mut library = match place {
        Place::There(library) => *library,
        Place::New { model, base, settings, make } => {
            let mut go_on = |done, all| progress(done, all, "answers of the base");
            let anchors = anchors::make(learner, settings.seed, &mut go_on).await?;
            let loops = anchors::loops(learner, &anchors, &mut go_on).await?;
            make(&Card::new(model, base, *settings, loops), &anchors)?
        }
    };
    let number = match library.standing().pending() {
        Some(number) => number,
        None => source.propose(&mut library, learner, wanted, tell, progress).await?,
    };
    Ok((library, number))
}
