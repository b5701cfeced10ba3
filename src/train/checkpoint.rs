//! The state of a run as one file, `state.safetensors`: named f32 tensors (optimizer moments, the adapter's weights) and
//! one JSON value (step, seeds, cursor), so that both are always of the same step.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::tensor_file::{self, TensorFile};
use crate::{Error, Result};

/// The name of a run's checkpoint.
pub const STATE_FILE: &str = "state.safetensors";
/// The metadata key of the JSON value.
const KEY: &str = "state";
/// The field of the JSON value that holds the checksum of everything else.
const CHECKSUM: &str = "sha256";

/// A checkpoint's contents.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct State {
    /// Numbers by name; shapes are the reader's business.
    pub tensors: BTreeMap<String, Vec<f32>>,
    /// Everything else. Integers keep all 64 bits and finite floats all of theirs.
    pub value: Value,
}

impl State {
    /// The checkpoint as a file, with a checksum of all that it holds.
    ///
    /// Errors: [`Error::Usage`] if the header gets too large (100 MB).
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let tensors =
            self.tensors.iter().map(|(name, data)| (name.clone(), vec![data.len()], data.as_slice()));
        let mut value = self.value.clone();
        if let Some(parts) = value.as_object_mut() {
            parts.insert(CHECKSUM.into(), self.checksum().into());
        }
        tensor_file::to_bytes(tensors, (KEY, &value.to_string()))
    }

    fn checksum(&self) -> String {
        let mut hash = Sha256::new();
        for (name, data) in &self.tensors {
            hash.update(format!("{name}\0{}\0", data.len()));
            hash.update(bytemuck::cast_slice::<f32, u8>(data));
        }
        hash.update(self.value.to_string());
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The first tensor with a number that is not finite.
    pub fn not_finite(&self) -> Option<&str> {
        let bad = |data: &[f32]| data.iter().any(|number| !number.is_finite());
        self.tensors.iter().find(|(_, data)| bad(data)).map(|(name, _)| name.as_str())
    }

    /// Reads a checkpoint; `file` is named in errors.
    ///
    /// Errors: [`Error::Input`] if it is damaged, incomplete or no checkpoint. One without a checksum, as older versions
    /// wrote them, is taken as it is.
    pub fn from_bytes(bytes: &[u8], file: &Path) -> Result<Self> {
        let TensorFile { tensors, metadata } = TensorFile::from_bytes(bytes, file)?;
        if let Some((name, _)) = tensors.iter().find(|(_, tensor)| !tensor.data.iter().all(|x| x.is_finite()))
        {
            let hint =
                "the file is damaged; take an earlier copy of the run, or start again in another folder";
            return Err(Error::input(file, name, "holds a number that is not finite", hint));
        }
        let broken = |problem: String| {
            Error::input(
                file,
                KEY,
                problem,
                "this is no checkpoint of a run; start the run again in another folder",
            )
        };
        let value = metadata.get(KEY).ok_or_else(|| broken("is missing".into()))?;
        let mut value: Value = serde_json::from_str(value).map_err(|e| broken(e.to_string()))?;
        let checksum = value.as_object_mut().and_then(|parts| parts.shift_remove(CHECKSUM));
        let tensors = tensors.into_iter().map(|(name, tensor)| (name, tensor.data)).collect();
        let state = Self { tensors, value };
        if checksum.is_some_and(|checksum| checksum != Value::String(state.checksum())) {
            let hint = "the file is damaged; restore it if there is a copy";
            return Err(Error::input(file, CHECKSUM, "is not that of the contents", hint));
        }
        if let Some(name) = state.not_finite() {
            let hint = "the training that made it diverged; start again with a lower <learning_rate>";
            return Err(Error::input(file, name, "holds a number that is not finite", hint));
        }
        Ok(state)
    }

    /// Stores `part` under `name` in the JSON value, which becomes an object.
    ///
    /// Errors: [`Error::Usage`] if `part` has no JSON form.
    pub fn put(&mut self, name: &str, part: &impl Serialize) -> Result<()> {
        let part = serde_json::to_value(part)
            .map_err(|e| Error::usage(name, format!("cannot be saved: {e}"), "use plain data"))?;
        if !self.value.is_object() {
            self.value = Value::Object(serde_json::Map::new());
        }
        self.value[name] = part;
        Ok(())
    }

    /// The part stored under `name`; `file` is named in errors.
    ///
    /// Errors: [`Error::Input`] if it is missing or of another form.
    pub fn get<T: DeserializeOwned>(&self, name: &str, file: &Path) -> Result<T> {
        let part = self.value.get(name).cloned().unwrap_or_default();
        serde_json::from_value(part).map_err(|e| {
            Error::input(
                file,
                name,
                e.to_string(),
                "the checkpoint is of another version; start the run again",
            )
        })
    }

    /// Takes out the tensor `name`, which must have `length` numbers; `file` is named in errors.
    ///
    /// Errors: [`Error::Input`] if it is missing or has another length.
    pub fn take(&mut self, name: &str, length: usize, file: &Path) -> Result<Vec<f32>> {
        let hint = "resume with the model and adapter settings that the run was started with";
        let data = self.tensors.remove(name).ok_or_else(|| Error::input(file, name, "is missing", hint))?;
        match data.len() == length {
            true => Ok(data),
            false => {
                Err(Error::input(file, name, format!("has {} numbers, expected {length}", data.len()), hint))
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::train::files;

    fn state() -> State {
        let mut state = State::default();
        state.tensors.insert("adam.m/model.layers.0.self_attn.q_proj.a".into(), vec![1e-30, -2.0, f32::MAX]);
        state.tensors.insert("empty".into(), vec![]);
        state.put("step", &17u64).unwrap();
        state.put("rate", &0.1f64).unwrap();
        state.put("largest", &u64::MAX).unwrap();
        state
    }

    fn at() -> &'static Path {
        Path::new(STATE_FILE)
    }

    #[test]
    fn everything_survives_to_the_bit() {
        let saved = state();
        let mut read = State::from_bytes(&saved.to_bytes().unwrap(), at()).unwrap();
        assert_eq!(read, saved);
        assert_eq!(read.get::<u64>("largest", at()).unwrap(), u64::MAX);
        assert_eq!(read.get::<f64>("rate", at()).unwrap().to_bits(), 0.1f64.to_bits());
        let name = "adam.m/model.layers.0.self_attn.q_proj.a";
        assert_eq!(read.take(name, 3, at()).unwrap(), [1e-30, -2.0, f32::MAX]);
        assert_eq!(saved.to_bytes().unwrap(), state().to_bytes().unwrap());
    }

    #[test]
    fn what_is_missing_is_named() {
        let mut state = state();
        assert!(
            state
                .get::<u64>("epoch", at())
                .unwrap_err()
                .to_string()
                .starts_with("state.safetensors: epoch: ")
        );
        assert!(state.get::<u64>("rate", at()).is_err());
        assert!(state.take("absent", 1, at()).unwrap_err().to_string().contains("is missing"));
        assert!(state.take("empty", 1, at()).unwrap_err().to_string().contains("has 0 numbers, expected 1"));
    }

    #[test]
    fn other_files_are_input_errors() {
        let bytes = state().to_bytes().unwrap();
        assert_eq!(State::from_bytes(&bytes[..bytes.len() - 1], at()).unwrap_err().code(), "input");
        let other = tensor_file::to_bytes([], ("format", "pt")).unwrap();
        assert!(State::from_bytes(&other, at()).unwrap_err().to_string().contains("no checkpoint"));
        let broken = tensor_file::to_bytes([], ("state", "{")).unwrap();
        assert_eq!(State::from_bytes(&broken, at()).unwrap_err().code(), "input");
        let mut state = state();
        state.tensors.insert("adapter".into(), vec![1.0, f32::NAN]);
        let error = State::from_bytes(&state.to_bytes().unwrap(), at()).unwrap_err().to_string();
        assert!(
            error.starts_with("state.safetensors: adapter: holds a number that is not finite"),
            "{error}"
        );
    }

    #[test]
    fn is_written_and_read_as_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(STATE_FILE);
        files::write_state(folder.path(), &state()).unwrap();
        assert_eq!(files::read_state(&path).unwrap(), state());
        assert_eq!(files::write_state(&path.join("below-a-file"), &state()).unwrap_err().code(), "io");
        assert_eq!(files::read_state(&path).unwrap(), state());
    }

    #[test]
    fn a_flipped_bit_is_noticed_wherever_it_is() {
        let bytes = state().to_bytes().unwrap();
        for place in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 4;
            // A header is JSON: what means the same is the same.
            if let Ok(read) = State::from_bytes(&damaged, at()) {
                assert_eq!(read.tensors, state().tensors, "byte {place}");
                // Where the checksum's own name is damaged, the rest is not.
                for (name, part) in state().value.as_object().unwrap() {
                    assert_eq!(read.value.get(name), Some(part), "byte {place}");
                }
            }
        }
        let mut damaged = bytes.clone();
        let end = damaged.len() - 1;
        damaged[end] ^= 1;
        assert!(State::from_bytes(&damaged, at()).unwrap_err().to_string().contains("sha256"));
    }

    #[test]
    fn numbers_that_are_not_finite_are_refused_and_older_files_are_not() {
        let mut diverged = state();
        diverged.tensors.insert("adapter".into(), vec![0.0, f32::NAN]);
        assert_eq!(diverged.not_finite(), Some("adapter"));
        let error = State::from_bytes(&diverged.to_bytes().unwrap(), at()).unwrap_err().to_string();
        assert!(error.contains("adapter") && error.contains("not finite"), "{error}");
        let old = tensor_file::to_bytes([], (KEY, r#"{"step":17}"#)).unwrap();
        assert_eq!(State::from_bytes(&old, at()).unwrap().get::<u64>("step", at()).unwrap(), 17);
    }
}
