//! Learning a lesson: weighted cross-entropy over what is new, what earlier lessons taught, and what the base says, in
//! shares of the learnt tokens, until what is new is recalled.

use std::path::Path;

use rand_pcg::Pcg64Mcg;
use serde::{Deserialize, Serialize};

use super::outcome::{Half, Kind, Question};
use super::settings::LearnSettings;
use super::{exam::examine, ledger::Cost};
use crate::ladder::learner::Learner;
use crate::train::checkpoint::State;
use crate::train::fingerprint::sha256;
use crate::train::guard::FiniteGuard;
use crate::train::loss::LossName;
use crate::train::rng::{below, permutation, stream};
use crate::train::schedule::{Schedule, ScheduleKind};
use crate::train::trainer::Trajectory;
use crate::{Error, Result};

/// Names the random streams of an epoch's order and of what is repeated.
const ORDER: u64 = 0x6f72_6465;
const REPLAY: u64 = 0x7265_706c;
/// Epochs in a row with enough recall.
const ENOUGH: u64 = 2;
/// Where [`Place`] is in a checkpoint.
const PLACE: &str = "lesson";

/// What is learnt together.
#[derive(Debug, Default)]
pub struct Mixture {
    /// What is new.
    pub new: Vec<Trajectory>,
    /// What earlier lessons taught, by lesson.
    pub earlier: Vec<Vec<Trajectory>>,
    /// The base's own answers.
    pub base: Vec<Trajectory>,
    /// Questions as they are taught, one for each new fact: the recall.
    pub recall: Vec<Question>,
}

impl Mixture {
    /// Tokens of the longest record.
    pub fn longest(&self) -> usize {
        let all = self.new.iter().chain(self.earlier.iter().flatten()).chain(&self.base);
        all.map(|record| record.tokens.len()).max().unwrap_or(0)
    }

    /// A hash of all that decides what learning makes of it beside the adapter that it begins from: records, weights, settings, and
    /// `stream_id`.
    pub fn identity(&self, settings: &LearnSettings, stream_id: u64) -> Result<String> {
        let mut text = serde_json::to_string(&(settings, stream_id, &self.recall))
            .map_err(|error| Error::write("lesson", error.into()))?;
        for records in [&self.new, &self.base].into_iter().chain(&self.earlier) {
            for record in records {
                text += &format!("{:?}{:?}{:?}", record.tokens, record.scored, record.advantage);
            }
            text.push(';');
        }
        Ok(sha256(text.as_bytes()))
    }

    /// A question of the recall.
    pub fn recalled(prompt: &str, answer: &str) -> Question {
        Question {
            prompt: prompt.to_owned(),
            answer: answer.to_owned(),
            kind: Kind::Recall,
            half: Half::Gate,
        }
    }
}

/// How learning goes, after each epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Its number, from 1.
    pub epoch: u64,
    /// Of so many at most.
    pub epochs: u64,
    /// Mean loss of what is new and what is repeated, nats a token.
    pub loss: f64,
    /// Share of the facts that are recalled.
    pub recall: f64,
}

/// Listens to learning. Every call may ask to stop by an error.
pub trait Watch {
    /// `done` of `all` updates are done.
    fn update(&mut self, done: u64, all: u64, loss: f64) -> Result<()>;
    /// After an epoch, which questions of the recall are right, in their order.
    fn recalled(&mut self, right: &[bool]) -> Result<()>;
    /// An epoch is over; `state` is all that [`learn`] needs to go on from here.
    fn epoch(&mut self, epoch: &Epoch, state: State) -> Result<()>;
    /// Whether to stop at once.
    fn stopped(&self) -> bool;
}

/// Where learning stands between two epochs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Place {
    epoch: u64,
    enough: u64,
    guard: FiniteGuard,
    tokens: u64,
    exam_tokens: u64,
    recall: f64,
    loss: f64,
}

/// How learning ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Learned {
    /// The last epoch.
    pub last: Epoch,
    /// Tokens; seconds are the caller's to know.
    pub cost: Cost,
}

