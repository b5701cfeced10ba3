//! From a conversation to tokens: which part of the template's text is an assistant's turn.

use std::collections::BTreeSet;
use std::ops::{AddAssign, Range};

use super::dialogue::Dialogue;
use super::example::{Example, Place, TextEncoder};
use super::message_fields;
use super::names::is_empty;
use crate::model::chat::{Conversation, Message};

/// What became of the assistant's turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Turns {
    /// Turns that are context only, because the chat template words them differently once the conversation goes on (such as
    /// templates that remove reasoning from earlier turns).
    pub unscored: usize,
    /// Turns that do not begin as the template's generation prompt does, and are learnt from what both have in common on.
    pub from_header: usize,
    /// Turns of the assistant that begin a conversation and are context only, because the template has no generation prompt there.
    pub opening: usize,
    /// Turns in which there is no token that ends a text.
    pub unended: usize,
    /// Conversations with reasoning that is not in the template's text.
    pub without_reasoning: usize,
}

impl AddAssign for Turns {
    fn add_assign(&mut self, other: Self) {
        self.unscored += other.unscored;
        self.from_header += other.from_header;
        self.opening += other.opening;
        self.unended += other.unended;
        self.without_reasoning += other.without_reasoning;
    }
}

/// The tokens and the text of a conversation, and what became of its turns.
///
/// The model continues the text up to a turn's generation prompt. A turn is scored if the whole conversation's text
/// begins with that prompt and with the turn after it; the text is tokenised in pieces that meet where a turn begins and where
/// its end token has been written.
pub(super) fn encode_chat(
    dialogue: &Dialogue,
    encoder: &dyn TextEncoder,
) -> Result<(Example, String, Turns), String> {
    let messages = &dialogue.messages;
    let render = |count: usize, prompt| {
        encoder.render(&dialogue.conversation(count), prompt).map_err(|e| e.to_string())
    };
    let whole = render(messages.len(), false)?;
    let mut turns = Turns::default();
    if check_written(dialogue, encoder, &whole)? {
        turns.without_reasoning = 1;
    }
    let mut example = Example { tokens: Vec::new(), scored: Vec::new(), prompt: 0 };
    let mut done = 0;
    let encode = |range: Range<usize>, before: &Example| {
        let place = match range.start {
            0 => Place::Rendered,
            _ => Place::Continuation(before.tokens.last().copied()),
        };
        encoder.encode(&whole[range], place).map_err(|e| e.to_string())
    };
    for turn in (0..messages.len()).filter(|&turn| dialogue.learnt[turn]) {
        let prompt = match render(turn, true) {
            // Without a header of its own, an answer to nothing has nothing to follow.
            Ok(prompt) if turn > 0 || render(0, false).is_ok_and(|before| before != prompt) => prompt,
            Err(problem) if turn > 0 => return Err(problem),
            _ => {
                turns.opening += 1;
                continue;
            }
        };
        let after = render(turn + 1, false)?;
        let begins = match after.starts_with(&prompt) {
            true => Some(prompt.len()),
            false => header(&render(turn, false)?, &prompt, &after),
        };
        let Some(begin) = begins.filter(|&begin| begin >= done && whole.starts_with(&after)) else {
            turns.unscored += 1;
            continue;
        };
        turns.from_header += usize::from(begin < prompt.len());
        if done < begin {
            let given = encode(done..begin, &example)?;
            example.extend(&given, false);
        }
        let tokens = encode(begin..after.len(), &example)?;
        let end = tokens.iter().rposition(|&token| encoder.is_end(token));
        turns.unended += usize::from(end.is_none());
        // What the template puts after the turn's end token, the model never has to write; it is one with what follows.
        let place = end.and_then(|end| after[begin..].rfind(&encoder.written(tokens[end])?));
        match (end, place) {
            (Some(end), Some(place)) => {
                example.extend(&tokens[..=end], true);
                done = begin + place + encoder.written(tokens[end]).map_or(0, |text| text.len());
            }
            (end, _) => {
                let learnt = end.map_or(tokens.len(), |end| end + 1);
                example.extend(&tokens[..learnt], true);
                example.extend(&tokens[learnt..], false);
                done = after.len();
            }
        }
    }
    if done == 0 {
        let problem = match turns.opening {
            0 => "the chat template rewrites every assistant turn, so none can be learnt",
            _ => {
                "no assistant turn can be learnt: what begins a conversation, the chat template gives no header; put a user turn before it"
            }
        };
        return Err(problem.into());
    }
    if done < whole.len() {
        let given = encode(done..whole.len(), &example)?;
        example.extend(&given, false);
    }
    example.prompt = example.scored.iter().position(|&scored| scored).unwrap_or(0);
    Ok((example, whole, turns))
}

