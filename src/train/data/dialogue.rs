//! Conversations of training files: turns with all their fields, tools, and which turns are learnt.

use serde_json::{Map, Value};

use super::message_fields;
use super::names::ASSISTANT;
use crate::json;
use crate::model::chat::{Conversation, GIVEN, Message};

/// A conversation to be learnt.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dialogue {
    /// The messages in order.
    pub messages: Vec<Message>,
    /// For each message whether it is learnt; only the assistant's are.
    pub learnt: Vec<bool>,
    /// Tools the model may call, a list of JSON schemas.
    pub tools: Option<Value>,
    /// Documents that answers are to be found in.
    pub documents: Option<Value>,
    /// Variables of the template.
    pub variables: Map<String, Value>,
}

impl Dialogue {
    /// Its first `count` messages as a template renders them.
    pub fn conversation(&self, count: usize) -> Conversation<'_> {
        Conversation {
            messages: &self.messages[..count],
            tools: self.tools.as_ref(),
            documents: self.documents.as_ref(),
            variables: Some(&self.variables),
        }
    }
}

/// A conversation in one field, `messages` or ShareGPT's `conversations`.
pub(super) fn of_turns(row: &Map<String, Value>, field: &str) -> Result<Dialogue, String> {
    let mut dialogue = beside(row)?;
    let turns = list(row, field)?;
    dialogue.add(turns, field, true)?;
    dialogue.checked(field)
}

/// A prompt of messages and a completion of messages, of which only the completion is learnt.
pub(super) fn of_prompt(row: &Map<String, Value>) -> Result<Dialogue, String> {
    let mut dialogue = beside(row)?;
    for (field, learnt) in [("prompt", false), ("completion", true)] {
        match &row[field] {
            Value::String(text) => {
                let role = if learnt { "assistant" } else { "user" };
                dialogue.messages.push(Message::new(role, text.as_str()));
                dialogue.learnt.push(learnt);
            }
            _ => dialogue.add(list(row, field)?, field, learnt)?,
        }
    }
    dialogue.checked("completion")
}

fn list<'a>(row: &'a Map<String, Value>, field: &str) -> Result<&'a [Value], String> {
    let turns = row[field].as_array().map(Vec::as_slice);
    turns.ok_or_else(|| format!("`{field}` is not a list of objects with role and content"))
}

/// What stands beside the messages.
fn beside(row: &Map<String, Value>) -> Result<Dialogue, String> {
    let objects = |field: &str| match row.get(field) {
        None => Ok(None),
        // Files of tables cannot hold lists of different objects, so they hold their text.
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(value) => {
            let parsed = value.as_str().map(json::from_str::<Value>).transpose();
            match parsed.map(|parsed| parsed.unwrap_or_else(|| value.clone())) {
                Ok(Value::Array(list)) if list.iter().all(Value::is_object) => Ok(Some(Value::Array(list))),
                Ok(Value::Null) => Ok(None),
                Err(error) if error.is_data() => Err(format!("`{field}` {}", json::what(&error))),
                _ => Err(format!("`{field}` is not a list of objects")),
            }
        }
    };
    let variables = match row.get("chat_template_kwargs") {
        None => Map::new(),
        Some(Value::Object(variables)) => variables.clone(),
        Some(_) => return Err("`chat_template_kwargs` is not an object".into()),
    };
    if let Some(name) = GIVEN.iter().find(|name| variables.contains_key(**name)) {
        return Err(format!("`chat_template_kwargs` has `{name}`, which the row itself says"));
    }
    let (tools, documents) = (objects("tools")?, objects("documents")?);
    Ok(Dialogue { tools, documents, variables, ..Dialogue::default() })
}

impl Dialogue {
    fn add(&mut self, turns: &[Value], field: &str, learnt: bool) -> Result<(), String> {
        for (index, turn) in turns.iter().enumerate() {
            let wrong = |problem: String| {
                format!(
                    "`{field}` is not a list of objects with role and content: message {}: {problem}",
                    index + 1
                )
            };
            let Value::Object(turn) = turn else { return Err(wrong("is not an object".into())) };
            let mut turn = from_sharegpt(turn.clone()).map_err(wrong)?;
            let weight = message_fields::take_weight(&mut turn).map_err(wrong)?;
            message_fields::check(&turn).map_err(wrong)?;
            let message = Message::try_from(turn).map_err(wrong)?;
            let role = message.role();
            if let Some((_, name)) = OTHER_NAMES.iter().find(|(names, _)| names.contains(&role)) {
                return Err(wrong(format!("has role {role:?}, which templates do not know: write {name:?}")));
            }
            if weight == Some(true) && !message.is_assistant() {
                let role = message.role();
                return Err(wrong(format!(
                    "has weight 1 and role {role:?}, but only the assistant's are learnt"
                )));
            }
            self.learnt.push(learnt && message.is_assistant() && weight != Some(false));
            self.messages.push(message);
        }
        Ok(())
    }

