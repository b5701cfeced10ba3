//! Supervised fine-tuning: examples in an order that can be resumed, a step at a time, and what is held out of them measured
//! after each epoch.

mod course;
mod options;
pub mod settings;
mod split;

pub use course::{Change, Course, Epoch, Verdict};
pub use options::SftOptions;
pub use settings::SftSettings;
pub use split::{LEAST, Split};

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::adapter;
use super::checkpoint::State;
use super::data::{Cursor, Dataset, Order};
use super::guard::FiniteGuard;
use super::lora_config::LoraConfig;
use super::loss::LossName;
use super::peft::AdapterFile;
use super::schedule::Schedule;
use super::trainer::{Trainer, Trajectory};
use crate::{Error, Result};

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

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// A step was done.
    Step(SftStep),
    /// An epoch ended.
    Epoch(Epoch),
}

/// A run that ended, without what it held on the GPU.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Its settings.
    pub settings: SftSettings,
    /// How it went.
    pub course: Course,
    /// Steps that were done.
    pub done: u64,
}

impl Outcome {
    /// What is to be said of it.
    pub fn verdict(&self) -> Verdict {
        self.course.verdict(self.done)
    }

    /// Whether it ended because the held-out loss did not fall any more.
    pub fn has_waited(&self) -> bool {
        self.course.is_over(self.settings.patience)
    }
}

/// A run in progress.
pub struct Sft {
    trainer: Trainer,
    lora: LoraConfig,
    /// What is learnt.
    examples: Vec<Trajectory>,
    /// What is not.
    held_out: Vec<Trajectory>,
    course: Course,
    /// The adapter after the best epoch, where the run's patience may end with it.
    best: Option<Vec<f32>>,
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
    /// Missing from runs of older versions.
    #[serde(default)]
    course: Course,
}

/// Where [`Place`] is in the JSON value of a state.
const PLACE: &str = "sft";
/// The name of the best epoch's adapter among the tensors of a state.
const BEST: &str = "best.adapter";

impl Sft {
    /// The beginning of a run. `trainer` holds the adapter that `lora` describes.
    ///
    /// # Errors
    /// [`Error::Usage`] if there are no examples.
    pub fn new(trainer: Trainer, lora: LoraConfig, data: &Dataset, settings: SftSettings) -> Result<Self> {
        let split = Split::new(data, settings.held_out, settings.seed);
        let trajectories = |side: &[usize]| -> Vec<Trajectory> {
            side.iter().map(|&index| data.examples[index].clone().into()).collect()
        };
        let (examples, held_out) = (trajectories(&split.learnt), trajectories(&split.held_out));
        let shuffle = settings.shuffle.then_some(settings.seed);
        let order = Order::new(examples.len(), shuffle, Cursor::default())?;
        let schedule = Schedule {
            kind: settings.schedule,
            learning_rate: settings.learning_rate,
            warmup_steps: settings.warmup_steps,
            total_steps: settings.steps_for(examples.len()),
        };
        let (guard, course) = (FiniteGuard::default(), Course::default());
        let (best, done) = (None, 0);
        Ok(Self { trainer, lora, examples, held_out, course, best, order, guard, schedule, settings, done })
    }

    /// Steps of the whole run; once its patience has ended, those that were done.
    pub fn steps(&self) -> u64 {
        if self.has_waited() { self.done } else { self.schedule.total_steps }
    }

    /// Whether the run ended because the held-out loss did not fall any more.
    pub fn has_waited(&self) -> bool {
        self.course.is_over(self.settings.patience)
    }

    /// How it went so far; frees what the run holds on the GPU.
    pub fn into_outcome(self) -> Outcome {
        Outcome { settings: self.settings, course: self.course, done: self.done }
    }

    /// The learning rate of every step.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Steps done.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// The next step, or the end of an epoch that is over. `None` at the end of the run, whose adapter is then that of the best
    /// epoch if it has a patience.
    ///
    /// # Errors
    /// [`Error::Cancelled`], after which the run stands where it stood before; [`Error::Diverged`] at the third step in a row
    /// that is not finite; GPU errors.
    pub async fn next(&mut self) -> Result<Option<News>> {
        if self.epoch_is_due() {
            return self.end_epoch().await.map(|epoch| Some(News::Epoch(epoch)));
        }
        if self.done < self.steps() {
            return self.step().await.map(|step| Some(News::Step(step)));
        }
        if let Some(best) = &self.best {
            self.trainer.write_adapter(best)?;
        }
        Ok(None)
    }

