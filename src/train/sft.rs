//! Supervised fine-tuning: examples in an order that can be resumed, a step at a time.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::adapter;
use super::checkpoint::State;
use super::data::{Cursor, Dataset, Order};
use super::guard::FiniteGuard;
use super::lora_config::LoraConfig;
use super::loss::LossName;
use super::peft::AdapterFile;
use super::schedule::{Schedule, ScheduleKind};
use super::trainer::{Optimizer, Trainer, Trajectory};
use crate::{Error, Result};

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
    /// Seed of the order, and of a fresh adapter.
    pub seed: u64,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Its course after warm-up.
    pub schedule: ScheduleKind,
    /// Steps of linear warm-up.
    pub warmup_steps: u64,
    /// AdamW's settings and the bound of the gradient norm.
    pub optimizer: Optimizer,
}

/// What a step did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SftStep {
    /// Number of the step, from 1.
    pub step: u64,
    /// Steps of the whole run.
    pub steps: u64,
    /// Mean loss of the learnt tokens before the step, in nats.
    pub loss: f64,
    /// Global gradient norm before clipping.
    pub grad_norm: f64,
    /// Learning rate of the step.
    pub learning_rate: f64,
    /// Tokens that went through the model.
    pub tokens: usize,
    /// Loss or gradient was not finite, and nothing was changed.
    pub skipped: bool,
}

/// A run in progress.
pub struct Sft {
    trainer: Trainer,
    lora: LoraConfig,
    examples: Vec<Trajectory>,
    order: Order,
    guard: FiniteGuard,
    schedule: Schedule,
    settings: SftSettings,
    done: u64,
}

/// What the run adds to the trainer's state.
#[derive(Serialize, Deserialize)]
struct Place {
    done: u64,
    cursor: Cursor,
    guard: FiniteGuard,
    /// Number of examples, to notice other data.
    examples: usize,
}

/// Where [`Place`] is in the JSON value of a state.
const PLACE: &str = "sft";

impl Sft {
    /// The beginning of a run. `trainer` holds the adapter that `lora` describes.
    ///
    /// # Errors
    /// [`Error::Usage`] if there are no examples.
    pub fn new(trainer: Trainer, lora: LoraConfig, data: &Dataset, settings: SftSettings) -> Result<Self> {
        let examples: Vec<Trajectory> = data
            .examples
            .iter()
            // Predicting a token is counted at the token before it.
            .map(|example| Trajectory::supervised(example.tokens.clone(), example.scored[1..].to_vec()))
            .collect();
        let shuffle = settings.shuffle.then_some(settings.seed);
        let order = Order::new(examples.len(), shuffle, Cursor::default())?;
        let epochs = settings.epochs * order.batches_per_epoch(settings.batch_size) as u64;
        let schedule = Schedule {
            kind: settings.schedule,
            learning_rate: settings.learning_rate,
            warmup_steps: settings.warmup_steps,
            total_steps: settings.steps.unwrap_or(epochs),
        };
        let guard = FiniteGuard::default();
        Ok(Self { trainer, lora, examples, order, guard, schedule, settings, done: 0 })
    }

    /// Steps of the whole run.
    pub fn steps(&self) -> u64 {
        self.schedule.total_steps
    }

    /// The learning rate of every step.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Steps done.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// The next step.
    ///
    /// # Errors
    /// [`Error::Cancelled`], after which the run stands where it stood before the step; [`Error::Diverged`] at the third
    /// step in a row that is not finite; GPU errors.
    pub async fn step(&mut self) -> Result<SftStep> {
        let cursor = self.order.cursor();
        let batch: Vec<Trajectory> = self
            .order
            .next_batch(self.settings.batch_size)
            .iter()
            .map(|&index| self.examples[index].clone())
            .collect();
        let learning_rate = self.schedule.at(self.done);
        let loss = LossName::Sft.config(self.settings.max_length);
        let outcome = self.trainer.step(&batch, &loss, learning_rate, &self.settings.optimizer).await;
        let report = match outcome {
            Ok(report) => report,
            Err(error) => {
                let shuffle = self.settings.shuffle.then_some(self.settings.seed);
                self.order = Order::new(self.examples.len(), shuffle, cursor)?;
                return Err(error);
            }
        };
        self.done += 1;
        self.guard.admits(report.loss, report.grad_norm)?;
        Ok(SftStep {
            step: self.done,
            steps: self.steps(),
            loss: report.loss,
            grad_norm: report.grad_norm,
            learning_rate,
            tokens: report.tokens,
            skipped: report.skipped,
        })
    }

    /// The adapter as it is now.
    ///
    /// # Errors
    /// [`Error::NotKept`]; GPU errors.
    pub async fn adapter_file(&self) -> Result<AdapterFile> {
        let flat = self.trainer.read_adapter().await?;
        self.expect_finite(flat.iter().all(|number| number.is_finite()))?;
        Ok(adapter::unflatten(self.trainer.lora().layout(), self.lora.clone(), &flat))
    }

    fn expect_finite(&self, finite: bool) -> Result<()> {
        if finite {
            return Ok(());
        }
        let what = format!("the adapter is not finite after step {}", self.done);
        let hint = "it is not saved, and what was saved before is kept; lower --learning-rate";
        Err(Error::NotKept { what, hint: hint.into() })
    }

    /// Everything that [`Sft::restore`] needs to go on with the same numbers.
    ///
    /// # Errors
    /// [`Error::NotKept`]; GPU errors.
    pub async fn state(&self) -> Result<State> {
        let mut state = self.trainer.state().await?;
        self.expect_finite(state.not_finite().is_none())?;
        // A run that diverged gets its tries again.
        let guard = FiniteGuard { in_a_row: 0, ..self.guard };
        let place =
            Place { done: self.done, cursor: self.order.cursor(), guard, examples: self.examples.len() };
        state.put(PLACE, &place)?;
        Ok(state)
    }

    /// Goes back to a state that [`Sft::state`] made; `file` is named in errors.
    ///
    /// # Errors
    /// [`Error::Input`] if it is of another run: another adapter, other data.
    pub fn restore(&mut self, state: &State, file: &Path) -> Result<()> {
        let place: Place = state.get(PLACE, file)?;
        if place.examples != self.examples.len() {
            let problem =
                format!("{} examples, but the data has {} now", place.examples, self.examples.len());
            return Err(Error::input(file, PLACE, problem, "use the data that the run was started with"));
        }
        let shuffle = self.settings.shuffle.then_some(self.settings.seed);
        self.order = Order::new(self.examples.len(), shuffle, place.cursor)?;
        self.trainer.restore(state, file)?;
        (self.done, self.guard) = (place.done, place.guard);
        Ok(())
    }
}

/// Tokens of the largest pass that `data` makes of batches of `batch_size`, passes holding up to `pack_tokens`.
pub fn largest_pass(data: &Dataset, batch_size: usize, pack_tokens: usize) -> usize {
    let mut lengths: Vec<usize> = data.examples.iter().map(|example| example.tokens.len()).collect();
    lengths.sort_unstable_by(|a, b| b.cmp(a));
    let longest = lengths.first().copied().unwrap_or(0);
    lengths.iter().take(batch_size).sum::<usize>().min(pack_tokens.max(longest))
}
