//! Options of `stepladder train`.

use std::path::PathBuf;

use serde::Serialize;
use stepladder::settings::{SFT, Setting, Table};
use stepladder::train::checkpoint::STATE_FILE;
use stepladder::train::files::PREVIOUS_STATE_FILE;
use stepladder::train::sft::SftOptions;
use stepladder::{Error, Result};

use super::args::DeviceArgs;
use super::context::Context;
use super::setting_args::{Rows, SettingArgs, resume_help};
use super::train_words::default_of;

/// Options of `train`. With `--resume`, what is not given comes from the run.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct Args {
    /// `tiny` (built in), a Hugging Face folder, a .gguf file, or hf:OWNER/NAME[@REV]
    #[arg(short, long, required_unless_present = "resume")]
    pub(super) model: Option<String>,
    /// PEFT adapter to go on from
    #[arg(long, value_name = "DIR")]
    pub(super) adapter: Option<PathBuf>,
    /// Examples, one JSON object a line: `text`, or `prompt` and `completion`, or `messages` (and `tools`)
    #[arg(long, value_name = "FILE", required_unless_present = "resume")]
    pub(super) data: Option<PathBuf>,
    /// Folder to write the adapter to, in PEFT's layout: new, or empty
    #[arg(long, value_name = "DIR")]
    pub(super) output: PathBuf,
    /// Go on with the run in --output that was stopped, on the same model and data; what may differ the help says
    #[arg(long, help = resume_help::<TrainRows>("Go on with the run in --output that was stopped, on the same model and data"))]
    pub(super) resume: bool,
    /// No answers of the model to some of your prompts, before and after, at the end
    #[arg(long)]
    pub(super) no_samples: bool,
    #[command(flatten)]
    pub(super) settings: SettingArgs<TrainRows>,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
}

/// Every setting that has an option.
#[derive(Debug)]
pub(super) struct TrainRows;

impl Rows for TrainRows {
    const TABLE: Table = SFT;
    const DEFAULT_PRESET: Option<&'static str> = None;

    fn default_words(setting: &Setting) -> Option<String> {
        if setting.switch.is_some() || setting.instead.is_some() {
            return None;
        }
        let followed = || "by model and data, see below".to_owned();
        Some(default_of(setting).unwrap_or_else(followed))
    }
}

impl Args {
    /// What is asked of the settings.
    ///
    /// # Errors
    /// As [`SftOptions::with`].
    pub(super) fn asked(&self) -> Result<SftOptions> {
        SftOptions::default().with(self.settings.changes()?)
    }

    /// Whether the output may be written to; true if there is something to be replaced.
    pub(super) fn check_output(&self, context: &Context) -> Result<bool> {
        if self.resume {
            return Ok(false);
        }
        let stopped = [STATE_FILE, PREVIOUS_STATE_FILE].iter().any(|name| self.output.join(name).exists());
        if stopped && !context.gate.overwrite {
            let problem = format!("{} holds a run that was stopped", self.output.display());
            let hint = "add --resume to go on with it or --overwrite to replace it, or choose another folder";
            return Err(Error::usage("--output", problem, hint));
        }
        // Only the adapter's own files are replaced; others stay.
        context.gate.folder("--output", &self.output, |_| true)
    }
}
