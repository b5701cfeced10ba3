//! Decoding of stored weights: ggml's block formats and the float types, exactly as their definitions say.
//!
//! Every block format is a sequence of groups of 32 values `scale * q + min`, with one or two scales and constants; [`groups`] takes it apart into them, and
//! both [`dequantize`] and the packing for the GPU build on that. Products `scale * q` have at most 24 significant
//! bits (25 in Q6_K), so the sum is rounded once, with or without fused multiply-add.

use half::{bf16, f16};

use super::Dtype;
pub use crate::kernel::weight::GROUP;
use crate::kernel::weight::{IQ4, NF4};
use crate::{Error, Result};

/// 32 consecutive values: value `i` is `scales[i / 16] * q[i] + mins[i / 16]`, or with a table `scales[i / 16] * table[q[i]]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Group {
    /// The integers.
    pub q: [i8; GROUP],
    /// Scales of the first and of the second 16; equal in all formats but Q2_K, Q3_K and Q6_K.
    pub scales: [f32; 2],
    /// Their constants, equal in all formats but Q2_K; 0 in formats without.
    pub mins: [f32; 2],
    /// What the integers stand for, if not for themselves.
    pub table: Option<&'static [f32; 16]>,
}

impl Group {
    fn new(scale: f32, min: f32, q: impl Fn(usize) -> i32) -> Self {
        Self { q: std::array::from_fn(|i| q(i) as i8), scales: [scale; 2], mins: [min; 2], table: None }
    }

    /// Value `i`.
    pub fn value(&self, i: usize) -> f32 {
        match self.table {
            Some(table) => self.scales[i / 16] * table[(self.q[i] & 15) as usize],
            None => self.scales[i / 16] * f32::from(self.q[i]) + self.mins[i / 16],
        }
    }
}

/// Decodes `bytes` of type `dtype` into `out`.
///
/// # Errors
/// `Shape` if `bytes` is not exactly as long as `out.len()` values need, or values of the type stand for nothing by themselves.
pub fn dequantize(dtype: Dtype, bytes: &[u8], out: &mut [f32]) -> Result<()> {
    if dtype.is_part() || dtype.size(out.len()) != Some(bytes.len()) {
        let expected = vec![dtype.size(out.len()).unwrap_or(0)];
        return Err(Error::Shape { kernel: "dequantize", arg: "bytes", expected, got: vec![bytes.len()] });
    }
    match dtype {
        Dtype::F64 => {
            for (value, bytes) in out.iter_mut().zip(bytes.as_chunks().0) {
                *value = f64::from_le_bytes(*bytes) as f32;
            }
        }
        Dtype::F32 => {
            for (value, bytes) in out.iter_mut().zip(bytes.as_chunks().0) {
                *value = f32::from_le_bytes(*bytes);
            }
        }
        Dtype::F16 => {
            for (value, bytes) in out.iter_mut().zip(bytes.as_chunks().0) {
                *value = f16::from_le_bytes(*bytes).to_f32();
            }
        }
        Dtype::BF16 => {
            for (value, bytes) in out.iter_mut().zip(bytes.as_chunks().0) {
                *value = bf16::from_le_bytes(*bytes).to_f32();
            }
        }
        Dtype::F8E4M3 => out.iter_mut().zip(bytes).for_each(|(value, &byte)| *value = e4m3(byte)),
        Dtype::F8E8M0 => out.iter_mut().zip(bytes).for_each(|(value, &byte)| *value = e8m0(byte)),
        _ => {
            let mut values = out.chunks_exact_mut(GROUP);
            groups(dtype, bytes, |group| {
                for (i, value) in values.next().into_iter().flatten().enumerate() {
                    *value = group.value(i);
                }
            });
        }
    }
    Ok(())
}

/// The smallest power of two whose square f32 cannot hold. With weights beyond it norms and attention overflow.
const TOO_LARGE: f32 = (1u128 << 64) as f32;

