//! Learning a lesson: weighted cross-entropy over what is new, what earlier lessons taught, and what the base says, in
//! shares of the learnt tokens, until what is new is recalled and what was taught before still is.

use std::path::Path;

use rand_pcg::Pcg64Mcg;
use serde::{Deserialize, Serialize};

use super::metrics::share;
use super::outcome::Question;
use super::preferences::{self, Choice, Reference};
use super::settings::LearnSettings;
use super::{exam::examine, ledger::Cost};
use crate::ladder::learner::Learner;
use crate::random::{below, permutation, stream};
use crate::train::checkpoint::{STATE_FILE, State};
use crate::train::fingerprint::sha256;
use crate::train::guard::FiniteGuard;
use crate::train::loss::LossName;
use crate::train::schedule::{Schedule, ScheduleKind};
use crate::train::trainer::Trajectory;
use crate::{Error, Result};

/// Names the random streams of an epoch's order and of what is repeated.
const ORDER: u64 = 0x6f72_6465;
const REPLAY: u64 = 0x7265_706c;
/// Most earlier facts that are asked after an epoch, as many of each lesson: of a large one not all must be asked, and it must not
/// hide what becomes of a small one.
pub const MOST_KEPT: usize = 96;
/// Epochs in a row with enough recall.
const ENOUGH: u64 = 2;
/// Where [`Place`] is in a checkpoint.
const PLACE: &str = "lesson";

/// What is learnt together.
#[derive(Debug, Default)]
pub struct Mixture {
    /// What is new.
    pub new: Vec<Trajectory>,
    /// What is new and preferred to something.
    pub choices: Vec<Choice>,
    /// What earlier lessons taught, by lesson.
    pub earlier: Vec<Vec<Trajectory>>,
    /// The base's own answers.
    pub base: Vec<Trajectory>,
    /// Questions as they are taught, one for each new fact: the recall.
    pub recall: Vec<Question>,
    /// The same of facts of earlier lessons, by lesson, of which [`MOST_KEPT`] are asked.
    pub kept: Vec<Vec<Question>>,
}

impl Mixture {
    /// Tokens of the longest record.
    pub fn longest(&self) -> usize {
        let all = self.new.iter().chain(self.earlier.iter().flatten()).chain(&self.base);
        let choices = self.choices.iter().flat_map(Choice::records);
        all.chain(choices).map(|record| record.tokens.len()).max().unwrap_or(0)
    }

    /// A hash of all that decides what learning makes of it beside the adapter that it begins from: records, weights, settings, and
    /// `stream_id`.
    pub fn identity(&self, settings: &LearnSettings, stream_id: u64) -> Result<String> {
        let mut text = serde_json::to_string(&(settings, stream_id, &self.recall, &self.kept))
            .map_err(|error| Error::write("lesson", error.into()))?;
        for records in [&self.new, &self.base].into_iter().chain(&self.earlier) {
            for record in records {
                text += &format!("{:?}{:?}{:?}", record.tokens, record.scored, record.advantage);
            }
            text.push(';');
        }
        for choice in &self.choices {
            text += &format!("{:?}{:?};", choice.weight, choice.config);
            for record in choice.records() {
                text += &format!("{:?}{:?}", record.tokens, record.scored);
            }
        }
        Ok(sha256(text.as_bytes()))
    }

    /// The earlier facts that are asked.
    fn asked_of_kept<'a>(&'a self) -> Vec<&'a Question> {
        let each = (MOST_KEPT / self.kept.len().max(1)).max(1);
        let some = |lesson: &'a [Question]| {
            let count = lesson.len().min(each);
            (0..count).map(move |place| &lesson[place * lesson.len() / count])
        };
        self.kept.iter().flat_map(|lesson| some(lesson)).collect()
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
    /// Share of earlier facts that are recalled; `None` where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<f64>,
}