/// Learns `mixture` from the learner's adapter on, with a fresh optimizer, or from `resumed`, what an earlier call's
/// [`Watch::epoch`] got. `stream_id` tells lessons of one library apart: the same lesson, settings and device give the same bits.
///
/// # Errors
/// [`Error::Cancelled`]; [`Error::Diverged`]; GPU errors.
pub async fn learn(
    learner: &mut Learner,
    mixture: &Mixture,
    settings: &LearnSettings,
    stream_id: u64,
    resumed: Option<&State>,
    watch: &mut dyn Watch,
) -> Result<Learned> {
    let batches = Batches::new(mixture, settings);
    let steps = batches.steps() as u64;
    let total = steps * settings.epochs;
    let schedule = Schedule {
        kind: ScheduleKind::Cosine,
        learning_rate: settings.learning_rate,
        warmup_steps: (settings.warmup * total as f64).ceil() as u64,
        total_steps: total,
    };
    let mut place = match resumed {
        Some(state) => {
            learner.trainer().restore(state, Path::new("state.safetensors"))?;
            state.get::<Place>(PLACE, Path::new("state.safetensors"))?
        }
        None => {
            let len = learner.trainer().lora().layout().len();
            learner.trainer().write_moments(&vec![0.0; len], &vec![0.0; len], 0)?;
            Place::default()
        }
    };
    let loss = LossName::Sft.config(settings.max_length);
    let recall: Vec<&Question> = mixture.recall.iter().collect();
    while place.epoch < settings.epochs && place.enough < ENOUGH {
        let mut rng = Random {
            order: stream(settings.seed, &[ORDER, stream_id, place.epoch]),
            replay: stream(settings.seed, &[REPLAY, stream_id, place.epoch]),
        };
        let (mut sum, mut learnt) = (0.0, 0usize);
        for (index, batch) in batches.epoch(&mut rng).into_iter().enumerate() {
            if watch.stopped() {
                return Err(Error::Cancelled);
            }
            let step = place.epoch * steps + index as u64;
            let report =
                learner.trainer().step(&batch, &loss, schedule.at(step), &settings.optimizer).await?;
            place.guard.admits(report.loss, report.grad_norm)?;
            place.tokens += report.tokens as u64;
            let scored: usize = batch.iter().map(Trajectory::scored_count).sum();
            if report.loss.is_finite() {
                sum += report.loss * scored as f64;
                learnt += scored;
            }
            watch.update(step + 1, total, report.loss)?;
        }
        place.epoch += 1;
        place.loss = sum / learnt.max(1) as f64;
        let mut go_on = |_, _| !watch.stopped();
        let asked =
            examine(learner, &recall, &|_| String::new(), settings.max_answer_tokens, &mut go_on).await?;
        place.exam_tokens += asked.tokens;
        let right: Vec<bool> = asked.outcomes.iter().map(|outcome| outcome.right).collect();
        watch.recalled(&right)?;
        let right = right.iter().filter(|right| **right).count();
        place.recall = right as f64 / recall.len().max(1) as f64;
        place.enough = if place.recall >= settings.recall { place.enough + 1 } else { 0 };
        let mut state = learner.trainer().state().await?;
        state.put(PLACE, &place)?;
        watch.epoch(&place.report(settings), state)?;
    }
    let cost = Cost { training_tokens: place.tokens, exam_tokens: place.exam_tokens, seconds: 0.0 };
    Ok(Learned { last: place.report(settings), cost })
}

impl Place {
    fn report(&self, settings: &LearnSettings) -> Epoch {
        Epoch { epoch: self.epoch, epochs: settings.epochs, loss: self.loss, recall: self.recall }
    }
}

/// The random numbers of an epoch.
struct Random {
    order: Pcg64Mcg,
    replay: Pcg64Mcg,
}

/// Puts updates together.
struct Batches<'a> {
    mixture: &'a Mixture,
    /// New records of an update.
    new: usize,
    /// Learnt tokens that the rest of an update is measured by, at least: a lesson of one record needs as much replay as one that
    /// fills its updates.
    least_tokens: f64,
    /// Learnt tokens of earlier lessons, and of the base, for each new one.
    earlier: f64,
    base: f64,
}

impl<'a> Batches<'a> {
    fn new(mixture: &'a Mixture, settings: &LearnSettings) -> Self {
        let earlier_share =
            if mixture.earlier.iter().all(Vec::is_empty) { 0.0 } else { settings.earlier_share };
        // Without earlier lessons half of their share goes to the base, whose answers are the only ones to be kept.
        let spare = settings.earlier_share - earlier_share;
        let base_share = if mixture.base.is_empty() { 0.0 } else { settings.base_share + spare / 2.0 };
        let new_share = 1.0 - earlier_share - base_share;
        let full = ((settings.batch_size as f64 * new_share).round() as usize).max(1);
        let mean = mixture.new.iter().map(Trajectory::scored_count).sum::<usize>() as f64
            / mixture.new.len().max(1) as f64;
        Self {
            mixture,
            new: full.min(mixture.new.len()).max(1),
            least_tokens: full as f64 * mean,
            earlier: earlier_share / new_share,
            base: base_share / new_share,
        }
    }

    fn steps(&self) -> usize {
        self.mixture.new.len().div_ceil(self.new)
    }

