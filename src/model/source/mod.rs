//! Where weights come from: a list of tensors, read by rows, so that a model larger than the host's memory can be
//! streamed to the GPU.
//!
//! Formats parse their headers over [`ReadAt`], which a file, static bytes or a browser's blob can implement.

pub mod bytes;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod durable;
pub mod expected;
pub mod folder;
pub mod gguf;
mod gguf_header;
pub mod gguf_metadata;
pub mod head;
pub mod names;
pub mod quant;
pub mod safetensors;

pub use super::config::tensors::expected;
pub use bytes::ReadAt;
pub use expected::{check, check_finite};
pub use gguf_header::part_names;

use std::path::Path;

use crate::{Error, Result};

/// How a tensor's values are stored. Block formats are ggml's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// IEEE double, of which the nearest single is used.
    F64,
    /// IEEE single.
    F32,
    /// IEEE half.
    F16,
    /// The upper half of an IEEE single.
    BF16,
    /// 8-bit, scale per 32.
    Q8_0,
    /// 4-bit, scale per 32.
    Q4_0,
    /// 4-bit, scale and minimum per 32.
    Q4_1,
    /// 5-bit, scale per 32.
    Q5_0,
    /// 5-bit, scale and minimum per 32.
    Q5_1,
    /// 4-bit, 6-bit scale and minimum per 32, in blocks of 256.
    Q4K,
    /// 5-bit, 6-bit scale and minimum per 32, in blocks of 256.
    Q5K,
    /// 6-bit, 8-bit scale per 16, in blocks of 256.
    Q6K,
}

impl Dtype {
    /// `(values, bytes)` of the smallest piece that can be decoded alone.
    pub const fn block(self) -> (usize, usize) {
        match self {
            Self::F64 => (1, 8),
            Self::F32 => (1, 4),
            Self::F16 | Self::BF16 => (1, 2),
            Self::Q8_0 => (32, 34),
            Self::Q4_0 => (32, 18),
            Self::Q4_1 => (32, 20),
            Self::Q5_0 => (32, 22),
            Self::Q5_1 => (32, 24),
            Self::Q4K => (256, 144),
            Self::Q5K => (256, 176),
            Self::Q6K => (256, 210),
        }
    }

    /// Bytes of `values` consecutive values; `None` if they are not whole blocks or the size overflows.
    pub fn size(self, values: usize) -> Option<usize> {
        let (block, bytes) = self.block();
        if values.is_multiple_of(block) { (values / block).checked_mul(bytes) } else { None }
    }
}

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