/// Where a turn begins whose generation prompt goes on otherwise than the turn, as with templates that open the answer with
/// `<think>`: after what both have in common beyond the conversation `before`, without the beginning of a tag.
fn header(before: &str, prompt: &str, after: &str) -> Option<usize> {
    if !prompt.starts_with(before) || !after.starts_with(before) {
        return None;
    }
    let same = prompt.chars().zip(after.chars()).take_while(|(a, b)| a == b);
    let end: usize = same.map(|(character, _)| character.len_utf8()).sum();
    let common = &prompt[before.len()..end];
    let open = common.rfind('<').filter(|&open| !common[open..].contains('>'));
    let length = open.unwrap_or(common.len());
    (length > 0).then_some(before.len() + length)
}

/// Fields of a conversation's messages that are looked for in the template's text: each takes a rendering.
const MAX_UNKNOWN: usize = 16;

/// Refuses tools, documents, calls of tools and unknown fields that the template does not write, since the model would learn to
/// answer as if they were not there. Says whether there is reasoning that it does not write.
fn check_written(dialogue: &Dialogue, encoder: &dyn TextEncoder, whole: &str) -> Result<bool, String> {
    let conversation = dialogue.conversation(dialogue.messages.len());
    // A template that fails without something does look at it.
    let written =
        |without: &Conversation<'_>| encoder.render(without, false).map_or(true, |text| text != whole);
    let unused = |field: &str| {
        Err(format!(
            "has `{field}`, which the model's chat template does not write: leave it out, or use a model that knows it"
        ))
    };
    let given = |value: Option<&serde_json::Value>| value.is_some_and(|value| !is_empty(value));
    if given(conversation.tools) && !written(&Conversation { tools: None, ..conversation }) {
        return unused("tools");
    }
    if given(conversation.documents) && !written(&Conversation { documents: None, ..conversation }) {
        return unused("documents");
    }
    let without = |fields: &[&str]| {
        let has = |message: &Message| fields.iter().any(|&field| given(message.get(field)));
        if !dialogue.messages.iter().any(has) {
            return true;
        }
        let strip =
            |message: &Message| fields.iter().fold(message.clone(), |kept, field| kept.without(field));
        let messages: Vec<Message> = dialogue.messages.iter().map(strip).collect();
        written(&Conversation { messages: &messages, ..conversation })
    };
    if !without(&["tool_calls"]) {
        return unused("tool_calls");
    }
    let fields = dialogue.messages.iter().flat_map(Message::fields);
    let unknown: BTreeSet<&str> = fields.filter(|name| message_fields::is_unknown(name)).collect();
    if unknown.len() > MAX_UNKNOWN {
        return Err(format!("its messages have {} fields that are not known; leave them out", unknown.len()));
    }
    if let Some(name) = unknown.into_iter().find(|name| !without(&[name])) {
        return Err(format!(
            "has a message with `{name}`, which the model's chat template does not write, and of which it is not known whether it \
             matters: leave it out"
        ));
    }
    Ok(!without(&["reasoning_content", "reasoning", "thinking"]))
}
