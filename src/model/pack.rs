//! Weights in the layouts that the GPU kernels read.
//!
//! [`pack`] changes the layout of stored weights and keeps every value; [`pack_as`] quantises.

use half::{bf16, f16};

use super::source::Dtype;
use super::source::quant::{GROUP, Group, groups};
use crate::{Error, Result};

pub use crate::kernel::weight::Format;

impl Format {
    /// The layout that keeps every value of `dtype` in rows of `cols`: F16 with odd rows becomes F32, since a row
    /// starts at a word.
    pub fn for_dtype(dtype: Dtype, cols: usize) -> Self {
        match dtype {
            Dtype::F64 | Dtype::F32 | Dtype::BF16 => Self::F32,
            Dtype::F16 => Self::F16.for_cols(cols),
            Dtype::Q8_0 | Dtype::Q5_0 | Dtype::Q5_1 | Dtype::Q5K => Self::Q8,
            Dtype::Q6K => Self::Q8x2,
            Dtype::Q4_0 | Dtype::Q4_1 | Dtype::Q4K => Self::Q4,
        }
    }

    /// This format if rows of `cols` values fit it, else the next more precise one that does: block formats need rows of
    /// whole groups and become F16; F16 needs even rows and becomes F32.
    pub fn for_cols(self, cols: usize) -> Self {
        match self {
            Self::Q8 | Self::Q8x2 | Self::Q4 if cols.is_multiple_of(GROUP) => self,
            Self::F32 => Self::F32,
            _ if cols.is_multiple_of(2) => Self::F16,
            _ => Self::F32,
        }
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
        _ => {
            scales.reserve(values / GROUP);
            groups(dtype, bytes, |group| push_group(format, dtype, &group, &mut words, &mut scales));
        }
    }
    Ok(Packed { format, words, scales })
}

/// Quantises rows of `cols` values into `format`, or into what [`Format::for_cols`] makes of it. `Q8` and `Q8x2` are
/// symmetric with scale = max|x| / 127; `Q4` is affine from the group's minimum to its maximum in 15 steps; both round to
/// nearest. Values that f16 cannot hold (beyond 65504) make an F16 tensor F32.
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
    let mut words = Vec::with_capacity(values.len() / format.values_per_word());
    let mut scales = Vec::new();
    match format {
        Format::F32 => words.extend(values.iter().map(|value| value.to_bits())),
        Format::F16 => words.extend(values.as_chunks().0.iter().map(|&[low, high]| {
            let bits = |value: f32| u32::from(f16::from_f32(value).to_bits());
            bits(low) | bits(high) << 16
        })),
        Format::Q8 | Format::Q8x2 | Format::Q4 => {
            for group in values.as_chunks::<GROUP>().0 {
                let (q, pair) = quantise(format, group);
                push_words(format, &q, &mut words);
                scales.push(pair);
            }
        }
    }
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
    Ok((0..values)
        .map(|i| {
            let word = words[i / format.values_per_word()];
            let byte = || f32::from((word >> (8 * (i % 4))) as i8);
            match format {
                Format::F32 => f32::from_bits(word),
                Format::F16 => f16::from_bits((word >> (16 * (i % 2))) as u16).to_f32(),
                Format::Q8 => scales[i / GROUP][0] * byte() + scales[i / GROUP][1],
                Format::Q8x2 => scales[i / GROUP][i % GROUP / 16] * byte(),
                Format::Q4 => {
                    scales[i / GROUP][0] * ((word >> (4 * (i % 8))) & 15) as f32 + scales[i / GROUP][1]
                }
            }
        })
        .collect())
}

fn push_group(format: Format, dtype: Dtype, group: &Group, words: &mut Vec<u32>, scales: &mut Vec<[f32; 2]>) {
    // Q4_0 is centred on 8 where the GPU's 4-bit integers start at 0; the shift is exact: scale is an f16.
    let centre = if dtype == Dtype::Q4_0 { 8 } else { 0 };
    let q = group.q.map(|q| q + centre);
    push_words(format, &q, words);
    scales.push(match format {
        Format::Q8x2 => group.scales,
        _ => [group.scales[0], group.min - f32::from(centre) * group.scales[0]],
    });
}

fn push_words(format: Format, q: &[i8; GROUP], words: &mut Vec<u32>) {
    if format == Format::Q4 {
        for eight in q.as_chunks::<8>().0 {
            words.push(eight.iter().rev().fold(0, |word, &q| word << 4 | u32::from(q as u8 & 15)));
        }
    } else {
        words.extend(q.as_chunks::<4>().0.iter().map(|four| u32::from_le_bytes(four.map(|q| q as u8))));
    }
}

fn quantise(format: Format, group: &[f32; GROUP]) -> ([i8; GROUP], [f32; 2]) {
    let symmetric = |values: &[f32]| values.iter().fold(0f32, |most, value| most.max(value.abs())) / 127.0;
    let (scales, min, pair) = match format {
        Format::Q8x2 => {
            let scales = [symmetric(&group[..16]), symmetric(&group[16..])];
            (scales, 0.0, scales)
        }
        Format::Q4 => {
            let low = group.iter().copied().fold(f32::INFINITY, f32::min);
            let high = group.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let scale = (high - low) / 15.0;
            ([scale; 2], low, [scale, low])
        }
        _ => {
            let scale = symmetric(group);
            ([scale; 2], 0.0, [scale, 0.0])
        }
    };
    let range = if format == Format::Q4 { (0.0, 15.0) } else { (-127.0, 127.0) };
    let q = std::array::from_fn(|i| {
        let scale = scales[i / 16];
        if scale > 0.0 { ((group[i] - min) / scale).round().clamp(range.0, range.1) as i8 } else { 0 }
    });
    (q, pair)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn quantisation_errs_by_at_most_half_a_step() {
        let values: Vec<f32> = (0..128).map(|i| ((i * 37 % 101) as f32 - 40.0) * 0.01).collect();
        for (format, most) in
            [(Format::Q8, 0.6 / 254.0), (Format::Q8x2, 0.6 / 254.0), (Format::Q4, 1.0 / 30.0)]
        {
            let packed = pack_as(format, &values, 64).unwrap();
            assert_eq!(packed.format, format);
            let bytes = packed.words.len() * 4 + packed.scales.len() * 8;
            assert_eq!(bytes as u64, format.bytes(1, 128));
            for (got, want) in unpack(&packed).unwrap().iter().zip(&values) {
                assert!((got - want).abs() <= most * 1.001, "{format:?}: {got} for {want}");
            }
        }
    }

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
