//! `stepladder ttrl`: test-time reinforcement learning on one problem.

use serde::Serialize;

use super::args::{ModelArgs, TaskArgs, positive};

/// Options of `ttrl`. What is not given comes from the task's defaults for test-time learning.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) model: ModelArgs,
    #[command(flatten)]
    pub(super) task: TaskArgs,
    /// The problem to solve
    #[arg(long, allow_hyphen_values = true)]
    pub(super) problem: String,
    /// Number of updates
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) steps: Option<u32>,
    /// Attempts at each problem in an update
    #[arg(long, value_name = "G", value_parser = clap::value_parser!(u32).range(2..))]
    pub(super) group_size: Option<u32>,
    /// Problems in an update
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) prompts_per_step: Option<u32>,
    /// Most tokens of an attempt
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) max_tokens: Option<u32>,
    /// Size of an update
    #[arg(long, value_name = "X", value_parser = positive)]
    pub(super) learning_rate: Option<f64>,
    /// Seed of every random choice
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) seed: u64,
}
