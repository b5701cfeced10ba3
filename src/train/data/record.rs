//! The lines of a training file.

use serde_json::{Map, Value};

use super::dialogue::{self, Dialogue};
use super::fields;
use super::names::{BESIDE_MESSAGES, FORMS};
use crate::json;

/// One line of a training file, by the fields it has: `text`, `prompt` and `completion`, or `messages`. Every other field is
/// known to be harmless, or refused by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A text of which every token is learnt.
    Text(String),
    /// A prompt, and a completion which alone is learnt.
    Completion {
        /// What is given.
        prompt: String,
        /// What is learnt.
        completion: String,
    },
    /// A conversation whose assistant turns are learnt.
    Messages(Box<Dialogue>),
}

impl Record {
    /// Reads one line. Errors say what is wrong with it, in words.
    pub fn parse(line: &str) -> Result<Self, String> {
        const LIST: &str = "begins a list, and the file is read line by line: write one object a line, without the list around them";
        if line.trim() == "[" {
            return Err(LIST.into());
        }
        let mut row = match json::line(line)? {
            Value::Object(row) => row,
            Value::Array(_) => return Err(LIST.into()),
            _ => return Err("is not a JSON object".into()),
        };
        let null = FORMS.into_iter().find(|&field| row.get(field).is_some_and(Value::is_null));
        let lacks = |problem: &str| match null {
            Some(field) => Err(format!("{problem}: `{field}` is null")),
            None => Err(problem.to_owned()),
        };
        row.retain(|_, value| !value.is_null());
        if is_of_tree(&row) {
            return Err("is of a tree of messages, as OASST has them: write each way from a first message down to an answer as one row of `messages`".into());
        }
        fields::check_row(&row)?;
        let has = |field: &str| row.contains_key(field);
        let turns = ["messages", "conversations"].into_iter().find(|&field| has(field));
        let twice = has("messages") && has("conversations");
        match (has("text"), has("prompt"), has("completion"), turns) {
            (true, false, false, None) => Ok(Self::Text(text(&row, "text", true)?)),
            (false, true, true, None) if row["prompt"].is_array() || row["completion"].is_array() => {
                dialogue::of_prompt(&row).map(|dialogue| Self::Messages(Box::new(dialogue)))
            }
            (false, true, true, None) => {
                let (prompt, completion) = (text(&row, "prompt", false)?, text(&row, "completion", true)?);
                Ok(Self::Completion { prompt, completion })
            }
            (false, true, false, None) => lacks("has a `prompt` but no `completion`"),
            (false, false, true, None) => lacks("has a `completion` but no `prompt`"),
            (false, prompt, false, Some(field)) if !twice && (!prompt || repeats_prompt(&row, field)) => {
                dialogue::of_turns(&row, field).map(|dialogue| Self::Messages(Box::new(dialogue)))
            }
            (false, false, false, None) => lacks("has none of `text`, `prompt` and `completion`, `messages`"),
            _ => Err("has more than one of `text`, `prompt` and `completion`, `messages`".into()),
        }
        .and_then(|record| {
            let chat = matches!(record, Self::Messages(_));
            match BESIDE_MESSAGES.into_iter().find(|&field| !chat && has(field)) {
                Some(field) => Err(format!("has `{field}`, which only `messages` can have")),
                None => Ok(record),
            }
        })
    }
}

/// Whether a row is a tree of messages, or a message that is told by the one before it.
fn is_of_tree(row: &Map<String, Value>) -> bool {
    let has = |field: &str| row.contains_key(field);
    let is_message = has("role") && ["parent_id", "message_tree_id", "replies"].into_iter().any(has);
    let is_tree = row.get("prompt").is_some_and(|prompt| prompt.get("replies").is_some());
    is_tree || is_message && !has("messages") && !has("conversations")
}

/// A string field.
fn text(row: &Map<String, Value>, field: &str, needed: bool) -> Result<String, String> {
    match row.get(field).and_then(Value::as_str) {
        Some("") if needed => Err(format!("`{field}` is empty")),
        Some(text) => Ok(text.to_string()),
        None => Err(format!("`{field}` is not a string")),
    }
}

