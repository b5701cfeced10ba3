//! Losses as pure functions: cross-entropy and the GRPO family.
//!
//! Every loss here depends on the model only through the log-probability of each scored token. [`loss`] therefore
//! takes those numbers and returns, besides the loss, dLoss / d(log-probability) of each: the coefficients from
//! which the backward pass on the GPU starts. All arithmetic is in f64.
//!
//! A batch may be split into packs that are computed one after the other. [`Normalizer`] is taken over the whole batch
//! first; then the packs' losses, coefficients and metrics add up to those of the batch, however it is split.

mod config;
mod gap;
pub mod preference;
#[cfg(test)]
mod properties;
mod term;
#[cfg(test)]
mod tests;

pub use config::{
    Aggregation, Clip, KlConfig, KlEstimator, LossConfig, LossName, Objective, RatioCap, RatioLevel,
};
pub use gap::LogprobGap;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};
use term::{Bound, Term};

/// One sequence's scored tokens. All slices have one number a scored token, in order.
#[derive(Debug, Clone, Copy)]
pub struct Sequence<'a> {
    /// Log-probability under the policy that is trained.
    pub logp: &'a [f32],
    /// Log-probability under the policy that sampled; `None` says that it is the same policy, unchanged (r = 1).
    pub old_logp: Option<&'a [f32]>,
    /// Log-probability under the reference policy (the adapter switched off, or another one); needed with a KL term.
    pub ref_logp: Option<&'a [f32]>,
    /// Entropy of the policy's distribution at each token, in nats, for the metrics only.
    pub entropy: Option<&'a [f32]>,
    /// The advantage; `None` leaves the sequence out: it could not be scored.
    pub advantage: Option<f32>,
    /// Whether sampling stopped at the length limit and not at an end token.
    pub truncated: bool,
}

impl<'a> Sequence<'a> {
    /// A sequence for plain cross-entropy.
    pub fn supervised(logp: &'a [f32]) -> Self {
        Self { logp, old_logp: None, ref_logp: None, entropy: None, advantage: Some(1.0), truncated: false }
    }

    /// Whether it is part of the loss. One that is not counts nowhere, as if it were not in the batch: without an
    /// advantage, without scored tokens, or truncated where these are masked.
    fn takes_part(&self, config: &LossConfig) -> bool {
        self.advantage.is_some() && !self.logp.is_empty() && !(config.mask_truncated && self.truncated)
    }

    fn check(&self) -> Result<()> {
        let expected = self.logp.len();
        for (arg, slice) in
            [("old_logp", self.old_logp), ("ref_logp", self.ref_logp), ("entropy", self.entropy)]
        {
            if let Some(slice) = slice.filter(|slice| slice.len() != expected) {
                return Err(Error::Shape {
                    kernel: "loss",
                    arg,
                    expected: vec![expected],
                    got: vec![slice.len()],
                });
            }
        }
        Ok(())
    }
}

/// What the sums are divided by: counts over the whole accumulated batch, of what takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Normalizer {
    sequences: usize,
    tokens: usize,
}

impl Normalizer {
    /// Counts one more sequence of the batch, by its number of scored tokens, advantage and truncation; this needs no
    /// log-probabilities, so it can be done before the first forward pass.
    pub fn add(
        &mut self,
        config: &LossConfig,
        scored_tokens: usize,
        advantage: Option<f32>,
        truncated: bool,
    ) {
        if advantage.is_some() && scored_tokens > 0 && !(config.mask_truncated && truncated) {
            self.sequences += 1;
            self.tokens += scored_tokens;
        }
    }

