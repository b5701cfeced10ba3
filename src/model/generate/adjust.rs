//! What a row may ask of its logits beside temperature and filters: biases, penalties, and a guide that says which tokens may come.

use crate::kernel::adjust::{IN_PROMPT, Settings, USES_MASK, USES_NUMBERS};
use crate::{Error, Result};

use super::super::index32;

/// Numbers that change the logits of one row. The default changes none.
#[derive(Debug, Clone, PartialEq)]
pub struct Adjustment {
    /// What is added to the logits of tokens.
    pub bias: Vec<(u32, f32)>,
    /// What tokens lose that were drawn.
    pub presence: f32,
    /// What tokens lose for each time that they were drawn.
    pub frequency: f32,
    /// Divisor of positive logits, and factor of others, of tokens seen in the prompt or drawn; 1 changes none.
    pub repetition: f32,
}

impl Default for Adjustment {
    fn default() -> Self {
        Self { bias: Vec::new(), presence: 0.0, frequency: 0.0, repetition: 1.0 }
    }
}

impl Adjustment {
    /// Whether it changes anything.
    pub fn is_some(&self) -> bool {
        *self != Self::default()
    }

    /// Fails on numbers that mean nothing, and on tokens that a vocabulary of `vocab` lacks.
    ///
    /// # Errors
    /// [`Error::Usage`].
    pub fn validate(&self, vocab: usize) -> Result<()> {
        let fail = |option: &str, problem: String, hint: &str| Err(Error::usage(option, problem, hint));
        for (option, value) in [("presence_penalty", self.presence), ("frequency_penalty", self.frequency)] {
            if !value.is_finite() {
                return fail(option, format!("is {value}"), "use a number, such as 0.5");
            }
        }
        if !(self.repetition > 0.0 && self.repetition.is_finite()) {
            let hint = "use a number above 0, such as 1.1; 1 is none";
            return fail("repetition_penalty", format!("is {}", self.repetition), hint);
        }
        match self.bias.iter().find(|(token, value)| *token as usize >= vocab || !value.is_finite()) {
            None => Ok(()),
            Some((token, value)) => {
                let problem = format!("has {value} for token {token}, where the vocabulary has {vocab}");
                fail(
                    "logit_bias",
                    problem,
                    "use tokens of the model's tokenizer, and numbers from -100 to 100",
                )
            }
        }
    }

    /// Settings of a row whose prompt ends at position `first`.
    pub(super) fn settings(&self, first: usize, guided: bool) -> Settings {
        let uses = if self.is_some() { USES_NUMBERS } else { 0 } | if guided { USES_MASK } else { 0 };
        let Self { presence, frequency, repetition, .. } = *self;
        Settings { repetition, presence, frequency, first: index32(first), uses }
    }

    /// Of each token the bits of its bias, and whether the prompt has it.
    pub(super) fn marks(&self, vocab: usize, prompt: &[u32]) -> Vec<[u32; 2]> {
        let mut bias = vec![0.0f32; vocab];
        for &(token, value) in &self.bias {
            bias[token as usize] += value;
        }
        let mut marks: Vec<[u32; 2]> = bias.into_iter().map(|value| [value.to_bits(), 0]).collect();
        prompt.iter().for_each(|&token| marks[token as usize][1] = IN_PROMPT);
        marks
    }
}

/// Says token by token which tokens may come next.
pub trait Guide: Send {
    /// Sets the bits of the tokens that may come next; all of `words` are 0.
    ///
    /// # Errors
    /// If that takes more than its limits allow.
    fn allowed(&mut self, words: &mut [u32]) -> Result<()>;

    /// Takes the token that came.
    ///
    /// # Errors
    /// As [`Guide::allowed`].
    fn take(&mut self, token: u32) -> Result<()>;
}
