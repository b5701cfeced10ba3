//! `stepladder eval`: share of problems solved.

use std::path::PathBuf;

use serde::Serialize;

use super::args::{ModelArgs, SamplingArgs, TaskArgs};

/// Options of `eval`.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) model: ModelArgs,
    #[command(flatten)]
    pub(super) task: TaskArgs,
    /// Problems to solve, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub(super) problems: PathBuf,
    /// Attempts at each problem: pass@1 to pass@K are reported
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) samples: u32,
    /// Most tokens of an attempt
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) max_tokens: u32,
    #[command(flatten)]
    pub(super) sampling: SamplingArgs,
}
