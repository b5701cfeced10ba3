//! The completions of one problem with their judgements: what a policy gradient compares.

use std::collections::HashSet;

use crate::ladder::events::{JudgedSample, VerdictCounts, logged_text};
use crate::ladder::policy::Completion;
use crate::ladder::reward::Scoring;
use crate::task::{Verdict, VerdictKind};
use crate::train::advantage::differ;

/// Completions of one problem, judged.
#[derive(Debug, Default)]
pub(crate) struct Group {
    /// What the model was asked.
    pub(crate) prompt: Vec<u32>,
    /// What it wrote.
    pub(crate) samples: Vec<Completion>,
    /// What that is worth.
    pub(crate) verdicts: Vec<Verdict>,
}

impl Group {
    /// The judgements, counted.
    pub(crate) fn counts(&self) -> VerdictCounts {
        let mut counts = VerdictCounts::default();
        for (sample, verdict) in self.samples.iter().zip(&self.verdicts) {
            counts.add(verdict.verdict, !sample.truncated);
        }
        counts
    }

    /// One reward a sample; `None` for those that may not enter a gradient.
    pub(crate) fn rewards(&self, scoring: &Scoring<'_>, mask_truncated: bool) -> Vec<Option<f32>> {
        let judged = self.samples.iter().zip(&self.verdicts);
        let reward = |(sample, verdict): (&Completion, &Verdict)| match mask_truncated && sample.truncated {
            true => None,
            false => scoring.total(verdict, sample.tokens.len()),
        };
        judged.map(reward).collect()
    }

    /// What expert iteration learns: the distinct right completions that ended by themselves; where numbers judge, those of the
    /// highest reward, if any have less (the best of K samples, RAFT, arXiv 2304.06767).
    pub(crate) fn solutions(&self, scoring: &Scoring<'_>) -> Vec<&Completion> {
        let rewards = self.rewards(scoring, true);
        let scored = |place: usize| self.verdicts[place].verdict == VerdictKind::Scored;
        let reward = |place: usize| rewards[place].filter(|_| scored(place)).map(f64::from);
        let numbers: Vec<f64> = (0..rewards.len()).filter_map(reward).collect();
        let best = numbers.iter().copied().reduce(f64::max).filter(|_| differ(&numbers));
        let mut texts = HashSet::new();
        let right = |&(place, sample): &(usize, &Completion)| {
            let correct = self.verdicts[place].verdict == VerdictKind::Correct;
            (correct && !sample.truncated) || (best.is_some() && reward(place) == best)
        };
        let right = self.samples.iter().enumerate().filter(right);
        right.map(|(_, sample)| sample).filter(|sample| texts.insert(sample.text.as_str())).collect()
    }

    /// Whether the outcomes differ: right and not right, or other numbers of the task.
    pub(crate) fn mixed(&self, scoring: &Scoring<'_>) -> bool {
        let counts = self.counts();
        let numbers = |verdict: &Verdict| verdict.reward.is_some() || !verdict.rewards.is_empty();
        let verdicts_differ = counts.correct > 0 && counts.correct < counts.judged();
        verdicts_differ
            || self.verdicts.iter().any(numbers) && {
                let rewards: Vec<f64> =
                    self.rewards(scoring, false).into_iter().flatten().map(f64::from).collect();
                differ(&rewards)
            }
    }

    /// Two samples that show what the group is like: a right one and one that is not, or the best and the worst by their numbers.
    pub(crate) fn shown(&self, scoring: &Scoring<'_>) -> Vec<usize> {
        let correct = |verdict: &Verdict| verdict.verdict == VerdictKind::Correct;
        if self.counts().with_verdict() > 0 || self.counts().scored == 0 {
            let first = self.verdicts.iter().position(correct);
            let other = self.verdicts.iter().position(|verdict| !correct(verdict));
            return first.into_iter().chain(other).collect();
        }
        let rewards = self.rewards(scoring, false);
        let by_reward = |&a: &usize, &b: &usize| {
            rewards[a].unwrap_or(f32::MIN).total_cmp(&rewards[b].unwrap_or(f32::MIN))
        };
        let scored = || (0..rewards.len()).filter(|&place| rewards[place].is_some());
        let mut shown: Vec<usize> =
            scored().max_by(by_reward).into_iter().chain(scored().min_by(by_reward)).collect();
        shown.dedup();
        shown
    }
}

/// A completion and its judgement as the log keeps them: bounded, since both hold model text.
pub(crate) fn logged(sample: &Completion, verdict: &Verdict) -> JudgedSample {
    JudgedSample {
        text: logged_text(&sample.text),
        verdict: Verdict {
            verdict: verdict.verdict,
            reason: logged_text(&verdict.reason),
            answer: verdict.answer.as_deref().map(logged_text),
            reward: verdict.reward,
            rewards: verdict.rewards.clone(),
        },
        tokens: sample.tokens.len(),
        finished: !sample.truncated,
    }
}
