//! Counts, rates and means that events carry.

use serde::{Deserialize, Serialize};

use crate::task::VerdictKind;

/// Judgements of a set of completions, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct VerdictCounts {
    /// Right.
    pub correct: usize,
    /// Well formed and wrong.
    pub wrong: usize,
    /// Not an answer.
    pub malformed: usize,
    /// Could not be judged.
    pub unverifiable: usize,
    /// Judged by numbers alone.
    #[serde(default)]
    pub scored: usize,
    /// Cut off by the token limit (also counted by judgement).
    pub truncated: usize,
}

impl VerdictCounts {
    /// Counts one judgement.
    pub fn add(&mut self, verdict: VerdictKind, finished: bool) {
        match verdict {
            VerdictKind::Correct => self.correct += 1,
            VerdictKind::Wrong => self.wrong += 1,
            VerdictKind::Malformed => self.malformed += 1,
            VerdictKind::Unverifiable => self.unverifiable += 1,
            VerdictKind::Scored => self.scored += 1,
        }
        self.truncated += usize::from(!finished);
    }

    /// Adds the counts of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.correct += other.correct;
        self.wrong += other.wrong;
        self.malformed += other.malformed;
        self.unverifiable += other.unverifiable;
        self.scored += other.scored;
        self.truncated += other.truncated;
    }

    /// Completions that were judged right or not right.
    pub fn with_verdict(&self) -> usize {
        self.correct + self.wrong + self.malformed
    }

    /// Completions that were judged, by a verdict or by numbers.
    pub fn judged(&self) -> usize {
        self.with_verdict() + self.scored
    }

    /// All completions.
    pub fn total(&self) -> usize {
        self.judged() + self.unverifiable
    }

    /// Correct of those with a verdict; `None` if there are none.
    pub fn pass_rate(&self) -> Option<f64> {
        (self.with_verdict() > 0).then(|| self.correct as f64 / self.with_verdict() as f64)
    }
}

/// Pass rate of the training rollouts of one level or depth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RolloutRate {
    /// The level of the problems file, or the depth in the tree.
    pub key: u32,
    /// Completions with a verdict.
    pub samples: usize,
    /// Correct ones.
    pub correct: usize,
}

/// One named reward in the rollouts of a step ([`crate::ladder::reward`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RewardStats {
    /// Its weight in the whole reward.
    pub weight: f64,
    /// Its mean, before the weight.
    pub mean: f64,
    /// Its standard deviation.
    pub std: f64,
    /// Completions that have it.
    pub samples: usize,
    /// Share of the full groups in which it is the same for all completions; `None` without a full group.
    pub without_signal: Option<f64>,
}

/// Evaluation of the problems of one level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct LevelResult {
    /// The level; `None` for problems without one.
    pub level: Option<u32>,
    /// Problems.
    pub n: usize,
    /// Mean over problems of the share of correct samples.
    pub pass_at_1: f64,
    /// Its 95 % interval.
    pub ci95: [f64; 2],
}

/// The mean of one named reward over problems.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct MeanReward {
    /// The mean.
    pub mean: f64,
    /// Its 95 % interval; `None` of a single number.
    pub ci95: Option<[f64; 2]>,
}

/// A pass rate with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct PassRate {
    /// pass@1.
    pub pass_at_1: f64,
    /// 95 % interval.
    pub ci95: [f64; 2],
}
