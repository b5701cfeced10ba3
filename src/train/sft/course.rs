//! How a run goes: what its loss was at first and at last, its epochs, and when waiting for a better one ends.

use serde::{Deserialize, Serialize};

/// A loss that did not fall by this share is one that hardly moved.
const MOVED: f64 = 0.1;
/// A mean loss, in nats a token, below which examples are known: the right token has a probability of 95 %.
const KNOWN: f64 = 0.05;

/// The mean of losses; those that are not finite are left out.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Mean {
    sum: f64,
    count: u64,
}

impl Mean {
    fn add(&mut self, loss: f64) {
        if loss.is_finite() {
            (self.sum, self.count) = (self.sum + loss, self.count + 1);
        }
    }

    fn get(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

/// A pass over the examples that ended, or the part of one with which a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Epoch {
    /// Its number, from 1.
    pub epoch: u64,
    /// The step that it ended with.
    pub step: u64,
    /// Mean of its steps' losses.
    pub loss: Option<f64>,
    /// Mean loss of the tokens that are held out, after it, in nats.
    pub held_out_loss: Option<f64>,
}

/// The mean loss of a run's beginning and of its end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// Mean loss of the first part.
    pub first: f64,
    /// Mean loss of the last part.
    pub last: f64,
    /// The parts are epochs, in which the same examples are learnt; in a run of only one they are quarters of its steps.
    pub in_epochs: bool,
}

/// What the losses of a run say of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// It learnt.
    Learnt,
    /// The loss hardly moved.
    HardlyMoved,
    /// The examples were known before.
    Known,
    /// Too little is known of it.
    Unknown,
}

/// The course of a run. Part of a checkpoint, where it is a list of numbers: what reads and writes a structure would add more to the
/// program of a web page than all of the rest here.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Option<f64>>", into = "Vec<Option<f64>>")]
pub struct Course {
    /// Of the quarters of the steps.
    quarters: [Mean; 4],
    /// Of the epoch at hand.
    epoch: Mean,
    /// The first whole epoch that ended.
    first: Option<Epoch>,
    /// The last whole one.
    whole: Option<Epoch>,
    /// The last one.
    last: Option<Epoch>,
    /// That of the lowest held-out loss.
    best: Option<Epoch>,
    /// Epochs since the best one.
    waited: u64,
}

impl From<Course> for Vec<Option<f64>> {
    fn from(course: Course) -> Self {
        let mut numbers = Self::new();
        for mean in course.quarters.into_iter().chain([course.epoch]) {
            numbers.extend([Some(mean.sum), Some(mean.count as f64)]);
        }
        for epoch in [course.first, course.whole, course.last, course.best] {
            let [number, step] = [epoch.map(|epoch| epoch.epoch), epoch.map(|epoch| epoch.step)];
            numbers.extend([number, step].map(|count| count.map(|count| count as f64)));
            numbers.extend([epoch.and_then(|epoch| epoch.loss), epoch.and_then(|epoch| epoch.held_out_loss)]);
        }
        numbers.push(Some(course.waited as f64));
        numbers
    }
}

/// What a list lacks is nothing that happened.
impl From<Vec<Option<f64>>> for Course {
    fn from(numbers: Vec<Option<f64>>) -> Self {
        let mut numbers = numbers.into_iter();
        let mut next = || numbers.next().flatten();
        let mut course = Self::default();
        for mean in course.quarters.iter_mut().chain([&mut course.epoch]) {
            let (sum, count) = (next().unwrap_or(0.0), next().unwrap_or(0.0) as u64);
            *mean = Mean { sum, count };
        }
        for place in [&mut course.first, &mut course.whole, &mut course.last, &mut course.best] {
            let (epoch, step, loss, held_out_loss) = (next(), next(), next(), next());
            *place = epoch.zip(step).map(|(epoch, step)| {
                let (epoch, step) = (epoch as u64, step as u64);
                Epoch { epoch, step, loss, held_out_loss }
            });
        }
        course.waited = next().unwrap_or(0.0) as u64;
        course
    }
}

