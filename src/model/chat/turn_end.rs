//! Whether the turns that a template writes end with a token at which generation stops.

use super::{ChatTemplate, Message};
use crate::model::tokenizer::Tokenizer;

/// What the template writes at the end of an assistant's turn, if that holds none of the tokens `ends`: answers of the
/// model would not stop there. `None` too where it cannot be told.
pub fn unended_turn(template: &ChatTemplate, tokenizer: &Tokenizer, ends: &[u32]) -> Option<String> {
    const ANSWER: &str = "answer";
    let messages = [Message::user("question"), Message::new("assistant", ANSWER)];
    let text = template.render(&messages, false).ok()?;
    let (_, end) = text.rsplit_once(ANSWER)?;
    let tokens = tokenizer.encode_continuation(None, end).ok()?;
    (!tokens.iter().any(|token| ends.contains(token))).then(|| end.trim().to_string())
}
