//! How lessons are learnt. A library keeps what it was made with.

use serde::{Deserialize, Serialize};

use crate::ladder::learner::LearnerSettings;
use crate::model::config::ModelConfig;
use crate::model::generate::Lengths;
use crate::train::adapter;
use crate::train::fit::Workload;
use crate::train::lora_config::LoraConfig;
use crate::train::peft::AdapterFile;
use crate::train::sft::settings::{BATCH_SIZE, EPOCHS, STEPS_PER_WARMUP, SftSettings, learning_rate};
use crate::train::trainer::Optimizer;
use crate::{Error, Result};

/// Settings of a library.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearnSettings {
    /// The adapter that every head is.
    pub lora: LoraConfig,
    /// Highest learning rate; cosine after a warm-up of `warmup`.
    pub learning_rate: f64,
    /// Share of the updates in which the learning rate grows.
    pub warmup: f64,
    /// Most times that every record is seen.
    pub epochs: u64,
    /// Records of an update, replay included.
    pub batch_size: usize,
    /// Share of an update's learnt tokens that earlier lessons get, from the second lesson on.
    pub earlier_share: f64,
    /// Share of the base's own answers.
    pub base_share: f64,
    /// Share of the facts that must be recalled, two epochs in a row, for learning to stop.
    pub recall: f64,
    /// Most tokens of an answer in exams.
    pub max_answer_tokens: usize,
    /// Longest record in tokens.
    pub max_length: usize,
    /// AdamW's settings.
    pub optimizer: Optimizer,
    /// Seed of all that is random.
    pub seed: u64,
}

/// What a user says of a new library.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// Rank of the adapter; its scale stays.
    pub rank: Option<usize>,
    /// See [`LearnSettings`].
    pub learning_rate: Option<f64>,
    /// See [`LearnSettings`].
    pub epochs: Option<u64>,
    /// See [`LearnSettings`].
    pub seed: Option<u64>,
}

/// Parameters below which the adapter is that of a very small model.
const SMALL: u64 = 10_000_000;

impl LearnSettings {
    /// What is taken where a user says nothing, for a model of so many parameters: adapter, rate, epochs, batch and warm-up of
    /// [`crate::train::sft`] on few examples; 20 % earlier lessons and 10 % base. Below ten million parameters rank 8 and alpha 16 (a tenth of the model already), rate 3e-3, eighty epochs, and half of what is learnt the base's own
    /// answers. Measured on the embedded model with 40 pairs of numbers: with rate 1e-3 it recalled none after forty epochs; with
    /// a tenth for the base it recalled all and solved 51 % of its held-out integrals instead of 68 %, with half 62 %.
    pub fn for_model(parameters: u64) -> Self {
        let (lora, learning_rate, epochs, base_share) = match parameters {
            ..SMALL => (LoraConfig { rank: 8, alpha: 16.0, ..SftSettings::adapter() }, 3e-3, 80, 0.5),
            _ => (SftSettings::adapter(), learning_rate(parameters), EPOCHS, 0.1),
        };
        Self {
            lora,
            learning_rate,
            warmup: 1.0 / STEPS_PER_WARMUP as f64,
            epochs,
            batch_size: BATCH_SIZE,
            earlier_share: 0.2,
            base_share,
            recall: 0.98,
            max_answer_tokens: 48,
            max_length: 512,
            optimizer: Optimizer::default(),
            seed: 0,
        }
    }

    /// Those of a new library on the model called `name`, with a context of `context` tokens.
    ///
    /// # Errors
    /// As [`LearnSettings::validate`].
    pub fn for_library(name: &str, config: &ModelConfig, context: usize, wishes: &Wishes) -> Result<Self> {
        let mut settings = Self::for_model(config.parameters());
        settings.lora.base_model = Some(name.to_owned());
        if let Some(rank) = wishes.rank {
            settings.lora.alpha *= rank as f64 / settings.lora.rank as f64;
            settings.lora.rank = rank;
        }
        settings.learning_rate = wishes.learning_rate.unwrap_or(settings.learning_rate);
        settings.epochs = wishes.epochs.unwrap_or(settings.epochs);
        settings.seed = wishes.seed.unwrap_or(settings.seed);
        settings.max_length = settings.max_length.min(context);
        settings.validate()?;
        Ok(settings)
    }

    /// What learning and exams take on the GPU beside the model, whose context has `context` tokens.
    ///
    /// # Errors
    /// [`Error::Usage`] if the adapter is none of the model.
    pub fn workload(&self, config: &ModelConfig, context: usize) -> Result<Workload> {
        let length = self.max_length.min(context);
        let max_tokens = self.max_answer_tokens;
        let answer = Lengths { prompt: length.saturating_sub(max_tokens).max(1), samples: 1, max_tokens };
        let learner = LearnerSettings::default();
        Ok(Workload {
            training: Some(learner.pack_tokens.max(length)),
            adapter: Some(adapter::layout(config, &self.lora)?),
            sampling: Some(learner.sampling(&vec![answer; learner.rows], context, 0)),
            ..Workload::default()
        })
    }

    /// The adapter that lessons begin with: what it adds to the base is zero.
    ///
    /// # Errors
    /// [`Error::Usage`] for a rank that the model is too small for.
    pub fn fresh(&self, config: &ModelConfig) -> Result<AdapterFile> {
        AdapterFile::init(self.lora.clone(), &adapter::dims(config), self.seed)
    }

    /// With one setting changed by its name.
    ///
    /// # Errors
    /// [`Error::Usage`] that names one that there is not, or that is no such value.
    pub fn with(&self, name: &str, value: serde_json::Value) -> Result<Self> {
        let refuse = |problem: String| Err(Error::usage(name, problem, "use one of a library's settings"));
        let Ok(serde_json::Value::Object(mut all)) = serde_json::to_value(self) else {
            return refuse("cannot be set".into());
        };
        match all.get_mut(name) {
            Some(place) => *place = value,
            None => {
                return refuse(format!("is none of {}", all.keys().cloned().collect::<Vec<_>>().join(", ")));
            }
        }
        serde_json::from_value(serde_json::Value::Object(all)).or_else(|error| refuse(error.to_string()))
    }

    /// Errors, naming the setting, if one cannot be used.
    ///
    /// # Errors
    /// [`Error::Usage`].
    pub fn validate(&self) -> Result<()> {
        self.lora.validate()?;
        let refuse = |name: &str, problem: String, hint: &str| Err(Error::usage(name, problem, hint));
        let shares = self.earlier_share + self.base_share;
        match () {
            () if !(self.learning_rate.is_finite() && self.learning_rate > 0.0) => {
                refuse("learning_rate", format!("is {}", self.learning_rate), "use a number above 0")
            }
            () if self.epochs == 0 || self.batch_size == 0 || self.max_answer_tokens == 0 => {
                refuse("epochs, batch_size, max_answer_tokens", "one is 0".into(), "use at least 1")
            }
            () if ![self.earlier_share, self.base_share, self.warmup]
                .iter()
                .all(|share| (0.0..1.0).contains(share))
                || shares > 0.9 =>
            {
                refuse(
                    "earlier_share, base_share",
                    format!("are {shares} together"),
                    "leave at least a tenth for what is new",
                )
            }
            () if !(0.0..=1.0).contains(&self.recall) => {
                refuse("recall", format!("is {}", self.recall), "use a number from 0 to 1")
            }
            () => Ok(()),
        }
    }
}
