//! The header of a GGUF file: metadata and a list of tensors. A model may be split into several files, each with a header of
//! its own; the first has the metadata.

use std::path::Path;

use super::gguf_metadata::{Cursor, Metadata};
use super::{Dtype, ReadAt, TensorInfo, broken};
use crate::{Error, Result};

/// One file's header.
pub(super) struct Header {
    pub(super) metadata: Metadata,
    /// Tensors under their GGUF names, with their offsets in the data.
    pub(super) entries: Vec<(TensorInfo, u64)>,
    /// Where the data begins.
    pub(super) data_start: u64,
}

/// Reads how many tensors and values a file has; `cursor` is behind them then.
fn counts<R: ReadAt>(cursor: &mut Cursor<'_, R>, file: &Path) -> Result<[u64; 2]> {
    if cursor.u32()? != u32::from_le_bytes(*b"GGUF") {
        return Err(cursor.error("is not that of a GGUF file"));
    }
    // Versions 2 and 3 differ only in that 3 allows big-endian files.
    let version = cursor.u32()?;
    if version != 2 && version != 3 {
        let hint = "convert the model again with a current llama.cpp, in little-endian order";
        let problem = format!("GGUF version {version} is not supported");
        return Err(Error::input(file, "version", problem, hint));
    }
    let tensor_count = cursor.u64()?;
    let value_count = cursor.u64()?;
    cursor.field = "metadata count".into();
    cursor.expect(value_count, 13)?;
    cursor.field = "tensor count".into();
    cursor.expect(tensor_count, 32)?;
    Ok([tensor_count, value_count])
}

/// The metadata of a file as they lie in it: keys with the bytes of type and value, in their order.
///
/// # Errors
/// `Input` if it is no GGUF file of version 2 or 3, or damaged; `Io`.
pub fn raw_metadata<R: ReadAt>(reader: &mut R) -> Result<Vec<(String, Vec<u8>)>> {
    let file = reader.path().to_path_buf();
    let mut cursor = Cursor::new(reader);
    let [_, values] = counts(&mut cursor, &file)?;
    cursor.raw(values)
}

impl Header {
    fn read<R: ReadAt>(reader: &mut R) -> Result<Self> {
        let file = reader.path().to_path_buf();
        let file_len = reader.len();
        let mut cursor = Cursor::new(reader);
        let [tensor_count, value_count] = counts(&mut cursor, &file)?;
        let metadata = cursor.metadata(value_count)?;

        let mut entries = Vec::new();
        for _ in 0..tensor_count {
            entries.push(tensor_entry(&mut cursor)?);
        }
        let alignment = metadata.count("general.alignment")?.unwrap_or(32) as u64;
        if !alignment.is_power_of_two() {
            let problem = format!("is {alignment}, which is no power of two");
            return Err(broken(&file, "general.alignment", problem));
        }
        let data_start = cursor.position().next_multiple_of(alignment);
        check_layout(&file, &entries, alignment, file_len.saturating_sub(data_start))?;
        Ok(Self { metadata, entries, data_start })
    }

    /// (number from 0, count) of the part that the file is.
    fn part(&self) -> Result<(usize, usize)> {
        let number = self.metadata.count("split.no")?.unwrap_or(0);
        Ok((number, self.metadata.count("split.count")?.unwrap_or(1).max(1)))
    }
}

/// All files of a model, in order, with their headers.
pub(super) struct Parts<R> {
    pub(super) readers: Vec<R>,
    /// One a reader; at least one.
    pub(super) headers: Vec<Header>,
}

impl<R: ReadAt> Parts<R> {
    /// Reads the headers and checks that the files are all parts of one model.
    pub(super) fn read(readers: Vec<R>) -> Result<Self> {
        let mut parts = Vec::with_capacity(readers.len());
        for mut reader in readers {
            let header = Header::read(&mut reader)?;
            parts.push((header.part()?, header, reader));
        }
        parts.sort_by_key(|((number, _), ..)| *number);
        let given = parts.len();
        for (index, ((number, count), header, _)) in parts.iter().enumerate() {
            if *count != given || *number != index {
                let problem = format!("is part {} of {count}, and {given} files are given", number + 1);
                let hint =
                    "give all parts of one model, with the names that end in -00001-of-00003.gguf and so on";
                return Err(header.metadata.error("split.no", problem, hint));
            }
        }
        let tensors: usize = parts.iter().map(|(_, header, _)| header.entries.len()).sum();
        let (headers, readers): (Vec<Header>, Vec<R>) =
            parts.into_iter().map(|(_, header, reader)| (header, reader)).unzip();
        let Some(first) = headers.first() else {
            return Err(Error::usage("model", "no file is given", "give a .gguf file"));
        };
        if let Some(count) = first.metadata.count("split.tensors.count")?
            && count != tensors
            && given > 1
        {
            let problem = format!("is {count}, and the parts have {tensors} tensors");
            return Err(broken(&first.metadata.file, "split.tensors.count", problem));
        }
        Ok(Self { readers, headers })
    }
}

/// The names of all parts of a split model, of which `name` is one (`x-00002-of-00003.gguf`); `None` for other names.
pub fn part_names(name: &str) -> Option<Vec<String>> {
    let stem = name.get(..name.len().checked_sub(5)?)?;
    let extension = &name[stem.len()..];
    let (stem, count) = stem.rsplit_once("-of-")?;
    let (stem, number) = stem.rsplit_once('-')?;
    let parse = |digits: &str| digits.parse::<usize>().ok().filter(|_| digits.len() == 5);
    let (number, count) = (parse(number)?, parse(count)?);
    let name = |number: usize| format!("{stem}-{number:05}-of-{count:05}{extension}");
    (extension.eq_ignore_ascii_case(".gguf") && (1..=count).contains(&number))
        .then(|| (1..=count).map(name).collect())
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
    let Some(dtype) = Dtype::from_ggml(kind) else {
        let problem = format!("type {} is not supported", type_name(kind));
        let hint = format!("use a file in {}", Dtype::names());
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

/// A name for a type that cannot be read.
fn type_name(kind: u32) -> String {
    let name = match kind {
        9 => "Q8_1",
        15 => "Q8_K",
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        21 => "IQ3_S",
        22 => "IQ2_S",
        29 => "IQ1_M",
        34 => "TQ1_0",
        35 => "TQ2_0",
        39 => "MXFP4",
        other => return other.to_string(),
    };
    name.to_string()
}
