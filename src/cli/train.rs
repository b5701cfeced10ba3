//! `stepladder train`: supervised fine-tuning of a LoRA adapter.

use std::path::PathBuf;

use clap::ValueEnum;
use serde::Serialize;

use super::args::{DeviceArgs, ModelArgs, non_negative, positive};

/// Options of `train`.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) model: ModelArgs,
    /// Examples, one JSON object a line: `text`, or `prompt` and `completion`, or `messages`
    #[arg(long, value_name = "FILE")]
    pub(super) data: PathBuf,
    /// Folder to write the adapter to, in PEFT's layout
    #[arg(long, value_name = "DIR")]
    pub(super) output: PathBuf,
    /// Number of updates, instead of --epochs
    #[arg(long, value_name = "N", conflicts_with = "epochs", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) steps: Option<u32>,
    /// Times that every example is seen
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) epochs: u32,
    /// Examples an update
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) batch_size: u32,
    /// Size of an update
    #[arg(long, value_name = "X", default_value_t = 2e-4, value_parser = positive)]
    pub(super) learning_rate: f64,
    /// Pull of the adapter towards zero
    #[arg(long, value_name = "X", default_value_t = 0.0, value_parser = non_negative)]
    pub(super) weight_decay: f64,
    /// Rank of a new adapter
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) rank: u32,
    /// Scale of a new adapter: its output is multiplied by alpha/rank
    #[arg(long, value_name = "X", default_value_t = 16.0, value_parser = positive)]
    pub(super) alpha: f64,
    /// Linear layers that a new adapter is put on
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = TargetModule::ALL)]
    pub(super) target_modules: Vec<TargetModule>,
    /// Tokens of the longest example; longer ones are cut
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(2..))]
    pub(super) max_length: u32,
    /// Keep the order of the file
    #[arg(long)]
    pub(super) no_shuffle: bool,
    /// Seed of the adapter's first values and of the order
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) seed: u64,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
}

/// A linear layer of a transformer block, by its name in checkpoints: queries, keys, values and output of attention,
/// then gate, up and down projection of the MLP. The variants have no text of their own, so that the help stays short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[allow(clippy::enum_variant_names, reason = "the names of checkpoints and of PEFT")]
pub(super) enum TargetModule {
    QProj,
    KProj,
    VProj,
    OProj,
    GateProj,
    UpProj,
    DownProj,
}

impl TargetModule {
    const ALL: &str = "q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj";
}
