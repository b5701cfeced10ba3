//! The files that a study keeps its parts in.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::train::files::{read, write_atomic};
use crate::{Error, Result};

/// The value in `file`; `None` if there is no such file.
pub(crate) fn read_json<T: DeserializeOwned>(file: &Path) -> Result<Option<T>> {
    if !file.exists() {
        return Ok(None);
    }
    let bytes = read(file)?;
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        let hint = "remove that file; its part of the study is done again";
        Error::input(file, format!("line {}", error.line()), error.to_string(), hint)
    })
}

/// Writes `value` as JSON; the file is replaced whole.
pub(crate) fn write_json<T: Serialize>(file: &Path, value: &T) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|error| Error::write(file, error.into()))?;
    text.push(b'\n');
    write_atomic(file, &text)
}
