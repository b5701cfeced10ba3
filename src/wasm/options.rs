//! What JavaScript asks for, in the names of `web/src/types.ts`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::voice::Voice;
use crate::kernel::cache::CacheFormat;
use crate::ladder::changes::Asked;
use crate::ladder::presets::Preset;
use crate::ladder::settings::Settings;
use crate::ladder::ttrl::TtrlSettings;
use crate::model::generate::Sampling;
use crate::settings::{Change, LADDER, PACKAGE, SFT, in_settings};
use crate::task::{Problem, TaskOptions};
use crate::train::sft::{SftOptions, SftSettings, settings};
use crate::{Error, Result};

/// Options of `load`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Load {
    pub(super) context_length: Option<usize>,
    pub(super) default_limits: bool,
    /// How keys and values are kept.
    pub(super) kv_cache: CacheFormat,
    /// What the browser says about the GPU, where the engine is told nothing.
    pub(super) gpu_name: Option<String>,
    /// Seconds since 1970 UTC, for chat templates that write the date.
    pub(super) now: i64,
}

/// Options of `generate` and `chat`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct SampleOptions {
    max_tokens: usize,
    temperature: f32,
    top_k: usize,
    top_p: f32,
    min_p: f32,
    pub(super) seed: u64,
    adapter: bool,
    /// The head of a library that is served, in place of the adapter.
    head: bool,
}

impl Default for SampleOptions {
    fn default() -> Self {
        let Sampling { max_tokens, temperature, top_k, top_p, min_p } = Sampling::default();
        Self { max_tokens, temperature, top_k, top_p, min_p, seed: 0, adapter: true, head: false }
    }
}

impl SampleOptions {
    pub(super) fn voice(&self) -> Voice {
        Voice::of(self.adapter, self.head)
    }

    pub(super) fn sampling(&self) -> Sampling {
        Sampling {
            max_tokens: self.max_tokens,
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
        }
    }
}

/// Options of `fit`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct FitOptions {
    pub(super) rank: usize,
    pub(super) batch: usize,
    pub(super) length: usize,
    pub(super) context_length: Option<usize>,
}

impl Default for FitOptions {
    fn default() -> Self {
        let (batch, length) = (settings::BATCH_SIZE, SftOptions::default().max_length);
        Self { rank: SftSettings::adapter().rank, batch, length, context_length: None }
    }
}

/// What the options of `train` change of its settings.
pub(super) fn train_changes(options: &str) -> Result<Vec<Change>> {
    let failed =
        |error: serde_json::Error| Error::usage("options", error.to_string(), "see the package's types");
    SFT.asked(serde_json::from_str(options).map_err(failed)?)
}

/// An error of the settings of a run as a whole, with the name that calls have for the one at fault.
fn in_call(error: Error) -> Error {
    match error {
        Error::Usage { option, problem, hint } if LADDER.find(&option).is_ok() => {
            Error::Usage { option: in_settings(&option), problem, hint }
        }
        error => error,
    }
}

/// Settings by their paths, as `--set PATH=VALUE` gives them.
pub(super) type Paths = serde_json::Map<String, Value>;

/// Options of `ladder`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct Ladder {
    /// The hash of the model's weights.
    pub(super) weights: Option<String>,
    pub(super) task: String,
    pub(super) task_options: TaskOptions,
    pub(super) problems: Vec<Problem>,
    pub(super) held_out: Vec<Problem>,
    pub(super) preset: Option<String>,
    pub(super) settings: Paths,
    pub(super) steps: Option<u64>,
    pub(super) seed: Option<u64>,
}

/// Options of `ttrl`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct Ttrl {
    pub(super) task: String,
    pub(super) task_options: TaskOptions,
    pub(super) problem: Option<Problem>,
    pub(super) preset: Option<String>,
    pub(super) settings: Paths,
    pub(super) steps: Option<u64>,
    pub(super) seed: Option<u64>,
    pub(super) votes: Option<usize>,
    pub(super) keep: Option<bool>,
}

/// Options of `evaluate`.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct Evaluate {
    pub(super) task: String,
    pub(super) task_options: TaskOptions,
    pub(super) problems: Vec<Problem>,
    pub(super) samples: usize,
    pub(super) seed: u64,
    pub(super) temperature: f32,
    pub(super) max_tokens: usize,
    pub(super) adapter: bool,
}

impl Default for Evaluate {
    fn default() -> Self {
        Self {
            task: String::new(),
            task_options: TaskOptions::new(),
            problems: Vec::new(),
            samples: 1,
            seed: 0,
            temperature: 1.0,
            max_tokens: 512,
            adapter: true,
        }
    }
}

/// What a call asks of settings.
fn asked(preset: Option<&str>, paths: &Paths, steps: Option<u64>, seed: Option<u64>) -> Result<Asked> {
    let preset = preset.map(str::parse).transpose()?.map(|preset: Preset| ("preset".to_owned(), preset));
    let mut changes = Vec::new();
    for (option, value) in [("steps", steps), ("seed", seed)] {
        let Some(value) = value else { continue };
        changes.push(Change::new(option, option, value.into()));
    }
    changes.extend(paths.iter().map(|(path, value)| Change::new(in_settings(path), path, value.clone())));
    Ok(Asked { preset, changes, few_probes: false })
}

impl Ladder {
    /// What the call asks of settings.
    pub(super) fn asked(&self) -> Result<Asked> {
        asked(self.preset.as_deref(), &self.settings, self.steps, self.seed)
    }

    /// The settings of the run; `suits` is the preset where none is asked for.
    pub(super) fn settings(&self, suits: Preset) -> Result<Settings> {
        let asked = self.asked()?;
        let mut settings = Settings::preset(asked.preset.as_ref().map_or(suits, |(_, preset)| *preset));
        asked.make(&mut settings)?;
        settings.check().map_err(in_call)?;
        Ok(settings)
    }
}

/// A preset of test-time learning, with what the package has of its own.
pub(super) fn ttrl_preset(preset: Preset) -> TtrlSettings {
    let mut all = TtrlSettings::preset(preset);
    let every = &mut all.settings.checkpoint_every;
    *every = PACKAGE.question_checkpoint_every.unwrap_or(*every);
    all
}

impl Ttrl {
    /// What the call asks of settings.
    pub(super) fn asked(&self) -> Result<Asked> {
        let asked = asked(self.preset.as_deref(), &self.settings, self.steps, self.seed)?;
        Ok(Asked { few_probes: true, ..asked })
    }

    /// The settings of test-time learning; `suits` is the preset where none is asked for.
    pub(super) fn settings(&self, suits: Preset) -> Result<TtrlSettings> {
        let asked = self.asked()?;
        let mut all = ttrl_preset(asked.preset.as_ref().map_or(suits, |(_, preset)| *preset));
        asked.make(&mut all.settings)?;
        all.sampling = all.settings.sampling;
        all.votes = self.votes.unwrap_or(all.votes);
        all.keep = self.keep.unwrap_or(false);
        all.check().map_err(in_call)?;
        Ok(all)
    }
}
