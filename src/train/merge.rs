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
pub(super) const CHUNK_VALUES: usize = 4 << 20;

/// The rows of a model's tensors, each with its share of an adapter.
pub(super) struct Merged<'a> {
    config: &'a ModelConfig,
    source: &'a mut dyn TensorSource,
    adapter: Option<&'a AdapterFile>,
    index: HashMap<String, usize>,
    norms: HashSet<String>,
    bytes: Vec<u8>,
}

impl<'a> Merged<'a> {
    pub(super) fn new(
        config: &'a ModelConfig,
        source: &'a mut dyn TensorSource,
        adapter: Option<&'a AdapterFile>,
    ) -> Self {
        let index = source.tensors().iter().enumerate().map(|(i, tensor)| (tensor.name.clone(), i)).collect();
        let norms = config.family.tensors.iter().filter(|tensor| tensor.role.is_norm());
        let norms =
            norms.flat_map(|tensor| (0..config.num_layers).map(|layer| tensor.hf_name(layer))).collect();
        Self { config, source, adapter, index, norms, bytes: Vec::new() }
    }

    /// The tensor of this Hugging Face name.
    ///
    /// # Errors
    /// [`Error::Input`] if it is missing.
    pub(super) fn find(&self, name: &str) -> Result<usize> {
        self.index.get(name).copied().ok_or_else(|| {
            let file = self.source.name();
            Error::input(file, name, "the tensor is missing", "take the complete model")
        })
    }

    /// Rows and columns of a tensor.
    pub(super) fn shape(&self, tensor: usize) -> [usize; 2] {
        let info = &self.source.tensors()[tensor];
        [info.rows(), info.cols()]
    }

    /// Rows `row .. row + count` of a tensor, weights of norms as files of the kind `gguf` have them.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Input`] for numbers that nobody can compute with.
    pub(super) fn rows(&mut self, tensor: usize, row: usize, count: usize, gguf: bool) -> Result<Vec<f32>> {
        let info = &self.source.tensors()[tensor];
        let (name, dtype, cols) = (info.name.clone(), info.dtype, info.cols());
        self.source.read(tensor, row, count, &mut self.bytes)?;
        check_finite(self.source, tensor, &self.bytes)?;
        let mut values = vec![0.0; count * cols];
        quant::dequantize(dtype, &self.bytes, &mut values)?;
        if self.norms.contains(&name) && self.source.is_gguf() != gguf {
            let offset = self.config.family.norm_offset;
            let offset = if gguf { offset } else { -offset };
            values.iter_mut().for_each(|value| *value += offset);
        }
        let module = name.strip_suffix(".weight").and_then(Module::from_path);
        if let (Some((layer, module)), Some(adapter)) = (module, self.adapter) {
            add_adapter(adapter, layer, module, row, cols, &mut values);
        }
        Ok(values)
    }
}

/// Writes the tensors that `config` calls for to `out`, each with its share of the adapter if there is one, weights of norms as Hugging Face has them. `path` is
/// named in errors; `progress` gets (bytes written, bytes in all).
///
/// # Errors
/// [`Error::Io`] if reading or writing fails, [`Error::Input`] if a tensor is missing.
pub fn write_merged(
    config: &ModelConfig,
    source: &mut dyn TensorSource,
    adapter: Option<&AdapterFile>,
    path: &Path,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<()> {
    let failed = |error: io::Error| Error::write(path, error);
    let tensors = expected(config);
    let (header, total) = header(&tensors);
    out.write_all(&(header.len() as u64).to_le_bytes()).map_err(failed)?;
    out.write_all(header.as_bytes()).map_err(failed)?;
    let mut merged = Merged::new(config, source, adapter);
    let mut done = 0;
    for (name, _) in &tensors {
        let tensor = merged.find(name)?;
        let [rows, cols] = merged.shape(tensor);
        let step = (CHUNK_VALUES / cols).max(1);
        for row in (0..rows).step_by(step) {
            let values = merged.rows(tensor, row, step.min(rows - row), false)?;
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
