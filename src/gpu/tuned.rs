//! Tuned kernels: choices between variants that were made by measurement on this adapter.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::Gpu;

/// Index of the chosen variant by what it is chosen for; 0, the default, where nothing was measured.
#[derive(Debug, Default)]
pub(super) struct Tuned(Mutex<BTreeMap<String, usize>>);

impl Gpu {
    /// The variant chosen for `key`. Recordings that are recorded later use it.
    pub fn choice(&self, key: &str) -> usize {
        self.tuned.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).copied().unwrap_or(0)
    }

    /// Chooses a variant.
    pub fn choose(&self, key: &str, index: usize) {
        self.tuned.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_string(), index);
    }
}