    fn checked(self, field: &str) -> Result<Self, String> {
        match self.messages.iter().position(Message::is_assistant) {
            None => Err(format!("`{field}` has no turn with role `assistant` to learn")),
            Some(_) if !self.learnt.contains(&true) => {
                Err(format!("`{field}` has no turn to learn: each of the assistant's has weight 0"))
            }
            Some(_) => Ok(self),
        }
    }
}

/// What others call roles.
const OTHER_NAMES: [(&[&str], &str); 2] =
    [(&["human", "prompter"], "user"), (&["bot", "chatgpt", "gpt"], "assistant")];

/// ShareGPT's names: `from` and `value` are role and content, and speakers have names of their own.
fn from_sharegpt(turn: Map<String, Value>) -> Result<Map<String, Value>, String> {
    if turn.contains_key("role") || !turn.contains_key("from") {
        return Ok(turn);
    }
    let rename = |(name, value): (String, Value)| match (name.as_str(), value.as_str()) {
        ("from", Some("human" | "user")) => Ok(("role".to_string(), "user".into())),
        ("from", Some(name)) if ASSISTANT.contains(&name) => Ok(("role".to_string(), "assistant".into())),
        ("from", Some("system")) => Ok(("role".to_string(), "system".into())),
        ("from", Some("tool")) => Ok(("role".to_string(), "tool".into())),
        ("from", _) => Err(format!("is from {value}, which is none of human, gpt, system and tool")),
        ("value", _) => Ok(("content".to_string(), value)),
        _ => Ok((name, value)),
    };
    turn.into_iter().map(rename).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use crate::train::data::Record;

    fn dialogue(line: &str) -> Result<super::Dialogue, String> {
        match Record::parse(line)? {
            Record::Messages(dialogue) => Ok(*dialogue),
            other => panic!("{other:?}"),
        }
    }

    const CALL: &str = r#"{"tools": [{"type": "function", "function": {"name": "weather"}}], "messages": [
        {"role": "user", "content": "Rome?"},
        {"role": "assistant", "content": null, "tool_calls": [{"type": "function", "id": "c", "function": {"name": "weather", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c", "name": "weather", "content": "21"},
        {"role": "assistant", "content": "21 degrees", "reasoning_content": "easy", "weight": 0}]}"#;

    #[test]
    fn a_conversation_keeps_its_fields() {
        let call = dialogue(CALL).unwrap();
        assert_eq!(call.learnt, [false, true, false, false]);
        assert_eq!(call.tools.as_ref().unwrap()[0]["function"]["name"], "weather");
        let names = |index: usize| call.messages[index].fields().collect::<Vec<_>>();
        assert_eq!(names(1), ["role", "tool_calls"]);
        assert_eq!(names(2), ["role", "tool_call_id", "name", "content"]);
        assert_eq!(names(3), ["role", "content", "reasoning_content"]);
        let text = CALL.replacen(
            r#"[{"type": "function", "function": {"name": "weather"}}]"#,
            r#""[{\"a\": 1}]""#,
            1,
        );
        assert_eq!(dialogue(&text).unwrap().tools.unwrap()[0]["a"], 1);
        let parts = r#"{"messages": [{"role": "user", "content": [{"type": "text", "text": "q"}]}, {"role": "assistant", "content": "a"}], "chat_template_kwargs": {"enable_thinking": false}}"#;
        let parts = dialogue(parts).unwrap();
        assert_eq!(parts.messages[0].get("content").unwrap()[0]["text"], "q");
        assert_eq!(parts.variables["enable_thinking"], false);
    }

    #[test]
    fn other_notations_mean_the_same() {
        let want = dialogue(r#"{"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}"#).unwrap();
        for line in [
            r#"{"conversations": [{"from": "system", "value": "s"}, {"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}], "id": "x"}"#,
            r#"{"prompt": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}], "completion": [{"role": "assistant", "content": "a"}]}"#,
            r#"{"prompt": "q", "prompt_id": "7", "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "weight": 1}]}"#,
        ] {
            assert_eq!(dialogue(line).unwrap(), want, "{line}");
        }
        // What is learnt, in others' words.
        for (first, second) in [
            (r#""train": false"#, r#""train": true"#),
            (r#""masked": true"#, r#""masked": false"#),
            (r#""loss": false"#, r#""loss": null"#),
            (r#""isTrained": 0, "weight": 0"#, r#""is_trained": 1"#),
        ] {
            let line = format!(
                r#"{{"messages": [{{"role": "user", "content": "q", "masked": true}}, {{"role": "assistant", "content": "a", {first}}}, {{"role": "assistant", "content": "b", {second}}}]}}"#
            );
            assert_eq!(dialogue(&line).unwrap().learnt, [false, false, true], "{line}");
        }
        // What is given is context, the assistant's turns in it too.
        let shots = dialogue(r#"{"prompt": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}, {"role": "user", "content": "r"}], "completion": "b"}"#).unwrap();
        assert_eq!(shots.learnt, [false, false, false, true]);
    }

    #[test]
    fn what_cannot_be_learnt_is_refused() {
        let messages = |turns: &str| format!(r#"{{"messages": [{turns}]}}"#);
        let user = r#"{"role": "user", "content": "q"}"#;
        let cases = [
            (messages(""), "no turn with role `assistant`"),
            (messages(r#"{"role": "user"}"#), "missing field `content`"),
            (messages(r#"{"role": "user", "content": null}"#), "message 1: `content` is null"),
            (
                r#"{"conversations": [{"from": "human", "value": null}]}"#.into(),
                "message 1: `content` is null",
            ),
            (messages(r#"{"role": "user", "content": "a", "content": "b"}"#), "has the key `content` twice"),
            (
                CALL.replacen("[{\"type\"", r#""[{\"a\": 1, \"a\": 2}]", "meta": [{"type""#, 1),
                "`tools` has the key `a` twice",
            ),
            (r#"{"messages": "hello"}"#.into(), "not a list"),
            (
                messages(&format!(r#"{user}, {{"role": "assistant", "content": "a", "weight": 0}}"#)),
                "weight 0",
            ),
            (
                messages(&format!(r#"{user}, {{"role": "assistant", "content": "a", "weight": 0.5}}"#)),
                "`weight`",
            ),
            (
                messages(&format!(
                    r#"{user}, {{"role": "assistant", "content": "a", "weight": 1, "train": false}}"#
                )),
                "`weight` and `train`",
            ),
            (
                messages(&format!(r#"{user}, {{"role": "assistant", "content": "a", "train": 0.5}}"#)),
                "`train`",
            ),
            (
                messages(&format!(
                    r#"{user}, {{"role": "assistant", "content": "", "function_call": {{"name": "f"}}}}"#
                )),
                "`function_call`",
            ),
            (messages(r#"{"role": "user", "content": [{"type": "image_url"}]}"#), "image_url"),
            (
                messages(
                    r#"{"role": "assistant", "content": [{"type": "text", "text": "a", "train": false}]}"#,
                ),
                "`train`",
            ),
            (
                messages(
                    r#"{"role": "assistant", "content": [{"type": "text", "text": "a", "mask": true}]}"#,
                ),
                "`mask`",
            ),
            (
                messages(r#"{"role": "assistant", "content": [{"type": "text", "text": "a", "frob": 1}]}"#),
                "`frob`",
            ),
            (messages(r#"{"role": "assistant", "content": "a", "deleted": true}"#), "`deleted`"),
            (messages(r#"{"role": "user", "content": 3}"#), "`content`"),
            (r#"{"conversations": [{"from": "observer", "value": "q"}]}"#.into(), "observer"),
            (CALL.replacen("\"tools\"", "\"functions\"", 1), "`functions`"),
            (CALL.replacen("[{\"type\"", "[3, {\"type\"", 1), "`tools` is not a list of objects"),
        ];
        for (line, words) in cases {
            let problem = Record::parse(&line).unwrap_err();
            assert!(problem.contains(words), "{problem}, expected `{words}`");
        }
    }
}
