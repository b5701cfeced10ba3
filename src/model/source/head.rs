//! A stored output head in a model whose configuration says that the head is the embedding.

use super::{TensorInfo, TensorSource, quant};
use crate::Result;
use crate::model::config::ModelConfig;
use crate::model::family::tensors::{EMBEDDING, HEAD, Tensor};

/// Values of a tensor that are compared at a time.
const CHUNK_VALUES: usize = 1 << 20;

/// Makes `config` say that the head is not tied if the source holds one with other values than the embedding, as transformers 5
/// does: fine-tuning may have left the flag as it was. A head of equal values stays tied.
///
/// # Errors
/// Those of reading.
pub fn untie_if_different(config: &mut ModelConfig, source: &mut dyn TensorSource) -> Result<()> {
    let find = |wanted: Tensor| source.tensors().iter().position(|tensor| wanted.is(&tensor.name));
    if let (true, Some(embedding), Some(head)) = (config.tie_word_embeddings, find(EMBEDDING), find(HEAD)) {
        config.tie_word_embeddings = are_equal(source, [embedding, head])?;
    }
    Ok(())
}

/// Whether two tensors of a source have the same shape and values.
fn are_equal(source: &mut dyn TensorSource, pair: [usize; 2]) -> Result<bool> {
    let [first, second]: [TensorInfo; 2] = pair.map(|index| source.tensors()[index].clone());
    if first.shape != second.shape {
        return Ok(false);
    }
    let (mut bytes, mut other) = (Vec::new(), Vec::new());
    for (row, count) in chunks(&first) {
        source.read(pair[0], row, count, &mut bytes)?;
        source.read(pair[1], row, count, &mut other)?;
        let equal = match first.dtype == second.dtype {
            true => bytes == other,
            false => values(&first, count, &bytes)? == values(&second, count, &other)?,
        };
        if !equal {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether tensor `index` of a source has these values.
///
/// # Errors
/// Those of reading.
pub fn equals(source: &mut dyn TensorSource, index: usize, wanted: &[f32]) -> Result<bool> {
    let info = source.tensors()[index].clone();
    let cols = info.cols();
    if wanted.len() != info.rows() * cols {
        return Ok(false);
    }
    let mut bytes = Vec::new();
    for (row, count) in chunks(&info) {
        source.read(index, row, count, &mut bytes)?;
        if values(&info, count, &bytes)? != wanted[row * cols..(row + count) * cols] {
            return Ok(false);
        }
    }
    Ok(true)
}

/// First row and number of rows of pieces of a few MiB.
fn chunks(info: &TensorInfo) -> impl Iterator<Item = (usize, usize)> + use<> {
    let (rows, step) = (info.rows(), (CHUNK_VALUES / info.cols().max(1)).max(1));
    (0..rows).step_by(step).map(move |row| (row, step.min(rows - row)))
}

fn values(info: &TensorInfo, rows: usize, bytes: &[u8]) -> Result<Vec<f32>> {
    let mut values = vec![0.0; rows * info.cols()];
    quant::dequantize(info.dtype, bytes, &mut values)?;
    Ok(values)
}
