//! `stepladder export`: a merged model, or an adapter in another format.

use std::path::PathBuf;

use serde::Serialize;

/// Options of `export`.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct Args {
    /// `tiny` (built in), a Hugging Face folder, a .gguf file, or hf:OWNER/NAME[@REV]
    #[arg(short, long)]
    pub(super) model: String,
    /// PEFT adapter to merge or convert
    #[arg(long, value_name = "DIR")]
    pub(super) adapter: PathBuf,
    /// A folder for the merged model as safetensors, or a file FILE.gguf for the adapter alone
    #[arg(long, value_name = "PATH")]
    pub(super) output: PathBuf,
}
