//! Weights in integers of 4 or 8 bits with a scale and a zero for each group of a row: value = scale·(q - zero). What differs is
//! where the integers lie and what stands for them:
//! - GPTQ: words of consecutive inputs, `qweight` `[in / per word, out]`, `qzeros` `[groups, out / per word]`, `scales` `[groups, out]`,
//!   and with act-order the group of each input in `g_idx`;
//! - AWQ (`gemm`): words of eight outputs in the order 0, 2, 4, 6, 1, 3, 5, 7, `qweight` `[in, out / 8]`, the others as GPTQ's;
//! - compressed-tensors (`pack-quantized`): words of consecutive inputs, `weight_packed` `[out, in / per word]`, zeros packed along
//!   the outputs, `weight_scale` `[out, groups]`; (`int-quantized`): signed bytes;
//! - bitsandbytes (8 bits): signed bytes, `SCB` `[out]`, which is 127 scales.
//!
//! They are read as blocks of 32 with scale and -zero·scale in f32: of scales in 16 bits all products and their sums are exact.
//! Where groups are not of neighbours (act-order), they are read as f32.

use super::below::{Below, Claim, Recipe, Wanted};
use super::{Dtype, TensorInfo};
use crate::Result;
use crate::kernel::weight::GROUP;
use crate::model::config::quantised::Stored;

/// Where the integers of a matrix lie.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Words of a row one after the other.
    Rows,
    /// Bytes of a row, with signs.
    Signed,
    /// Words of inputs in rows of outputs.
    Columns,
    /// Words of outputs, interleaved, in rows of inputs.
    Interleaved,
}

/// The integer that stands for 0.
enum Zeros {
    /// The same everywhere.
    All(u8),
    /// One for each group and row, in the order of scales.
    Each(Vec<u8>),
}

/// A matrix of such integers.
struct Packed {
    integers: usize,
    order: Order,
    bits: usize,
    shape: [usize; 2],
    scales: usize,
    /// What scales are divided by.
    divisor: f32,
    zeros: Zeros,
    /// Values of a group.
    group: usize,
    /// The group of each input, where groups are not of neighbours.
    groups: Option<Vec<usize>>,
}

/// Where the nibble of an output is in AWQ's words.
const PLACES: [usize; 8] = [0, 4, 1, 5, 2, 6, 3, 7];

/// Ends of names of parts, by the end of the name of the integers.
const PARTS: &[(&str, &[&str])] = &[
    (".qweight", &[".qzeros", ".scales", ".g_idx"]),
    (".weight_packed", &[".weight_scale", ".weight_zero_point", ".weight_shape", ".weight_g_idx"]),
    (".weight", &[".weight_scale", ".weight_zero_point", ".SCB", ".weight_format"]),
];

/// What compressed-tensors stores of activations and caches, which are not rounded here.
const ACTIVATIONS: &[&str] = &[
    ".input_scale",
    ".input_zero_point",
    ".output_scale",
    ".output_zero_point",
    ".input_global_scale",
    ".k_scale",
    ".v_scale",
    ".q_scale",
    ".k_zero_point",
    ".v_zero_point",
];

