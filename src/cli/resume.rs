//! Options beside a run or an adapter that is there already: who has the say, and how options are called.

use serde_json::Value;
use stepladder::Result;
use stepladder::train::resume::{self, Owner, Rule};

use super::context::{Context, option};

/// A run that goes on.
pub(super) const RUN: Owner<'static> = Owner {
    name: "the run",
    hint: "leave it out to go on, or start a new run in another folder (`--help` says what may change)",
};

/// The adapter that training goes on from.
pub(super) const ADAPTER: Owner<'static> = Owner {
    name: "the adapter",
    hint: "leave it out to go on with the adapter's own, or start without --adapter",
};

/// Holds the options of this call to what `owner` has.
///
/// # Errors
/// As [`resume::reconcile`].
pub(super) fn reconcile(
    context: &Context,
    owner: Owner<'_>,
    rules: &[(&str, &str, Rule)],
    asked: &Value,
    has: &mut Value,
) -> Result<()> {
    resume::reconcile(owner, rules, |name| context.is_given(name).then(|| option(name)), asked, has)
}