/// Whether every value of whole blocks is a number that one can compute with: finite, and with a square that is.
pub fn all_usable(dtype: Dtype, bytes: &[u8]) -> bool {
    // NaN is not smaller than anything.
    let usable = |value: f32| value.abs() < TOO_LARGE;
    match dtype {
        Dtype::F64 => bytes.as_chunks().0.iter().all(|&bytes| usable(f64::from_le_bytes(bytes) as f32)),
        Dtype::F32 => bytes.as_chunks().0.iter().all(|&bytes| usable(f32::from_le_bytes(bytes))),
        Dtype::F16 => bytes.as_chunks().0.iter().all(|&bytes| usable(f16::from_le_bytes(bytes).to_f32())),
        Dtype::BF16 => bytes.as_chunks().0.iter().all(|&bytes| usable(bf16::from_le_bytes(bytes).to_f32())),
        Dtype::F8E4M3 => bytes.iter().all(|&byte| usable(e4m3(byte))),
        Dtype::F8E8M0 => bytes.iter().all(|&byte| usable(e8m0(byte))),
        _ => {
            let mut all = true;
            groups(dtype, bytes, |group| all &= group.mins.into_iter().chain(group.scales).all(usable));
            all
        }
    }
}

/// Calls `each` with the groups of whole blocks in order. Float types have none.
pub fn groups(dtype: Dtype, bytes: &[u8], mut each: impl FnMut(Group)) {
    let blocks = bytes.chunks_exact(dtype.block().1);
    match dtype {
        Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::BF16 | Dtype::F8E4M3 | Dtype::F8E8M0 => {}
        Dtype::U8 | Dtype::I8 | Dtype::I32 | Dtype::U32 | Dtype::I64 => {}
        Dtype::Nf4 => blocks.for_each(|block| {
            // Unlike in all other types the high nibble is the first of two.
            let q = |i: usize| i32::from(block[4 + i / 2] >> (4 - 4 * (i % 2)) & 15);
            each(Group { table: Some(&NF4), ..Group::new(single(block, 0), 0.0, q) });
        }),
        Dtype::Groups4 => blocks.for_each(|block| {
            let q = |i: usize| i32::from(block[8 + i / 2] >> (4 * (i % 2)) & 15);
            each(Group::new(single(block, 0), single(block, 4), q));
        }),
        Dtype::Groups8 => blocks.for_each(|block| {
            // For signed bytes the bias moves by 128 scales. Of numbers in 16 bits the sum is exact in 32 unless one is
            // thousands of times the other; of singles it is rounded once.
            let scale = single(block, 0);
            each(Group::new(scale, single(block, 4) + 128.0 * scale, |i| i32::from(block[8 + i]) - 128));
        }),
        Dtype::Q8_0 => {
            blocks.for_each(|block| each(Group::new(half(block, 0), 0.0, |i| i32::from(block[2 + i] as i8))))
        }
        Dtype::Q4_0 => blocks.for_each(|block| {
            let qs = &block[2..];
            each(Group::new(half(block, 0), 0.0, |i| nibble(qs, i) - 8));
        }),
        Dtype::Q4_1 => blocks.for_each(|block| {
            let qs = &block[4..];
            each(Group::new(half(block, 0), half(block, 2), |i| nibble(qs, i)));
        }),
        Dtype::Q5_0 => blocks.for_each(|block| {
            let (qh, qs) = block[2..].split_at(4);
            each(Group::new(half(block, 0), 0.0, |i| (nibble(qs, i) | bit(qh, i) << 4) - 16));
        }),
        Dtype::Q5_1 => blocks.for_each(|block| {
            let (qh, qs) = block[4..].split_at(4);
            each(Group::new(half(block, 0), half(block, 2), |i| nibble(qs, i) | bit(qh, i) << 4));
        }),
        Dtype::Q4K => blocks.for_each(|block| {
            let (scales, qs) = block[4..].split_at(12);
            for j in 0..8 {
                let (scale, min) = scale_min(block, scales, j);
                each(Group::new(scale, min, |i| nibble_of_pair(qs, j, i)));
            }
        }),
        Dtype::Q5K => blocks.for_each(|block| {
            let (scales, rest) = block[4..].split_at(12);
            let (qh, qs) = rest.split_at(32);
            for j in 0..8 {
                let (scale, min) = scale_min(block, scales, j);
                each(Group::new(scale, min, |i| nibble_of_pair(qs, j, i) | i32::from(qh[i] >> j & 1) << 4));
            }
        }),
        Dtype::Q6K => blocks.for_each(|block| {
            let d = half(block, 208);
            let scale = |i: usize| d * f32::from(block[192 + i] as i8);
            for j in 0..8 {
                // Each half of 128 values has 64 bytes of low nibbles, then 32 of upper bit pairs.
                let (side, part) = (j / 4, j % 4);
                let low = &block[64 * side + 32 * (part % 2)..];
                let high = &block[128 + 32 * side..];
                let q = |i: usize| {
                    let low = low[i] >> (4 * (part / 2)) & 15;
                    let high = high[i] >> (2 * part) & 3;
                    i32::from(low | high << 4) - 32
                };
                each(Group { scales: [scale(2 * j), scale(2 * j + 1)], ..Group::new(0.0, 0.0, q) });
            }
        }),
        Dtype::Q2K => blocks.for_each(|block| {
            let (d, least) = (half(block, 80), half(block, 82));
            for j in 0..8 {
                let [first, second] = [block[2 * j], block[2 * j + 1]];
                let scales = [first, second].map(|byte| d * f32::from(byte & 15));
                let mins = [first, second].map(|byte| -(least * f32::from(byte >> 4)));
                each(Group { scales, mins, ..Group::new(0.0, 0.0, |i| two_bits(&block[16..80], j, i)) });
            }
        }),
        Dtype::Q3K => blocks.for_each(|block| {
            let (high, packed, d) = (&block[..32], &block[96..108], half(block, 108));
            let scale = |i: usize| {
                let low = packed[i % 8] >> (4 * (i / 8)) & 15;
                let upper = packed[8 + i % 4] >> (2 * (i / 4)) & 3;
                d * (f32::from(low | upper << 4) - 32.0)
            };
            for j in 0..8 {
                let q = |i: usize| two_bits(&block[32..96], j, i) - 4 * i32::from(high[i] >> j & 1 == 0);
                each(Group { scales: [scale(2 * j), scale(2 * j + 1)], ..Group::new(0.0, 0.0, q) });
            }
        }),
        Dtype::Iq4Nl => blocks.for_each(|block| {
            each(Group::new(half(block, 0), 0.0, |i| iq4(&block[2..], i)));
        }),
        Dtype::Iq4Xs => blocks.for_each(|block| {
            let (d, high) = (half(block, 0), u16::from_le_bytes([block[2], block[3]]));
            for (j, qs) in block[8..].chunks_exact(16).enumerate() {
                let scale = block[4 + j / 2] >> (4 * (j % 2)) & 15 | ((high >> (2 * j) & 3) as u8) << 4;
                let scale = d * (f32::from(scale) - 32.0);
                each(Group::new(scale, 0.0, |i| iq4(qs, i)));
            }
        }),
    }
}