/// Whether the `prompt` beside the messages says only what one of them says, as in data sets that carry both.
fn repeats_prompt(row: &Map<String, Value>, field: &str) -> bool {
    let turns = row[field].as_array().map(Vec::as_slice).unwrap_or_default();
    turns.iter().any(|turn| turn.get("content").or_else(|| turn.get("value")) == row.get("prompt"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_three_forms() {
        assert_eq!(Record::parse(r#"{"text": "a", "id": 7}"#).unwrap(), Record::Text("a".into()));
        assert_eq!(
            Record::parse(r#"{"prompt": "", "completion": "b", "text": null}"#).unwrap(),
            Record::Completion { prompt: String::new(), completion: "b".into() }
        );
        let chat = r#"{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "name": "x"}]}"#;
        let Record::Messages(dialogue) = Record::parse(chat).unwrap() else { panic!() };
        let turns = &dialogue.messages;
        assert_eq!((turns.len(), turns[1].text(), turns[1].get("name")), (2, "a", Some(&"x".into())));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let cases = [
            ("{", "is not JSON: EOF while parsing an object at column 1"),
            ("[]", "one object a line"),
            ("[", "one object a line"),
            ("3", "not a JSON object"),
            ("{}", "has none of"),
            (r#"{"text": ""}"#, "`text` is empty"),
            (r#"{"text": null}"#, "`messages`: `text` is null"),
            (r#"{"messages": null, "id": 1}"#, "`messages` is null"),
            (r#"{"prompt": null, "completion": "a"}"#, "no `prompt`: `prompt` is null"),
            (r#"{"text": "a", "text": "b"}"#, "has the key `text` twice"),
            (r#"{"text": 1}"#, "`text` is not a string"),
            (r#"{"prompt": "a"}"#, "no `completion`"),
            (r#"{"completion": "a"}"#, "no `prompt`"),
            (r#"{"prompt": "a", "completion": ""}"#, "`completion` is empty"),
            (r#"{"text": "a", "prompt": "a", "completion": "b"}"#, "more than one"),
            (r#"{"text": "a", "tools": []}"#, "`tools`"),
            (
                r#"{"text": "a", "role": "prompter", "message_id": "1", "parent_id": null, "message_tree_id": "1"}"#,
                "a tree of messages",
            ),
            (r#"{"text": "a", "role": "assistant", "parent_id": "1"}"#, "as one row of `messages`"),
            (
                r#"{"message_tree_id": "1", "prompt": {"text": "a", "role": "prompter", "replies": []}}"#,
                "a tree of messages",
            ),
            (
                r#"{"prompt": "a", "completion": "b", "split": "Test"}"#,
                "`split` \"Test\", which says that the row is for tests",
            ),
            (r#"{"text": "a", "partition": "validation"}"#, "`partition`"),
            (r#"{"text": "a", "is_test": true}"#, "`is_test` true, which says that the row is for tests"),
            (r#"{"prompt": "a", "completion": "b", "label": "Bad"}"#, "`label`"),
            (
                r#"{"messages": [{"role": "prompter", "content": "q"}, {"role": "assistant", "content": "a"}]}"#,
                "write \"user\"",
            ),
            (
                r#"{"messages": [{"role": "user", "content": "q"}, {"role": "bot", "content": "a"}]}"#,
                "write \"assistant\"",
            ),
            (
                r#"{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "label": -1}]}"#,
                "`label` -1",
            ),
            (
                r#"{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "split": "test"}]}"#,
                "for tests",
            ),
            (r#"{"text": "a", "held_out": 1}"#, "`held_out` 1, which says that the row is for tests"),
            (r#"{"prompt": "a", "completion": "b", "label": -1}"#, "`label`"),
            (r#"{"prompt": "a", "completion": "b", "label": "-1"}"#, "`label`"),
        ];
        for (line, words) in cases {
            let problem = Record::parse(line).unwrap_err();
            assert!(problem.contains(words), "{problem}, expected `{words}`");
        }
    }

    proptest! {
        #[test]
        fn no_line_panics(line in ".{0,80}") {
            let _ = Record::parse(&line);
        }
    }
}
