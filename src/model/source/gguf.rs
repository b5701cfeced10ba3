//! A GGUF file: metadata, a list of tensors, then their data, each aligned.

use std::collections::HashSet;
use std::path::Path;

use super::gguf_metadata::Cursor;
pub use super::gguf_metadata::{Metadata, Value};
use super::{Dtype, ReadAt, TensorInfo, TensorSource, broken, row_range};
use crate::model::config::{self, ModelConfig};
use crate::model::family;
use crate::{Error, Result};

/// Where a tensor lies and how its rows are ordered.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// First byte in the file.
    offset: u64,
    /// Number of heads if the RoPE halves of each head's rows are interleaved.
    interleaved_heads: Option<usize>,
}

/// A GGUF file whose header has been checked.
#[derive(Debug)]
pub struct Gguf<R> {
    reader: R,
    metadata: Metadata,
    config: ModelConfig,
    tensors: Vec<TensorInfo>,
    places: Vec<Place>,
}

impl<R: ReadAt> Gguf<R> {
    /// Reads and checks the header.
    ///
    /// # Errors
    /// `Input` if this is no GGUF file of version 2 or 3, a key or tensor is of unknown type, a tensor lies outside the
    /// file, overlaps another or is named twice, or the metadata do not describe a known architecture; `Io` if the file
    /// cannot be read.
    pub fn open(mut reader: R) -> Result<Self> {
        let file = reader.path().to_path_buf();
        let file_len = reader.len();
        let mut cursor = Cursor::new(&mut reader);
        if cursor.u32()? != u32::from_le_bytes(*b"GGUF") {
            return Err(cursor.error("is not that of a GGUF file"));
        }
        // Versions 2 and 3 differ only in that 3 allows big-endian files.
        let version = cursor.u32()?;
        if version != 2 && version != 3 {
            let hint = "convert the model again with a current llama.cpp, in little-endian order";
            return Err(Error::input(
                &file,
                "version",
                format!("GGUF version {version} is not supported"),
                hint,
            ));
        }
        let tensor_count = cursor.u64()?;
        let value_count = cursor.u64()?;
        cursor.field = "metadata count".into();
        cursor.expect(value_count, 13)?;
        cursor.field = "tensor count".into();
        cursor.expect(tensor_count, 32)?;
        let metadata = cursor.metadata(value_count)?;

        let mut entries = Vec::new();
        for _ in 0..tensor_count {
            entries.push(tensor_entry(&mut cursor)?);
        }
        let alignment = metadata.count("general.alignment")?.unwrap_or(32) as u64;
        if !alignment.is_power_of_two() {
            return Err(broken(
                &file,
                "general.alignment",
                format!("is {alignment}, which is no power of two"),
            ));
        }
        let data_start = cursor.position().next_multiple_of(alignment);
        check_layout(&file, &entries, alignment, file_len.saturating_sub(data_start))?;

        let divisors = rope_divisors(&mut reader, &mut entries, data_start)?;
        let architecture = metadata.text("general.architecture")?;
        let family = family::by_gguf_architecture(&file, architecture.unwrap_or_default())?;
        let config = config::gguf::parse(family, &metadata, entries.iter().map(|(info, _)| info), divisors)?;

        let mut tensors = Vec::with_capacity(entries.len());
        let mut places = Vec::with_capacity(entries.len());
        let mut names = HashSet::new();
        for (mut info, offset) in entries {
            if let Some(name) = canonical_name(&info.name) {
                info.name = name;
            }
            if !names.insert(info.name.clone()) {
                return Err(broken(&file, &info.name, "two tensors have this name"));
            }
            let interleaved_heads =
                if family.gguf_interleaves_qk { interleaved_heads(&file, &info, &config)? } else { None };
            places.push(Place { offset: data_start + offset, interleaved_heads });
            tensors.push(info);
        }
        Ok(Self { reader, metadata, config, tensors, places })
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
            let offset = self.places[index].offset + first as u64 * row_bytes as u64;
            self.reader.read_at(offset, &mut head)?;
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
                self.reader.read_at(place.offset + offset, out)
            }
        }
    }

    fn name(&self) -> String {
        self.reader.path().display().to_string()
    }
}

/// One entry of the tensor list: the tensor under its GGUF name and its offset in the data.
fn tensor_entry<R: ReadAt>(cursor: &mut Cursor<'_, R>) -> Result<(TensorInfo, u64)> {
    cursor.field = "tensor list".into();
    let name = cursor.string()?;
    cursor.field.clone_from(&name);
    let dimensions = cursor.u32()?;
    if !(1..=4).contains(&dimensions) {
        return Err(cursor.error(format!("has {dimensions} dimensions")));
    }
    let mut shape = Vec::with_capacity(4);
    for _ in 0..dimensions {
        match usize::try_from(cursor.u64()?) {
            Ok(size) if size > 0 => shape.push(size),
            _ => return Err(cursor.error("a dimension is 0 or too large for this machine")),
        }
    }
    // GGUF lists the contiguous dimension first.
    shape.reverse();
    let kind = cursor.u32()?;
    let Some(dtype) = dtype(kind) else {
        let problem = format!("type {} is not supported", type_name(kind));
        let hint = "use a file in F64, F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K or Q6_K";
        return match cursor.error("") {
            Error::Input { file, field, .. } => Err(Error::input(file, field, problem, hint)),
            other => Err(other),
        };
    };
    Ok((TensorInfo { name, dtype, shape }, cursor.u64()?))
}

