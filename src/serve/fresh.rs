//! Numbers that nobody asked to be repeatable: names of answers, the seeds of requests that give none, the time.

use std::hash::{BuildHasher, RandomState};
use std::time::{SystemTime, UNIX_EPOCH};

/// A number that differs from call to call and from start to start, by the keys that the standard library draws for its tables.
pub(super) fn fresh() -> u64 {
    RandomState::new().hash_one(0)
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
