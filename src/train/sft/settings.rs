//! Settings of supervised training, and what is taken where a user says nothing.
//!
//! The defaults follow from the model and the data; [`SftSettings::for_model_and_data`] is the one place that says how, by the
//! numbers here.

use serde::{Deserialize, Serialize};

use crate::train::lora_config::LoraConfig;
use crate::train::schedule::ScheduleKind;
use crate::train::trainer::Optimizer;

/// Settings of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SftSettings {
    /// Optimizer steps; `None` for as many as `epochs` take.
    pub steps: Option<u64>,
    /// Passes over the examples, where `steps` is not given.
    pub epochs: u64,
    /// Examples of a step; what exceeds a pass of the model is accumulated.
    pub batch_size: usize,
    /// Tokens of the longest example.
    pub max_length: usize,
    /// Another order in each epoch.
    pub shuffle: bool,
    /// Seed of the order, of what is held out, and of a fresh adapter.
    pub seed: u64,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Its course after warm-up.
    pub schedule: ScheduleKind,
    /// Steps of linear warm-up.
    pub warmup_steps: u64,
    /// AdamW's settings and the bound of the gradient norm.
    pub optimizer: Optimizer,
    /// Share of the examples that is not learnt, but measured after each epoch. What follows here is missing from runs of older
    /// versions.
    #[serde(default)]
    pub held_out: f64,
    /// Epochs in a row without a fall of the held-out loss that end the run, whose adapter is then that of the best epoch; 0 for
    /// all epochs and the last adapter.
    #[serde(default)]
    pub patience: u64,
}

/// Largest default batch. Large batches cost a LoRA more than full tuning ("LoRA Without Regret", Thinking Machines 2025).
pub const BATCH_SIZE: usize = 16;
/// Steps an epoch that the default batch leaves to few examples.
pub const EPOCH_STEPS: usize = 6;
/// Default epochs of few examples, as in SEAL (arXiv 2506.10943: rank 32, rate 1e-3, 10 epochs). Here 48 examples of facts (12
/// people, 4 wordings) were not learnt in one epoch, and were in ten: 24 of 24 reworded questions (SmolLM2-135M).
pub const EPOCHS: u64 = 10;
/// Tokens to learn, counted once an epoch, after which default epochs end. A few hundred answers of some sentences have their ten
/// epochs; beyond four epochs repeated text teaches less and less (arXiv 2305.16264).
pub const EPOCH_TOKENS: u64 = 1 << 20;
/// The default rate of models of up to so many parameters: about ten times that of full tuning ("LoRA Without Regret"), as in
/// SEAL and in deep context distillation (arXiv 2503.08727).
pub const SMALL: (f64, f64) = (0.5e9, 1e-3);
/// The default rate of models from so many parameters on.
pub const LARGE: (f64, f64) = (1e9, 3e-4);
/// Steps of the run for each step of warm-up by default: 5 %.
pub const STEPS_PER_WARMUP: u64 = 20;
/// Learnt examples from which on a run is ended by its held-out loss, and the epochs that it waits. With fewer, as with facts of
/// which each is new, the held-out loss rises while more and more is recalled: it says nothing of what was learnt.
pub const PATIENCE: (usize, u64) = (1000, 2);

impl SftSettings {
    /// Steps of the whole run on so many examples to learn.
    pub fn steps_for(&self, examples: usize) -> u64 {
        let epoch = examples.div_ceil(self.batch_size.max(1)) as u64;
        self.steps.unwrap_or(self.epochs.saturating_mul(epoch))
    }

    /// The new adapter of a user who says nothing. Rank 16 holds the facts of some hundred examples (arXiv 2603.01097: as much a
    /// parameter as any rank); its alpha belongs to the rates above.
    pub fn adapter() -> LoraConfig {
        LoraConfig { rank: 16, alpha: 32.0, ..LoraConfig::default() }
    }
}

