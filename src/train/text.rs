//! Training text to tokens, by a model's own tokenizer and chat template.

use super::data::{Place, TextEncoder};
use crate::model::chat::{ChatTemplate, Conversation};
use crate::model::tokenizer::{Lacking, Tokenizer};
use crate::{Error, Result};

/// A model's text side.
#[derive(Debug, Clone, Copy)]
pub struct ModelText<'a> {
    /// The tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// The chat template, if the model has one.
    pub chat: Option<&'a ChatTemplate>,
    /// The tokens that end a text or a turn; the first is the one that is learnt.
    pub ends: &'a [u32],
}

impl TextEncoder for ModelText<'_> {
    fn encode(&self, text: &str, place: Place) -> Result<Vec<u32>> {
        match place {
            Place::Start => self.tokenizer.encode(text, true),
            Place::Rendered => self.tokenizer.encode(text, false),
            Place::Continuation => self.tokenizer.encode_continuation(text),
        }
    }

    fn render(&self, conversation: &Conversation<'_>, add_generation_prompt: bool) -> Result<String> {
        let template = self.chat.ok_or_else(|| {
            Error::usage(
                "messages",
                "the model has no chat template to write them with",
                "use lines with `prompt` and `completion`, or an instruction-tuned model",
            )
        })?;
        template.render_conversation(conversation, add_generation_prompt)
    }

    fn end_token(&self) -> Option<u32> {
        self.ends.first().copied()
    }

    fn is_end(&self, token: u32) -> bool {
        self.ends.contains(&token)
    }

    fn look(&self, text: &str, tokens: &[u32], lacking: &mut Lacking) {
        lacking.look(self.tokenizer, text, tokens);
    }
}
