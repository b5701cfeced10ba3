//! How a GGUF file lies on the disk: version 3, little-endian, tensors aligned to [`ALIGNMENT`] bytes.

use crate::model::source::Dtype;
use crate::model::source::gguf_metadata::Value;
use crate::{Error, Result};

/// Tensor data begins at multiples of this many bytes (GGUF's default).
pub const ALIGNMENT: usize = 32;

/// GGUF's numbers of the types of values.
const UINT32: u32 = 4;
const INT32: u32 = 5;
const FLOAT32: u32 = 6;
const BOOL: u32 = 7;
const STRING: u32 = 8;
const ARRAY: u32 = 9;

/// A key's value as it is written.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// Whole numbers in 32 bits, floats as singles.
    Value(Value),
    /// An array of truth values.
    Flags(Vec<bool>),
    /// Type and bytes as another file has them.
    Raw(Vec<u8>),
}

impl From<&str> for Entry {
    fn from(text: &str) -> Self {
        Self::Value(Value::Text(text.to_owned()))
    }
}

impl From<bool> for Entry {
    fn from(flag: bool) -> Self {
        Self::Value(Value::Bool(flag))
    }
}

impl From<u32> for Entry {
    fn from(number: u32) -> Self {
        Self::Value(Value::Int(number.into()))
    }
}

impl From<f32> for Entry {
    fn from(number: f32) -> Self {
        Self::Value(Value::Float(number.into()))
    }
}

/// Keys with their values, in the order of the file.
pub type Entries = Vec<(String, Entry)>;

/// A tensor's place in the list of tensors.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorEntry {
    /// The name in GGUF files.
    pub name: String,
    /// `[out, in]` of a matrix, `[n]` of a vector.
    pub shape: Vec<usize>,
    /// How its values are stored.
    pub dtype: Dtype,
}

impl TensorEntry {
    /// Bytes of its data.
    ///
    /// # Errors
    /// [`Error::Shape`] if its rows are not whole blocks.
    pub fn bytes(&self) -> Result<usize> {
        let cols = self.shape.last().copied().unwrap_or(1);
        let rows: usize = self.shape.iter().rev().skip(1).product();
        let row = self.dtype.size(cols).ok_or_else(|| Error::Shape {
            kernel: "GGUF export",
            arg: "columns",
            expected: vec![self.dtype.block().0],
            got: self.shape.clone(),
        })?;
        Ok(rows * row)
    }
}

/// Everything before the data of the first tensor. What follows are the tensors in this order, each filled up to
/// [`ALIGNMENT`] with zeros.
///
/// # Errors
/// [`Error::Shape`] if a tensor's rows are not whole blocks.
pub fn header(entries: &[(String, Entry)], tensors: &[TensorEntry]) -> Result<Vec<u8>> {
    let mut out = Vec::from(*b"GGUF");
    out.extend(3u32.to_le_bytes());
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend((entries.len() as u64).to_le_bytes());
    for (key, entry) in entries {
        push_text(&mut out, key);
        push_entry(&mut out, entry);
    }
    let mut offset = 0;
    for tensor in tensors {
        push_text(&mut out, &tensor.name);
        out.extend((tensor.shape.len() as u32).to_le_bytes());
        // GGUF lists the contiguous dimension first.
        tensor.shape.iter().rev().for_each(|&size| out.extend((size as u64).to_le_bytes()));
        out.extend(tensor.dtype.ggml().to_le_bytes());
        out.extend((offset as u64).to_le_bytes());
        offset += tensor.bytes()?.next_multiple_of(ALIGNMENT);
    }
    out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
    Ok(out)
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn push_entry(out: &mut Vec<u8>, entry: &Entry) {
    let mut array = |kind: u32, count: usize| {
        out.extend(ARRAY.to_le_bytes());
        out.extend(kind.to_le_bytes());
        out.extend((count as u64).to_le_bytes());
    };
    match entry {
        Entry::Raw(bytes) => out.extend_from_slice(bytes),
        Entry::Flags(flags) => {
            array(BOOL, flags.len());
            out.extend(flags.iter().map(|&flag| u8::from(flag)));
        }
        Entry::Value(value) => match value {
            Value::Texts(texts) => {
                array(STRING, texts.len());
                texts.iter().for_each(|text| push_text(out, text));
            }
            Value::Ints(numbers) => {
                array(INT32, numbers.len());
                numbers.iter().for_each(|&number| out.extend((number as i32).to_le_bytes()));
            }
            Value::Floats(numbers) => {
                array(FLOAT32, numbers.len());
                numbers.iter().for_each(|number| out.extend(number.to_le_bytes()));
            }
            // Nothing here makes one.
            Value::Skipped => array(BOOL, 0),
            Value::Int(number) => {
                out.extend(UINT32.to_le_bytes());
                out.extend((*number as u32).to_le_bytes());
            }
            Value::Float(number) => {
                out.extend(FLOAT32.to_le_bytes());
                out.extend((*number as f32).to_le_bytes());
            }
            Value::Bool(flag) => {
                out.extend(BOOL.to_le_bytes());
                out.push(u8::from(*flag));
            }
            Value::Text(text) => {
                out.extend(STRING.to_le_bytes());
                push_text(out, text);
            }
        },
    }
}
