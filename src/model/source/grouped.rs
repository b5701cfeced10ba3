//! Weights of MLX: integers of 4 or 8 bits in words, with a scale and a bias for each group of a row (`mlx.core.quantize`, mode
//! `affine`): value = scale·q + bias, q without a sign. They are read as blocks of 32 with both numbers in f32, which keeps them.

use std::collections::HashMap;

use super::{Dtype, TensorInfo, TensorSource, expected, quant};
use crate::kernel::weight::GROUP;
use crate::model::config::ModelConfig;
use crate::{Error, Result};

/// The tensors of one matrix in the source below.
#[derive(Clone, Copy)]
enum Place {
    /// A tensor as it is.
    Whole(usize),
    /// Integers, scales and biases; values of a group.
    Groups { parts: [usize; 3], group: usize },
}

/// A source with its groups put together.
struct Grouped {
    inner: Box<dyn TensorSource>,
    tensors: Vec<TensorInfo>,
    places: Vec<Place>,
    words: Vec<u8>,
    bytes: Vec<u8>,
}

/// `source` with one tensor for the integers, scales and biases of each matrix; itself if it has none such.
///
/// # Errors
/// `Input` naming a matrix whose parts are missing, do not fit its shape by `config`, or have another number of bits.
pub fn grouped(source: Box<dyn TensorSource>, config: &ModelConfig) -> Result<Box<dyn TensorSource>> {
    let all = source.tensors();
    if !all.iter().any(|tensor| tensor.dtype == Dtype::Words) {
        return Ok(source);
    }
    let shapes: HashMap<String, Vec<usize>> = expected(config).into_iter().collect();
    let index: HashMap<&str, usize> =
        all.iter().enumerate().map(|(index, tensor)| (tensor.name.as_str(), index)).collect();
    let (mut tensors, mut places) = (Vec::new(), Vec::new());
    for (at, info) in all.iter().enumerate() {
        let is_part = |end: &str| {
            let weight =
                info.name.strip_suffix(end).and_then(|stem| index.get(format!("{stem}.weight").as_str()));
            weight.is_some_and(|&weight| all[weight].dtype == Dtype::Words)
        };
        if is_part(".scales") || is_part(".biases") {
            continue;
        }
        if info.dtype != Dtype::Words {
            tensors.push(info.clone());
            places.push(Place::Whole(at));
            continue;
        }
        let refuse = |problem: &str| {
            let hint = "use the unquantised model, a GGUF file of it, or MLX's groups in 4 or 8 bits";
            Error::input(source.name(), &info.name, problem, hint)
        };
        let stem = info.name.strip_suffix(".weight").unwrap_or(&info.name);
        let part = |end: &str| index.get(format!("{stem}.{end}").as_str()).copied();
        let (Some(scales), Some(biases)) = (part("scales"), part("biases")) else {
            return Err(refuse("holds integers without scales and biases beside them"));
        };
        // Groups of a head that is not stored otherwise are those of the embedding, which it is.
        let shape =
            shapes.get(&info.name).cloned().unwrap_or_else(|| vec![config.vocab_size, config.hidden_size]);
        let (rows, cols) = (info.rows(), shape.last().copied().unwrap_or(0));
        let groups = all[scales].cols();
        let dtype = match info.cols() * 32 {
            bits if bits == 4 * cols => Dtype::Mlx4,
            bits if bits == 8 * cols => Dtype::Mlx8,
            _ => return Err(refuse("does not have 4 or 8 bits for each value")),
        };
        let fits = |part: usize| {
            let part = &all[part];
            part.shape == [rows, groups] && part.dtype.block().0 == 1 && part.dtype != Dtype::Words
        };
        let group = cols / groups.max(1);
        if !fits(scales) || !fits(biases) || group * groups != cols || !group.is_multiple_of(GROUP) {
            return Err(refuse("has scales or biases that are not those of groups of 32, 64 or 128 values"));
        }
        tensors.push(TensorInfo { name: info.name.clone(), dtype, shape: vec![rows, cols] });
        places.push(Place::Groups { parts: [at, scales, biases], group });
    }
    Ok(Box::new(Grouped { inner: source, tensors, places, words: Vec::new(), bytes: Vec::new() }))
}

impl Grouped {
    /// Rows of scales or biases.
    fn numbers(&mut self, part: usize, row: usize, count: usize) -> Result<Vec<f32>> {
        self.inner.read(part, row, count, &mut self.bytes)?;
        let info = &self.inner.tensors()[part];
        let mut values = vec![0.0; count * info.cols()];
        quant::dequantize(info.dtype, &self.bytes, &mut values)?;
        Ok(values)
    }
}

impl TensorSource for Grouped {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn read(&mut self, index: usize, row_start: usize, row_count: usize, out: &mut Vec<u8>) -> Result<()> {
        let ([integers, scales, biases], group) = match self.places[index] {
            Place::Whole(index) => return self.inner.read(index, row_start, row_count, out),
            Place::Groups { parts, group } => (parts, group),
        };
        let scales = self.numbers(scales, row_start, row_count)?;
        let biases = self.numbers(biases, row_start, row_count)?;
        self.inner.read(integers, row_start, row_count, &mut self.words)?;
        let (block, bytes) = self.tensors[index].dtype.block();
        out.clear();
        for (at, integers) in self.words.chunks_exact(bytes - 2 * size_of::<f32>()).enumerate() {
            // Rows are whole groups, and groups whole blocks.
            let number = at * block / group;
            out.extend(scales[number].to_le_bytes());
            out.extend(biases[number].to_le_bytes());
            out.extend_from_slice(integers);
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
