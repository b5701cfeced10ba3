//! `stepladder export`: a merged model, or an adapter in another format.

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
use stepladder::train::peft::{AdapterFile, CONFIG_FILE, WEIGHTS_FILE};
use stepladder::train::staged::new_folder;
use stepladder::{Error, Result};

use super::context::Context;
use super::progress::Progress;
use super::session::open_model;

/// Options of `export`.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct Args {
    /// `tiny` (built in), a Hugging Face folder, a .gguf file, or hf:OWNER/NAME[@REV]
    #[arg(short, long)]
    pub(super) model: String,
    /// PEFT adapter to merge or convert
    #[arg(long, value_name = "DIR")]
    pub(super) adapter: PathBuf,
    /// Write the adapter alone, as a PEFT folder (--output FILE.gguf always means the adapter alone)
    #[arg(long)]
    pub(super) adapter_only: bool,
    /// A folder for the merged model as safetensors, or a file FILE.gguf for the adapter alone
    #[arg(long, value_name = "PATH")]
    pub(super) output: PathBuf,
}

/// Writes what was asked for and lists the files.
pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let mut opened = open_model(context, &args.model)?;
    let adapter = read_adapter_for(&args.adapter, &opened.config, &mut *opened.source)?;
    let output = args.output.as_path();
    let gguf = output.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
    if gguf {
        context.gate.file("--output", output)?;
    } else {
        context.gate.folder("--output", output, is_own)?;
    }
    context.stoppable();
    let files = if gguf {
        let config = &opened.config;
        let base = GgufBase { family: config.family, heads: [config.num_heads, config.num_kv_heads] };
        write_atomic(output, &to_gguf(&adapter, &base)?)?;
        vec![output.to_path_buf()]
    } else if args.adapter_only {
        new_folder(output, |folder| write_adapter(folder, &adapter))?;
        vec![output.join(CONFIG_FILE), output.join(WEIGHTS_FILE)]
    } else {
        let mut names = Vec::new();
        new_folder(output, |folder| {
            names = merge(&mut opened, &adapter, folder, context)?;
            Ok(())
        })?;
        names.into_iter().map(|name| output.join(name)).collect()
    };
    context.answer(&json!({ "files": files }), || {
        files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join("\n")
    })
}

/// Fills `folder` with the merged model; the names of its files.
fn merge(
    opened: &mut OpenModel,
    adapter: &AdapterFile,
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
    let file = Stoppable { file: File::create(&path).map_err(failed)?, cancelled: context.cancelled() };
    let mut out = BufWriter::new(file);
    let mut bar: Option<Progress> = None;
    let mut progress = |done: u64, total: u64| {
        bar.get_or_insert_with(|| Progress::new("merging", "B", total)).set(done, "");
    };
    let written = write_merged(&opened.config, &mut *opened.source, adapter, &path, &mut out, &mut progress);
    context.check_cancelled()?;
    written?;
    out.into_inner().map_err(|error| failed(error.into_error()))?.file.sync_all().map_err(failed)?;
    Ok(names)
}

/// Whether an export makes entries of this name: others are not replaced.
fn is_own(name: &str) -> bool {
    name == SINGLE || name == CONFIG_FILE || name == WEIGHTS_FILE || files::names().any(|own| own == name)
}

/// A file that cannot be written to any more when the user has asked to stop.
struct Stoppable<'a> {
    file: File,
    cancelled: &'a AtomicBool,
}

impl Write for Stoppable<'_> {
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
