//! A Hugging Face folder: `model.safetensors`, or shards listed in `model.safetensors.index.json`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::names::is_buffer;
use super::safetensors::SafeTensors;
use super::{ReadAt, TensorInfo, TensorSource};
use crate::{Error, Result, json};

/// Name of the single file.
pub const SINGLE: &str = "model.safetensors";
/// The longest list of shards read: more than ten times the largest known.
#[cfg(not(target_arch = "wasm32"))]
const MAX_INDEX: u64 = 64 << 20;
/// Name of the list of shards.
pub const INDEX: &str = "model.safetensors.index.json";

/// The safetensors files of a folder as one source.
#[derive(Debug)]
pub struct Folder<R> {
    path: PathBuf,
    shards: Vec<SafeTensors<R>>,
    tensors: Vec<TensorInfo>,
    /// Shard and index in it of each tensor.
    places: Vec<(usize, usize)>,
}

/// The part of `model.safetensors.index.json` that is read.
#[derive(Deserialize)]
struct Index {
    weight_map: HashMap<String, String>,
}

/// The shard files that an index names, sorted, each once.
///
/// # Errors
/// `Input` if the text is not an index or names something that is not a plain file name.
pub fn shard_files(file: &Path, text: &str) -> Result<Vec<String>> {
    Ok(parse_index(file, text)?.0)
}

fn parse_index(file: &Path, text: &str) -> Result<(Vec<String>, HashMap<String, String>)> {
    let hint = "download the file again";
    let Index { weight_map } = json::from_str(text)
        .map_err(|error| Error::input(file, format!("line {}", error.line()), error.to_string(), hint))?;
    let mut names: Vec<String> = weight_map.values().cloned().collect();
    names.sort_unstable();
    names.dedup();
    for name in &names {
        // A name such as ../../x would read outside the folder.
        if name.contains(['/', '\\', ':']) || name.starts_with('.') || !name.ends_with(".safetensors") {
            let problem = format!("{name:?} is not the plain name of a .safetensors file");
            return Err(Error::input(file, "weight_map", problem, hint));
        }
    }
    if names.is_empty() {
        return Err(Error::input(file, "weight_map", "names no file", hint));
    }
    Ok((names, weight_map))
}

#[cfg(not(target_arch = "wasm32"))]
impl Folder<super::bytes::File> {
    /// Opens the shards of `path` and checks them against the index.
    ///
    /// # Errors
    /// As [`Folder::of`], and `Io` if a file is missing or unreadable.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let index = path.join(INDEX);
        let text = match index.exists() {
            true => Some(super::bytes::read_text(&index, MAX_INDEX)?),
            false => None,
        };
        let open = |name: &str| {
            let file = path.join(name);
            if file.exists() { super::bytes::File::open(file).map(Some) } else { Ok(None) }
        };
        Self::of(&path, text.as_deref(), open)
    }
}

impl<R: ReadAt> Folder<R> {
    /// The shards that the text of an index lists, or the single file where there is no index or nothing of what it lists, as
    /// `open` finds them by name.
    ///
    /// # Errors
    /// `Input` if a file is missing or damaged, shards and single file are both there, a listed tensor is not in its file, or one name is in two files; those of
    /// `open`.
    pub fn of(
        path: &Path,
        index_text: Option<&str>,
        mut open: impl FnMut(&str) -> Result<Option<R>>,
    ) -> Result<Self> {
        let path = path.to_path_buf();
        let index = path.join(INDEX);
        let (mut names, mut weight_map) = match index_text {
            Some(text) => parse_index(&index, text)?,
            None => (vec![SINGLE.to_string()], HashMap::new()),
        };
        let mut files = names.iter().map(|name| open(name)).collect::<Result<Vec<Option<R>>>>()?;
        if !names.iter().any(|name| name == SINGLE)
            && let Some(single) = open(SINGLE)?
        {
            if let Some(shard) = files.iter().position(Option::is_some) {
                let problem =
                    format!("is beside {INDEX} and {}, which may be of another model", names[shard]);
                let hint =
                    format!("move away what is older: {SINGLE}, or {INDEX} and the files that it lists");
                return Err(Error::input(&path, SINGLE, problem, hint));
            }
            // Left of shards that are gone.
            (names, weight_map, files) = (vec![SINGLE.to_string()], HashMap::new(), vec![Some(single)]);
        }
        let mut shards = Vec::with_capacity(names.len());
        let mut tensors: Vec<TensorInfo> = Vec::new();
        let mut places = Vec::new();
        let mut home: HashMap<String, usize> = HashMap::new();
        for (shard, (name, file)) in names.iter().zip(files).enumerate() {
            let Some(file) = file else {
                return Err(match index_text {
                    None => Error::input(
                        &path,
                        SINGLE,
                        format!("neither this file nor {INDEX} is in the folder"),
                        "give a Hugging Face folder with safetensors weights, or a .gguf file",
                    ),
                    Some(_) => Error::input(
                        &index,
                        name,
                        "the index lists this file, which is missing",
                        "add the file",
                    ),
                });
            };
            let source = SafeTensors::open(file)?;
            for (index, tensor) in source.tensors().iter().enumerate() {
                if let Some(other) = home.insert(tensor.name.clone(), shard) {
                    let problem = format!("the tensor is also in {}", names[other]);
                    return Err(Error::input(
                        path.join(name),
                        &tensor.name,
                        problem,
                        "remove one of the two files",
                    ));
                }
                tensors.push(tensor.clone());
                places.push((shard, index));
            }
            shards.push(source);
        }
        for (tensor, file) in &weight_map {
            // Buffers are not among a file's tensors, whatever their type.
            let absent = !home.contains_key(tensor) && is_buffer(tensor, false);
            if !absent && home.get(tensor).is_none_or(|&shard| names[shard] != *file) {
                let problem = format!("the index lists it in {file}, which does not hold it");
                return Err(Error::input(
                    &index,
                    tensor,
                    problem,
                    "download index and shards of the same model",
                ));
            }
        }
        Ok(Self { path, shards, tensors, places })
    }
}

impl<R: ReadAt> TensorSource for Folder<R> {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn read(&mut self, index: usize, row_start: usize, row_count: usize, out: &mut Vec<u8>) -> Result<()> {
        let (shard, index) = self.places[index];
        self.shards[shard].read(index, row_start, row_count, out)
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn is_gguf(&self) -> bool {
        false
    }
}
