//! Weights in 8-bit floats (F8_E4M3) with scales, as Qwen, DeepSeek, Mistral and Red Hat publish them: value = float · scale, where
//! one scale is for the whole matrix, for a row, or for a block of 128 x 128 (transformers' `finegrained_fp8`, compressed-tensors'
//! `float-quantized`; `weight_scale_inv` multiplies whatever its name says). They are read as f32, in which the product is rounded
//! once.

use super::below::{Below, Claim, Recipe, Wanted};
use super::{Dtype, TensorInfo, quant};
use crate::Result;
use crate::model::config::quantised::BLOCK;

/// What the name of a matrix's scales has after that of the matrix, by who writes it.
const SCALES: [&str; 2] = ["_scale_inv", "_scale"];
/// Scales of what goes into a matrix: inputs are not rounded here.
const INPUT_SCALES: [&str; 2] = ["activation_scale", "input_scale"];

/// Floats and scales of a matrix.
struct Scaled {
    floats: usize,
    scales: usize,
    /// How many rows and columns share a scale.
    block: [usize; 2],
    cols: usize,
}

/// Claims floats with scales beside them.
pub(super) fn claim(below: &mut Below, _: &Wanted, info: &TensorInfo) -> Result<Option<Claim>> {
    let is_f8 = |name: &str| below.named(name).is_some_and(|weight| weight.dtype == Dtype::F8E4M3);
    let of_input =
        |end: &&str| info.name.strip_suffix(*end).is_some_and(|stem| is_f8(&format!("{stem}weight")));
    if INPUT_SCALES.iter().any(of_input)
        || SCALES.iter().any(|end| info.name.strip_suffix(end).is_some_and(is_f8))
    {
        return Ok(Some(Claim::Part));
    }
    let (Dtype::F8E4M3, Some(floats)) = (info.dtype, below.find(&info.name)) else { return Ok(None) };
    let scales = SCALES.iter().find_map(|end| below.find(&format!("{}{end}", info.name)));
    let Some(scales) = scales else {
        let ends = crate::error::either(&SCALES);
        return Err(below.refuse(&info.name, format!("is F8_E4M3 without a {ends} tensor beside it")));
    };
    let Some(block) = block(info, below.info(scales)) else {
        let TensorInfo { shape, dtype, .. } = below.info(scales);
        let read = format!("floats are read, one, one a row, or one for each {BLOCK} x {BLOCK}");
        let problem = format!("has scales of shape {shape:?} in {}, where {read}", dtype.name());
        return Err(below.refuse(&info.name, problem));
    };
    let recipe = Scaled { floats, scales, block, cols: info.cols() };
    Ok(Some(Claim::Matrix(TensorInfo { dtype: Dtype::F32, ..info.clone() }, Box::new(recipe))))
}

/// How many rows and columns of `floats` share a scale.
fn block(floats: &TensorInfo, scales: &TensorInfo) -> Option<[usize; 2]> {
    let [rows, cols] = floats.shape[..] else { return None };
    let is_float = matches!(scales.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16 | Dtype::F8E8M0);
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

impl Recipe for Scaled {
    fn rows(&self, below: &mut Below, start: usize, count: usize, out: &mut Vec<u8>) -> Result<()> {
        let (cols, [high, wide]) = (self.cols, self.block);
        let (first, end) = (start / high, (start + count).div_ceil(high));
        let factors = below.numbers(self.scales, first, end - first)?;
        let across = cols.div_ceil(wide);
        let floats = below.read(self.floats, start, count)?;
        let mut values = vec![0.0; floats.len()];
        quant::dequantize(Dtype::F8E4M3, floats, &mut values)?;
        out.reserve(values.len() * size_of::<f32>());
        for (row, values) in values.chunks_exact(cols).enumerate() {
            let factors = &factors[((start + row) / high - first) * across..];
            for (values, factor) in values.chunks(wide).zip(factors) {
                values.iter().for_each(|value| out.extend((value * factor).to_le_bytes()));
            }
        }
        Ok(())
    }
}