    /// The updates of an epoch: every new record once, in another order each time; beside them as many tokens of the rest as
    /// their shares say, over the epoch, lesson by lesson and then record by record with equal chance.
    fn epoch(&self, rng: &mut Random) -> Vec<Vec<Trajectory>> {
        let Mixture { new, earlier, base, .. } = self.mixture;
        let lessons: Vec<&Vec<Trajectory>> = earlier.iter().filter(|records| !records.is_empty()).collect();
        let (mut earlier_debt, mut base_debt) = (0.0, 0.0);
        let order = permutation(&mut rng.order, new.len());
        let mut updates = Vec::new();
        for chunk in order.chunks(self.new) {
            let mut batch: Vec<Trajectory> = chunk.iter().map(|&index| new[index].clone()).collect();
            let tokens = batch.iter().map(Trajectory::scored_count).sum::<usize>() as f64;
            let tokens = if self.new < new.len() { tokens } else { tokens.max(self.least_tokens) };
            earlier_debt += tokens * self.earlier;
            base_debt += tokens * self.base;
            while earlier_debt > 0.0 && !lessons.is_empty() {
                let lesson = lessons[below(&mut rng.replay, lessons.len())];
                let record = &lesson[below(&mut rng.replay, lesson.len())];
                earlier_debt -= record.scored_count().max(1) as f64;
                batch.push(record.clone());
            }
            while base_debt > 0.0 && !base.is_empty() {
                let record = &base[below(&mut rng.replay, base.len())];
                base_debt -= record.scored_count().max(1) as f64;
                batch.push(record.clone());
            }
            updates.push(batch);
        }
        updates
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn record(mark: u32, tokens: usize) -> Trajectory {
        let mut all = vec![mark; tokens + 1];
        all[0] = 0;
        Trajectory::supervised(all, vec![true; tokens])
    }

    fn mixture() -> Mixture {
        Mixture {
            new: (0..100).map(|i| record(1000 + i, 6)).collect(),
            earlier: vec![vec![record(1, 6); 5], Vec::new(), vec![record(2, 3); 50]],
            base: vec![record(3, 32); 20],
            recall: Vec::new(),
        }
    }

    fn count(updates: &[Vec<Trajectory>], fits: impl Fn(u32) -> bool) -> usize {
        updates.iter().flatten().filter(|record| fits(record.tokens[1])).map(Trajectory::scored_count).sum()
    }

    fn epoch(mixture: &Mixture, settings: &LearnSettings, number: u64) -> Vec<Vec<Trajectory>> {
        let mut rng = Random { order: stream(1, &[number]), replay: stream(2, &[number]) };
        Batches::new(mixture, settings).epoch(&mut rng)
    }

    #[test]
    fn an_epoch_has_every_new_record_once_and_the_shares_of_the_rest() {
        let (mixture, settings) = (mixture(), LearnSettings::for_model(135_000_000));
        let updates = epoch(&mixture, &settings, 0);
        let mut new: Vec<u32> =
            updates.iter().flatten().map(|r| r.tokens[1]).filter(|&mark| mark >= 1000).collect();
        new.sort_unstable();
        assert_eq!(new, (1000..1100).collect::<Vec<_>>());
        let all = count(&updates, |_| true) as f64;
        let share = |fits: &dyn Fn(u32) -> bool| count(&updates, fits) as f64 / all;
        assert!((share(&|mark| mark < 3) - 0.2).abs() < 0.03, "{}", share(&|mark| mark < 3));
        assert!((share(&|mark| mark == 3) - 0.1).abs() < 0.04, "{}", share(&|mark| mark == 3));
        // Lessons have equal chances, however many records they have: twice the tokens where records are twice as long.
        let ratio = count(&updates, |mark| mark == 1) as f64 / count(&updates, |mark| mark == 2) as f64;
        assert!((1.0..4.0).contains(&ratio), "{ratio}");
        assert_eq!(epoch(&mixture, &settings, 0), updates);
        assert_ne!(epoch(&mixture, &settings, 1), updates);
    }

    /// A checkpoint of a lesson without one of its records is none of the lesson with it.
    #[test]
    fn what_is_learnt_has_an_identity() {
        let settings = LearnSettings::for_model(135_000_000);
        let identity =
            |mixture: &Mixture, settings: &LearnSettings, id| mixture.identity(settings, id).unwrap();
        let whole = identity(&mixture(), &settings, 7);
        assert_eq!(whole, identity(&mixture(), &settings, 7));
        let mut others = vec![mixture(), mixture(), mixture(), mixture()];
        others[0].new.pop();
        others[1].earlier[0].pop();
        others[2].base.pop();
        others[3].new[0].advantage = Some(2.0);
        for other in &others {
            assert_ne!(whole, identity(other, &settings, 7));
        }
        assert_ne!(whole, identity(&mixture(), &settings, 8));
        assert_ne!(whole, identity(&mixture(), &LearnSettings { seed: 1, ..settings }, 7));
    }

    #[test]
    fn the_first_lesson_gives_the_base_a_fifth() {
        let mixture = Mixture { earlier: Vec::new(), ..mixture() };
        let updates = epoch(&mixture, &LearnSettings::for_model(135_000_000), 0);
        let share = count(&updates, |mark| mark == 3) as f64 / count(&updates, |_| true) as f64;
        assert!((share - 0.2).abs() < 0.04, "{share}");
    }

    #[test]
    fn a_lesson_of_one_record_is_one_update() {
        let alone = Mixture { new: vec![record(1000, 6)], ..Mixture::default() };
        let updates = epoch(&alone, &LearnSettings::for_model(135_000_000), 0);
        assert_eq!(updates.iter().map(Vec::len).collect::<Vec<_>>(), [1]);
        // The rest is as much as beside a full update.
        let updates =
            epoch(&Mixture { new: alone.new, ..mixture() }, &LearnSettings::for_model(135_000_000), 0);
        let earlier = count(&updates, |mark| mark < 3);
        assert!(updates.len() == 1 && (15..30).contains(&earlier), "{earlier}");
    }
}
