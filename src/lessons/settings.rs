//! How lessons are learnt. A library keeps what it was made with.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ladder::learner::LearnerSettings;
use crate::model::config::ModelConfig;
use crate::model::generate::Lengths;
use crate::settings::{Change, LESSONS, Table, Tabled, expect_one_value, put, setter};
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

/// Parameters below which the adapter is that of a very small model.
const SMALL: u64 = 10_000_000;

impl LearnSettings {
    /// What is taken where a user says nothing, for a model of so many parameters: adapter, rate, epochs, batch and warm-up of
    /// [`crate::train::sft`] on few examples; 20 % earlier lessons and 10 % base.
    ///
    /// Below ten million parameters rank 8 and alpha 16 (a tenth of the model already), rate 3e-3, eighty epochs, and half of
    /// what is learnt the base's own answers. Measured on the embedded model with 40 pairs of numbers: with rate 1e-3 it recalled
    /// none after forty epochs; with a tenth for the base it recalled all and solved 51 % of its held-out integrals instead of
    /// 68 %, with half 62 %.
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

    /// Settings of a new library on the model called `name`, with a context of `context` tokens, with what `changes` ask for.
    ///
    /// # Errors
    /// As [`LearnSettings::with`]; [`Error::Usage`] for a length that the context does not hold.
    pub fn for_library(name: &str, config: &ModelConfig, context: usize, changes: &[Change]) -> Result<Self> {
        let mut settings = Self::for_model(config.parameters()).with(changes)?;
        settings.lora.base_model = Some(name.to_owned());
        match setter(changes, "max_length") {
            Some(change) if settings.max_length > context => {
                let problem = format!("is {}, but the context has {context} tokens", settings.max_length);
                return Err(Error::usage(&change.name, problem, "give no more, or a larger context"));
            }
            _ => settings.max_length = settings.max_length.min(context),
        }
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

    /// With what `changes` ask for. Where the rank changes alone, the adapter's scale stays.
    ///
    /// # Errors
    /// [`Error::Usage`] that names the change: for a path that no setting has, a value that does not fit its row, and a setting that
    /// gets two values; those of [`LearnSettings::validate`].
    pub fn with(mut self, changes: &[Change]) -> Result<Self> {
        expect_one_value(LESSONS, changes)?;
        let rank = self.lora.rank as f64;
        changes.iter().try_for_each(|change| change.make(&mut self))?;
        if setter(changes, "lora.alpha").is_none() {
            self.lora.alpha *= self.lora.rank as f64 / rank;
        }
        self.validate()?;
        Ok(self)
    }

    /// Errors, naming the setting, if one cannot be used.
    ///
    /// # Errors
    /// [`Error::Usage`].
    pub fn validate(&self) -> Result<()> {
        let values = serde_json::to_value(self)
            .map_err(|error| Error::usage("settings", error.to_string(), "report this"))?;
        LESSONS.check(&values)?;
        self.lora.validate()?;
        let shares = self.earlier_share + self.base_share;
        if shares > 0.9 {
            let problem = format!("are {shares} together");
            let hint = "leave at least a tenth for what is new";
            return Err(Error::usage("earlier_share, base_share", problem, hint));
        }
        Ok(())
    }
}

impl Tabled for LearnSettings {
    const TABLE: Table = LESSONS;

    fn set_value(&mut self, path: &str, value: Value) -> Result<()> {
        LESSONS.find(path)?.check(&value)?;
        *self = put(self, path, value, false)?;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::settings::at;

    fn with(list: &[(&str, &str)]) -> Result<LearnSettings, String> {
        let changes: Vec<_> = list.iter().map(|&(path, text)| Change::new(path, path, text.into())).collect();
        LearnSettings::for_model(SMALL).with(&changes).map_err(|error| error.to_string())
    }

    #[test]
    fn every_setting_has_a_row_and_every_row_a_setting() {
        let values = serde_json::to_value(LearnSettings::for_model(SMALL)).unwrap();
        for row in LESSONS.rows {
            row.check(at(&values, row.path).unwrap()).unwrap();
        }
        let mut found = 0;
        for (name, value) in values.as_object().unwrap() {
            match value.as_object() {
                // The adapter's other fields are those of files.
                Some(_) if name == "lora" => {}
                Some(fields) => fields.keys().for_each(|field| {
                    LESSONS.find(&format!("{name}.{field}")).unwrap();
                    found += 1;
                }),
                None => {
                    LESSONS.find(name).unwrap();
                    found += 1;
                }
            }
        }
        let of_lora = LESSONS.rows.iter().filter(|row| row.path.starts_with("lora.")).count();
        assert_eq!((found + of_lora, of_lora), (LESSONS.rows.len(), 4));
    }

    #[test]
    fn a_rank_alone_keeps_the_scale() {
        let usual = LearnSettings::for_model(SMALL);
        let doubled = with(&[("lora.rank", "32")]).unwrap();
        assert_eq!((doubled.lora.rank, doubled.lora.alpha), (32, 2.0 * usual.lora.alpha));
        let both = with(&[("lora.rank", "32"), ("lora.alpha", "7")]).unwrap();
        assert_eq!((both.lora.rank, both.lora.alpha), (32, 7.0));
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (path, value, words) in [
            ("recal", "0.5", "recal: there is no such setting"),
            ("recall", "2", "recall: is 2; give a number from 0 to 1"),
            ("learning_rate", "null", "learning_rate: is not a finite number"),
            ("epochs", "0", "epochs: is 0"),
            ("earlier_share", "0.85", "leave at least a tenth"),
        ] {
            let error = with(&[(path, value)]).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
        assert!(with(&[("seed", "1"), ("seed", "2")]).is_err());
        assert_eq!(with(&[("recall", "0.5")]).unwrap().recall, 0.5);
    }
}