impl Course {
    /// Takes the loss of a step; `done` of `steps` were before it.
    pub fn add(&mut self, loss: f64, done: u64, steps: u64) {
        let quarter = (4.0 * done as f64 / steps.max(1) as f64) as usize;
        self.quarters[quarter.min(3)].add(loss);
        self.epoch.add(loss);
    }

    /// Ends an epoch, `whole` or with the run, and says whether it is the best so far.
    pub fn end_epoch(
        &mut self,
        epoch: u64,
        step: u64,
        whole: bool,
        held_out_loss: Option<f64>,
    ) -> (Epoch, bool) {
        let held_out_loss = held_out_loss.filter(|loss| loss.is_finite());
        let ended = Epoch { epoch, step, loss: std::mem::take(&mut self.epoch).get(), held_out_loss };
        let lowest = self.best.and_then(|best| best.held_out_loss).unwrap_or(f64::INFINITY);
        let is_best = held_out_loss.is_some_and(|loss| loss < lowest);
        if is_best {
            (self.best, self.waited) = (Some(ended), 0);
        } else {
            self.waited += 1;
        }
        if whole {
            self.first.get_or_insert(ended);
            self.whole = Some(ended);
        }
        self.last = Some(ended);
        (ended, is_best)
    }

    /// Whether an epoch ended with this step.
    pub fn ended_at(&self, step: u64) -> bool {
        self.last.is_some_and(|last| last.step == step)
    }

    /// Whether the held-out loss has not fallen for `patience` epochs in a row; 0 is any number.
    pub fn is_over(&self, patience: u64) -> bool {
        patience > 0 && self.waited >= patience
    }

    /// The first whole epoch that ended.
    pub fn first(&self) -> Option<Epoch> {
        self.first
    }

    /// The last epoch that ended.
    pub fn last(&self) -> Option<Epoch> {
        self.last
    }

    /// The epoch of the lowest held-out loss.
    pub fn best(&self) -> Option<Epoch> {
        self.best
    }

    /// What the loss was at first and at last.
    pub fn change(&self) -> Option<Change> {
        if let (Some(first), Some(last)) = (self.first, self.whole)
            && let (Some(first_loss), Some(last_loss), true) = (first.loss, last.loss, first.step < last.step)
        {
            return Some(Change { first: first_loss, last: last_loss, in_epochs: true });
        }
        // Of a few steps, some quarters have none; of a run that went on with another end, too.
        let mut known = self.quarters.iter().filter_map(Mean::get);
        let first = known.next()?;
        known.next_back().map(|last| Change { first, last, in_epochs: false })
    }

