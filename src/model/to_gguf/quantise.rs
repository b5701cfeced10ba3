//! Values into the types of GGUF files, as the `gguf` package quantises them (`gguf/quants.py`), which has the bits of ggml's
//! reference (`ggml-quants.c`, `quantize_row_*_ref`).

use half::f16;

use super::quantise_k::{q4_k, q6_k};
use crate::model::source::Dtype;
use crate::model::source::quant::GROUP;

/// Adds `values`, which are whole blocks, to `out` as `dtype`. `false` if the type is none that is written here, or if a scale or
/// a value is beyond f16.
pub fn quantise(dtype: Dtype, values: &[f32], out: &mut Vec<u8>) -> bool {
    let blocks = values.as_chunks::<GROUP>().0;
    match dtype {
        Dtype::F32 => {
            out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            true
        }
        Dtype::F16 => values.iter().all(|&value| push_half(value, out)),
        Dtype::Q8_0 => blocks.iter().all(|block| q8_0(block, out)),
        Dtype::Q4_0 => blocks.iter().all(|block| q4_0(block, out)),
        Dtype::Q5_0 => blocks.iter().all(|block| q5_0(block, out)),
        Dtype::Q4K => values.as_chunks().0.iter().all(|block| q4_k(block, out)),
        Dtype::Q6K => values.as_chunks().0.iter().all(|block| q6_k(block, out)),
        _ => false,
    }
}

/// Adds the nearest half; whether there is one that is finite.
fn push_half(value: f32, out: &mut Vec<u8>) -> bool {
    let half = f16::from_f32(value);
    out.extend(half.to_le_bytes());
    half.is_finite()
}

/// What a block's values are multiplied with; 0 for a block of zeros.
fn inverse(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}

/// The scale brings the largest size to 127; halves are rounded away from zero.
fn q8_0(block: &[f32; GROUP], out: &mut Vec<u8>) -> bool {
    let scale = block.iter().fold(0f32, |most, value| most.max(value.abs())) / 127.0;
    let factor = inverse(scale);
    let fits = push_half(scale, out);
    out.extend(block.iter().map(|value| (value * factor).round() as i8 as u8));
    fits
}

/// The scale brings the first of the values of largest size to -8.
fn q4_0(block: &[f32; GROUP], out: &mut Vec<u8>) -> bool {
    let (q, fits) = from_largest(block, 8.0, out);
    out.extend((0..GROUP / 2).map(|i| q[i] | q[i + GROUP / 2] << 4));
    fits
}

/// The same with -16; the fifth bits stand before the others.
fn q5_0(block: &[f32; GROUP], out: &mut Vec<u8>) -> bool {
    let (q, fits) = from_largest(block, 16.0, out);
    let bits = q.iter().rev().fold(0u32, |bits, q| bits << 1 | u32::from(q >> 4));
    out.extend(bits.to_le_bytes());
    out.extend((0..GROUP / 2).map(|i| q[i] & 15 | q[i + GROUP / 2] << 4));
    fits
}

/// Adds the scale that brings the first of the values of largest size to `-half`; integers from 0 to `2·half - 1`, of which `half`
/// stands for zero.
fn from_largest(block: &[f32; GROUP], half: f32, out: &mut Vec<u8>) -> ([u8; GROUP], bool) {
    let most = block.iter().fold(0f32, |most, &value| if value.abs() > most.abs() { value } else { most });
    let scale = most / -half;
    let factor = inverse(scale);
    let fits = push_half(scale, out);
    (block.map(|value| (value * factor + (half + 0.5)).clamp(0.0, 2.0 * half - 1.0) as u8), fits)
}
