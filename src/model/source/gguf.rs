//! A GGUF file: metadata, a list of tensors, then their data, each aligned.

use std::collections::HashSet;
use std::path::Path;

use super::gguf_header::Parts;
pub use super::gguf_metadata::{Metadata, Value};
use super::{Dtype, ReadAt, TensorInfo, TensorSource, broken, row_range};
use crate::Result;
use crate::model::config::scaling::{FREQS, LONG, RopeTensors, SHORT};
use crate::model::config::{self, ModelConfig};
use crate::model::family;
use crate::model::family::tensors::Tensor;

/// Where a tensor lies and how its rows are ordered.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// Number of the file.
    part: usize,
    /// First byte in the file.
    offset: u64,
    /// Number of heads if the RoPE halves of each head's rows are interleaved.
    interleaved_heads: Option<usize>,
}

/// A tensor under its GGUF name, the number of its file, and its first byte there.
struct Entry {
    info: TensorInfo,
    part: usize,
    offset: u64,
}

/// A model in one GGUF file, or in the parts that `llama-gguf-split` makes of one, whose headers have been checked.
#[derive(Debug)]
pub struct Gguf<R> {
    readers: Vec<R>,
    metadata: Metadata,
    config: ModelConfig,
    tensors: Vec<TensorInfo>,
    places: Vec<Place>,
}

impl<R: ReadAt> Gguf<R> {
    /// Reads and checks the header of a model's only file.
    ///
    /// # Errors
    /// As [`Gguf::open_parts`].
    pub fn open(reader: R) -> Result<Self> {
        Self::open_parts(vec![reader])
    }

    /// Reads and checks the headers of a model's files, in any order.
    ///
    /// # Errors
    /// `Input` if one is no GGUF file of version 2 or 3, a part is missing or of another model, a key or tensor is of unknown
    /// type, a tensor lies outside the file, overlaps another or is named twice, or the metadata do not describe a known
    /// architecture; `Io` if a file cannot be read.
    pub fn open_parts(readers: Vec<R>) -> Result<Self> {
        let Parts { mut readers, headers } = Parts::read(readers)?;
        let metadata = headers[0].metadata.clone();
        let file = metadata.file.clone();
        let mut entries: Vec<Entry> = Vec::new();
        for (part, header) in headers.into_iter().enumerate() {
            let start = header.data_start;
            let entry = |(info, offset)| Entry { info, part, offset: start + offset };
            entries.extend(header.entries.into_iter().map(entry));
        }
        let of_rope = rope_tensors(&mut readers, &mut entries)?;
        let architecture = metadata.text("general.architecture")?;
        let architecture = architecture.unwrap_or_default();
        let window = metadata.count(&format!("{architecture}.attention.sliding_window"))?;
        let family = family::by_gguf_architecture(&file, architecture, window.is_some_and(|size| size > 0))?;
        let config =
            config::gguf::parse(family, &metadata, entries.iter().map(|entry| &entry.info), &of_rope)?;

        let mut tensors = Vec::with_capacity(entries.len());
        let mut places = Vec::with_capacity(entries.len());
        let mut names = HashSet::new();
        for Entry { mut info, part, offset } in entries {
            let known = family.gguf_tensor(&info.name);
            if let Some((layer, tensor)) = known {
                info.name = tensor.hf_name(layer);
            }
            if !names.insert(info.name.clone()) {
                return Err(broken(readers[part].path(), &info.name, "two tensors have this name"));
            }
            let interleaved_heads = match known {
                Some((_, tensor)) => interleaved_heads(&file, &info, tensor, &config)?,
                None => None,
            };
            places.push(Place { part, offset, interleaved_heads });
            tensors.push(info);
        }
        Ok(Self { readers, metadata, config, tensors, places })
    }

    /// The configuration that the metadata describe.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// All metadata, the tokenizer's among them.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Rows `start .. start + count` in half-split order, from a file that holds each head's rows interleaved.
    fn read_interleaved(
        &mut self,
        index: usize,
        heads: usize,
        start: usize,
        count: usize,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let info = &self.tensors[index];
        // The rows of a bias are its values.
        let (rows, row_bytes) = if info.shape.len() == 1 {
            (info.cols(), info.dtype.block().1)
        } else {
            (info.rows(), info.row_bytes())
        };
        let head_rows = rows / heads;
        let mut head = vec![0; head_rows * row_bytes];
        out.clear();
        let mut row = start;
        while row < start + count {
            let first = row - row % head_rows;
            let place = self.places[index];
            let offset = place.offset + first as u64 * row_bytes as u64;
            self.readers[place.part].read_at(offset, &mut head)?;
            let end = (first + head_rows).min(start + count);
            for row in row - first..end - first {
                let half = head_rows / 2;
                let stored = 2 * (row % half) + row / half;
                out.extend_from_slice(&head[stored * row_bytes..(stored + 1) * row_bytes]);
            }
            row = end;
        }
        Ok(())
    }
}

impl<R: ReadAt> TensorSource for Gguf<R> {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn read(&mut self, index: usize, row_start: usize, row_count: usize, out: &mut Vec<u8>) -> Result<()> {
        let info = &self.tensors[index];
        let (offset, size) = row_range(&self.name(), info, row_start, row_count)?;
        let place = self.places[index];
        match place.interleaved_heads {
            Some(heads) if info.shape.len() == 1 => {
                let values = info.cols() * row_count;
                self.read_interleaved(index, heads, 0, values, out)
            }
            Some(heads) => self.read_interleaved(index, heads, row_start, row_count, out),
            None => {
                out.resize(size, 0);
                self.readers[place.part].read_at(place.offset + offset, out)
            }
        }
    }

    fn name(&self) -> String {
        self.metadata.file.display().to_string()
    }

    fn is_gguf(&self) -> bool {
        true
    }
}

/// Takes the tensors of RoPE out of the list and reads them: they are configuration, not weights.
fn rope_tensors<R: ReadAt>(readers: &mut [R], entries: &mut Vec<Entry>) -> Result<RopeTensors> {
    let mut of_rope = RopeTensors::new();
    for name in [FREQS, SHORT, LONG] {
        let Some(index) = entries.iter().position(|entry| entry.info.name == name) else { continue };
        let Entry { info, part, offset } = entries.remove(index);
        let reader = &mut readers[part];
        if info.dtype != Dtype::F32 || info.cols() > 1 << 12 || info.rows() != 1 {
            return Err(broken(reader.path(), info.name, "must be a short vector of F32"));
        }
        let mut bytes = vec![0; info.row_bytes()];
        reader.read_at(offset, &mut bytes)?;
        let values = bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes));
        of_rope.insert(name, values.collect());
    }
    Ok(of_rope)
}

/// The number of heads of a q or k projection, whose rows the converter interleaved.
fn interleaved_heads(
    file: &Path,
    info: &TensorInfo,
    tensor: &Tensor,
    config: &ModelConfig,
) -> Result<Option<usize>> {
    let heads = [config.num_heads, config.num_kv_heads];
    let interleaved = |module| config.family.interleaved_heads(module, heads);
    let Some(heads) = tensor.role.module().and_then(interleaved) else { return Ok(None) };
    let rows = if info.shape.len() == 1 { info.cols() } else { info.rows() };
    if !rows.is_multiple_of(2 * heads) || (info.shape.len() == 1 && info.dtype.block().0 != 1) {
        return Err(broken(file, &info.name, format!("its {rows} rows are not {heads} heads")));
    }
    Ok(Some(heads))
}
