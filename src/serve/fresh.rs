//! Numbers that nobody asked to be repeatable: names of answers, and the seeds of requests that give none.

use std::hash::{BuildHasher, RandomState};

/// A number that differs from call to call and from start to start, by the keys that the standard library draws for its tables.
pub(super) fn fresh() -> u64 {
    RandomState::new().hash_one(0)
}