/// Claims integers with scales beside them.
pub(super) fn claim(below: &mut Below, wanted: &Wanted, info: &TensorInfo) -> Result<Option<Claim>> {
    let compressed = wanted.stored == Stored::Compressed;
    if compressed && ACTIVATIONS.iter().any(|end| info.name.ends_with(end)) {
        return Ok(Some(Claim::Part));
    }
    if is_no_bias(below, wanted, info)? {
        return Ok(Some(Claim::Part));
    }
    for (of, parts) in PARTS {
        let stem = parts.iter().find_map(|part| info.name.strip_suffix(part));
        if stem.and_then(|stem| below.named(&format!("{stem}{of}"))).is_some_and(holds_integers) {
            return Ok(Some(Claim::Part));
        }
    }
    let found = PARTS.iter().find_map(|(of, _)| Some((*of, info.name.strip_suffix(of)?)));
    let Some((of, stem)) = found.filter(|_| holds_integers(info)) else { return Ok(None) };
    let (name, part) = (format!("{stem}.weight"), |end: &str| below.find(&format!("{stem}{end}")));
    let (order, scales, divisor, add) = match (of, wanted.stored) {
        (".qweight", Stored::Gptq { add, .. }) => (Order::Columns, part(".scales"), 1.0, add),
        (".qweight", Stored::Awq) => (Order::Interleaved, part(".scales"), 1.0, 0),
        (".weight_packed", Stored::Compressed) => (Order::Rows, part(".weight_scale"), 1.0, 0),
        (".weight", Stored::Compressed) if info.dtype == Dtype::I8 => {
            (Order::Signed, part(".weight_scale"), 1.0, 0)
        }
        (".weight", _) if part(".SCB").is_some() => (Order::Signed, part(".SCB"), 127.0, 0),
        (".weight", _) => return Ok(None),
        _ => {
            return Err(below.refuse(
                &info.name,
                "is quantised in a way that quantization_config in config.json does not say",
            ));
        }
    };
    let (Some(scales), Some(integers)) = (scales, below.find(&info.name)) else {
        return Err(below.refuse(&info.name, "holds integers without scales beside them"));
    };
    let shape = wanted.shape(&name);
    let Some(bits) = bits(info, order, shape) else {
        let problem =
            format!("has shape {:?}, which is none of 4 or 8 bits for each value of {shape:?}", info.shape);
        return Err(below.refuse(&info.name, problem));
    };
    let Some(group) = group(below.info(scales), order, shape) else {
        let problem = format!(
            "has scales of shape {:?}, where one for each 32, 64, ... or all inputs of each of {shape:?} is read",
            below.info(scales).shape
        );
        return Err(below.refuse(&info.name, problem));
    };
    let mut packed =
        Packed { integers, order, bits, shape, scales, divisor, zeros: Zeros::All(0), group, groups: None };
    packed.zeros = packed.zeros(below, wanted.stored, stem, add)?;
    packed.groups = packed.groups(below, stem)?;
    let dtype = match packed.groups {
        Some(_) => Dtype::F32,
        None if bits == 4 => Dtype::Groups4,
        None => Dtype::Groups8,
    };
    Ok(Some(Claim::Matrix(TensorInfo { name, dtype, shape: shape.to_vec() }, Box::new(packed))))
}

/// Whether `info` is a bias of zeros that the model does not call for: AutoGPTQ writes one beside each matrix.
fn is_no_bias(below: &mut Below, wanted: &Wanted, info: &TensorInfo) -> Result<bool> {
    let of_matrix = info.name.strip_suffix(".bias").and_then(|stem| below.find(&format!("{stem}.qweight")));
    let (Some(_), Some(at)) = (of_matrix, below.find(&info.name)) else { return Ok(false) };
    Ok(!wanted.calls_for(&info.name) && below.whole(at)?.iter().all(|&byte| byte == 0))
}

fn holds_integers(info: &TensorInfo) -> bool {
    matches!(info.dtype, Dtype::I8 | Dtype::I32)
}

/// The bits of a value, by the shape of the integers.
fn bits(info: &TensorInfo, order: Order, [rows, cols]: [usize; 2]) -> Option<usize> {
    let wanted = |bits: usize| match order {
        Order::Rows => [rows, cols * bits / 32],
        Order::Signed => [rows, cols],
        Order::Columns => [cols * bits / 32, rows],
        Order::Interleaved => [cols, rows * bits / 32],
    };
    let choices: &[usize] = match order {
        Order::Rows | Order::Columns => &[4, 8],
        Order::Signed => &[8],
        Order::Interleaved => &[4],
    };
    let whole = cols.is_multiple_of(GROUP) && rows.is_multiple_of(8);
    choices.iter().copied().find(|&bits| whole && info.shape == wanted(bits))
}