    /// The counts of a batch that is at hand whole.
    pub fn of(config: &LossConfig, batch: &[Sequence<'_>]) -> Self {
        let mut normalizer = Self::default();
        for sequence in batch {
            normalizer.add(config, sequence.logp.len(), sequence.advantage, sequence.truncated);
        }
        normalizer
    }

    /// The weight of each of a sequence's `scored_tokens`.
    fn token_weight(&self, aggregation: Aggregation, scored_tokens: usize) -> f64 {
        let divisor = match aggregation {
            Aggregation::Grpo => self.sequences as f64 * scored_tokens as f64,
            Aggregation::Dapo => self.tokens as f64,
            Aggregation::DrGrpo { max_completion } => self.sequences as f64 * max_completion as f64,
        };
        1.0 / divisor
    }
}

/// The loss of a pack of sequences.
#[derive(Debug, Clone, PartialEq)]
pub struct LossOutput {
    /// This pack's share of the batch's loss. NaN if a log-probability that takes part is not finite.
    pub loss: f64,
    /// dLoss / d(log-probability) of each scored token, sequence after sequence; 0 for sequences left out.
    pub coefficients: Vec<f32>,
    /// Counts and sums for reports.
    pub metrics: LossMetrics,
}

/// Counts and sums over what takes part; those of several packs [`merge`](LossMetrics::merge).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LossMetrics {
    /// Sequences that take part.
    pub sequences: u64,
    /// Their scored tokens.
    pub tokens: u64,
    /// Sequences left out because they have no advantage.
    pub unscorable: u64,
    /// Sequences left out because they were truncated.
    pub masked_truncated: u64,
    /// Tokens (with a sequence ratio: tokens of sequences) without gradient because r < 1 - low and A < 0.
    pub clipped_low: u64,
    /// The same for r > 1 + high and A > 0; with CISPO: tokens whose weight is at its bound.
    pub clipped_high: u64,
    /// The same for r above the cap and A < 0.
    pub clipped_cap: u64,
    /// Largest r of a token; 0 before the first.
    pub ratio_max: f64,
    /// Sum of r over tokens.
    pub ratio_sum: f64,
    /// Sum over tokens of k3 of the sampling policy: how far the policy has moved since sampling.
    pub old_kl_sum: f64,
    /// Sum over tokens of the estimate of KL(pi || ref); 0 without a KL term.
    pub kl_sum: f64,
    /// Sum of the entropies given.
    pub entropy_sum: f64,
    /// Number of entropies given.
    pub entropy_count: u64,
    /// |log-probability − that when sampled| of each token that was sampled.
    #[serde(skip)]
    pub gaps: Vec<f32>,
    /// This share of the loss without the KL term.
    pub policy_loss: f64,
    /// This share of the loss from the KL term, its coefficient included.
    pub kl_loss: f64,
}

impl LossMetrics {
    /// Adds those of another pack.
    pub fn merge(&mut self, other: &Self) {
        self.sequences += other.sequences;
        self.tokens += other.tokens;
        self.unscorable += other.unscorable;
        self.masked_truncated += other.masked_truncated;
        self.clipped_low += other.clipped_low;
        self.clipped_high += other.clipped_high;
        self.clipped_cap += other.clipped_cap;
        self.ratio_max = self.ratio_max.max(other.ratio_max);
        self.ratio_sum += other.ratio_sum;
        self.old_kl_sum += other.old_kl_sum;
        self.kl_sum += other.kl_sum;
        self.entropy_sum += other.entropy_sum;
        self.entropy_count += other.entropy_count;
        self.gaps.extend_from_slice(&other.gaps);
        self.policy_loss += other.policy_loss;
        self.kl_loss += other.kl_loss;
    }

    fn per_token(&self, sum: f64) -> f64 {
        sum / self.tokens.max(1) as f64
    }

    /// Share of tokens at any bound of the ratio.
    pub fn clip_fraction(&self) -> f64 {
        self.per_token((self.clipped_low + self.clipped_high + self.clipped_cap) as f64)
    }

    /// Mean estimate of KL(pi || ref) per token.
    pub fn kl_mean(&self) -> f64 {
        self.per_token(self.kl_sum)
    }

    /// Mean of r per token; 1 on-policy.
    pub fn ratio_mean(&self) -> f64 {
        self.per_token(self.ratio_sum)
    }

    /// Mean k3 estimate per token of how far the policy is from the one that sampled.
    pub fn old_kl_mean(&self) -> f64 {
        self.per_token(self.old_kl_sum)
    }

    /// How far the log-probabilities are from those when sampled. Before the first update of a step it is the difference
    /// between the two ways to compute them, later also that between the policies.
    pub fn logprob_gap(&self) -> Option<LogprobGap> {
        LogprobGap::of(&self.gaps)
    }

    /// Mean entropy in nats; `None` if none was given.
    pub fn entropy_mean(&self) -> Option<f64> {
        (self.entropy_count > 0).then(|| self.entropy_sum / self.entropy_count as f64)
    }
}

