//! Names that several readers of training rows share.

use serde_json::Value;

/// The fields that make a record.
pub(super) const FORMS: [&str; 5] = ["text", "prompt", "completion", "messages", "conversations"];

/// Fields beside the messages that the template is given.
pub(super) const BESIDE_MESSAGES: [&str; 3] = ["tools", "documents", "chat_template_kwargs"];

/// Names that conversations give the assistant.
pub(super) const ASSISTANT: [&str; 5] = ["gpt", "assistant", "chatgpt", "model", "bot"];

/// Nothing, so that it cannot change anything.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}
