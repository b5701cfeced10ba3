//! A model with its adapter merged, W + s·B·A, as one safetensors file in F32. Streamed: one piece of a tensor is in
//! memory at a time.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::path::Path;

use serde_json::{Map, json};

use super::lora_config::Module;
use super::peft::AdapterFile;
use crate::model::config::ModelConfig;
use crate::model::source::{TensorSource, check_finite, expected, quant};
use crate::{Error, Result};

/// Values that are held at a time (16 MiB).
const CHUNK_VALUES: usize = 4 << 20;

/// Writes the tensors that `config` calls for to `out`, each with its share of the adapter, weights of norms as Hugging Face has them. `path` is named in errors;
/// `progress` gets (bytes written, bytes in all).
///
/// # Errors
/// [`Error::Io`] if reading or writing fails, [`Error::Input`] if a tensor is missing.
pub fn write_merged(
    config: &ModelConfig,
    source: &mut dyn TensorSource,
    adapter: &AdapterFile,
    path: &Path,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<()> {
    let failed = |error: io::Error| Error::write(path, error);
    let tensors = expected(config);
    let index: HashMap<String, usize> =
        source.tensors().iter().enumerate().map(|(i, tensor)| (tensor.name.clone(), i)).collect();
    let (header, total) = header(&tensors);
    out.write_all(&(header.len() as u64).to_le_bytes()).map_err(failed)?;
    out.write_all(header.as_bytes()).map_err(failed)?;
    let norms = config.family.tensors.iter().filter(|tensor| tensor.role.is_norm());
    let norms: HashSet<String> =
        norms.flat_map(|tensor| (0..config.num_layers).map(|layer| tensor.hf_name(layer))).collect();
    let mut bytes = Vec::new();
    let mut done = 0;
    for (name, _) in &tensors {
        let Some(&tensor) = index.get(name) else {
            let file = source.name();
            return Err(Error::input(file, name, "the tensor is missing", "take the complete model"));
        };
        let info = source.tensors()[tensor].clone();
        let (rows, cols) = (info.rows(), info.cols());
        let module = name.strip_suffix(".weight").and_then(Module::from_path);
        let step = (CHUNK_VALUES / cols).max(1);
        for row in (0..rows).step_by(step) {
            let count = step.min(rows - row);
            source.read(tensor, row, count, &mut bytes)?;
            check_finite(source, tensor, &bytes)?;
            let mut values = vec![0.0; count * cols];
            quant::dequantize(info.dtype, &bytes, &mut values)?;
            if norms.contains(name) && source.is_gguf() {
                values.iter_mut().for_each(|value| *value -= config.family.norm_offset);
            }
            if let Some((layer, module)) = module {
                add_adapter(adapter, layer, module, row, cols, &mut values);
            }
            let values: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            out.write_all(&values).map_err(failed)?;
            done += values.len() as u64;
            progress(done, total);
        }
    }
    out.flush().map_err(failed)
}

/// Adds s·B·A to rows from `row` on; sums in f64, rounded once.
fn add_adapter(
    adapter: &AdapterFile,
    layer: usize,
    module: Module,
    row: usize,
    cols: usize,
    values: &mut [f32],
) {
    let Some(pair) = adapter.tensors.get(&(layer, module)) else { return };
    let rank = adapter.config.rank_of(layer, module);
    let scale = f64::from(adapter.config.scale(layer, module));
    let mut sums = vec![0.0; cols];
    for (values, b) in values.chunks_exact_mut(cols).zip(pair.b[row * rank..].chunks_exact(rank)) {
        sums.fill(0.0);
        for (&b, a) in b.iter().zip(pair.a.chunks_exact(cols)) {
            let factor = scale * f64::from(b);
            sums.iter_mut().zip(a).for_each(|(sum, &a)| *sum += factor * f64::from(a));
        }
        values.iter_mut().zip(&sums).for_each(|(value, sum)| *value = (f64::from(*value) + sum) as f32);
    }
}

/// The JSON header, padded to whole 8 bytes, and the bytes of all data.
fn header(tensors: &[(String, Vec<usize>)]) -> (String, u64) {
    let mut entries = Map::new();
    entries.insert("__metadata__".into(), json!({ "format": "pt" }));
    let mut end = 0u64;
    for (name, shape) in tensors {
        let start = end;
        end += 4 * shape.iter().map(|&n| n as u64).product::<u64>();
        entries.insert(name.clone(), json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, end] }));
    }
    let mut text = serde_json::Value::Object(entries).to_string();
    text.extend(std::iter::repeat_n(' ', text.len().next_multiple_of(8) - text.len()));
    (text, end)
}
