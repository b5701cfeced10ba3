//! `stepladder ladder`: a model teaches itself.

use std::path::PathBuf;

use serde::Serialize;

use super::args::{name_value, non_negative, positive};

/// Options of `ladder`. What is not given comes from the preset, or, with `--resume`, from the run.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct Args {
    /// `tiny` (built in), a Hugging Face folder, a .gguf file, or hf:OWNER/NAME[@REV]
    #[arg(short, long, required_unless_present = "resume")]
    pub(super) model: Option<String>,
    /// PEFT adapter to go on from
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    pub(super) adapter: Option<PathBuf>,
    /// Kind of problem: what is asked, and who judges answers (see below)
    #[arg(long, value_name = "NAME", required_unless_present = "resume")]
    pub(super) task: Option<String>,
    /// A parameter of the task; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = name_value)]
    pub(super) task_option: Vec<(String, String)>,
    /// Problems to learn to solve, one JSON object a line
    #[arg(long, value_name = "FILE", required_unless_present = "resume")]
    pub(super) problems: Option<PathBuf>,
    /// Folder of the run: settings, events, adapter, tree, report
    #[arg(long, value_name = "DIR")]
    pub(super) output: PathBuf,
    /// Go on with the run in --output
    #[arg(long)]
    pub(super) resume: bool,
    /// Set of defaults for the options below: paper, small or tiny [default: tiny for the model `tiny`, else small]
    #[arg(long, value_name = "NAME", conflicts_with = "resume")]
    pub(super) preset: Option<String>,
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
    /// Spread of the attempts
    #[arg(long, value_name = "X", value_parser = positive)]
    pub(super) temperature: Option<f64>,
    /// Size of an update
    #[arg(long, value_name = "X", value_parser = positive)]
    pub(super) learning_rate: Option<f64>,
    /// Loss of the GRPO family: grpo, dapo, dr_grpo, gspo or cispo
    #[arg(long, value_name = "NAME")]
    pub(super) loss: Option<String>,
    /// Pull towards the model without its adapter
    #[arg(long, value_name = "X", value_parser = non_negative)]
    pub(super) kl_coef: Option<f64>,
    /// Held-out problems, never learnt from, that progress is measured on
    #[arg(long, value_name = "FILE")]
    pub(super) eval_problems: Option<PathBuf>,
    /// Seed of every random choice
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,
}
