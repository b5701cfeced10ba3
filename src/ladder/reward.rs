//! From a judgement to a reward: named parts, each with a weight, as in TRL, verifiers and mlx-lm-lora.
//!
//! The reward of a completion is the sum of weight times value over its parts:
//! - `reward`: the number that the task gave, or without one that of its verdict (`reward.correct`, `reward.wrong`, `reward.malformed`);
//! - `format`: 1 for an answer in the task's notation, 0 for a malformed one (the format reward of DeepSeek-R1, arXiv 2501.12948,
//!   section 2.2.2);
//! - `length`: 0 for a short completion, then falling to -1 at the token limit (soft overlong punishment of DAPO, arXiv 2503.14476,
//!   equation 13);
//! - what else the task names.
//!
//! A part without a weight in `reward.weights` counts once; `format` and `length` are made only where they have a weight, and a task's
//! own reward of that name takes their place. What an answer does not have (`null` of a task, `format` of an answer without a verdict)
//! is left out of its sum. An unverifiable answer has no parts and no reward.

use std::collections::BTreeMap;

use crate::ladder::events::RewardStats;
use crate::ladder::settings::Rewards;
use crate::task::{RewardRange, Verdict, VerdictKind};
use crate::train::advantage::{differ, mean, std};

/// The part that is the answer's own.
pub const OWN: &str = "reward";
/// The part that is 1 for an answer in the task's notation.
pub const FORMAT: &str = "format";
/// The part that is negative for long completions.
pub const LENGTH: &str = "length";

/// What rewards are made by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scoring<'a> {
    /// The settings.
    pub(crate) rewards: &'a Rewards,
    /// The task's numbers.
    pub(crate) range: RewardRange,
    /// Longest completion in tokens.
    pub(crate) max_tokens: usize,
}

impl Scoring<'_> {
    /// The parts of a completion of `tokens` tokens; none at all if it could not be judged.
    pub(crate) fn parts<'v>(&self, verdict: &'v Verdict, tokens: usize) -> Vec<(&'v str, f64)> {
        let by_verdict = match verdict.verdict {
            VerdictKind::Unverifiable => return Vec::new(),
            VerdictKind::Correct => Some(self.rewards.correct),
            VerdictKind::Wrong => Some(self.rewards.wrong),
            VerdictKind::Malformed => Some(self.rewards.malformed),
            VerdictKind::Scored => None,
        };
        let own = verdict.reward.or(by_verdict.map(f64::from));
        let mut parts: Vec<(&str, f64)> = own.map(|value| (OWN, value)).into_iter().collect();
        parts.extend(verdict.rewards.iter().map(|(name, &value)| (name.as_str(), value)));
        let made_here =
            |name: &str| self.rewards.weights.contains_key(name) && !verdict.rewards.contains_key(name);
        if made_here(FORMAT) && by_verdict.is_some() {
            parts.push((FORMAT, f64::from(u8::from(verdict.verdict != VerdictKind::Malformed))));
        }
        if made_here(LENGTH) {
            parts.push((LENGTH, self.length(tokens)));
        }
        parts
    }

    /// DAPO's equation 13 with L_max = `max_tokens` and L_max - L_cache = `length_from` of it.
    fn length(&self, tokens: usize) -> f64 {
        let share = tokens as f64 / self.max_tokens.max(1) as f64;
        let over = share - self.rewards.length_from;
        match over <= 0.0 {
            true => 0.0,
            false => -(over / (1.0 - self.rewards.length_from)).min(1.0),
        }
    }

    /// The reward: the weighted sum of the parts; `None` for an answer that could not be judged.
    pub(crate) fn total(&self, verdict: &Verdict, tokens: usize) -> Option<f32> {
        let parts = self.parts(verdict, tokens);
        let sum: f64 = parts.iter().map(|(name, value)| self.rewards.weight(name) * value).sum();
        (!parts.is_empty()).then_some(sum as f32)
    }

    /// How well a completion solves its problem, from 0 to 1: by the verdict, or where there is none by the task's numbers, scaled by their
    /// range and averaged by weight. The difficulty of problems is measured by it.
    pub(crate) fn quality(&self, verdict: &Verdict) -> Option<f64> {
        match verdict.verdict {
            VerdictKind::Correct => return Some(1.0),
            VerdictKind::Wrong | VerdictKind::Malformed => return Some(0.0),
            VerdictKind::Unverifiable => return None,
            VerdictKind::Scored => {}
        }
        let numbers = verdict.reward.map(|value| (OWN, value)).into_iter();
        let numbers = numbers.chain(verdict.rewards.iter().map(|(name, &value)| (name.as_str(), value)));
        let (mut sum, mut weights, mut plain, mut count) = (0.0, 0.0, 0.0, 0.0);
        for (name, value) in numbers {
            let (weight, share) = (self.rewards.weight(name), self.range.share(value));
            // Of a reward with a negative weight little is good.
            let share = if weight < 0.0 { 1.0 - share } else { share };
            (sum, weights) = (sum + weight.abs() * share, weights + weight.abs());
            (plain, count) = (plain + share, count + 1.0);
        }
        if weights > 0.0 { Some(sum / weights) } else { (count > 0.0).then_some(plain / count) }
    }
}