/// The values of a group, by the shape of the scales.
fn group(scales: &TensorInfo, order: Order, [rows, cols]: [usize; 2]) -> Option<usize> {
    let groups = match (order, &scales.shape[..]) {
        (Order::Rows | Order::Signed, &[count, groups]) if count == rows => groups,
        (Order::Signed, &[count]) if count == rows => 1,
        (Order::Columns | Order::Interleaved, &[groups, count]) if count == rows => groups,
        _ => return None,
    };
    let group = cols / groups.max(1);
    (!scales.dtype.is_part() && group * groups == cols && group.is_multiple_of(GROUP)).then_some(group)
}

impl Packed {
    fn count(&self) -> usize {
        self.shape[1] / self.group
    }

    /// Where the number of `group` of `row` is among scales and zeros.
    fn at(&self, row: usize, group: usize) -> usize {
        match self.order {
            Order::Rows | Order::Signed => row * self.count() + group,
            Order::Columns | Order::Interleaved => group * self.shape[0] + row,
        }
    }

    fn zeros(&self, below: &mut Below, stored: Stored, stem: &str, mut add: u8) -> Result<Zeros> {
        let ends: &[&str] = match self.order {
            Order::Columns | Order::Interleaved => &[".qzeros"],
            Order::Rows | Order::Signed => &[".weight_zero_point"],
        };
        let Some(at) = ends.iter().find_map(|end| below.find(&format!("{stem}{end}"))) else {
            return match self.order {
                Order::Interleaved => Err(below.refuse(stem, "has no .qzeros beside it")),
                _ => Ok(Zeros::All(1 << (self.bits - 1))),
            };
        };
        let (rows, groups, info) = (self.shape[0], self.count(), below.info(at).clone());
        let per_word = 32 / self.bits;
        let fits = match self.order {
            Order::Columns | Order::Interleaved => {
                info.shape == [groups, rows / per_word] && info.dtype == Dtype::I32
            }
            Order::Rows => info.shape == [rows / per_word, groups] && info.dtype == Dtype::I32,
            Order::Signed => info.shape == [rows, groups] && info.dtype == Dtype::I8,
        };
        if !fits {
            let problem = format!(
                "has zeros of shape {:?} in {}, which are not one for each of {groups} groups of {rows} rows",
                info.shape,
                info.dtype.name()
            );
            return Err(below.refuse(stem, problem));
        }
        let bytes = below.whole(at)?;
        let mut values = vec![0; rows * groups];
        for row in 0..rows {
            for group in 0..groups {
                let (word, place) = match self.order {
                    Order::Signed => (row * groups + group, 0),
                    Order::Rows => (row / per_word * groups + group, row % per_word),
                    Order::Columns => (group * (rows / per_word) + row / per_word, row % per_word),
                    Order::Interleaved => (group * (rows / 8) + row / 8, PLACES[row % 8]),
                };
                values[self.at(row, group)] = match self.order {
                    Order::Signed => bytes[word] ^ 0x80,
                    _ => self.integer(&bytes[word * 4..], place),
                };
            }
        }
        // Some say "gptq" and mean "gptq_v2": with zeros in the middle they are symmetric, as they say they are.
        let middle = 1 << (self.bits - 1);
        if matches!(stored, Stored::Gptq { symmetric: true, .. }) && values.iter().all(|&zero| zero == middle)
        {
            add = 0;
        }
        // What is added to the largest gives 0.
        let largest = u8::MAX >> (8 - self.bits);
        values.iter_mut().for_each(|zero| *zero = zero.wrapping_add(add) & largest);
        let first = values[0];
        Ok(if values.iter().all(|&zero| zero == first) { Zeros::All(first) } else { Zeros::Each(values) })
    }

