//! Opening a model from disk, from the hub, or the embedded one. Native only.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{MAX_TEXT, OpenModel, Texts, is_gguf};
use crate::model::files::additional_templates;
use crate::model::hub::{self, Hub, Progress};
use crate::model::source::bytes::{File, read_text};
use crate::model::source::folder::Folder;
use crate::model::source::{self, part_names};
use crate::model::tiny;
use crate::{Error, Result};

/// Opens the model that `spec` names, downloading what is missing of an `hf:` model without showing progress.
///
/// # Errors
/// `Usage` if `spec` names nothing; `Input` for a file that is damaged, unsupported or contradicts another;
/// `Io` for one that cannot be read; `Download`.
pub fn open(spec: &str) -> Result<OpenModel> {
    open_with_progress(spec, &mut |_| true)
}

/// [`open`] with a report of each piece downloaded; the download stops when `progress` returns false.
///
/// # Errors
/// As [`open`], and `Cancelled`.
pub fn open_with_progress(spec: &str, progress: &mut Progress<'_>) -> Result<OpenModel> {
    if spec == tiny::NAME {
        return tiny::open();
    }
    if let Some(name) = spec.strip_prefix("hf:") {
        let folder = Hub::from_env()?.fetch(&hub::Repo::parse(name)?, progress)?;
        return open_folder(spec, &folder);
    }
    let path = Path::new(spec);
    if path.is_dir() {
        open_folder(spec, path)
    } else if is_gguf(path) {
        OpenModel::from_gguf(spec, gguf_files(path)?, now())
    } else {
        Err(Error::usage(
            "model",
            format!("`{spec}` is neither a folder nor a .gguf file{}", tried(path)),
            "give `tiny`, a folder with config.json and *.safetensors, a .gguf file, or hf:OWNER/NAME",
        ))
    }
}

/// Where a path that is not there, nor whole, was looked for.
fn tried(path: &Path) -> String {
    match std::path::absolute(path) {
        Ok(whole) if path.is_relative() && !path.exists() => format!(": there is no {}", whole.display()),
        _ => String::new(),
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(0)
}

/// The file at `path`, or where its name is that of a part of a model all parts.
fn gguf_files(path: &Path) -> Result<Vec<File>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match part_names(&name) {
        Some(names) if path.exists() => names
            .iter()
            .map(|name| {
                let part = path.with_file_name(name);
                if !part.exists() {
                    let problem = format!("{name} is missing, a part of the same model");
                    return Err(Error::input(path, "parts", problem, "download all parts into one folder"));
                }
                File::open(part)
            })
            .collect(),
        _ => Ok(vec![File::open(path)?]),
    }
}

/// The metadata of the GGUF file at `path`, of a split model those of its first part: keys with the bytes of type and value.
///
/// # Errors
/// `Input` if it is damaged; `Io`.
pub fn raw_metadata(path: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    match gguf_files(path)?.first_mut() {
        Some(first) => source::raw_metadata(first),
        None => Ok(Vec::new()),
    }
}

/// A folder of other files than a model's own is told from a damaged one by its GGUF files.
fn expect_config(folder: &Path) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
    if folder.join("config.json").exists() {
        return Ok(());
    }
    let mut files: Vec<_> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| is_gguf(path)).collect();
    files.sort_unstable();
    match files.first() {
        None => Ok(()),
        Some(file) => {
            let problem = format!("has no config.json, and {} .gguf files", files.len());
            Err(Error::input(folder, "folder", problem, format!("name a file, as {}", file.display())))
        }
    }
}

fn open_folder(spec: &str, folder: &Path) -> Result<OpenModel> {
    expect_config(folder)?;
    let config = text(folder, "config.json")?;
    let tokenizer = text(folder, "tokenizer.json")?;
    let generation_config = optional(folder, "generation_config.json")?;
    let tokenizer_config = optional(folder, "tokenizer_config.json")?;
    let special_tokens_map = optional(folder, "special_tokens_map.json")?;
    let added_tokens = optional(folder, "added_tokens.json")?;
    let chat_template = optional(folder, "chat_template.jinja")?;
    let additional_chat_templates = additional_templates(folder)?;
    let texts = Texts {
        config: &config,
        tokenizer: tokenizer.as_bytes(),
        generation_config: generation_config.as_deref(),
        tokenizer_config: tokenizer_config.as_deref(),
        special_tokens_map: special_tokens_map.as_deref(),
        added_tokens: added_tokens.as_deref(),
        chat_template: chat_template.as_deref(),
        additional_chat_templates: &additional_chat_templates,
    };
    let model = OpenModel::from_parts(spec, folder, texts, Box::new(Folder::open(folder)?), now())?;
    Ok(OpenModel { folder: Some(folder.to_path_buf()), ..model })
}

fn text(folder: &Path, name: &str) -> Result<String> {
    read_text(&folder.join(name), MAX_TEXT)
}

fn optional(folder: &Path, name: &str) -> Result<Option<String>> {
    if folder.join(name).exists() { text(folder, name).map(Some) } else { Ok(None) }
}
