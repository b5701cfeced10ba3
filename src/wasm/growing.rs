//! Files that JavaScript reads and writes in place: synchronous access handles in a browser's worker, memory in Node.

use std::fmt;

use js_sys::{Function, Uint8Array};
use wasm_bindgen::prelude::*;

use super::convert::{method, thrown_text};
use crate::lessons::pack::Growing;
use crate::{Error, Result};

/// An object with `size()`, `readAt(offset, into)`, `writeAt(offset, bytes)` and `truncate(size)`, which throw where they fail.
pub(super) struct JsGrowing {
    object: JsValue,
    size: Function,
    read_at: Function,
    write_at: Function,
    truncate: Function,
}

impl JsGrowing {
    pub(super) fn new(object: JsValue) -> Result<Self> {
        let [size, read_at, write_at, truncate] =
            ["size", "readAt", "writeAt", "truncate"].map(|name| method(&object, name));
        Ok(Self { size: size?, read_at: read_at?, write_at: write_at?, truncate: truncate?, object })
    }
}

impl fmt::Debug for JsGrowing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JsGrowing")
    }
}

/// Where the file is, for messages.
const PLACE: &str = "the library's file";

fn failed(thrown: &JsValue) -> std::io::Error {
    std::io::Error::other(thrown_text(thrown))
}

impl Growing for JsGrowing {
    fn size(&self) -> Result<u64> {
        let size = self.size.call0(&self.object).map_err(|thrown| Error::read(PLACE, failed(&thrown)))?;
        let size = size.as_f64().filter(|size| *size >= 0.0);
        size.map(|size| size as u64).ok_or_else(|| Error::read(PLACE, std::io::ErrorKind::NotFound.into()))
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let end = offset.checked_add(out.len() as u64);
        if end.is_none_or(|end| self.size().is_ok_and(|size| end > size)) {
            return Err(Error::read(PLACE, std::io::ErrorKind::UnexpectedEof.into()));
        }
        let into = Uint8Array::new_with_length(out.len() as u32);
        let read = self.read_at.call2(&self.object, &(offset as f64).into(), &into);
        read.map_err(|thrown| Error::read(PLACE, failed(&thrown)))?;
        into.copy_to(out);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let written =
            self.write_at.call2(&self.object, &(offset as f64).into(), &Uint8Array::from(bytes).into());
        written.map(|_| ()).map_err(|thrown| Error::write(PLACE, failed(&thrown)))
    }

    fn truncate(&self, size: u64) -> Result<()> {
        let cut = self.truncate.call1(&self.object, &(size as f64).into());
        cut.map(|_| ()).map_err(|thrown| Error::write(PLACE, failed(&thrown)))
    }
}