    /// The group of each input, where that is said and is not that of its neighbours.
    fn groups(&self, below: &mut Below, stem: &str) -> Result<Option<Vec<usize>>> {
        let at = [".g_idx", ".weight_g_idx"].iter().find_map(|end| below.find(&format!("{stem}{end}")));
        let Some(at) = at else { return Ok(None) };
        let info = below.info(at);
        if info.dtype != Dtype::I32 || info.shape != [self.shape[1]] {
            return Err(
                below.refuse(stem, format!("has groups of shape {:?} in {}", info.shape, info.dtype.name()))
            );
        }
        let bytes = below.whole(at)?;
        let groups: Vec<usize> =
            bytes.as_chunks().0.iter().map(|&bytes| u32::from_le_bytes(bytes) as usize).collect();
        // compressed-tensors writes -1 for all where there is no such order.
        if groups.iter().all(|&group| group == u32::MAX as usize) {
            return Ok(None);
        }
        if let Some(group) = groups.iter().find(|&&group| group >= self.count()) {
            return Err(below.refuse(stem, format!("has an input in group {group} of {}", self.count())));
        }
        let in_order = groups.iter().enumerate().all(|(at, &group)| group == at / self.group);
        Ok((!in_order).then_some(groups))
    }

    /// Integer `place` of those that begin with `bytes`.
    fn integer(&self, bytes: &[u8], place: usize) -> u8 {
        match self.bits {
            4 => bytes[place / 2] >> (4 * (place % 2)) & 15,
            _ => bytes[place],
        }
    }

    /// The integers of some rows, one row after the other, in the order of the inputs.
    fn integers(&self, below: &mut Below, start: usize, count: usize) -> Result<Vec<u8>> {
        let [rows, cols] = self.shape;
        let size = cols * self.bits / 8;
        match self.order {
            Order::Rows => return Ok(below.read(self.integers, start, count)?.to_vec()),
            Order::Signed => {
                return Ok(below.read(self.integers, start, count)?.iter().map(|byte| byte ^ 0x80).collect());
            }
            Order::Columns | Order::Interleaved => {}
        }
        let whole = below.whole(self.integers)?;
        let mut bytes = vec![0; count * size];
        if self.order == Order::Columns {
            for (at, words) in whole.chunks_exact(rows * 4).enumerate() {
                for (row, word) in words[start * 4..].as_chunks::<4>().0.iter().take(count).enumerate() {
                    bytes[row * size + at * 4..][..4].copy_from_slice(word);
                }
            }
        } else {
            for (at, words) in whole.chunks_exact(rows / 2).enumerate() {
                for row in 0..count {
                    let place = PLACES[(start + row) % 8];
                    let nibble = self.integer(&words[(start + row) / 8 * 4..], place);
                    bytes[row * size + at / 2] |= nibble << (4 * (at % 2));
                }
            }
        }
        Ok(bytes)
    }

    fn zero(&self, at: usize) -> u8 {
        match &self.zeros {
            Zeros::All(zero) => *zero,
            Zeros::Each(zeros) => zeros[at],
        }
    }
}

impl Recipe for Packed {
    fn rows(&self, below: &mut Below, start: usize, count: usize, out: &mut Vec<u8>) -> Result<()> {
        let info = below.info(self.scales);
        let (dtype, length) = (info.dtype, info.rows() * info.cols());
        let mut scales = vec![0.0; length];
        super::quant::dequantize(dtype, &below.whole(self.scales)?, &mut scales)?;
        scales.iter_mut().for_each(|scale| *scale /= self.divisor);
        let integers = self.integers(below, start, count)?;
        let size = self.shape[1] * self.bits / 8;
        for (row, integers) in integers.chunks_exact(size).enumerate() {
            if let Some(groups) = &self.groups {
                for (input, &group) in groups.iter().enumerate() {
                    let at = self.at(start + row, group);
                    let steps = i16::from(self.integer(integers, input)) - i16::from(self.zero(at));
                    out.extend((scales[at] * f32::from(steps)).to_le_bytes());
                }
                continue;
            }
            for (block, integers) in integers.chunks_exact(GROUP * self.bits / 8).enumerate() {
                let at = self.at(start + row, block * GROUP / self.group);
                out.extend(scales[at].to_le_bytes());
                out.extend((-(f32::from(self.zero(at)) * scales[at])).to_le_bytes());
                out.extend_from_slice(integers);
            }
        }
        Ok(())
    }
}
