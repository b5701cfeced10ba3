//! One safetensors file: an 8-byte header length, a JSON header, then the tensors without gaps.
//!
//! The header is parsed here and not by the `safetensors` crate, which needs the whole file in memory and lets the
//! last of two tensors with one name win.

use std::fmt;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::names::is_buffer;
use super::{Dtype, ReadAt, TensorInfo, TensorSource, broken, row_range};
use crate::{Error, Result};

/// The longest header read, as in the reference implementation.
const MAX_HEADER: u64 = 100_000_000;

/// A safetensors file whose header has been checked.
#[derive(Debug)]
pub struct SafeTensors<R> {
    reader: R,
    tensors: Vec<TensorInfo>,
    /// Where each tensor begins in the file.
    offsets: Vec<u64>,
}

impl<R: ReadAt> SafeTensors<R> {
    /// Reads and checks the header.
    ///
    /// # Errors
    /// `Input` if the header is not one, or a tensor is of unknown type, outside the file, of another size than its
    /// shape says, overlapping another, or named twice; `Io` if the file cannot be read.
    pub fn open(mut reader: R) -> Result<Self> {
        let file = reader.path().to_path_buf();
        let mut length = [0; 8];
        if reader.len() < 8 {
            let problem = format!("the file has {} bytes and no room for a header", reader.len());
            return Err(broken(&file, "header length", problem));
        }
        reader.read_at(0, &mut length)?;
        let length = u64::from_le_bytes(length);
        if length > MAX_HEADER || length > reader.len() - 8 {
            let problem = format!("{length} does not fit into the file's {} bytes", reader.len());
            return Err(broken(&file, "header length", problem));
        }
        let mut header = vec![0; length as usize];
        reader.read_at(8, &mut header)?;
        let Header(entries) = serde_json::from_slice(&header)
            .map_err(|error| broken(&file, "header", format!("not a safetensors header: {error}")))?;
        let data_start = 8 + length;
        let data_len = reader.len() - data_start;

        let mut sorted = Vec::with_capacity(entries.len());
        for (name, entry) in entries {
            let [begin, end] = entry.data_offsets;
            if begin > end || end > data_len {
                let problem =
                    format!("data_offsets [{begin}, {end}] are outside the file's {data_len} data bytes");
                return Err(broken(&file, &name, problem));
            }
            if is_buffer(&name, entry.is_float()) {
                let shape = Vec::new();
                sorted.push((begin, end, TensorInfo { name, dtype: Dtype::F32, shape }, false));
                continue;
            }
            let info =
                entry.info(&name).map_err(|(problem, hint)| Error::input(&file, &name, problem, hint))?;
            let size =
                byte_size(&info).ok_or_else(|| broken(&file, &name, "the product of its shape overflows"))?;
            if end - begin != size {
                let problem = format!("has {} bytes where its type and shape need {size}", end - begin);
                return Err(broken(&file, &name, problem));
            }
            sorted.push((begin, end, info, true));
        }
        sorted.sort_by_key(|(begin, end, ..)| (*begin, *end));
        let mut free = 0;
        for (begin, end, info, _) in &sorted {
            if *begin != free {
                let what =
                    if *begin < free { "overlaps the tensor before it" } else { "leaves a gap before it" };
                return Err(broken(&file, &info.name, what));
            }
            free = *end;
        }
        if free != data_len {
            return Err(broken(
                &file,
                "header",
                format!("describes {free} of the file's {data_len} data bytes"),
            ));
        }
        sorted.retain(|(.., is_weight)| *is_weight);
        let offsets = sorted.iter().map(|(begin, ..)| data_start + begin).collect();
        let tensors: Vec<TensorInfo> = sorted.into_iter().map(|(_, _, info, _)| info).collect();
        reject_duplicates(&file, &tensors)?;
        Ok(Self { reader, tensors, offsets })
    }
}

impl<R: ReadAt> TensorSource for SafeTensors<R> {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn read(&mut self, index: usize, row_start: usize, row_count: usize, out: &mut Vec<u8>) -> Result<()> {
        let (offset, size) = row_range(&self.name(), &self.tensors[index], row_start, row_count)?;
        out.resize(size, 0);
        self.reader.read_at(self.offsets[index] + offset, out)
    }

    fn name(&self) -> String {
        self.reader.path().display().to_string()
    }

    fn is_gguf(&self) -> bool {
        false
    }
}

/// Bytes of a tensor of a type without blocks; `None` if the product overflows.
fn byte_size(info: &TensorInfo) -> Option<u64> {
    let values = info.shape.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim))?;
    u64::try_from(info.dtype.size(values)?).ok()
}

fn reject_duplicates(file: &Path, tensors: &[TensorInfo]) -> Result<()> {
    let mut names: Vec<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(broken(file, pair[0], "two tensors have this name")),
        None => Ok(()),
    }
}

/// Name and entry of each tensor as written, duplicates included.
struct Header(Vec<(String, Entry)>);

#[derive(serde::Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

impl Entry {
    fn is_float(&self) -> bool {
        self.dtype.starts_with('F') || self.dtype.starts_with("BF")
    }

    fn info(&self, name: &str) -> std::result::Result<TensorInfo, (String, &'static str)> {
        let dtype = match self.dtype.as_str() {
            "F64" => Dtype::F64,
            "F32" => Dtype::F32,
            "F16" => Dtype::F16,
            "BF16" => Dtype::BF16,
            "F8_E4M3" => Dtype::F8E4M3,
            "F8_E8M0" => Dtype::F8E8M0,
            "U8" => Dtype::U8,
            "I8" => Dtype::I8,
            "I32" => Dtype::I32,
            "U32" => Dtype::U32,
            "I64" => Dtype::I64,
            other => {
                let hint = "use a checkpoint in F64, F32, F16, BF16 or F8_E4M3 with scales, or a GGUF file";
                return Err((format!("type {other:?} is not supported"), hint));
            }
        };
        if self.shape.len() > 8 || self.shape.contains(&0) {
            return Err((
                format!("its shape {:?} is not one of a weight", self.shape),
                "download the file again",
            ));
        }
        let shape = self.shape.iter().map(|&dim| usize::try_from(dim)).collect::<std::result::Result<_, _>>();
        let shape = shape.map_err(|_| {
            (
                "a dimension is too large for this machine".to_string(),
                "use a smaller model or a 64-bit machine",
            )
        })?;
        Ok(TensorInfo { name: name.to_string(), dtype, shape })
    }
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Header;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Header, A::Error> {
                let mut entries = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<IgnoredAny>()?;
                    } else {
                        entries.push((name, map.next_value()?));
                    }
                }
                Ok(Header(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}