    /// Whether an epoch, or the run, is over, and what it came to is not known yet.
    pub fn epoch_is_due(&self) -> bool {
        let over = self.done >= self.schedule.total_steps || self.order.is_at_end();
        self.done > 0 && over && !self.course.ended_at(self.done)
    }

    async fn end_epoch(&mut self) -> Result<Epoch> {
        let held_out_loss = self.held_out_loss().await?;
        // Read before the epoch is noted: what fails here can be tried again.
        let adapter = match self.settings.patience {
            0 => None,
            _ => Some(self.trainer.read_adapter().await?),
        };
        let (number, whole) = (self.order.cursor().epoch + 1, self.order.is_at_end());
        let (epoch, is_best) = self.course.end_epoch(number, self.done, whole, held_out_loss);
        if is_best {
            self.best = adapter;
        }
        Ok(epoch)
    }

    /// The mean loss of the tokens that are held out; `None` where there are none, or it is not finite.
    async fn held_out_loss(&mut self) -> Result<Option<f64>> {
        let (mut sum, mut count) = (0.0, 0);
        // In batches as they are learnt, for which there is memory.
        for batch in self.held_out.chunks(self.settings.batch_size.max(1)) {
            let scores = match self.trainer.logprobs(batch, true).await {
                Err(Error::NotFinite { .. }) => return Ok(None),
                scores => scores?,
            };
            for logp in scores.iter().flat_map(|scores| &scores.logp) {
                (sum, count) = (sum - f64::from(*logp), count + 1);
            }
        }
        Ok((count > 0).then(|| sum / f64::from(count)))
    }

    async fn step(&mut self) -> Result<SftStep> {
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
        self.course.add(report.loss, self.done, self.schedule.total_steps);
        self.done += 1;
        self.guard.admits(report.loss, report.grad_norm)?;
        Ok(SftStep {
            step: self.done,
            steps: self.schedule.total_steps,
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
        let hint = "it is not saved, and what was saved before is kept; lower <learning_rate>";
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
        let (cursor, examples) = (self.order.cursor(), self.count());
        let place = Place { done: self.done, cursor, guard, examples, course: self.course.clone() };
        state.put(PLACE, &place)?;
        if let Some(best) = &self.best {
            state.tensors.insert(BEST.into(), best.clone());
        }
        Ok(state)
    }

    /// Goes back to a state that [`Sft::state`] made; `file` is named in errors.
    ///
    /// # Errors
    /// [`Error::Input`] if it is of another run: another adapter, other data.
    pub fn restore(&mut self, state: &State, file: &Path) -> Result<()> {
        let place: Place = state.get(PLACE, file)?;
        if place.examples != self.count() {
            let problem = format!("{} examples, but the data has {} now", place.examples, self.count());
            return Err(Error::input(file, PLACE, problem, "use the data that the run was started with"));
        }
        let shuffle = self.settings.shuffle.then_some(self.settings.seed);
        self.order = Order::new(self.examples.len(), shuffle, place.cursor)?;
        self.trainer.restore(state, file)?;
        if self.settings.patience > 0 && place.course.best().is_some() {
            let len = self.trainer.lora().layout().len();
            self.best = Some(state.clone().take(BEST, len, file)?);
        }
        (self.done, self.guard, self.course) = (place.done, place.guard, place.course);
        Ok(())
    }

    /// Examples of both sides.
    fn count(&self) -> usize {
        self.examples.len() + self.held_out.len()
    }
}

/// Tokens of the largest pass that `data` makes of batches of `batch_size`, passes holding up to `pack_tokens`.
pub fn largest_pass(data: &Dataset, batch_size: usize, pack_tokens: usize) -> usize {
    let mut lengths: Vec<usize> = data.examples.iter().map(|example| example.tokens.len()).collect();
    lengths.sort_unstable_by(|a, b| b.cmp(a));
    let longest = lengths.first().copied().unwrap_or(0);
    lengths.iter().take(batch_size).sum::<usize>().min(pack_tokens.max(longest))
}