/// The loss of the sequences of one pack; `normalizer` counts the whole batch that the pack belongs to.
///
/// loss = sum over sequences and tokens of w (objective + kl_coef KL), with w of the aggregation.
///
/// Errors: [`Error::Shape`] if slices of a sequence differ in length, or the KL term has no reference.
pub fn loss(config: &LossConfig, sequences: &[Sequence<'_>], normalizer: &Normalizer) -> Result<LossOutput> {
    let mut coefficients = Vec::with_capacity(sequences.iter().map(|s| s.logp.len()).sum());
    let mut metrics = LossMetrics::default();
    for sequence in sequences {
        sequence.check()?;
        if !sequence.takes_part(config) {
            metrics.unscorable += u64::from(sequence.advantage.is_none());
            metrics.masked_truncated +=
                u64::from(sequence.advantage.is_some() && sequence.truncated && config.mask_truncated);
            coefficients.resize(coefficients.len() + sequence.logp.len(), 0.0);
            continue;
        }
        let weight = normalizer.token_weight(config.aggregation, sequence.logp.len());
        let mut slopes = objective(config, sequence, weight, &mut metrics);
        if let Some(kl) = &config.kl {
            add_kl(kl, sequence, weight, &mut slopes, &mut metrics)?;
        }
        coefficients.extend(slopes.into_iter().map(|slope| slope as f32));
        metrics.sequences += 1;
        metrics.tokens += sequence.logp.len() as u64;
        let sampled = sequence.logp.iter().zip(sequence.old_logp.unwrap_or_default());
        metrics.gaps.extend(sampled.map(|(logp, old)| (logp - old).abs()));
        for &entropy in sequence.entropy.unwrap_or_default() {
            metrics.entropy_sum += f64::from(entropy);
            metrics.entropy_count += 1;
        }
    }
    let finite = sequences.iter().filter(|s| s.takes_part(config)).all(|s| {
        [Some(s.logp), s.old_logp, s.ref_logp].into_iter().flatten().flatten().all(|logp| logp.is_finite())
    });
    let loss = if finite { metrics.policy_loss + metrics.kl_loss } else { f64::NAN };
    Ok(LossOutput { loss, coefficients, metrics })
}

/// Log ratio to the sampling policy, token by token.
fn log_ratio(sequence: &Sequence<'_>, token: usize) -> f64 {
    sequence.old_logp.map_or(0.0, |old| f64::from(sequence.logp[token]) - f64::from(old[token]))
}

/// Adds the objective of a sequence to the metrics; returns its derivative by each log-probability.
fn objective(
    config: &LossConfig,
    sequence: &Sequence<'_>,
    weight: f64,
    metrics: &mut LossMetrics,
) -> Vec<f64> {
    let advantage = f64::from(sequence.advantage.unwrap_or_default());
    let tokens = sequence.logp.len();
    let ratios: Vec<Term> = (0..tokens).map(|t| term::ratio(log_ratio(sequence, t))).collect();
    for (token, ratio) in ratios.iter().enumerate() {
        metrics.ratio_max = metrics.ratio_max.max(ratio.value);
        metrics.ratio_sum += ratio.value;
        metrics.old_kl_sum += term::kl(KlEstimator::K3, log_ratio(sequence, token)).value;
    }
    match config.objective {
        Objective::CrossEntropy => {
            metrics.policy_loss -=
                weight * advantage * sequence.logp.iter().map(|&l| f64::from(l)).sum::<f64>();
            vec![-weight * advantage; tokens]
        }
        Objective::Clipped { level: RatioLevel::Token, clip } => ratios
            .into_iter()
            .map(|ratio| {
                let (term, bound) = term::clipped(ratio, advantage, &clip);
                count(bound, 1, metrics);
                metrics.policy_loss += weight * term.value;
                weight * term.slope
            })
            .collect(),
        Objective::Clipped { level: RatioLevel::Sequence, clip } => {
            let mean = (0..tokens).map(|t| log_ratio(sequence, t)).sum::<f64>() / tokens as f64;
            let (term, bound) = term::clipped(term::ratio(mean), advantage, &clip);
            count(bound, tokens as u64, metrics);
            // Each token carries the sequence's term, and each log-probability moves the mean by 1 / |o|.
            metrics.policy_loss += weight * tokens as f64 * term.value;
            vec![weight * term.slope; tokens]
        }
        Objective::Cispo { ratio_max } => ratios
            .into_iter()
            .zip(sequence.logp)
            .map(|(ratio, &logp)| {
                count((ratio.value > ratio_max).then_some(Bound::High), 1, metrics);
                let slope = -weight * ratio.value.min(ratio_max) * advantage;
                metrics.policy_loss += slope * f64::from(logp);
                slope
            })
            .collect(),
    }
}

fn count(bound: Option<Bound>, tokens: u64, metrics: &mut LossMetrics) {
    match bound {
        Some(Bound::Low) => metrics.clipped_low += tokens,
        Some(Bound::High) => metrics.clipped_high += tokens,
        Some(Bound::Cap) => metrics.clipped_cap += tokens,
        None => {}
    }
}

/// Adds the KL term of a sequence to the metrics and to the derivatives.
fn add_kl(
    kl: &KlConfig,
    sequence: &Sequence<'_>,
    weight: f64,
    slopes: &mut [f64],
    metrics: &mut LossMetrics,
) -> Result<()> {
    let reference = sequence.ref_logp.ok_or_else(|| Error::Shape {
        kernel: "loss",
        arg: "ref_logp",
        expected: vec![sequence.logp.len()],
        got: vec![0],
    })?;
    for (token, slope) in slopes.iter_mut().enumerate() {
        let d = f64::from(reference[token]) - f64::from(sequence.logp[token]);
        let mut term = term::kl(kl.estimator, d);
        if kl.bias_correction {
            term = term::product(term::ratio(log_ratio(sequence, token)), term);
        }
        metrics.kl_sum += term.value;
        metrics.kl_loss += weight * kl.coef * term.value;
        *slope += weight * kl.coef * term.slope;
    }
    Ok(())
}
