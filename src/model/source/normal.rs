//! Weights in 4 bits as bitsandbytes stores them (`Linear4bit`, which Unsloth's uploads are): nibbles that choose from a table of 16
//! numbers, two a byte with the high one first, and a scale (`absmax`) for each block of the flattened matrix. With double
//! quantisation the scales are bytes that choose from a table of 256, with a scale for each block of these and one offset for all.

use serde_json::{Map, Value};

use super::below::{Below, Claim, Recipe, Wanted};
use super::{Dtype, TensorInfo};
use crate::Result;
use crate::kernel::weight::{GROUP, NF4};

/// What the names of a matrix's parts have after that of the matrix; the last begins a name that ends with the table's.
const PARTS: [&str; 5] =
    [".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map", ".quant_state.bitsandbytes__"];

/// What a `quant_state` says. The type is that of the table, and the two others are those that programs round values to.
const SAID: [&str; 7] =
    ["shape", "blocksize", "nested_blocksize", "nested_offset", "quant_type", "dtype", "nested_dtype"];

/// The nibbles of a matrix and what they stand for.
struct Normal {
    nibbles: usize,
    scales: usize,
    cols: usize,
    /// Values that share a scale.
    block: usize,
    table: [f32; 16],
    nested: Option<Nested>,
}

/// What the bytes of scales stand for: `table[byte] * scales[block] + offset`.
struct Nested {
    table: Vec<f32>,
    scales: Vec<f32>,
    /// Scales that share one.
    block: usize,
    offset: f32,
}

/// Claims a matrix with such parts beside it.
pub(super) fn claim(below: &mut Below, _: &Wanted, info: &TensorInfo) -> Result<Option<Claim>> {
    let is_part = |part: &&str| {
        let stem = info.name.find(*part).map(|at| &info.name[..at]);
        stem.is_some_and(|stem| state(below, stem).is_some())
    };
    if PARTS.iter().any(is_part) {
        return Ok(Some(Claim::Part));
    }
    let (Some(state), Some(nibbles)) = (state(below, &info.name), below.find(&info.name)) else {
        return Ok(None);
    };
    let text = below.whole(state)?;
    let Ok(said) = serde_json::from_slice::<Map<String, Value>>(&text) else {
        return Err(below.refuse(&info.name, "has a quant_state that is no JSON"));
    };
    if let Some(name) = said.keys().find(|name| !SAID.contains(&name.as_str())) {
        let problem = format!("has a quant_state with {name:?}, and what that means is not known here");
        return Err(below.refuse(&info.name, problem));
    }
    let count = |name: &str| said.get(name).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
    let shape: Option<Vec<usize>> =
        said.get("shape").and_then(|shape| serde_json::from_value(shape.clone()).ok());
    let (Some(block), Some(&[rows, cols])) =
        (count("blocksize"), shape.as_deref().and_then(<[usize]>::as_array))
    else {
        return Err(below.refuse(
            &info.name,
            "has a quant_state without blocksize, or with a shape that is none of a matrix",
        ));
    };
    let values = rows.checked_mul(cols).unwrap_or(0);
    let bytes = info.rows() * info.row_bytes();
    if bytes * 2 != values
        || info.cols() != 1
        || values == 0
        || !block.is_multiple_of(GROUP)
        || !cols.is_multiple_of(GROUP)
        || block == 0
    {
        let problem = format!(
            "has {bytes} bytes in blocks of {block} for shape [{rows}, {cols}], where two values a byte in blocks and rows of whole {GROUP} are read"
        );
        return Err(below.refuse(&info.name, problem));
    }
    let scales = values.div_ceil(block);
    let table = vector(below, &info.name, ".quant_map", 16)?;
    let table: [f32; 16] = std::array::from_fn(|i| table[i]);
    let nested = nested(below, &info.name, &said, scales)?;
    let absmax = find(below, &info.name, PARTS[0])?;
    let (dtype, length) = (below.info(absmax).dtype, below.info(absmax).rows() * below.info(absmax).cols());
    let fits = if nested.is_some() { dtype == Dtype::U8 } else { !dtype.is_part() };
    if !fits || length != scales {
        return Err(below.refuse(
            &info.name,
            format!("has {length} scales of type {}, where {scales} are needed", dtype.name()),
        ));
    }
    let dtype = if table == NF4 { Dtype::Nf4 } else { Dtype::F32 };
    let info = TensorInfo { name: info.name.clone(), dtype, shape: vec![rows, cols] };
    Ok(Some(Claim::Matrix(info, Box::new(Normal { nibbles, scales: absmax, cols, block, table, nested }))))
}

