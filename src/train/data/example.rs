//! A token sequence with a mask of what is learnt, and what a model brings along to make one of a text.

use std::ops::Range;

use crate::Result;
use crate::model::chat::Conversation;
use crate::model::tokenizer::Lacking;
use crate::train::trainer::Trajectory;

/// Where a text stands in its sequence; tokenizers treat the beginning differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// At the beginning; the tokenizer adds its special tokens (such as a begin-of-text token).
    Start,
    /// At the beginning, with more to follow: no token that the tokenizer puts behind a text.
    Prompt,
    /// At the beginning of a rendered chat, which has its special tokens written out.
    Rendered,
    /// After earlier tokens, of which this is the last: the tokens that the text has there, without the leading space that some
    /// tokenizers put before a text.
    Continuation(Option<u32>),
}

/// What a model brings along to turn text into tokens.
pub trait TextEncoder {
    /// The tokens of `text`.
    fn encode(&self, text: &str, place: Place) -> Result<Vec<u32>>;

    /// The text of a conversation by the model's chat template, with or without the header that asks for the
    /// assistant's next turn.
    fn render(&self, conversation: &Conversation<'_>, add_generation_prompt: bool) -> Result<String>;

    /// The token that ends a text or completion; `None` if the model has none.
    fn end_token(&self) -> Option<u32>;

    /// Whether `token` ends a turn or text.
    fn is_end(&self, token: u32) -> bool {
        self.end_token() == Some(token)
    }

    /// How a token is written in a text, if texts on its two sides do not touch.
    fn written(&self, _token: u32) -> Option<String> {
        None
    }

    /// Adds to `lacking` what the vocabulary lacks of a text whose tokens are `tokens`.
    fn look(&self, _text: &str, _tokens: &[u32], _lacking: &mut Lacking) {}
}

/// A token sequence with a mask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// Its tokens.
    pub tokens: Vec<u32>,
    /// For each token whether predicting it from those before is learnt; never for the first.
    pub scored: Vec<bool>,
    /// How many of them are the prompt that it begins with; 0 for a text.
    pub prompt: usize,
}

impl Example {
    /// A prompt followed by a completion, which alone is scored.
    pub fn completion(prompt: &[u32], completion: &[u32]) -> Self {
        let mut example = Self { tokens: Vec::new(), scored: Vec::new(), prompt: prompt.len() };
        example.extend(prompt, false);
        example.extend(completion, true);
        example
    }

    /// Number of scored tokens.
    pub fn scored_tokens(&self) -> usize {
        self.scored.iter().filter(|&&scored| scored).count()
    }

    /// The last tokens that are learnt, as their place: the answer to all before it.
    pub fn answer(&self) -> Range<usize> {
        let end = self.scored.iter().rposition(|&scored| scored).map_or(0, |last| last + 1);
        let begin = self.scored[..end].iter().rposition(|&scored| !scored).map_or(0, |given| given + 1);
        begin..end
    }

    /// The same of which the last answer alone is learnt.
    pub fn alone(mut self) -> Self {
        let begin = self.answer().start;
        self.scored[..begin].fill(false);
        self
    }

    /// Adds tokens at the end.
    pub(super) fn extend(&mut self, tokens: &[u32], scored: bool) {
        self.tokens.extend_from_slice(tokens);
        self.scored.resize(self.tokens.len(), scored);
        if let Some(first) = self.scored.first_mut() {
            *first = false;
        }
    }
}

impl From<Example> for Trajectory {
    fn from(example: Example) -> Self {
        // Predicting a token is counted at the token before it.
        let scored = example.scored.get(1..).unwrap_or_default().to_vec();
        Self::supervised(example.tokens, scored)
    }
}
