//! `stepladder variants`: the tree of variants of one problem.

use serde::Serialize;

use super::args::{ModelArgs, TaskArgs};

/// Options of `variants`.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) model: ModelArgs,
    #[command(flatten)]
    pub(super) task: TaskArgs,
    /// The problem at the root
    #[arg(long, allow_hyphen_values = true)]
    pub(super) problem: String,
    /// Seed of every random choice
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) seed: u64,
}
