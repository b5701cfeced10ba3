//! Messages with all the fields that templates read, and what a template is given beside them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// One message of a conversation: a JSON object with a `role`, of which templates may read every field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Map<String, Value>", into = "Map<String, Value>")]
pub struct Message(Map<String, Value>);

impl Message {
    /// A message of `role`.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        let [role, content] = [role.into(), content.into()].map(Value::String);
        Self(Map::from_iter([("role".to_string(), role), ("content".to_string(), content)]))
    }

    /// A message of the user.
    pub fn user(content: impl Into<String>) -> Self {
        Self::new("user", content)
    }

    /// `system`, `user` or `assistant`; templates may know more.
    pub fn role(&self) -> &str {
        self.0.get("role").and_then(Value::as_str).unwrap_or_default()
    }

    /// The text; empty where the content is a list of parts or missing.
    pub fn text(&self) -> &str {
        self.0.get("content").and_then(Value::as_str).unwrap_or_default()
    }

    /// A field.
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.0.get(field)
    }

    /// The names of its fields.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The same without a field.
    pub fn without(&self, field: &str) -> Self {
        let mut fields = self.0.clone();
        fields.shift_remove(field);
        Self(fields)
    }

    /// The same with a text as its content.
    pub(super) fn with_content(&self, content: &str) -> Self {
        let mut fields = self.0.clone();
        fields.insert("content".into(), content.into());
        Self(fields)
    }

    /// Whether the model wrote it, or is to learn it.
    pub fn is_assistant(&self) -> bool {
        self.role() == "assistant"
    }
}

impl From<Message> for Map<String, Value> {
    fn from(message: Message) -> Self {
        message.0
    }
}

impl TryFrom<Map<String, Value>> for Message {
    type Error = String;

    /// Fields that are null are left out, as transformers does: many templates write `None` for them.
    fn try_from(fields: Map<String, Value>) -> Result<Self, String> {
        let has_null_content = fields.get("content").is_some_and(Value::is_null);
        let fields: Map<String, Value> = fields.into_iter().filter(|(_, value)| !value.is_null()).collect();
        match fields.get("role") {
            Some(Value::String(role)) if !role.is_empty() => {}
            Some(_) => return Err("`role` is not a name such as \"user\"".into()),
            None => return Err("missing field `role`".into()),
        }
        match fields.get("content") {
            Some(Value::String(_)) => {}
            Some(Value::Array(parts)) => check_parts(parts)?,
            Some(_) => return Err("`content` is neither a text nor a list of parts".into()),
            // A turn may be nothing but calls of tools or reasoning.
            None if REPLACE_CONTENT.iter().any(|field| fields.contains_key(*field)) => {}
            None if has_null_content => return Err("`content` is null".into()),
            None => return Err("missing field `content`".into()),
        }
        Ok(Self(fields))
    }
}

/// Fields of which a message may consist without a `content`.
const REPLACE_CONTENT: [&str; 4] = ["tool_calls", "reasoning_content", "reasoning", "thinking"];

/// Parts of a content are texts: these models see and hear nothing.
fn check_parts(parts: &[Value]) -> Result<(), String> {
    for part in parts {
        let kind = part.get("type").and_then(Value::as_str);
        match (part, kind) {
            (Value::String(_), _)
            | (Value::Object(_), None | Some("text" | "input_text" | "output_text")) => {}
            (Value::Object(_), Some(kind)) => {
                return Err(format!("`content` has a part of type {kind:?}; only text is supported"));
            }
            _ => return Err("`content` has a part that is neither a text nor an object".into()),
        }
    }
    Ok(())
}

/// Names of a turn's reasoning, the one that templates read first.
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// What a template renders.
#[derive(Debug, Clone, Copy)]
pub struct Conversation<'a> {
    /// The messages in order.
    pub messages: &'a [Message],
    /// Tools the model may call, a list of JSON schemas; `None` is none, which templates tell from an empty list.
    pub tools: Option<&'a Value>,
    /// Documents that answers are to be found in.
    pub documents: Option<&'a Value>,
    /// Variables of the template, such as `enable_thinking`.
    pub variables: Option<&'a Map<String, Value>>,
}

impl<'a> Conversation<'a> {
    /// Messages alone.
    pub fn new(messages: &'a [Message]) -> Self {
        Self { messages, tools: None, documents: None, variables: None }
    }

    /// The variables of a template. Those of the conversation come before `variables`, which the model brings.
    pub(super) fn context(
        &self,
        variables: &Map<String, Value>,
        add_generation_prompt: bool,
    ) -> Map<String, Value> {
        let mut context = variables.clone();
        context
            .extend(self.variables.into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())));
        let messages = self.messages.iter().map(|message| with_reasoning_names(&message.0)).collect();
        context.insert("messages".into(), Value::Array(messages));
        context.insert("tools".into(), self.tools.cloned().unwrap_or_default());
        context.insert("documents".into(), self.documents.cloned().unwrap_or_default());
        context.insert("add_generation_prompt".into(), json!(add_generation_prompt));
        context
    }
}

/// Reasoning under each name that templates use for it, as transformers gives it to them.
fn with_reasoning_names(fields: &Map<String, Value>) -> Value {
    let Some(reasoning) = REASONING.iter().find_map(|name| fields.get(*name)).cloned() else {
        return Value::Object(fields.clone());
    };
    let mut named = Map::new();
    named.insert("thinking".into(), reasoning.clone());
    named.extend(fields.clone());
    named.insert("reasoning_content".into(), reasoning);
    Value::Object(named)
}
