//! Weights of MLX: integers of 4 or 8 bits in words, with a scale and a bias for each group of a row (`mlx.core.quantize`, mode
//! `affine`): value = scale·q + bias, q without a sign. They are read as blocks of 32 with both numbers in f32, which keeps them.

use super::below::{Below, Claim, Recipe, Wanted};
use super::{Dtype, TensorInfo};
use crate::Result;
use crate::kernel::weight::GROUP;

/// Integers, scales and biases of a matrix.
struct Grouped {
    parts: [usize; 3],
    /// Values of a group.
    group: usize,
    /// Bytes of the integers of a block.
    integers: usize,
}

/// Claims words with scales and biases beside them.
pub(super) fn claim(below: &mut Below, wanted: &Wanted, info: &TensorInfo) -> Result<Option<Claim>> {
    let of_words = |end: &str| {
        let weight = info.name.strip_suffix(end).and_then(|stem| below.named(&format!("{stem}.weight")));
        weight.is_some_and(|weight| weight.dtype == Dtype::U32)
    };
    if of_words(".scales") || of_words(".biases") {
        return Ok(Some(Claim::Part));
    }
    let (Dtype::U32, Some(stem)) = (info.dtype, info.name.strip_suffix(".weight")) else { return Ok(None) };
    let refuse = |problem: &str| Err(below.refuse(&info.name, problem));
    let part = |end: &str| below.find(&format!("{stem}.{end}"));
    let (Some(words), Some(scales), Some(biases)) = (part("weight"), part("scales"), part("biases")) else {
        return refuse("holds integers without scales and biases beside them");
    };
    let (rows, [_, cols]) = (info.rows(), wanted.shape(&info.name));
    let groups = below.info(scales).cols();
    let dtype = match info.cols() * 32 {
        bits if bits == 4 * cols => Dtype::Groups4,
        bits if bits == 8 * cols => Dtype::Groups8,
        _ => return refuse("does not have 4 or 8 bits for each value"),
    };
    let fits = |part: usize| {
        let part = below.info(part);
        part.shape == [rows, groups] && part.dtype.block().0 == 1 && !part.dtype.is_part()
    };
    let group = cols / groups.max(1);
    if !fits(scales) || !fits(biases) || group * groups != cols || !group.is_multiple_of(GROUP) {
        return refuse("has scales or biases that are not those of groups of 32, 64 or 128 values");
    }
    let integers = dtype.block().1 - 2 * size_of::<f32>();
    let info = TensorInfo { name: info.name.clone(), dtype, shape: vec![rows, cols] };
    Ok(Some(Claim::Matrix(info, Box::new(Grouped { parts: [words, scales, biases], group, integers }))))
}

impl Recipe for Grouped {
    fn rows(&self, below: &mut Below, start: usize, count: usize, out: &mut Vec<u8>) -> Result<()> {
        let [words, scales, biases] = self.parts;
        let scales = below.numbers(scales, start, count)?;
        let biases = below.numbers(biases, start, count)?;
        for (at, integers) in below.read(words, start, count)?.chunks_exact(self.integers).enumerate() {
            // Rows are whole groups, and groups whole blocks.
            let number = at * GROUP / self.group;
            out.extend(scales[number].to_le_bytes());
            out.extend(biases[number].to_le_bytes());
            out.extend_from_slice(integers);
        }
        Ok(())
    }
}
