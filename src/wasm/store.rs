//! Log and checkpoints of a run in a store that JavaScript keeps.

use js_sys::{Function, Uint8Array};
use wasm_bindgen::prelude::*;

use super::convert::{method, thrown_text};
use crate::ladder::events::Event;
use crate::ladder::state::{Snapshot, Store};
use crate::{Error, Result};

/// An object with `append(line)`, `position()`, `rewind(position)` and `save(state)`, all synchronous.
pub(super) struct JsStore {
    object: JsValue,
    append: Function,
    position: Function,
    rewind: Function,
    save: Function,
}

impl JsStore {
    pub(super) fn new(object: JsValue) -> Result<Self> {
        let [append, position, rewind, save] =
            ["append", "position", "rewind", "save"].map(|name| method(&object, name));
        Ok(Self { append: append?, position: position?, rewind: rewind?, save: save?, object })
    }

    fn call(&self, function: &Function, argument: &JsValue) -> Result<JsValue> {
        function
            .call1(&self.object, argument)
            .map_err(|thrown| Error::write("the run's store", std::io::Error::other(thrown_text(&thrown))))
    }
}

impl Store for JsStore {
    fn append(&mut self, event: &Event) -> Result<()> {
        let line =
            serde_json::to_string(event).map_err(|error| Error::write("the run's log", error.into()))?;
        self.call(&self.append, &line.into()).map(|_| ())
    }

    fn position(&self) -> u64 {
        let position = self.position.call0(&self.object).ok();
        position.and_then(|position| position.as_f64()).unwrap_or(0.0) as u64
    }

    fn rewind(&mut self, position: u64) -> Result<()> {
        self.call(&self.rewind, &(position as f64).into()).map(|_| ())
    }

    fn save(&mut self, snapshot: &Snapshot) -> Result<()> {
        let bytes = snapshot.to_state(self.position())?.to_bytes()?;
        self.call(&self.save, &Uint8Array::from(&*bytes)).map(|_| ())
    }
}