/// The parts of a step's rewards, by name.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    parts: BTreeMap<String, Part>,
}

#[derive(Debug, Default)]
struct Part {
    values: Vec<f64>,
    groups: usize,
    without_signal: usize,
}

impl Tally {
    /// Adds the parts of one group's completions. Only a full group tells whether a part has a signal.
    pub(crate) fn add_group(&mut self, completions: &[Vec<(&str, f64)>], full: bool) {
        let mut group: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for &(name, value) in completions.iter().flatten() {
            group.entry(name).or_default().push(value);
        }
        for (name, values) in group {
            let part = self.parts.entry(name.to_owned()).or_default();
            part.groups += usize::from(full);
            part.without_signal += usize::from(full && !differ(&values));
            part.values.extend(values);
        }
    }

    /// Names in `rewards.weights` that no completion had, though there were some; those made here have no need to.
    pub(crate) fn missing<'r>(&self, rewards: &'r Rewards) -> Vec<&'r str> {
        let names = rewards.weights.keys().map(String::as_str);
        let own = |name: &str| [OWN, FORMAT, LENGTH].contains(&name);
        let found = |name: &&str| !own(name) && !self.parts.is_empty() && !self.parts.contains_key(*name);
        names.filter(found).collect()
    }

    /// The names of all parts.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.keys().map(String::as_str)
    }

    /// The statistics of every part.
    pub(crate) fn stats(&self, rewards: &Rewards) -> BTreeMap<String, RewardStats> {
        let stats = |(name, part): (&String, &Part)| {
            let stats = RewardStats {
                weight: rewards.weight(name),
                mean: mean(&part.values),
                std: std(&part.values),
                samples: part.values.len(),
                without_signal: (part.groups > 0).then(|| part.without_signal as f64 / part.groups as f64),
            };
            (name.clone(), stats)
        };
        self.parts.iter().map(stats).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::ladder::presets::Preset;
    use crate::ladder::settings::Settings;

    fn verdict(kind: VerdictKind, reward: Option<f64>, named: &[(&str, f64)]) -> Verdict {
        let rewards = named.iter().map(|&(name, value)| (name.to_owned(), value)).collect();
        Verdict { reward, rewards, ..Verdict::new(kind, "", None) }
    }

    fn rewards(weights: &[(&str, f64)]) -> Rewards {
        let weights = weights.iter().map(|&(name, weight)| (name.to_owned(), weight)).collect();
        Rewards { weights, ..Settings::preset(Preset::Tiny).reward }
    }

    fn scoring(rewards: &Rewards) -> Scoring<'_> {
        Scoring { rewards, range: RewardRange::new(-1.0, 3.0).unwrap(), max_tokens: 100 }
    }

    use VerdictKind::{Correct, Malformed, Scored, Unverifiable, Wrong};

    #[test]
    fn the_reward_is_the_weighted_sum_of_its_parts() {
        let weighed = rewards(&[("style", 0.25), ("length", 2.0), ("format", 0.5)]);
        let total = |kind, reward, named: &[(&str, f64)], tokens| {
            scoring(&weighed).total(&verdict(kind, reward, named), tokens)
        };
        assert_eq!(total(Correct, None, &[], 10), Some(1.5));
        assert_eq!(total(Wrong, None, &[("style", 2.0)], 10), Some(1.0));
        assert_eq!(total(Malformed, None, &[], 10), Some(0.0));
        // The task's number stands in place of the verdict's; a name without a weight counts once.
        assert_eq!(total(Wrong, Some(0.75), &[("other", 1.0)], 10), Some(2.25));
        assert_eq!(total(Scored, None, &[("style", -1.0)], 10), Some(-0.25));
        assert_eq!(total(Unverifiable, Some(1.0), &[("style", 1.0)], 10), None);
        // From 80 tokens on the length counts: halfway at 90, whole at 100.
        assert_eq!(
            [80, 90, 100].map(|tokens| total(Scored, Some(0.0), &[], tokens)),
            [Some(0.0), Some(-1.0), Some(-2.0)]
        );
        // A task's own reward of that name takes the place of the one made here.
        assert_eq!(total(Scored, Some(0.0), &[("length", 1.0), ("format", 1.0)], 100), Some(2.5));
    }

    #[test]
    fn without_weights_the_verdict_alone_counts() {
        let mut plain = rewards(&[]);
        (plain.correct, plain.wrong, plain.malformed) = (1.05, 0.05, 0.0);
        let total = |kind| scoring(&plain).total(&verdict(kind, None, &[]), 100);
        assert_eq!([Correct, Wrong, Malformed].map(total), [Some(1.05), Some(0.05), Some(0.0)]);
        // The paper's scripts give 0.05 for the format: the same bits as a part of its own.
        let paper = Settings::preset(Preset::Paper).reward;
        let total = |kind| scoring(&paper).total(&verdict(kind, None, &[]), 100);
        assert_eq!([Correct, Wrong, Malformed].map(total), [Some(1.05), Some(0.05), Some(0.0)]);
    }

    #[test]
    fn quality_is_the_verdict_or_the_numbers_on_their_scale() {
        let weighed = rewards(&[("a", 3.0), ("cost", -1.0), ("seen", 0.0)]);
        let quality =
            |kind, reward, named: &[(&str, f64)]| scoring(&weighed).quality(&verdict(kind, reward, named));
        assert_eq!(quality(Correct, Some(-1.0), &[]), Some(1.0));
        assert_eq!(quality(Wrong, Some(3.0), &[]), Some(0.0));
        assert_eq!(quality(Unverifiable, None, &[]), None);
        assert_eq!(quality(Scored, Some(0.0), &[]), Some(0.25));
        assert_eq!(quality(Scored, Some(3.0), &[("a", -1.0)]), Some(0.25));
        assert_eq!(quality(Scored, None, &[("cost", -1.0), ("seen", -1.0)]), Some(1.0));
        assert_eq!(quality(Scored, None, &[("seen", 3.0)]), Some(1.0));
    }

    #[test]
    fn parts_are_told_by_mean_spread_and_signal() {
        let mut tally = Tally::default();
        tally
            .add_group(&[vec![("reward", 1.0), ("style", 0.5)], vec![("reward", 0.0), ("style", 0.5)]], true);
        tally.add_group(&[vec![("reward", 1.0)], vec![("reward", 1.0)], vec![]], true);
        tally.add_group(&[vec![("reward", 1.0)], vec![("reward", 1.0)]], false);
        let weighed = rewards(&[("style", 0.25), ("stile", 1.0), ("format", 1.0)]);
        let stats = tally.stats(&weighed);
        let told = |name: &str| {
            let part = &stats[name];
            (part.weight, part.mean, part.samples, part.without_signal)
        };
        assert_eq!(told("reward"), (1.0, 5.0 / 6.0, 6, Some(0.5)));
        assert_eq!(told("style"), (0.25, 0.5, 2, Some(1.0)));
        assert!((stats["reward"].std - (1.0f64 / 6.0).sqrt()).abs() < 1e-12);
        assert_eq!(tally.missing(&weighed), ["stile"]);
    }
}
