//! The lines of a training file.

use serde::Deserialize;
use serde_json::Value;

use crate::model::chat::Message;

/// One line of a training file, by the fields it has: `text`, `prompt` and `completion`, or `messages`. Other fields
/// are allowed and mean nothing.
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
    Messages(Vec<Message>),
}

impl Record {
    /// Reads one line. Errors say what is wrong with it, in words.
    pub fn parse(line: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(line).map_err(|e| {
            // The line is one of many: its own "line 1" would mislead.
            let text = e.to_string();
            let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
            format!("is not JSON: {what} at column {}", e.column())
        })?;
        let object = value.as_object().ok_or("is not a JSON object")?;
        let text = |field: &str| match object.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(format!("`{field}` is not a string")),
        };
        let messages =
            match object.get("messages") {
                None | Some(Value::Null) => None,
                Some(list) => {
                    let list = Vec::<Message>::deserialize(list);
                    Some(list.map_err(|e| {
                        format!("`messages` is not a list of objects with role and content: {e}")
                    })?)
                }
            };
        match (text("text")?, text("prompt")?, text("completion")?, messages) {
            (Some(text), None, None, None) if text.is_empty() => Err("`text` is empty".into()),
            (Some(text), None, None, None) => Ok(Self::Text(text)),
            (None, Some(_), Some(completion), None) if completion.is_empty() => {
                Err("`completion` is empty".into())
            }
            (None, Some(prompt), Some(completion), None) => Ok(Self::Completion { prompt, completion }),
            (None, Some(_), None, None) => Err("has a `prompt` but no `completion`".into()),
            (None, None, Some(_), None) => Err("has a `completion` but no `prompt`".into()),
            (None, None, None, Some(messages)) => check_turns(messages).map(Self::Messages),
            (None, None, None, None) => {
                Err("has none of `text`, `prompt` and `completion`, `messages`".into())
            }
            _ => Err("has more than one of `text`, `prompt` and `completion`, `messages`".into()),
        }
    }
}

fn check_turns(messages: Vec<Message>) -> Result<Vec<Message>, String> {
    match messages.iter().position(Message::is_assistant) {
        None => Err("`messages` has no turn with role `assistant` to learn".into()),
        Some(0) => Err("`messages` begins with the assistant; put a user turn before it".into()),
        Some(_) => Ok(messages),
    }
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
        let Record::Messages(turns) = Record::parse(chat).unwrap() else { panic!() };
        assert_eq!((turns.len(), turns[1].content.as_str()), (2, "a"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let cases = [
            ("{", "is not JSON: EOF while parsing an object at column 1"),
            ("[]", "not a JSON object"),
            ("{}", "has none of"),
            (r#"{"text": ""}"#, "`text` is empty"),
            (r#"{"text": 1}"#, "`text` is not a string"),
            (r#"{"prompt": "a"}"#, "no `completion`"),
            (r#"{"completion": "a"}"#, "no `prompt`"),
            (r#"{"prompt": "a", "completion": ""}"#, "`completion` is empty"),
            (r#"{"text": "a", "prompt": "a", "completion": "b"}"#, "more than one"),
            (r#"{"messages": []}"#, "no turn with role `assistant`"),
            (r#"{"messages": [{"role": "assistant", "content": "a"}]}"#, "begins with the assistant"),
            (r#"{"messages": [{"role": "user"}]}"#, "missing field `content`"),
            (r#"{"messages": "hello"}"#, "not a list"),
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
