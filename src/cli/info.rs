//! `stepladder info`: GPUs, and what fits on them.

use std::path::PathBuf;

use serde::Serialize;

/// Options of `info`.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct Args {
    /// Model to plan for: `tiny`, a folder, a .gguf file, or hf:OWNER/NAME[@REV]
    #[arg(short, long)]
    pub(super) model: Option<String>,
    /// PEFT adapter on the model, whose rank and modules are planned for
    #[arg(long, value_name = "DIR", requires = "model")]
    pub(super) adapter: Option<PathBuf>,
    /// Rank of the LoRA adapter to plan for
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) rank: u32,
    /// Sequences at a time to plan for
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) batch_size: u32,
    /// Tokens of the longest sequence to plan for
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) max_length: u32,
}