/// The description of the matrix `name`.
fn state(below: &Below, name: &str) -> Option<usize> {
    ["nf4", "fp4"].iter().find_map(|kind| below.find(&format!("{name}{}{kind}", PARTS[4])))
}

fn find(below: &Below, name: &str, part: &str) -> Result<usize> {
    below.find(&format!("{name}{part}")).ok_or_else(|| below.refuse(name, format!("has no {part} beside it")))
}

/// A part that is `length` floats.
fn vector(below: &mut Below, name: &str, part: &str, length: usize) -> Result<Vec<f32>> {
    let at = find(below, name, part)?;
    let info = below.info(at);
    if info.shape != [length] || info.dtype.is_part() {
        let problem = format!(
            "has {part} of shape {:?} in {}, where {length} floats are needed",
            info.shape,
            info.dtype.name()
        );
        return Err(below.refuse(name, problem));
    }
    below.numbers(at, 0, 1)
}

/// How the scales themselves are quantised, if they are.
fn nested(below: &mut Below, name: &str, said: &Map<String, Value>, scales: usize) -> Result<Option<Nested>> {
    let Some(block) = said.get("nested_blocksize").filter(|block| !block.is_null()) else { return Ok(None) };
    let block = block.as_u64().and_then(|block| usize::try_from(block).ok()).filter(|&block| block > 0);
    let offset = said.get("nested_offset").and_then(Value::as_f64);
    let (Some(block), Some(offset)) = (block, offset) else {
        return Err(below.refuse(name, "has a quant_state without nested_blocksize or nested_offset"));
    };
    let table = vector(below, name, PARTS[3], 256)?;
    let scales = vector(below, name, PARTS[2], scales.div_ceil(block))?;
    Ok(Some(Nested { table, scales, block, offset: offset as f32 }))
}

impl Recipe for Normal {
    fn rows(&self, below: &mut Below, start: usize, count: usize, out: &mut Vec<u8>) -> Result<()> {
        let bytes = below.whole(self.scales)?;
        let numbers = match &self.nested {
            Some(nested) => {
                let value = |(at, &byte): (usize, &u8)| {
                    nested.table[usize::from(byte)] * nested.scales[at / nested.block] + nested.offset
                };
                bytes.iter().enumerate().map(value).collect()
            }
            None => {
                let mut numbers = vec![0.0; below.info(self.scales).cols() * below.info(self.scales).rows()];
                super::quant::dequantize(below.info(self.scales).dtype, &bytes, &mut numbers)?;
                numbers
            }
        };
        // The type that bytes are stored under may be a wider one.
        let width = below.info(self.nibbles).row_bytes();
        let row = self.cols / 2 / width;
        let nibbles = below.read(self.nibbles, start * row, count * row)?;
        for (at, block) in nibbles.chunks_exact(GROUP / 2).enumerate() {
            let scale: f32 = numbers[(start * self.cols + at * GROUP) / self.block];
            if self.table == NF4 {
                out.extend(scale.to_le_bytes());
                out.extend_from_slice(block);
                continue;
            }
            for byte in block {
                for nibble in [byte >> 4, byte & 15] {
                    out.extend((self.table[usize::from(nibble)] * scale).to_le_bytes());
                }
            }
        }
        Ok(())
    }
}