/// An 8-bit float of OCP's E4M3: bias 7, subnormal where the exponent is 0, NaN where all bits are set, no infinity.
fn e4m3(byte: u8) -> f32 {
    let (exponent, mantissa) = (u32::from(byte >> 3 & 15), u32::from(byte & 7));
    let size = match (exponent, mantissa) {
        (15, 7) => f32::NAN,
        (0, _) => mantissa as f32 / 512.0,
        // 120 is between the biases.
        _ => f32::from_bits((exponent + 120) << 23 | mantissa << 20),
    };
    if byte >> 7 == 1 { -size } else { size }
}

/// A power of two of OCP's E8M0: 2^(byte - 127), NaN where all bits are set.
fn e8m0(byte: u8) -> f32 {
    match byte {
        // Below f32's normal numbers.
        0 => f32::from_bits(1 << 22),
        255 => f32::NAN,
        _ => f32::from_bits(u32::from(byte) << 23),
    }
}

/// The half-precision number at byte `at`.
fn half(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// The single at byte `at`.
fn single(block: &[u8], at: usize) -> f32 {
    f32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
}

/// Nibble `i` of a block of 32: the low ones come first, then the high ones.
fn nibble(qs: &[u8], i: usize) -> i32 {
    i32::from(qs[i % 16] >> (4 * (i / 16)) & 15)
}

/// What nibble `i` of a block of 32 stands for in IQ4.
fn iq4(qs: &[u8], i: usize) -> i32 {
    IQ4[nibble(qs, i) as usize].into()
}

/// Bit `i`, little-endian.
fn bit(bytes: &[u8], i: usize) -> i32 {
    i32::from(bytes[i / 8] >> (i % 8) & 1)
}

/// Nibble `i` of group `j` where two groups share 32 bytes: even ones have the low nibbles.
fn nibble_of_pair(qs: &[u8], j: usize, i: usize) -> i32 {
    i32::from(qs[32 * (j / 2) + i] >> (4 * (j % 2)) & 15)
}

/// Bit pair `i` of group `j` where four groups share 32 bytes.
fn two_bits(qs: &[u8], j: usize, i: usize) -> i32 {
    i32::from(qs[32 * (j / 4) + i] >> (2 * (j % 4)) & 3)
}

/// Scale and constant of group `j` of a Q4_K or Q5_K block: two f16 factors times 6-bit integers, of which the last
/// four groups' upper bits lie in the first bytes.
fn scale_min(block: &[u8], packed: &[u8], j: usize) -> (f32, f32) {
    let (scale, min) = if j < 4 {
        (packed[j] & 63, packed[j + 4] & 63)
    } else {
        (packed[j + 4] & 15 | packed[j - 4] >> 6 << 4, packed[j + 4] >> 4 | packed[j] >> 6 << 4)
    };
    (half(block, 0) * f32::from(scale), -(half(block, 2) * f32::from(min)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_cannot_be_used_are_seen_in_every_type() {
        let half = f16::INFINITY.to_le_bytes().to_vec();
        // Where the bad number goes: the first value, or the first scale.
        let cases = [
            (Dtype::F64, 0, 1e39f64.to_le_bytes().to_vec()),
            (Dtype::F64, 0, f64::NAN.to_le_bytes().to_vec()),
            (Dtype::F32, 0, f32::NEG_INFINITY.to_le_bytes().to_vec()),
            (Dtype::F32, 0, 1e30f32.to_le_bytes().to_vec()),
            (Dtype::BF16, 0, bf16::from_f32(-1e20).to_le_bytes().to_vec()),
            (Dtype::F16, 0, f16::NAN.to_le_bytes().to_vec()),
            (Dtype::BF16, 0, bf16::NEG_INFINITY.to_le_bytes().to_vec()),
            (Dtype::F8E4M3, 0, vec![0x7f]),
            (Dtype::F8E8M0, 0, vec![0xff]),
            (Dtype::F8E8M0, 0, vec![127 + 64]),
            (Dtype::Nf4, 0, f32::NAN.to_le_bytes().to_vec()),
            (Dtype::Groups4, 4, f32::INFINITY.to_le_bytes().to_vec()),
            (Dtype::Groups8, 0, 1e30f32.to_le_bytes().to_vec()),
            (Dtype::Q8_0, 0, half.clone()),
            (Dtype::Q4_0, 0, half.clone()),
            (Dtype::Q4_1, 2, half.clone()),
            (Dtype::Q5_0, 0, half.clone()),
            (Dtype::Q5_1, 2, half.clone()),
            (Dtype::Q4K, 0, half.clone()),
            (Dtype::Q5K, 2, half.clone()),
            (Dtype::Q6K, 208, half.clone()),
            (Dtype::Q2K, 82, half.clone()),
            (Dtype::Q3K, 108, half.clone()),
            (Dtype::Iq4Nl, 0, half.clone()),
            (Dtype::Iq4Xs, 0, half),
        ];
        for (dtype, at, bad) in cases {
            let (values, size) = dtype.block();
            let mut bytes = vec![1; 3 * size];
            assert!(all_usable(dtype, &bytes), "{dtype:?}");
            bytes[2 * size + at..2 * size + at + bad.len()].copy_from_slice(&bad);
            assert!(!all_usable(dtype, &bytes), "{dtype:?}");
            let mut decoded = vec![0.0f32; 3 * values];
            dequantize(dtype, &bytes, &mut decoded).unwrap();
            assert!(decoded.iter().any(|value| !(value * value).is_finite()), "{dtype:?}");
        }
    }
}
