//! Files of a model whose bytes JavaScript reads: synchronous access handles in a browser's worker, `fs` in Node.

use std::path::{Path, PathBuf};

use js_sys::{Array, Function, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;

use super::convert::{method, thrown_text};
use crate::model::source::ReadAt;
use crate::{Error, Result};

/// An object with `name`, `size` and `readAt(offset, into)`.
pub(super) struct JsFile {
    path: PathBuf,
    len: u64,
    object: JsValue,
    read_at: Function,
}

impl JsFile {
    fn new(object: JsValue) -> Result<Self> {
        let field = |name: &str| Reflect::get(&object, &name.into()).unwrap_or_default();
        let name = field("name").as_string().unwrap_or_default();
        let size = field("size").as_f64();
        let Some(len) = size.filter(|size| *size >= 0.0 && size.fract() == 0.0) else {
            return Err(Error::usage(
                "files",
                format!("`{name}` has no size"),
                "give each file name and size",
            ));
        };
        Ok(Self { path: name.into(), len: len as u64, read_at: method(&object, "readAt")?, object })
    }

    /// All files of an array.
    pub(super) fn all(files: &Array) -> Result<Vec<Self>> {
        files.iter().map(Self::new).collect()
    }
}

impl ReadAt for JsFile {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> Result<()> {
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > self.len) {
            return Err(Error::read(&self.path, std::io::ErrorKind::UnexpectedEof.into()));
        }
        let into = Uint8Array::new_with_length(out.len() as u32);
        self.read_at
            .call2(&self.object, &(offset as f64).into(), &into)
            .map_err(|thrown| Error::read(&self.path, std::io::Error::other(thrown_text(&thrown))))?;
        into.copy_to(out);
        Ok(())
    }

    fn path(&self) -> &Path {
        &self.path
    }
}
