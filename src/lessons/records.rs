//! Records as the model reads them: a question as a user asks it, an answer as the model is to give it.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::fact::{APPROVED, Fact};
use super::outcome::Turn;
use crate::ladder::learner::{Language, Learner};
use crate::train::data::{Dataset, Example};
use crate::train::text::ModelText;
use crate::train::trainer::Trajectory;
use crate::{Error, Result};

/// Who gives answers in a conversation.
pub(super) const ASSISTANT: &str = "assistant";

/// Turns questions and answers into tokens.
#[derive(Debug, Clone)]
pub struct Encoder {
    language: Arc<Language>,
    /// The tokens that end a text or a turn.
    ends: Vec<u32>,
    /// Longest record in tokens.
    max_length: usize,
}

impl Encoder {
    /// As the learner's model reads and ends a text; records have at most `max_length` tokens.
    pub fn of(learner: &mut Learner, max_length: usize) -> Self {
        let language = Arc::clone(learner.language());
        let ends = learner.trainer().model().config().eos_token_ids.clone();
        Self { language, ends, max_length }
    }

    /// The records of a fact, one for each of its wordings.
    ///
    /// # Errors
    /// As [`Encoder::exchange`].
    pub fn records(&self, fact: &Fact) -> Result<Vec<Trajectory>> {
        // An answer that was preferred to another one is repeated as one that was approved of.
        let weight = if fact.is_choice() { APPROVED * fact.weight } else { fact.weight };
        let record = |wording: &String| {
            let record = self.exchange(&fact.before, wording, &fact.answer)?.into();
            Ok(Trajectory { advantage: Some(weight), ..record })
        };
        fact.wordings.iter().map(record).collect()
    }

    /// One exchange; its answer is scored, and what is learnt of the turns `before` it.
    ///
    /// # Errors
    /// [`Error::Context`] if it is too long; [`Error::Usage`] for turns before it where the model has no chat template; those of the
    /// tokenizer and the template.
    pub fn exchange(&self, before: &[Turn], question: &str, answer: &str) -> Result<Example> {
        let language = &self.language;
        let chat = language.chat.as_ref().filter(|_| language.asks_in_sentences());
        let record = match chat {
            None if before.is_empty() => json!({ "prompt": question, "completion": answer }),
            _ => {
                let mut messages: Vec<Value> = before.iter().map(message).collect();
                messages.push(json!({ "role": "user", "content": question }));
                messages.push(json!({ "role": "assistant", "content": answer }));
                json!({ "messages": messages })
            }
        };
        let text = ModelText { tokenizer: &language.tokenizer, chat, ends: &self.ends };
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

/// A turn as training data has it.
fn message(turn: &Turn) -> Value {
    let mut message = json!({ "role": turn.role, "content": turn.content });
    if turn.role == ASSISTANT && !turn.learnt {
        message["weight"] = 0.into();
    }
    message
}
