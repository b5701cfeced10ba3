//! A stored output head in a model whose configuration says that the head is the embedding.

use super::names::{EMBEDDING, HEAD};
use super::{TensorInfo, TensorSource, quant};
use crate::Result;
use crate::model::config::ModelConfig;

/// Bytes of a tensor that are compared at a time.
const CHUNK_BYTES: usize = 4 << 20;

/// Makes `config` say that the head is not tied if the source holds one with other values than the embedding, as transformers 5
/// does: fine-tuning may have left the flag as it was. A head of equal values stays tied.
///
/// # Errors
/// Those of reading.
pub fn untie_if_different(config: &mut ModelConfig, source: &mut dyn TensorSource) -> Result<()> {
    let find = |name: &str| source.tensors().iter().position(|tensor| tensor.name == name);
    if let (true, Some(embedding), Some(head)) = (config.tie_word_embeddings, find(EMBEDDING), find(HEAD)) {
        config.tie_word_embeddings = are_equal(source, [embedding, head])?;
    }
    Ok(())
}

/// Whether two tensors of a source have the same shape and values.
fn are_equal(source: &mut dyn TensorSource, pair: [usize; 2]) -> Result<bool> {
    let infos: [TensorInfo; 2] = pair.map(|index| source.tensors()[index].clone());
    let [first, second] = &infos;
    if first.shape != second.shape {
        return Ok(false);
    }
    let widest = first.row_bytes().max(second.row_bytes()).max(1);
    let step = (CHUNK_BYTES / widest).max(1);
    let mut bytes = [Vec::new(), Vec::new()];
    for row in (0..first.rows()).step_by(step) {
        let count = step.min(first.rows() - row);
        for (index, bytes) in pair.into_iter().zip(&mut bytes) {
            source.read(index, row, count, bytes)?;
        }
        if first.dtype == second.dtype {
            if bytes[0] != bytes[1] {
                return Ok(false);
            }
            continue;
        }
        let mut values = [(); 2].map(|()| vec![0.0; count * first.cols()]);
        for ((info, bytes), values) in infos.iter().zip(&bytes).zip(&mut values) {
            quant::dequantize(info.dtype, bytes, values)?;
        }
        if values[0] != values[1] {
            return Ok(false);
        }
    }
    Ok(true)
}