/// Checks that every tensor has whole blocks, is aligned, inside the data and apart from the others.
fn check_layout(file: &Path, entries: &[(TensorInfo, u64)], alignment: u64, data_len: u64) -> Result<()> {
    let mut ranges = Vec::with_capacity(entries.len());
    for (info, offset) in entries {
        let name = &info.name;
        if !info.cols().is_multiple_of(info.dtype.block().0) {
            let problem = format!("rows of {} values are not whole {:?} blocks", info.cols(), info.dtype);
            return Err(broken(file, name, problem));
        }
        let size = info
            .shape
            .iter()
            .try_fold(1usize, |product, &dim| product.checked_mul(dim))
            .and_then(|values| info.dtype.size(values))
            .ok_or_else(|| broken(file, name, "the product of its shape overflows"))?;
        if !offset.is_multiple_of(alignment) {
            return Err(broken(file, name, format!("its offset {offset} is not a multiple of {alignment}")));
        }
        match offset.checked_add(size as u64) {
            Some(end) if end <= data_len => ranges.push((*offset, end, name)),
            _ => {
                let problem =
                    format!("{size} bytes at {offset} are outside the file's {data_len} data bytes");
                return Err(broken(file, name, problem));
            }
        }
    }
    ranges.sort_unstable();
    match ranges.windows(2).find(|pair| pair[1].0 < pair[0].1) {
        Some(pair) => Err(broken(file, pair[1].2, format!("overlaps {}", pair[0].2))),
        None => Ok(()),
    }
}

/// Takes `rope_freqs.weight` out of the list and reads it: it is configuration, not a weight.
fn rope_divisors<R: ReadAt>(
    reader: &mut R,
    entries: &mut Vec<(TensorInfo, u64)>,
    data_start: u64,
) -> Result<Option<Vec<f32>>> {
    let Some(index) = entries.iter().position(|(info, _)| info.name == "rope_freqs.weight") else {
        return Ok(None);
    };
    let (info, offset) = entries.remove(index);
    if info.dtype != Dtype::F32 || info.cols() > 1 << 12 || info.rows() != 1 {
        return Err(broken(reader.path(), info.name, "must be a short vector of F32"));
    }
    let mut bytes = vec![0; info.row_bytes()];
    reader.read_at(data_start + offset, &mut bytes)?;
    Ok(Some(bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()))
}

/// The number of heads of a q or k projection, whose rows the converter interleaved.
fn interleaved_heads(file: &Path, info: &TensorInfo, config: &ModelConfig) -> Result<Option<usize>> {
    let heads = if info.name.contains("self_attn.q_proj.") {
        config.num_heads
    } else if info.name.contains("self_attn.k_proj.") {
        config.num_kv_heads
    } else {
        return Ok(None);
    };
    let rows = if info.shape.len() == 1 { info.cols() } else { info.rows() };
    if !rows.is_multiple_of(2 * heads) || (info.shape.len() == 1 && info.dtype.block().0 != 1) {
        return Err(broken(file, &info.name, format!("its {rows} rows are not {heads} heads")));
    }
    Ok(Some(heads))
}

/// The Hugging Face name of a GGUF tensor; `None` for one that no family here has.
fn canonical_name(name: &str) -> Option<String> {
    let fixed = match name {
        "token_embd.weight" => Some("model.embed_tokens.weight"),
        "output_norm.weight" => Some("model.norm.weight"),
        "output.weight" => Some("lm_head.weight"),
        _ => None,
    };
    if let Some(name) = fixed {
        return Some(name.to_string());
    }
    let (layer, rest) = name.strip_prefix("blk.")?.split_once('.')?;
    let layer: u32 = layer.parse().ok()?;
    let (stem, kind) = rest.rsplit_once('.')?;
    let stem = match stem {
        "attn_norm" => "input_layernorm",
        "ffn_norm" => "post_attention_layernorm",
        "attn_q" => "self_attn.q_proj",
        "attn_k" => "self_attn.k_proj",
        "attn_v" => "self_attn.v_proj",
        "attn_output" => "self_attn.o_proj",
        "attn_q_norm" => "self_attn.q_norm",
        "attn_k_norm" => "self_attn.k_norm",
        "ffn_gate" => "mlp.gate_proj",
        "ffn_up" => "mlp.up_proj",
        "ffn_down" => "mlp.down_proj",
        _ => return None,
    };
    (kind == "weight" || kind == "bias").then(|| format!("model.layers.{layer}.{stem}.{kind}"))
}

/// The type of ggml's number `kind`.
fn dtype(kind: u32) -> Option<Dtype> {
    Some(match kind {
        0 => Dtype::F32,
        1 => Dtype::F16,
        2 => Dtype::Q4_0,
        3 => Dtype::Q4_1,
        6 => Dtype::Q5_0,
        7 => Dtype::Q5_1,
        8 => Dtype::Q8_0,
        12 => Dtype::Q4K,
        13 => Dtype::Q5K,
        14 => Dtype::Q6K,
        28 => Dtype::F64,
        30 => Dtype::BF16,
        _ => return None,
    })
}

/// A name for a type that cannot be read.
fn type_name(kind: u32) -> String {
    let name = match kind {
        9 => "Q8_1",
        10 => "Q2_K",
        11 => "Q3_K",
        15 => "Q8_K",
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        20 => "IQ4_NL",
        21 => "IQ3_S",
        22 => "IQ2_S",
        23 => "IQ4_XS",
        29 => "IQ1_M",
        34 => "TQ1_0",
        35 => "TQ2_0",
        39 => "MXFP4",
        other => return other.to_string(),
    };
    name.to_string()
}