impl Epoch {
    /// For people.
    pub fn words(&self) -> String {
        let kept =
            self.kept.map_or(String::new(), |kept| format!(", {:.0} % of earlier facts", 100.0 * kept));
        format!(
            "epoch {} of at most {}: loss {:.3}, {:.0} % recalled{kept}",
            self.epoch,
            self.epochs,
            self.loss,
            100.0 * self.recall
        )
    }
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
    /// Share of earlier facts that are recalled.
    #[serde(default)]
    kept: Option<f64>,
    /// The share that must be: as many as before the lesson, or [`LearnSettings::recall`] where that is less.
    #[serde(default)]
    kept_asked: Option<f64>,
    loss: f64,
    /// What the adapter that learning began from thinks of each choice.
    #[serde(default)]
    reference: Vec<Reference>,
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
            learner.trainer().restore(state, Path::new(STATE_FILE))?;
            state.get::<Place>(PLACE, Path::new(STATE_FILE))?
        }
        None => {
            let len = learner.trainer().lora().layout().len();
            learner.trainer().write_moments(&vec![0.0; len], &vec![0.0; len], 0)?;
            let choices: Vec<&Choice> = mixture.choices.iter().collect();
            let reference = preferences::scores(learner.trainer(), &choices).await?;
            Place { reference, ..Place::default() }
        }
    };
    let loss = LossName::Sft.config(settings.max_length);
    let recall: Vec<&Question> = mixture.recall.iter().collect();
    let kept = mixture.asked_of_kept();
    if place.epoch == 0 && !kept.is_empty() {
        let right = answered(learner, &kept, settings, &mut place.exam_tokens, watch).await?;
        place.kept_asked = Some(share(&right).min(settings.recall));
    }
    while place.epoch < settings.epochs && place.enough < ENOUGH {
        let mut rng = Random {
            order: stream(settings.seed, &[ORDER, stream_id, place.epoch]),
            replay: stream(settings.seed, &[REPLAY, stream_id, place.epoch]),
        };
        let (mut sum, mut learnt) = (0.0, 0usize);
        for (index, Update { records: mut batch, choices }) in batches.epoch(&mut rng).into_iter().enumerate()
        {
            if watch.stopped() {
                return Err(Error::Cancelled);
            }
            let step = place.epoch * steps + index as u64;
            let pairs: Vec<&Choice> = choices.iter().filter_map(|&at| mixture.choices.get(at)).collect();
            let before: Vec<Reference> =
                choices.iter().filter_map(|&at| place.reference.get(at)).copied().collect();
            let weighed = preferences::weigh(learner.trainer(), &pairs, &before).await?;
            batch.extend(weighed.records.iter().cloned());
            place.tokens +=
                pairs.iter().flat_map(|pair| pair.records()).map(|r| r.tokens.len() as u64).sum::<u64>();
            let report =
                learner.trainer().step(&batch, &loss, schedule.at(step), &settings.optimizer).await?;
            place.guard.admits(report.loss, report.grad_norm)?;
            place.tokens += report.tokens as u64;
            let scored: usize = batch.iter().map(Trajectory::scored_count).sum();
            let loss = weighed.loss_of(report.loss, scored);
            if loss.is_finite() {
                sum += loss * scored as f64;
                learnt += scored;
            }
            watch.update(step + 1, total, loss)?;
        }
        place.epoch += 1;
        place.loss = sum / learnt.max(1) as f64;
        let right = answered(learner, &recall, settings, &mut place.exam_tokens, watch).await?;
        watch.recalled(&right)?;
        place.recall = share(&right);
        if place.kept_asked.is_some() {
            let right = answered(learner, &kept, settings, &mut place.exam_tokens, watch).await?;
            place.kept = Some(share(&right));
        }
        place.enough = if place.is_enough(settings) { place.enough + 1 } else { 0 };
        let mut state = learner.trainer().state().await?;
        state.put(PLACE, &place)?;
        watch.epoch(&place.report(settings), state)?;
    }
    let cost = Cost { training_tokens: place.tokens, exam_tokens: place.exam_tokens, seconds: 0.0 };
    Ok(Learned { last: place.report(settings), cost })
}

/// Which of `questions` the learner's adapter answers right; their tokens are added to `tokens`.
async fn answered(
    learner: &mut Learner,
    questions: &[&Question],
    settings: &LearnSettings,
    tokens: &mut u64,
    watch: &dyn Watch,
) -> Result<Vec<bool>> {
    let mut go_on = |_, _| !watch.stopped();
    let asked =
        examine(learner, questions, &|_| String::new(), settings.max_answer_tokens, &mut go_on).await?;
    *tokens += asked.tokens;
    Ok(asked.outcomes.iter().map(|outcome| outcome.right).collect())
}

impl Place {
    /// Whether the lesson is recalled, and of earlier ones as much as is asked.
    fn is_enough(&self, settings: &LearnSettings) -> bool {
        self.recall >= settings.recall && self.kept >= self.kept_asked
    }

    fn report(&self, settings: &LearnSettings) -> Epoch {
        let Self { epoch, loss, recall, kept, .. } = *self;
        Epoch { epoch, epochs: settings.epochs, loss, recall, kept }
    }
}

