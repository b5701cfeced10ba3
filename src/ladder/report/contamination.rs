//! Every held-out problem that turned up among roots or variants, in whatever notation. None of them was trained on.

use serde::Serialize;

use super::text::printable;
use crate::ladder::events::{Event, WarningCode};
use crate::ladder::tree::Rejection;

/// Most hits that are written out.
const MAX_HITS: usize = 500;

/// What was refused because it is held out.
#[derive(Debug, Serialize)]
pub(super) struct Contamination {
    /// All of it.
    pub(super) count: usize,
    /// The first of them.
    pub(super) hits: Vec<Hit>,
}

/// One of them.
#[derive(Debug, Serialize)]
pub(super) struct Hit {
    /// Where it came from.
    source: String,
    /// Its text as it was written there.
    text: String,
}

impl Contamination {
    pub(super) fn of(events: &[Event]) -> Self {
        let mut hits = Vec::new();
        for event in events {
            match event {
                Event::Warning(warning)
                    if warning.code == WarningCode::RefusedRoot
                        && warning.message.ends_with(Rejection::HeldOut.words()) =>
                {
                    hits.push(Hit { source: "training problem".into(), text: printable(&warning.message) });
                }
                Event::Variants(variants) => {
                    let held_out =
                        variants.variants.iter().filter(|v| v.rejection == Some(Rejection::HeldOut));
                    hits.extend(held_out.map(|variant| Hit {
                        source: format!(
                            "step {}, variant of {}",
                            variants.step,
                            printable(&variants.problem)
                        ),
                        text: printable(&variant.problem),
                    }));
                }
                _ => {}
            }
        }
        let count = hits.len();
        hits.truncate(MAX_HITS);
        Self { count, hits }
    }
}
