//! Heads of a library on the learner of its base.

use super::library::Library;
use crate::Result;
use crate::ladder::learner::Learner;
use crate::train::adapter;
use crate::train::peft::AdapterFile;

/// A head, as it fits the learner's model.
///
/// # Errors
/// As [`Library::head`].
pub(super) fn read(library: &Library, learner: &mut Learner, head: &str) -> Result<AdapterFile> {
    library.head(head, &adapter::dims(learner.trainer().model().config()))
}

/// Gives the learner `head`, or an adapter that does nothing for the base.
///
/// # Errors
/// As [`Library::head`].
pub(super) fn load(library: &Library, learner: &mut Learner, head: Option<&str>) -> Result<()> {
    let file = match head {
        Some(head) => read(library, learner, head)?,
        None => library.card().settings.fresh(learner.trainer().model().config())?,
    };
    learner.take_adapter(&file)
}
