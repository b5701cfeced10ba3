//! `stepladder export`: a merged model, or an adapter in another format.

mod gguf;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use serde_json::json;
use stepladder::model::files;
use stepladder::model::open::OpenModel;
use stepladder::model::source::folder::SINGLE;
use stepladder::train::files::{create_folder, read_adapter_for, write_adapter, write_atomic};
use stepladder::train::gguf_export::{GgufBase, to_gguf};
use stepladder::train::merge::write_merged;
use stepladder::train::merge_gguf::Types;
use stepladder::train::peft::{AdapterFile, CONFIG_FILE, WEIGHTS_FILE};
use stepladder::train::staged::new_folder;
use stepladder::{Error, Result};

use super::context::Context;
use super::progress::Progress;
use super::session::open_model;
use super::signals::say;

/// Options of `export`.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct Args {
    /// `tiny` (built in), a Hugging Face folder, a .gguf file, or hf:OWNER/NAME[@REV]
    #[arg(short, long)]
    pub(super) model: String,
    /// PEFT adapter to merge or convert [default: the model as it is]
    #[arg(long, value_name = "DIR")]
    pub(super) adapter: Option<PathBuf>,
    /// What the merged model becomes
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
    /// How the matrices of a GGUF file are stored [default: f16]
    #[arg(long, value_name = "TYPE", value_parser = gguf::quantisation())]
    pub(super) quantize: Option<String>,
    /// Write the adapter alone, as a PEFT folder or as FILE.gguf (without --format gguf, FILE.gguf always means the adapter alone)
    #[arg(long, requires = "adapter")]
    pub(super) adapter_only: bool,
    /// A folder for the merged model as safetensors, or a file FILE.gguf
    #[arg(long, value_name = "PATH")]
    pub(super) output: PathBuf,
}

/// What a merged model becomes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    /// A Hugging Face folder in F32
    #[default]
    Safetensors,
    /// A file for llama.cpp, Ollama and LM Studio
    Gguf,
}

/// Writes what was asked for and lists the files.
pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let output = args.output.as_path();
    let is_gguf = output.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
    let alone = args.adapter_only || is_gguf && args.format == Format::Safetensors;
    check(args, is_gguf, alone)?;
    let mut opened = open_model(context, &args.model)?;
    let read = |folder: &PathBuf| read_adapter_for(folder, &opened.config, &mut *opened.source);
    let adapter = args.adapter.as_ref().map(read).transpose()?;
    if is_gguf {
        context.gate.file("--output", output)?;
    } else {
        context.gate.folder("--output", output, is_own)?;
    }
    context.stoppable();
    let mut types = Types::new();
    let files = match &adapter {
        Some(adapter) if alone && is_gguf => {
            let config = &opened.config;
            let base = GgufBase { family: config.family, heads: [config.num_heads, config.num_kv_heads] };
            write_atomic(output, &to_gguf(adapter, &base)?)?;
            vec![output.to_path_buf()]
        }
        Some(adapter) if alone => {
            new_folder(output, |folder| write_adapter(folder, adapter))?;
            vec![output.join(CONFIG_FILE), output.join(WEIGHTS_FILE)]
        }
        adapter if is_gguf => {
            tell_blocks(&opened);
            types = gguf::write(&mut opened, adapter.as_ref(), args, context)?;
            vec![output.to_path_buf()]
        }
        adapter => {
            tell_blocks(&opened);
            let mut names = Vec::new();
            new_folder(output, |folder| {
                names = merge(&mut opened, adapter.as_ref(), folder, context)?;
                Ok(())
            })?;
            names.into_iter().map(|name| output.join(name)).collect()
        }
    };
    let answer = match types.is_empty() {
        true => json!({ "files": files }),
        false => json!({ "files": files, "tensors": types }),
    };
    context.answer(&answer, || {
        let mut lines: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
        let types: Vec<String> = types.iter().map(|(name, count)| format!("{count} {name}")).collect();
        lines.extend((!types.is_empty()).then(|| format!("tensors: {}", types.join(", "))));
        lines.join("\n")
    })
}

/// Refuses what contradicts itself.
fn check(args: &Args, is_gguf: bool, alone: bool) -> Result<()> {
    let refuse = |option: &str, problem: &str, hint: &str| Err(Error::usage(option, problem, hint));
    match args.format {
        Format::Gguf if !is_gguf => {
            refuse("--output", "is no name of a GGUF file", "give it a name that ends in .gguf")
        }
        _ if alone && args.adapter.is_none() => refuse(
            "--output",
            "a .gguf file without --format is an adapter, and there is no --adapter",
            "add --format gguf for the whole model, or --adapter DIR",
        ),
        _ if args.quantize.is_some() && (alone || args.format != Format::Gguf) => {
            refuse("--quantize", "is for whole models as GGUF files", "add --format gguf, or leave it out")
        }
        _ => Ok(()),
    }
}

/// Says that weights in blocks are not merged as they stand.
fn tell_blocks(opened: &OpenModel) {
    let types = opened.source.tensors().iter().map(|tensor| tensor.dtype);
    let types: BTreeSet<&str> = types.filter(|dtype| dtype.block().0 > 1).map(|dtype| dtype.name()).collect();
    if !types.is_empty() {
        let types: Vec<&str> = types.into_iter().collect();
        say(&format!(
            "the base is quantised ({}): what is written is made from its de-quantised weights",
            types.join(", ")
        ));
    }
}

/// Fills `folder` with the merged model; the names of its files.
fn merge(
    opened: &mut OpenModel,
    adapter: Option<&AdapterFile>,
    folder: &Path,
    context: &Context,
) -> Result<Vec<String>> {
    let texts = match &opened.folder {
        Some(from) => files::copied(from, opened.config.family, opened.config.tie_word_embeddings)?,
        None => files::made(&opened.config, &opened.tokenizer, opened.chat_template.as_ref())?,
    };
    let mut names = vec![SINGLE.to_owned()];
    for (name, bytes) in texts {
        let file = folder.join(&name);
        file.parent().map_or(Ok(()), create_folder)?;
        write_atomic(&file, &bytes)?;
        names.push(name);
    }
    let path = folder.join(SINGLE);
    let failed = |source| Error::write(&path, source);
    let file = StoppableWriter { file: File::create(&path).map_err(failed)?, cancelled: context.cancelled() };
    let mut out = BufWriter::new(file);
    let mut progress = bar();
    let written = write_merged(&opened.config, &mut *opened.source, adapter, &path, &mut out, &mut progress);
    context.check_cancelled()?;
    written?;
    out.into_inner().map_err(|error| failed(error.into_error()))?.file.sync_all().map_err(failed)?;
    Ok(names)
}

/// A bar of the bytes of a merged model.
fn bar() -> impl FnMut(u64, u64) {
    let mut bar: Option<Progress> = None;
    move |done, total| bar.get_or_insert_with(|| Progress::new("merging", "B", total)).set(done, "")
}

/// Whether an export makes entries of this name: others are not replaced.
fn is_own(name: &str) -> bool {
    name == SINGLE || name == CONFIG_FILE || name == WEIGHTS_FILE || files::names().any(|own| own == name)
}

/// A file that cannot be written to any more when the user has asked to stop.
struct StoppableWriter<'a, F> {
    file: F,
    cancelled: &'a AtomicBool,
}

impl<F: Write> Write for StoppableWriter<'_, F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(io::Error::other("stopped"));
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
