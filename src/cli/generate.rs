//! `stepladder generate`: continue a prompt.

use serde::Serialize;

use super::args::{ModelArgs, SamplingArgs};

/// Options of `generate`.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) model: ModelArgs,
    /// Text to continue
    #[arg(short, long, allow_hyphen_values = true)]
    pub(super) prompt: String,
    /// Put the prompt into the model's chat template, as the user's message
    #[arg(long)]
    pub(super) chat: bool,
    /// Most tokens of a completion
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) max_tokens: u32,
    #[command(flatten)]
    pub(super) sampling: SamplingArgs,
    /// Number of completions
    #[arg(short, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) n: u32,
}
