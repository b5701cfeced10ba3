//! Where weights come from: a list of tensors, read by rows, so that a model larger than the host's memory can be
//! streamed to the GPU.
//!
//! Formats parse their headers over [`ReadAt`], which a file, static bytes or a browser's blob can implement.

mod below;
pub mod bytes;
mod dtype;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod durable;
pub mod expected;
pub mod folder;
pub mod gguf;
mod gguf_header;
pub mod gguf_metadata;
mod grouped;
pub mod head;
pub mod made;
pub mod names;
mod normal;
mod packed;
pub mod quant;
pub mod safetensors;
mod scaled;

pub use super::config::tensors::expected;
pub use bytes::ReadAt;
pub use dtype::Dtype;
pub use expected::{check, check_finite};
pub use gguf_header::{part_names, raw_metadata};

use std::path::Path;

use crate::{Error, Result};

/// A tensor's name, type and shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// The name in Hugging Face checkpoints, such as `model.layers.0.self_attn.q_proj.weight`.
    pub name: String,
    /// How its values are stored.
    pub dtype: Dtype,
    /// `[out, in]` for matrices, `[n]` for vectors.
    pub shape: Vec<usize>,
}

impl TensorInfo {
    /// Values in a row: the last dimension.
    pub fn cols(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// Number of rows; a vector is one row.
    pub fn rows(&self) -> usize {
        self.shape.iter().rev().skip(1).product()
    }

    /// Bytes of a row. Sources check when they open that rows are whole blocks.
    pub fn row_bytes(&self) -> usize {
        self.dtype.size(self.cols()).unwrap_or(0)
    }
}

/// The weights of a model.
pub trait TensorSource {
    /// The tensors, in the order of the file. Their sizes have been checked against the file's length.
    fn tensors(&self) -> &[TensorInfo];

    /// Replaces `out` with the raw bytes of rows `row_start .. row_start + row_count` of tensor `index`.
    ///
    /// Rows are in the order of Hugging Face checkpoints whatever the file's own order. Needs no more memory than
    /// those rows and one attention head's.
    ///
    /// # Errors
    /// `Io` if the file cannot be read any more, `Usage` if the rows do not exist.
    fn read(&mut self, index: usize, row_start: usize, row_count: usize, out: &mut Vec<u8>) -> Result<()>;

    /// The file or folder, for messages.
    fn name(&self) -> String;

    /// Whether weights of norms are as GGUF files have them: with what [`Family::norm_offset`] says.
    ///
    /// [`Family::norm_offset`]: super::family::Family::norm_offset
    fn is_gguf(&self) -> bool;
}

/// The byte range of some rows within a tensor, or an error if they are outside it.
pub(crate) fn row_range(name: &str, info: &TensorInfo, start: usize, count: usize) -> Result<(u64, usize)> {
    let rows = info.rows();
    if start.checked_add(count).is_none_or(|end| end > rows) {
        return Err(Error::usage(
            format!("{name}: {}", info.name),
            format!("rows {start}..{start}+{count} are outside its {rows}"),
            "read rows that exist",
        ));
    }
    let row_bytes = info.row_bytes();
    Ok((start as u64 * row_bytes as u64, count * row_bytes))
}

/// An error about the contents of a weights file.
pub(crate) fn broken(file: &Path, field: impl Into<String>, problem: impl Into<String>) -> Error {
    Error::input(file, field, problem, "download the file again; it is damaged or not what its name says")
}