/// The default learning rate: between the two sizes it falls evenly in the logarithms of both, to two digits.
pub fn learning_rate(parameters: u64) -> f64 {
    let ((small, high), (large, low)) = (SMALL, LARGE);
    let place = ((parameters as f64 / small).ln() / (large / small).ln()).clamp(0.0, 1.0);
    let rate = high * (low / high).powf(place);
    (rate * 1e5).round() / 1e5
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::train::sft::SftOptions;

    fn of(parameters: u64, examples: usize, scored_tokens: usize) -> SftSettings {
        SftSettings::for_model_and_data(&SftOptions::default(), parameters, examples, scored_tokens)
    }

    #[test]
    fn the_rate_follows_the_size_of_the_model() {
        for (parameters, rate) in [
            (0, 1e-3),
            (700_000, 1e-3),
            (134_515_008, 1e-3),
            (500_000_000, 1e-3),
            (600_000_000, 7.3e-4),
            (750_000_000, 4.9e-4),
            (1_000_000_000, 3e-4),
            (8_000_000_000, 3e-4),
            (u64::MAX, 3e-4),
        ] {
            assert_eq!(learning_rate(parameters), rate, "{parameters}");
        }
    }

    #[test]
    fn epochs_batch_and_warm_up_follow_the_data() {
        // Examples to learn, their scored tokens: epochs, batch, steps, warm-up, patience.
        for (examples, tokens, expected) in [
            (1, 5, (10, 1, 10, 0, 0)),
            (4, 40, (10, 1, 40, 2, 0)),
            (43, 600, (10, 7, 70, 3, 0)),
            (96, 2_000, (10, 16, 60, 3, 0)),
            (500, 50_000, (10, 16, 320, 16, 0)),
            (999, 104_857, (10, 16, 630, 31, 0)),
            (1_000, 262_144, (4, 16, 252, 12, 2)),
            (50_000, 3_000_000, (1, 16, 3_125, 156, 2)),
        ] {
            let got = of(1, examples, tokens);
            let steps = got.steps_for(examples);
            assert_eq!(
                (got.epochs, got.batch_size, steps, got.warmup_steps, got.patience),
                expected,
                "{examples}"
            );
        }
        // Nothing to learn is refused elsewhere, and is no division by it here.
        assert_eq!(of(0, 0, 0).steps_for(0), 0);
        let adapter = SftSettings::adapter();
        assert_eq!((adapter.rank, adapter.alpha, of(0, 9, 9).schedule), (16, 32.0, ScheduleKind::Cosine));
    }

    #[test]
    fn what_was_asked_for_is_taken() {
        let asked = SftOptions {
            steps: Some(100),
            epochs: Some(3),
            batch_size: Some(2),
            learning_rate: Some(0.5),
            schedule: ScheduleKind::Constant,
            warmup_steps: Some(7),
            patience: Some(4),
            held_out: 0.0,
            max_length: 9,
            shuffle: false,
            seed: 5,
            optimizer: Optimizer { weight_decay: 0.1, ..Optimizer::default() },
            ..SftOptions::default()
        };
        let got = SftSettings::for_model_and_data(&asked, 1, 5000, 1 << 30);
        let expected = SftSettings {
            steps: Some(100),
            epochs: 3,
            batch_size: 2,
            learning_rate: 0.5,
            schedule: ScheduleKind::Constant,
            warmup_steps: 7,
            patience: 4,
            held_out: 0.0,
            max_length: 9,
            shuffle: false,
            seed: 5,
            optimizer: asked.optimizer,
        };
        assert_eq!(got, expected);
        // The warm-up of a run whose steps were given is their part.
        let asked = SftOptions { steps: Some(100), ..SftOptions::default() };
        assert_eq!(SftSettings::for_model_and_data(&asked, 1, 48, 100).warmup_steps, 5);
    }

    #[test]
    fn runs_of_older_versions_hold_nothing_out() {
        let mut old = serde_json::to_value(of(1, 48, 100)).unwrap();
        for name in ["held_out", "patience"] {
            old.as_object_mut().unwrap().remove(name).unwrap();
        }
        let old: SftSettings = serde_json::from_value(old).unwrap();
        assert_eq!((old.held_out, old.patience), (0.0, 0));
    }
}
