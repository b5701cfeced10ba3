//! What is learnt from.

use crate::model::generate::Completion;
use crate::train::loss::LossConfig;

/// A sequence to learn from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trajectory {
    /// Prompt and completion.
    pub tokens: Vec<u32>,
    /// Whether the prediction of token t + 1 from token t counts; shorter means false for the rest.
    pub scored: Vec<bool>,
    /// Log-probabilities of the scored tokens when they were sampled, in order; `None` for the present policy's own.
    pub old_logp: Option<Vec<f32>>,
    /// Log-probabilities of the scored tokens under the policy that a KL term pulls towards, in order; `None` for the base
    /// model's, the adapter switched off.
    pub ref_logp: Option<Vec<f32>>,
    /// Advantage of every scored token; `None` leaves the sequence out.
    pub advantage: Option<f32>,
    /// Whether sampling ended at the length limit.
    pub truncated: bool,
}

impl Trajectory {
    /// A sequence whose scored tokens are to become likely.
    pub fn supervised(tokens: Vec<u32>, scored: Vec<bool>) -> Self {
        Self { tokens, scored, advantage: Some(1.0), ..Self::default() }
    }

    /// A sequence whose tokens from place `first` on (at least 1) are to become likely.
    pub fn completing(tokens: Vec<u32>, first: usize) -> Self {
        // Predicting a token is counted at the token before it.
        let scored = (0..tokens.len()).map(|t| t + 1 >= first).collect();
        Self::supervised(tokens, scored)
    }

    /// A completion of a prompt, every token of it with the same advantage.
    pub fn sampled(prompt: &[u32], completion: &Completion, advantage: f32) -> Self {
        Self {
            old_logp: Some(completion.logprobs.clone()),
            advantage: Some(advantage),
            truncated: completion.truncated,
            ..Self::completing([prompt, &completion.tokens].concat(), prompt.len())
        }
    }

    pub(super) fn scores(&self, t: usize) -> bool {
        t + 1 < self.tokens.len() && self.scored.get(t).copied().unwrap_or(false)
    }

    /// Number of scored tokens.
    pub fn scored_count(&self) -> usize {
        (0..self.tokens.len()).filter(|&t| self.scores(t)).count()
    }

    /// Whether its coefficients can differ from zero; if not, it only counts in the normaliser.
    pub(super) fn contributes(&self, config: &LossConfig) -> bool {
        match self.advantage {
            None => false,
            Some(advantage) => {
                (advantage != 0.0 || config.kl.is_some()) && !(config.mask_truncated && self.truncated)
            }
        }
    }
}
