//! A model, with its adapter merged or without one, as one GGUF file. Streamed: some heads or rows of a tensor are in memory at a
//! time. Native only.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use super::merge::{CHUNK_VALUES, Merged};
use super::peft::AdapterFile;
use crate::model::config::ModelConfig;
use crate::model::family::tensors::{Role, Tensor};
use crate::model::source::{Dtype, TensorSource};
use crate::model::to_gguf::interleave;
use crate::model::to_gguf::layout::{ALIGNMENT, TensorEntry, header};
use crate::model::to_gguf::plan::GgufPlan;
use crate::model::to_gguf::quantisation::Quantisation;
use crate::model::to_gguf::quantise::quantise;
use crate::{Error, Result};

/// A tensor that is written.
struct Output {
    layer: usize,
    tensor: &'static Tensor,
    entry: TensorEntry,
}

/// The types of the tensors that [`write_gguf`] writes, and how many of each there are.
pub type Types = BTreeMap<&'static str, usize>;

/// Writes the model of `config` to `out`. `path` is named in errors; `progress` gets (bytes written, bytes in all) of the tensors.
///
/// # Errors
/// [`Error::Io`] if reading or writing fails; [`Error::Input`] if a tensor is missing, or has values that its type cannot hold.
pub fn write_gguf(
    config: &ModelConfig,
    source: &mut dyn TensorSource,
    adapter: Option<&AdapterFile>,
    plan: &GgufPlan,
    path: &Path,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Types> {
    let failed = |error: io::Error| Error::write(path, error);
    let file = source.name();
    let outputs = outputs(config, plan.quantisation);
    let mut entries: Vec<TensorEntry> = outputs.iter().map(|output| output.entry.clone()).collect();
    // First, as the converter writes them.
    entries.splice(
        0..0,
        plan.of_rope.iter().map(|(&name, values)| TensorEntry {
            name: name.to_owned(),
            shape: vec![values.len()],
            dtype: Dtype::F32,
        }),
    );
    out.write_all(&header(&plan.entries, &entries)?).map_err(failed)?;
    let padding = |length: u64| vec![0; (length.next_multiple_of(ALIGNMENT as u64) - length) as usize];
    for values in plan.of_rope.values() {
        let bytes: &[u8] = bytemuck::cast_slice(values);
        out.write_all(bytes).and_then(|()| out.write_all(&padding(bytes.len() as u64))).map_err(failed)?;
    }
    let total =
        outputs.iter().map(|output| output.entry.bytes().map(|bytes| bytes as u64)).sum::<Result<u64>>()?;
    let (mut types, mut done) = (Types::new(), 0);
    let mut merged = Merged::new(config, source, adapter);
    for Output { layer, tensor, entry } in &outputs {
        let index = merged.find(&tensor.hf_name(*layer))?;
        let [rows, cols] = merged.shape(index);
        let heads = [config.num_heads, config.num_kv_heads];
        let heads = tensor.role.module().and_then(|module| config.family.interleaved_heads(module, heads));
        // The rows of a bias are its values.
        let (head_rows, row_values) = match heads {
            Some(heads) if rows == 1 => (cols / heads, 1),
            Some(heads) => (rows / heads, cols),
            None => (1, cols),
        };
        let step = if rows == 1 { 1 } else { (CHUNK_VALUES / cols / head_rows).max(1) * head_rows };
        let (mut bytes, mut written) = (Vec::new(), 0);
        for row in (0..rows).step_by(step) {
            let mut values = merged.rows(index, row, step.min(rows - row), true)?;
            if tensor.role == Role::QueryNorm {
                values.iter_mut().for_each(|value| *value *= plan.query_factor);
            }
            if heads.is_some() {
                let heads = values.len() / row_values / head_rows;
                values = interleave(&values, row_values, heads).ok_or_else(|| {
                    Error::input(&file, &entry.name, "has rows that are no heads", "take the original model")
                })?;
            }
            bytes.clear();
            if !quantise(entry.dtype, &values, &mut bytes) {
                let problem = format!("has values that {} cannot hold", entry.dtype.name());
                return Err(Error::input(&file, &entry.name, problem, "export it with <quantize> f32"));
            }
            out.write_all(&bytes).map_err(failed)?;
            written += bytes.len() as u64;
            progress(done + written, total);
        }
        out.write_all(&padding(written)).map_err(failed)?;
        done += written;
        *types.entry(entry.dtype.name()).or_default() += 1;
    }
    out.flush().map_err(failed)?;
    Ok(types)
}

/// The tensors of the model: those of the whole, then block by block.
fn outputs(config: &ModelConfig, quantisation: &Quantisation) -> Vec<Output> {
    let tied = config.tie_word_embeddings;
    let output = |tensor: &'static Tensor, layer: usize| {
        let shape = config.shape(tensor);
        let dtype = quantisation.dtype(tensor.role, &shape, tied, (layer, config.num_layers));
        Output { layer, tensor, entry: TensorEntry { name: tensor.gguf_name(layer), shape, dtype } }
    };
    let all = || config.family.tensors.iter().filter(|tensor| !(tied && tensor.role == Role::Head));
    let whole = all().filter(|tensor| !tensor.role.is_of_block()).map(|tensor| output(tensor, 0));
    let blocks = (0..config.num_layers).flat_map(|layer| {
        all().filter(|tensor| tensor.role.is_of_block()).map(move |tensor| output(tensor, layer))
    });
    whole.chain(blocks).collect()
}
