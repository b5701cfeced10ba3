//! What a run remembers, and the surroundings that it runs in.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use crate::ladder::events::{Event, EventSink, PassRate};
use crate::ladder::policy::AdapterFile;
use crate::ladder::tree::{Node, Rejection};
use crate::random::stream;
use crate::task::VariantKind;
use crate::train::checkpoint::State;
use crate::{Error, Result};

/// Where a run stands, apart from the tree and the trainer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Steps done.
    pub step: u64,
    /// Seed of the run and number of random streams used: the whole random state.
    pub random: Randomness,
    /// Nodes whose variants are still to be asked for.
    pub pending: VecDeque<u32>,
    /// Levels of the tree made before the first step.
    pub levels_grown: u32,
    /// Place in the cycles of temperatures and personas.
    pub cycle: Cycle,
    /// Transformations that the model wrote.
    #[serde(default)]
    pub library: Vec<Transformation>,
    /// Whether it was asked for them.
    #[serde(default)]
    pub library_extended: bool,
    /// Updates in a row that were not finite.
    pub non_finite_in_a_row: u32,
    /// Training rollout tokens so far, variants included.
    pub total_rollout_tokens: u64,
    /// Tokens spent on variants since the last step.
    pub variant_tokens: usize,
    /// Seconds so far.
    pub elapsed: f64,
    /// Seconds of all steps alone; evaluations and the first variants left out.
    pub step_seconds: f64,
    /// Step of the last evaluation.
    pub evaluated_at: Option<u64>,
    /// First evaluation.
    pub before: Option<PassRate>,
    /// Last evaluation.
    pub after: Option<PassRate>,
    /// Counts of dropped variants.
    pub rejections: BTreeMap<Rejection, u64>,
}

impl Progress {
    /// The beginning of a run.
    pub fn new(seed: u64) -> Self {
        Self {
            step: 0,
            random: Randomness { seed, streams: 0 },
            pending: VecDeque::new(),
            levels_grown: 0,
            cycle: Cycle::default(),
            library: Vec::new(),
            library_extended: false,
            non_finite_in_a_row: 0,
            total_rollout_tokens: 0,
            variant_tokens: 0,
            elapsed: 0.0,
            step_seconds: 0.0,
            evaluated_at: None,
            before: None,
            after: None,
            rejections: BTreeMap::new(),
        }
    }
}

/// A transformation that the model wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transformation {
    /// The kind of variant it makes.
    pub kind: VariantKind,
    /// In the model's words, bounded and free of control characters ([`crate::task::library::parse`]).
    pub text: String,
}

/// Places in the cycles that variant prompts go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cycle {
    /// Prompts that took a temperature.
    pub temperature: u64,
    /// Prompts that took a persona.
    pub persona: u64,
}

/// A seed and a count of streams: randomness that a checkpoint holds as two integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Randomness {
    seed: u64,
    streams: u64,
}

impl Randomness {
    /// The next stream; no two of a run are alike.
    pub fn stream(&mut self) -> rand_pcg::Pcg64Mcg {
        self.streams += 1;
        stream(self.seed, &[self.streams])
    }

    /// A seed for a sampler that has a generator of its own.
    pub fn seed(&mut self) -> u64 {
        rand::Rng::next_u64(&mut self.stream())
    }
}

/// Everything that a checkpoint holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Where the loop stands.
    pub progress: Progress,
    /// The tree.
    pub nodes: Vec<Node>,
    /// The trainer's state ([`crate::ladder::policy::Policy::state`]).
    pub trainer: State,
    /// The adapter as a PEFT folder; empty in a snapshot that was read back, since `trainer` holds its weights.
    pub adapter: Vec<AdapterFile>,
}

/// What the run adds to the trainer's state.
#[derive(Debug, Serialize, Deserialize)]
struct Place {
    progress: Progress,
    nodes: Vec<Node>,
    /// Length of the log, in the store's own unit; bytes of `events.jsonl` in a run folder.
    events_bytes: u64,
}

/// Where [`Place`] is in the JSON value of the trainer's state.
const PLACE: &str = "ladder";

impl Snapshot {
    /// Everything as one state; `position` is the length of the log that belongs to it.
    ///
    /// # Errors
    /// Those of [`State::put`].
    pub fn to_state(&self, position: u64) -> Result<State> {
        let mut state = self.trainer.clone();
        let (progress, nodes) = (self.progress.clone(), self.nodes.clone());
        state.put(PLACE, &Place { progress, nodes, events_bytes: position })?;
        Ok(state)
    }

    /// What [`Snapshot::to_state`] put together, and the length of the log; `file` is named in errors.
    ///
    /// # Errors
    /// [`Error::Input`] if it is no state of a run.
    pub fn from_state(mut trainer: State, file: &Path) -> Result<(Self, u64)> {
        let Place { progress, nodes, events_bytes } = trainer.get(PLACE, file)?;
        if let Some(parts) = trainer.value.as_object_mut() {
            parts.remove(PLACE);
        }
        Ok((Self { progress, nodes, trainer, adapter: Vec::new() }, events_bytes))
    }
}

/// Where a run keeps its log and its checkpoints.
pub trait Store {
    /// Appends to the log.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn append(&mut self, event: &Event) -> Result<()>;

    /// Length of the log, in the store's own unit.
    fn position(&self) -> u64;

    /// Cuts the log back to a length that [`Store::position`] gave.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn rewind(&mut self, position: u64) -> Result<()>;

    /// Replaces the checkpoint; the log up to here belongs to it.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn save(&mut self, snapshot: &Snapshot) -> Result<()>;
}

/// A store in memory: for test-time RL, and where there is no file system.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    /// The log.
    pub events: Vec<Event>,
    /// The last checkpoint.
    pub snapshot: Option<Snapshot>,
}

impl Store for MemoryStore {
    fn append(&mut self, event: &Event) -> Result<()> {
        self.events.push(event.clone());
        Ok(())
    }

    fn position(&self) -> u64 {
        self.events.len() as u64
    }

    fn rewind(&mut self, position: u64) -> Result<()> {
        self.events.truncate(position as usize);
        Ok(())
    }

    fn save(&mut self, snapshot: &Snapshot) -> Result<()> {
        self.snapshot = Some(snapshot.clone());
        Ok(())
    }
}

/// What surrounds a run.
pub struct Host<'a> {
    /// Log and checkpoints.
    pub store: &'a mut dyn Store,
    /// The listener.
    pub sink: &'a mut dyn EventSink,
    /// Seconds since some moment.
    pub clock: &'a dyn Fn() -> f64,
    /// Set to stop the run at the next opportunity.
    pub cancel: &'a AtomicBool,
}

impl Host<'_> {
    /// Logs and announces an event.
    ///
    /// # Errors
    /// The store's or the listener's.
    pub(crate) fn emit(&mut self, event: &Event) -> Result<()> {
        self.store.append(event)?;
        self.sink.event(event)
    }

    pub(crate) fn cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }

    pub(crate) fn check_cancelled(&self) -> Result<()> {
        if self.cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }
}