/// The random numbers of an epoch.
struct Random {
    order: Pcg64Mcg,
    replay: Pcg64Mcg,
}

/// What one update learns.
#[derive(Debug, Clone, PartialEq)]
struct Update {
    records: Vec<Trajectory>,
    /// Places of choices.
    choices: Vec<usize>,
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
        let all = mixture.new.len() + mixture.choices.len();
        let tokens = mixture.new.iter().map(Trajectory::scored_count).sum::<usize>()
            + mixture.choices.iter().map(Choice::scored_count).sum::<usize>();
        let mean = tokens as f64 / all.max(1) as f64;
        Self {
            mixture,
            new: full.min(all).max(1),
            least_tokens: full as f64 * mean,
            earlier: earlier_share / new_share,
            base: base_share / new_share,
        }
    }

    fn steps(&self) -> usize {
        (self.mixture.new.len() + self.mixture.choices.len()).div_ceil(self.new)
    }

    /// The updates of an epoch: every new record once, in another order each time; beside them as many tokens of the rest as
    /// their shares say, over the epoch, lesson by lesson and then record by record with equal chance.
    fn epoch(&self, rng: &mut Random) -> Vec<Update> {
        let Mixture { new, earlier, base, choices, .. } = self.mixture;
        let all = new.len() + choices.len();
        let lessons: Vec<&Vec<Trajectory>> = earlier.iter().filter(|records| !records.is_empty()).collect();
        let (mut earlier_debt, mut base_debt) = (0.0, 0.0);
        let order = permutation(&mut rng.order, all);
        let mut updates = Vec::new();
        for chunk in order.chunks(self.new) {
            let mut batch: Vec<Trajectory> =
                chunk.iter().filter_map(|&index| new.get(index).cloned()).collect();
            let chosen: Vec<usize> = chunk.iter().filter_map(|&index| index.checked_sub(new.len())).collect();
            let tokens = batch.iter().map(Trajectory::scored_count).sum::<usize>()
                + chosen.iter().map(|&place| choices[place].scored_count()).sum::<usize>();
            let tokens = tokens as f64;
            let tokens = if self.new < all { tokens } else { tokens.max(self.least_tokens) };
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
            updates.push(Update { records: batch, choices: chosen });
        }
        updates
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::super::outcome::Kind;
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
            ..Mixture::default()
        }
    }

    fn count(updates: &[Vec<Trajectory>], fits: impl Fn(u32) -> bool) -> usize {
        updates.iter().flatten().filter(|record| fits(record.tokens[1])).map(Trajectory::scored_count).sum()
    }

    fn epoch(mixture: &Mixture, settings: &LearnSettings, number: u64) -> Vec<Vec<Trajectory>> {
        let mut rng = Random { order: stream(1, &[number]), replay: stream(2, &[number]) };
        Batches::new(mixture, settings).epoch(&mut rng).into_iter().map(|update| update.records).collect()
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
    fn learning_goes_on_until_earlier_facts_hold_too() {
        let settings = LearnSettings::for_model(135_000_000);
        for (recall, kept, kept_asked, enough) in [
            (1.0, None, None, true),
            (0.5, None, None, false),
            (1.0, Some(0.9), Some(0.9), true),
            (1.0, Some(0.8), Some(0.9), false),
            (0.5, Some(1.0), Some(0.9), false),
        ] {
            let place = Place { recall, kept, kept_asked, ..Place::default() };
            assert_eq!(place.is_enough(&settings), enough, "{place:?}");
        }
    }

    #[test]
    fn earlier_facts_are_asked_evenly_and_not_without_end() {
        let question = |index: usize| Question::new(index.to_string(), "", Kind::Recall);
        let of = |sizes: &[usize]| Mixture {
            kept: sizes.iter().map(|&size| (0..size).map(question).collect()).collect(),
            ..Mixture::default()
        };
        assert_eq!(of(&[5]).asked_of_kept().len(), 5);
        let many = of(&[1000, 7]);
        let asked = many.asked_of_kept();
        assert_eq!(asked.len(), MOST_KEPT / 2 + 7);
        assert!(asked.windows(2).all(|pair| pair[0].prompt != pair[1].prompt));
        assert!(asked[MOST_KEPT / 2 - 1].prompt.parse::<usize>().unwrap() > 900);
        // However many lessons there are, each is asked about.
        assert_eq!(of(&[3; 200]).asked_of_kept().len(), 200);
        assert!(mixture().asked_of_kept().is_empty());
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
