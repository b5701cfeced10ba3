//! Weights in 8-bit floats (F8_E4M3) with scales, as Qwen, DeepSeek and Mistral publish them: value = float · scale, where one scale
//! is for the whole matrix, for a row, or for a block of 128 x 128 (transformers' `finegrained_fp8`; `weight_scale_inv` multiplies
//! whatever its name says). They are read as f32, in which the product is rounded once.

use std::collections::HashMap;

use super::{Dtype, TensorInfo, TensorSource, quant};
use crate::{Error, Result};

/// Rows and columns of a block.
pub const BLOCK: usize = 128;
/// What the name of a matrix's scales has after that of the matrix.
const SCALES: &str = "_scale_inv";
/// Scales of what goes into a matrix: inputs are not rounded here.
const INPUT_SCALE: &str = "activation_scale";

/// The tensors of one matrix in the source below.
#[derive(Clone, Copy)]
enum Place {
    /// A tensor as it is.
    Whole(usize),
    /// Floats and scales, and how many rows and columns share one.
    Scaled { floats: usize, scales: usize, block: [usize; 2] },
}

/// A source with its scales applied.
struct Scaled {
    inner: Box<dyn TensorSource>,
    tensors: Vec<TensorInfo>,
    places: Vec<Place>,
    bytes: Vec<u8>,
}

/// `source` with one F32 tensor for floats and scales of each matrix in F8_E4M3; itself if it has none such.
///
/// # Errors
/// `Input` naming a matrix without scales, or with scales of another shape.
pub fn scaled(source: Box<dyn TensorSource>) -> Result<Box<dyn TensorSource>> {
    let all = source.tensors();
    if !all.iter().any(|tensor| tensor.dtype == Dtype::F8E4M3) {
        return Ok(source);
    }
    let index: HashMap<&str, usize> =
        all.iter().enumerate().map(|(index, tensor)| (tensor.name.as_str(), index)).collect();
    let is_f8 = |name: &str| index.get(name).is_some_and(|&index| all[index].dtype == Dtype::F8E4M3);
    let (mut tensors, mut places) = (Vec::new(), Vec::new());
    for (at, info) in all.iter().enumerate() {
        let input = info.name.strip_suffix(INPUT_SCALE).is_some_and(|stem| is_f8(&format!("{stem}weight")));
        if input || info.name.strip_suffix(SCALES).is_some_and(is_f8) {
            continue;
        }
        if info.dtype != Dtype::F8E4M3 {
            tensors.push(info.clone());
            places.push(Place::Whole(at));
            continue;
        }
        let refuse = |problem: String| {
            let hint = "use the model in F16 or BF16, or a GGUF file of it";
            Error::input(source.name(), &info.name, problem, hint)
        };
        let scales = index.get(format!("{}{SCALES}", info.name).as_str()).copied();
        let scales =
            scales.ok_or_else(|| refuse(format!("is F8_E4M3 without a {SCALES} tensor beside it")))?;
        let block = block(info, &all[scales]).ok_or_else(|| {
            let shape = &all[scales].shape;
            refuse(format!(
                "has scales of shape {shape:?}, where one, one a row, or one for each {BLOCK} x {BLOCK} is read"
            ))
        })?;
        tensors.push(TensorInfo { dtype: Dtype::F32, ..info.clone() });
        places.push(Place::Scaled { floats: at, scales, block });
    }
    Ok(Box::new(Scaled { inner: source, tensors, places, bytes: Vec::new() }))
}

/// How many rows and columns of `floats` share a scale.
fn block(floats: &TensorInfo, scales: &TensorInfo) -> Option<[usize; 2]> {
    let [rows, cols] = floats.shape[..] else { return None };
    let is_float = matches!(scales.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16);
    match scales.shape[..] {
        _ if !is_float => None,
        [] | [1] | [1, 1] => Some([rows, cols]),
        [count, 1] if count == rows => Some([1, cols]),
        [down, across] if [down, across] == [rows, cols].map(|size| size.div_ceil(BLOCK)) => {
            Some([BLOCK, BLOCK])
        }
        _ => None,
    }
}

impl TensorSource for Scaled {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn read(&mut self, index: usize, row_start: usize, row_count: usize, out: &mut Vec<u8>) -> Result<()> {
        let (floats, scales, [high, wide]) = match self.places[index] {
            Place::Whole(index) => return self.inner.read(index, row_start, row_count, out),
            Place::Scaled { floats, scales, block: [high, wide] } => (floats, scales, [high, wide]),
        };
        self.inner.read(floats, row_start, row_count, &mut self.bytes)?;
        let cols = self.tensors[index].cols();
        let mut values = vec![0.0; self.bytes.len()];
        quant::dequantize(Dtype::F8E4M3, &self.bytes, &mut values)?;
        let (first, end) = (row_start / high, (row_start + row_count).div_ceil(high));
        self.inner.read(scales, first, end - first, &mut self.bytes)?;
        let across = cols.div_ceil(wide);
        let mut factors = vec![0.0; (end - first) * across];
        quant::dequantize(self.inner.tensors()[scales].dtype, &self.bytes, &mut factors)?;
        out.clear();
        out.reserve(values.len() * size_of::<f32>());
        for (row, values) in values.chunks_exact(cols).enumerate() {
            let factors = &factors[((row_start + row) / high - first) * across..];
            for (values, factor) in values.chunks(wide).zip(factors) {
                values.iter().for_each(|value| out.extend((value * factor).to_le_bytes()));
            }
        }
        Ok(())
    }

    fn name(&self) -> String {
        self.inner.name()
    }

    fn is_gguf(&self) -> bool {
        self.inner.is_gguf()
    }
}