    /// What is to be said of the run after `done` steps.
    pub fn verdict(&self, done: u64) -> Verdict {
        match self.change() {
            Some(Change { first, last, .. }) if first < KNOWN && last < KNOWN => Verdict::Known,
            Some(Change { first, last, .. }) if last > (1.0 - MOVED) * first => Verdict::HardlyMoved,
            Some(_) => Verdict::Learnt,
            None if done <= 1 => Verdict::HardlyMoved,
            None => Verdict::Unknown,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn after(losses: &[f64]) -> Course {
        let mut course = Course::default();
        for (done, &loss) in losses.iter().enumerate() {
            course.add(loss, done as u64, losses.len() as u64);
        }
        course
    }

    #[test]
    fn a_loss_that_hardly_moves_is_noticed() {
        for (losses, change, verdict) in [
            (&[2.0, 1.9, 2.1, 1.0, 1.9, 1.95, 1.85, 1.9][..], Some((1.95, 1.875)), Verdict::HardlyMoved),
            (&[2.0, 2.0, 1.5, 1.0, 0.5, 0.1, 0.1, 0.1], Some((2.0, 0.1)), Verdict::Learnt),
            (&[2.0, 1.0], Some((2.0, 1.0)), Verdict::Learnt),
            (&[2.0, 3.0], Some((2.0, 3.0)), Verdict::HardlyMoved),
            (&[0.04, 0.04, 0.03, 0.03], Some((0.04, 0.03)), Verdict::Known),
            (&[0.04, 0.04, 0.03, 5.0], Some((0.04, 5.0)), Verdict::HardlyMoved),
            // A single update teaches nothing that could be seen.
            (&[2.0], None, Verdict::HardlyMoved),
            (&[f64::NAN, f64::NAN, f64::INFINITY], None, Verdict::Unknown),
            (&[], None, Verdict::HardlyMoved),
        ] {
            let course = after(losses);
            let verdict_of = course.verdict(losses.len() as u64);
            assert_eq!(verdict_of, verdict, "{losses:?}");
            let close = |(a, b): (f64, f64), (c, d): (f64, f64)| (a - c).abs() + (b - d).abs() < 1e-12;
            let got = course.change().map(|change| (change.first, change.last));
            assert!(got == change || close(got.unwrap(), change.unwrap()), "{course:?}");
        }
        // A run of an older version, of which only the end is known.
        let mut course = Course::default();
        course.add(2.0, 90, 100);
        assert_eq!(course.verdict(91), Verdict::Unknown);
    }

    #[test]
    fn epochs_of_the_same_examples_are_compared() {
        // Two examples, one of them hard, a step each: the order says nothing, and nor does the part of an epoch.
        let mut course = Course::default();
        for (done, loss) in [4.0, 0.5, 0.5, 3.9, 0.5].into_iter().enumerate() {
            course.add(loss, done as u64, 5);
            if done % 2 == 1 {
                course.end_epoch(done as u64 / 2 + 1, done as u64 + 1, true, None);
            }
        }
        course.end_epoch(3, 5, false, None);
        assert_eq!(course.change(), Some(Change { first: 2.25, last: 2.2, in_epochs: true }));
        assert_eq!(course.verdict(5), Verdict::HardlyMoved);
        assert_eq!((course.first().unwrap().epoch, course.last().unwrap().epoch), (1, 3));
    }

    #[test]
    fn patience_ends_with_the_epochs_that_are_no_better() {
        let run = |losses: &[f64]| {
            let mut course = Course::default();
            let mut best = Vec::new();
            for (index, &loss) in losses.iter().enumerate() {
                course.add(1.0, index as u64, 9);
                let (ended, is_best) = course.end_epoch(index as u64 + 1, index as u64 + 1, true, Some(loss));
                assert_eq!((ended.epoch, ended.loss), (index as u64 + 1, Some(1.0)));
                if is_best {
                    best.push(ended.epoch);
                }
            }
            let (first, last) = (course.first().unwrap().epoch, course.last().unwrap().epoch);
            assert_eq!((first, last), (1, losses.len() as u64));
            (course.is_over(2), course.is_over(0), best, course.best().map(|best| best.epoch))
        };
        assert_eq!(run(&[3.0, 2.0, 2.5, 1.0, 1.0]), (false, false, vec![1, 2, 4], Some(4)));
        assert_eq!(run(&[3.0, 2.0, 2.5, 2.0]), (true, false, vec![1, 2], Some(2)));
        assert_eq!(run(&[1.0, 2.0, 3.0]), (true, false, vec![1], Some(1)));
        assert_eq!(run(&[f64::NAN, f64::NAN]), (true, false, vec![], None));
        assert_eq!(run(&[f64::NAN, 2.0, f64::NAN]), (false, false, vec![2], Some(2)));
    }

    #[test]
    fn a_course_survives_a_checkpoint_to_the_bit() {
        let mut course = after(&[0.1, 1.0 / 3.0, f64::NAN]);
        course.end_epoch(1, 3, true, Some(2.0 / 3.0));
        course.end_epoch(2, 6, false, Some(f64::NAN));
        let text = serde_json::to_string(&course).unwrap();
        assert_eq!(serde_json::from_str::<Course>(&text).unwrap(), course);
        assert!(course.ended_at(6) && !course.ended_at(3));
        assert_eq!(Course::from(Vec::new()), Course::default());
    }
}
