//! Weights in the layouts that the GPU kernels read.
//!
//! [`pack`] changes the layout of stored weights and keeps every value; [`pack_as`] quantises.

use half::{bf16, f16};

use super::source::Dtype;
use super::source::quant::{GROUP, Group, dequantize, groups};
use crate::kernel::weight::Numbers;
use crate::{Error, Result};

pub use crate::kernel::weight::Format;

impl Format {
    /// The layout that keeps every value of `dtype` in rows of `cols`: F16 with odd rows becomes F32, since a row
    /// starts at a word.
    pub fn for_dtype(dtype: Dtype, cols: usize) -> Self {
        dtype.format().for_cols(cols)
    }
}

/// Weights in a GPU layout.
#[derive(Debug, Clone, PartialEq)]
pub struct Packed {
    /// The layout.
    pub format: Format,
    /// The values.
    pub words: Vec<u32>,
    /// One pair a group, or none if the format has no groups.
    pub scales: Vec<[f32; 2]>,
}

/// Brings rows of `cols` stored values into the layout [`Format::for_dtype`] without changing any value that f32 holds.
///
/// # Errors
/// `Shape` if `bytes` is not whole rows.
pub fn pack(dtype: Dtype, bytes: &[u8], cols: usize) -> Result<Packed> {
    let row_bytes = dtype.size(cols).filter(|&size| size > 0);
    let Some(rows) =
        row_bytes.filter(|&size| bytes.len().is_multiple_of(size)).map(|size| bytes.len() / size)
    else {
        let expected = vec![row_bytes.unwrap_or(0)];
        return Err(Error::Shape { kernel: "pack", arg: "bytes", expected, got: vec![bytes.len()] });
    };
    let format = Format::for_dtype(dtype, cols);
    let values = rows * cols;
    let mut words = Vec::with_capacity(values / format.values_per_word());
    let mut scales = Vec::new();
    match (dtype, format) {
        (Dtype::F64, _) => {
            words.extend(
                bytes.as_chunks().0.iter().map(|&bytes| (f64::from_le_bytes(bytes) as f32).to_bits()),
            );
        }
        (Dtype::F32, _) => words.extend(bytes.as_chunks().0.iter().map(|&bytes| u32::from_le_bytes(bytes))),
        (Dtype::F16, Format::F16) => {
            words.extend(bytes.as_chunks().0.iter().map(|&bytes| u32::from_le_bytes(bytes)))
        }
        (Dtype::F16, _) => {
            words.extend(
                bytes.as_chunks().0.iter().map(|&bytes| f16::from_le_bytes(bytes).to_f32().to_bits()),
            );
        }
        (Dtype::BF16, _) => {
            words.extend(
                bytes.as_chunks().0.iter().map(|&bytes| bf16::from_le_bytes(bytes).to_f32().to_bits()),
            );
        }
        (Dtype::F8E4M3 | Dtype::F8E8M0, _) => {
            let mut decoded = vec![0.0f32; values];
            dequantize(dtype, bytes, &mut decoded)?;
            words.extend(decoded.iter().map(|value| value.to_bits()));
        }
        _ => {
            scales.reserve(values / GROUP);
            groups(dtype, bytes, |group| push_group(format, dtype, &group, &mut words, &mut scales));
        }
    }
    Ok(Packed { format, words, scales })
}

/// Quantises rows of `cols` values into `format`, or into what [`Format::for_cols`] makes of it. `Q8` and `Q8x2` are
/// symmetric with scale = max|x| / 127, as is `Iq4`, which has few of the 255 values; `Q4` is affine from the group's minimum to its maximum in 15 steps, `Q2x2` in 3 steps for
/// each half; all round to nearest. Values that f16 cannot hold (beyond 65504) make an F16 tensor F32.
///
/// # Errors
/// `Shape` if `values` is not whole rows.
pub fn pack_as(format: Format, values: &[f32], cols: usize) -> Result<Packed> {
    if cols == 0 || !values.len().is_multiple_of(cols) {
        return Err(Error::Shape {
            kernel: "pack",
            arg: "values",
            expected: vec![cols],
            got: vec![values.len()],
        });
    }
    let mut format = format.for_cols(cols);
    if format == Format::F16 && values.iter().any(|value| value.abs() > f16::MAX.to_f32()) {
        format = Format::F32;
    }
    let (words, scales) = format.pack(values);
    Ok(Packed { format, words, scales })
}

/// The values of packed weights, as the kernels compute them.
///
/// # Errors
/// `Shape` if there are not as many scales as groups.
pub fn unpack(packed: &Packed) -> Result<Vec<f32>> {
    let Packed { format, words, scales } = packed;
    let values = words.len() * format.values_per_word();
    if format.has_scales() && scales.len() * GROUP != values {
        let (expected, got) = (vec![values / GROUP], vec![scales.len()]);
        return Err(Error::Shape { kernel: "unpack", arg: "scales", expected, got });
    }
    Ok((0..values).map(|i| format.value(words, scales, i)).collect())
}

fn push_group(format: Format, dtype: Dtype, group: &Group, words: &mut Vec<u32>, scales: &mut Vec<[f32; 2]>) {
    // Q4_0 is centred on 8 where the GPU's 4-bit integers start at 0; the shift is exact: scale is an f16.
    let centre = if dtype == Dtype::Q4_0 { 8 } else { 0 };
    let q = group.q.map(|q| q + centre);
    format.push_integers(&q, group.mins, words);
    scales.push(match format.numbers() {
        Some(Numbers::TwoScales | Numbers::TwoScalesMins) => group.scales,
        _ => [group.scales[0], group.mins[0] - f32::from(centre) * group.scales[0]],
    });
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn rows_that_do_not_fit_fall_back() {
        let values = vec![1.5; 99];
        assert_eq!(pack_as(Format::Q4, &values[..80], 40).unwrap().format, Format::F16);
        assert_eq!(pack_as(Format::Q8, &values, 33).unwrap().format, Format::F32);
        assert_eq!(pack_as(Format::F16, &[1e6, 2.0], 2).unwrap().format, Format::F32);
        assert_eq!(unpack(&pack_as(Format::F16, &values[..80], 40).unwrap()).unwrap(), values[..80]);
        let halves: Vec<u8> =
            [1.5f32, -2.0, 0.25].iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect();
        let packed = pack(Dtype::F16, &halves, 3).unwrap();
        assert_eq!((packed.format, unpack(&packed).unwrap()), (Format::F32, vec![1.5, -2.0, 0.25]));
        assert!(pack(Dtype::F16, &halves[..5], 3).is_err());
        assert!(pack_as(Format::F32, &values, 0).is_err());
    }

    #[test]
    fn a_constant_group_is_exact() {
        let values = vec![0.7; 32];
        assert_eq!(unpack(&pack_as(Format::Q4, &values, 32).unwrap()).unwrap(), values);
        assert_eq!(unpack(&pack_as(Format::Q8, &[0.0; 32], 32).unwrap()).unwrap(), [0.0; 32]);
    }
}
