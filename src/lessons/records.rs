//! Records as the model reads them: a question as a user asks it, an answer as the model is to give it.

use std::path::Path;

use serde_json::json;

use crate::ladder::learner::Language;
use crate::task::PromptStyle;
use crate::train::data::{Dataset, Example};
use crate::train::text::ModelText;
use crate::train::trainer::Trajectory;
use crate::{Error, Result};

/// Turns questions and answers into tokens.
#[derive(Debug, Clone, Copy)]
pub struct Encoder<'a> {
    /// Tokenizer and chat template.
    pub language: &'a Language,
    /// The tokens that end a text or a turn.
    pub ends: &'a [u32],
    /// Longest record in tokens.
    pub max_length: usize,
}

impl Encoder<'_> {
    /// One exchange; its answer is scored.
    ///
    /// # Errors
    /// [`Error::Context`] if it is too long; those of the tokenizer and the template.
    pub fn exchange(&self, question: &str, answer: &str) -> Result<Example> {
        let language = self.language;
        let chat = language.chat.as_ref().filter(|_| language.style() == PromptStyle::Instruct);
        let record = match chat {
            Some(_) => json!({ "messages": [
                { "role": "user", "content": question },
                { "role": "assistant", "content": answer },
            ]}),
            None => json!({ "prompt": question, "completion": answer }),
        };
        let text = ModelText { tokenizer: &language.tokenizer, chat, ends: self.ends };
        let line = record.to_string();
        // Nothing is cut: an answer without its end would be learnt as endless.
        let mut data = Dataset::from_jsonl(line.as_bytes(), Path::new("lesson"), &text, usize::MAX)?;
        match data.examples.pop() {
            Some(example) if example.tokens.len() <= self.max_length => Ok(example),
            Some(example) => {
                Err(Error::context("a question with its answer", example.tokens.len(), self.max_length))
            }
            None => Err(Error::input("lesson", "answer", "has no token to learn", "give a longer answer")),
        }
    }
}

/// A record that is learnt with a weight.
pub fn trajectory(example: Example, weight: f32) -> Trajectory {
    // Predicting a token is counted at the token before it.
    let scored = example.scored.get(1..).unwrap_or_default().to_vec();
    Trajectory { advantage: Some(weight), ..Trajectory::supervised(example.tokens, scored) }
}

/// Learnt tokens of a record.
pub fn scored(record: &Trajectory) -> usize {
    record.scored.iter().filter(|&&scored| scored).count()
}
