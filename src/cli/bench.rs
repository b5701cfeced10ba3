//! `stepladder bench`: speed of this GPU's kernels, decoding and training.

use std::path::PathBuf;

use serde::Serialize;

/// Options of `bench`.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct Args {
    /// Model for decoding and the training step: `tiny`, a folder, a .gguf file, or hf:OWNER/NAME[@REV]
    #[arg(short, long, default_value = "tiny")]
    pub(super) model: String,
    /// PEFT adapter to use on the model
    #[arg(long, value_name = "DIR")]
    pub(super) adapter: Option<PathBuf>,
}
