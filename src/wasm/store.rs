//! Log and checkpoints of a run in a store that JavaScript keeps.

use js_sys::{Function, Uint8Array};
use serde::Serialize;
use wasm_bindgen::prelude::*;

use super::convert::{method, thrown_text};
use crate::ladder::events::Event;
use crate::ladder::state::{Snapshot, Store};
use crate::{Error, Result};

/// An object with `append(line)`, `position()`, `rewind(position)` and `save(state)`, all synchronous.
pub(super) struct JsLog {
    object: JsValue,
    append: Function,
    position: Function,
    rewind: Function,
    save: Function,
}

impl JsLog {
    pub(super) fn new(object: JsValue) -> Result<Self> {
        let [append, position, rewind, save] =
            ["append", "position", "rewind", "save"].map(|name| method(&object, name));
        Ok(Self { append: append?, position: position?, rewind: rewind?, save: save?, object })
    }

    /// Appends a line to the log.
    pub(super) fn append_json(&self, line: &impl Serialize) -> Result<()> {
        let line =
            serde_json::to_string(line).map_err(|error| Error::write("the run's log", error.into()))?;
        self.call(&self.append, &line.into()).map(|_| ())
    }

    /// Length of the log, in the store's own unit.
    pub(super) fn position(&self) -> u64 {
        let position = self.position.call0(&self.object).ok();
        position.and_then(|position| position.as_f64()).unwrap_or(0.0) as u64
    }

    /// Replaces the checkpoint.
    pub(super) fn save_bytes(&self, state: &Uint8Array) -> Result<()> {
        self.call(&self.save, state).map(|_| ())
    }

    fn call(&self, function: &Function, argument: &JsValue) -> Result<JsValue> {
        function
            .call1(&self.object, argument)
            .map_err(|thrown| Error::write("the run's store", std::io::Error::other(thrown_text(&thrown))))
    }
}

/// The store of a run with events.
pub(super) struct JsStore(pub(super) JsLog);

impl Store for JsStore {
    fn append(&mut self, event: &Event) -> Result<()> {
        self.0.append_json(event)
    }

    fn position(&self) -> u64 {
        self.0.position()
    }

    fn rewind(&mut self, position: u64) -> Result<()> {
        self.0.call(&self.0.rewind, &(position as f64).into()).map(|_| ())
    }

    fn save(&mut self, snapshot: &Snapshot) -> Result<()> {
        let bytes = snapshot.to_state(self.position())?.to_bytes()?;
        self.0.save_bytes(&Uint8Array::from(&*bytes))
    }
}
