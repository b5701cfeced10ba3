//! What JavaScript asks for, in the names of `web/src/types.ts`.

use serde::{Deserialize, Serialize};

use crate::ladder::settings::{Preset, Settings};
use crate::model::generate::Sampling;
use crate::task::{Problem, TaskOptions};
use crate::train::lora_config::LoraConfig;
use crate::train::schedule::ScheduleKind;
use crate::train::sft::SftSettings;
use crate::train::trainer::Optimizer;
use crate::{Error, Result};

/// Of `load`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Load {
    pub(super) context_length: Option<usize>,
    pub(super) default_limits: bool,
    /// What the browser says about the GPU, where the engine is told nothing.
    pub(super) gpu_name: Option<String>,
    /// Seconds since 1970 UTC, for chat templates that write the date.
    pub(super) now: i64,
}

/// Of `generate` and `chat`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct Sample {
    max_tokens: usize,
    temperature: f32,
    top_k: usize,
    top_p: f32,
    min_p: f32,
    pub(super) seed: u64,
    pub(super) adapter: bool,
}

impl Default for Sample {
    fn default() -> Self {
        let Sampling { max_tokens, temperature, top_k, top_p, min_p } = Sampling::default();
        Self { max_tokens, temperature, top_k, top_p, min_p, seed: 0, adapter: true }
    }
}

impl Sample {
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

/// Of `fit`.
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
        Self { rank: LoraConfig::default().rank, batch: 8, length: 512, context_length: None }
    }
}

/// Of `train`; the defaults are those of `stepladder train`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct Train {
    pub(super) steps: Option<u64>,
    pub(super) epochs: u64,
    batch_size: usize,
    learning_rate: f64,
    weight_decay: f64,
    rank: Option<usize>,
    alpha: Option<f64>,
    max_length: usize,
    shuffle: bool,
    seed: u64,
    pub(super) checkpoint_every: u64,
}

impl Default for Train {
    fn default() -> Self {
        Self {
            steps: None,
            epochs: 1,
            batch_size: 8,
            learning_rate: 2e-4,
            weight_decay: 0.0,
            rank: None,
            alpha: None,
            max_length: 512,
            shuffle: true,
            seed: 0,
            checkpoint_every: 5,
        }
    }
}

impl Train {
    /// Fails on values with which nothing can be learnt.
    pub(super) fn check(&self) -> Result<()> {
        let counts = [
            ("steps", self.steps.unwrap_or(1)),
            ("epochs", self.epochs),
            ("batchSize", self.batch_size as u64),
            ("maxLength", self.max_length as u64),
            ("checkpointEvery", self.checkpoint_every),
        ];
        if let Some((option, _)) = counts.iter().find(|(_, value)| *value == 0) {
            return Err(Error::usage(*option, "is 0", "use at least 1"));
        }
        for (option, value) in [("learningRate", self.learning_rate), ("weightDecay", self.weight_decay)] {
            // Values that AdamW takes as f32 must be finite there too.
            if !(value >= 0.0 && (value as f32).is_finite()) {
                return Err(Error::usage(
                    option,
                    format!("is {value}"),
                    "use a number from 0 up, such as 0.0002",
                ));
            }
        }
        Ok(())
    }

    /// The fresh adapter that is trained where there is none yet.
    pub(super) fn lora(&self) -> LoraConfig {
        let default = LoraConfig::default();
        LoraConfig { rank: self.rank.unwrap_or(default.rank), alpha: self.alpha.unwrap_or(16.0), ..default }
    }

    /// Fails if the adapter that is there, and is trained on, has another shape than the one that is asked for.
    pub(super) fn check_shape(&self, there: &LoraConfig) -> Result<()> {
        let differ = |option: &str, asked: String, has: String| {
            let problem = format!("is {asked}, and the adapter that is trained on has {has}");
            Err(Error::usage(option, problem, "leave it out, or clear the adapter first to begin a new one"))
        };
        match (self.rank, self.alpha) {
            (Some(rank), _) if rank != there.rank => differ("rank", rank.to_string(), there.rank.to_string()),
            (_, Some(alpha)) if alpha != there.alpha => {
                differ("alpha", alpha.to_string(), there.alpha.to_string())
            }
            _ => Ok(()),
        }
    }

    pub(super) fn settings(&self, context: usize) -> SftSettings {
        SftSettings {
            steps: self.steps,
            epochs: self.epochs,
            batch_size: self.batch_size,
            max_length: self.max_length.min(context),
            shuffle: self.shuffle,
            seed: self.seed,
            learning_rate: self.learning_rate,
            schedule: ScheduleKind::Constant,
            warmup_steps: 0,
            optimizer: Optimizer { weight_decay: self.weight_decay, ..Optimizer::default() },
        }
    }
}

/// Settings by their paths, as `--set PATH=VALUE` gives them.
pub(super) type Paths = serde_json::Map<String, serde_json::Value>;

/// Of `ladder`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct Ladder {
    pub(super) task: String,
    pub(super) task_options: TaskOptions,
    pub(super) problems: Vec<Problem>,
    pub(super) held_out: Vec<Problem>,
    pub(super) preset: Option<String>,
    pub(super) settings: Paths,
    pub(super) steps: Option<u64>,
    pub(super) seed: Option<u64>,
}

/// Of `ttrl`.
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

/// Of `evaluate`.
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

/// The settings of `preset`, or of the one that suits the model, with what was asked to be changed.
fn changed(
    preset: Option<&str>,
    suits: Preset,
    paths: &Paths,
    steps: Option<u64>,
    seed: Option<u64>,
) -> Result<Settings> {
    let mut settings = Settings::preset(preset.map_or(Ok(suits), str::parse)?);
    for (option, value) in [("steps", steps), ("seed", seed)] {
        if let (Some(value), Some(other)) = (value, paths.get(option))
            && other.as_u64() != Some(value)
        {
            let problem = format!("is {value}, but settings.{option} is {other} in the same call");
            return Err(Error::usage(option, problem, "give one of them"));
        }
    }
    settings.steps = steps.unwrap_or(settings.steps);
    settings.seed = seed.unwrap_or(settings.seed);
    for (path, value) in paths {
        settings.set_value(path, value.clone())?;
    }
    Ok(settings)
}

impl Ladder {
    /// The settings of the run; `suits` is the preset where none is asked for.
    pub(super) fn settings(&self, suits: Preset) -> Result<Settings> {
        let settings = changed(self.preset.as_deref(), suits, &self.settings, self.steps, self.seed)?;
        settings.check()?;
        Ok(settings)
    }
}

impl Ttrl {
    /// The settings of test-time learning; `suits` is the preset where none is asked for.
    pub(super) fn settings(&self, suits: Preset) -> Result<crate::ladder::ttrl::TtrlSettings> {
        use crate::ladder::ttrl::TtrlSettings;
        let preset = self.preset.as_deref().map_or(Ok(suits), str::parse)?;
        let base = TtrlSettings::preset(preset);
        let steps = self.steps.or(Some(base.settings.steps));
        let mut settings = changed(self.preset.as_deref(), suits, &self.settings, steps, self.seed)?;
        settings.curriculum.probe_samples = settings.curriculum.probe_samples.min(settings.group_size);
        let sampling = settings.sampling;
        let votes = self.votes.unwrap_or(base.votes);
        // A tab may close at any moment, and what is kept of a step is small.
        if !self.settings.contains_key("checkpoint_every") {
            settings.checkpoint_every = 1;
        }
        let settings = TtrlSettings { settings, votes, sampling, keep: self.keep.unwrap_or(false), ..base };
        settings.check()?;
        Ok(settings)
    }
}
