//! What requests can be computed with: the base, adapters, and a library's head, which changes while requests run.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::model::lora::Lora;

/// An adapter on the GPU, or none. Who holds one is computed with it to the end, whatever its name means by then.
pub(super) struct Adapter {
    /// Tells its keys and values from those of others; 0 is no adapter.
    pub(super) number: usize,
    /// Its values; none is the base.
    pub(super) lora: Option<Lora>,
    /// The library whose head it is, where questions are counted.
    pub(super) library: Option<PathBuf>,
}

impl std::fmt::Debug for Adapter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Adapter").field("number", &self.number).finish_non_exhaustive()
    }
}

/// All of them, each in the place that a name has.
#[derive(Debug)]
pub(super) struct Adapters {
    places: RwLock<Vec<Arc<Adapter>>>,
    /// Adapters that came since the start.
    loaded: RwLock<Vec<Loaded>>,
    next: AtomicUsize,
}

/// An adapter that came since the start.
#[derive(Debug, Clone)]
struct Loaded {
    name: String,
    /// What tells its values from those that had the name before.
    version: String,
    adapter: Arc<Adapter>,
}

impl Adapters {
    /// The base alone, in place 0.
    pub(super) fn new() -> Self {
        let base = Adapter { number: 0, lora: None, library: None };
        let places = RwLock::new(vec![Arc::new(base)]);
        Self { places, loaded: RwLock::default(), next: AtomicUsize::new(1) }
    }

    fn made(&self, lora: Option<Lora>, library: Option<PathBuf>) -> Arc<Adapter> {
        let number = if lora.is_some() { self.next.fetch_add(1, Ordering::Relaxed) } else { 0 };
        Arc::new(Adapter { number, lora, library })
    }

    /// Adds one in the next place.
    pub(super) fn push(&self, lora: Option<Lora>, library: Option<PathBuf>) {
        let made = self.made(lora, library);
        self.places.write().unwrap_or_else(PoisonError::into_inner).push(made);
    }

    /// Another one takes this place, for requests that come from now on.
    pub(super) fn replace(&self, place: usize, lora: Option<Lora>, library: Option<PathBuf>) {
        let made = self.made(lora, library);
        let mut places = self.places.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = places.get_mut(place) {
            *old = made;
        }
    }

    /// What is in a place now.
    pub(super) fn get(&self, place: usize) -> Option<Arc<Adapter>> {
        self.places.read().unwrap_or_else(PoisonError::into_inner).get(place).map(Arc::clone)
    }

    /// Gives a name to an adapter, in place of what had it before.
    pub(super) fn load(&self, name: &str, version: &str, lora: Option<Lora>, library: Option<PathBuf>) {
        let adapter = self.made(lora, library);
        let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        loaded.retain(|old| old.name != name);
        loaded.push(Loaded { name: name.to_owned(), version: version.to_owned(), adapter });
    }

    /// Takes a name away; requests that run keep what they are computed with. Whether there was one.
    pub(super) fn unload(&self, name: &str) -> bool {
        let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        let before = loaded.len();
        loaded.retain(|old| old.name != name);
        loaded.len() < before
    }

    /// What came under a name since the start.
    pub(super) fn named(&self, name: &str) -> Option<Arc<Adapter>> {
        let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
        loaded.iter().find(|loaded| loaded.name == name).map(|loaded| Arc::clone(&loaded.adapter))
    }

    /// Whether a name has these values already.
    pub(super) fn has(&self, name: &str, version: &str) -> bool {
        let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
        loaded.iter().any(|loaded| loaded.name == name && loaded.version == version)
    }

    /// Names that came since the start, in the order in which they came.
    pub(super) fn names(&self) -> Vec<String> {
        let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
        loaded.iter().map(|loaded| loaded.name.clone()).collect()
    }
}
