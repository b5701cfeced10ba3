//! Contents that are lists of text parts, for templates that want a text.

use minijinja::Value as Jinja;
use minijinja::value::Serde;
use serde_json::Value;

use super::{Message, python};

/// The messages with each content of parts as one text, its parts a line each as llama.cpp and vLLM join them; `None` where
/// `rendered`, what the template made of the messages as they are, has all the parts as texts.
pub(super) fn joined(messages: &[Message], rendered: &str) -> Option<Vec<Message>> {
    let lists = || messages.iter().filter_map(|message| message.get("content")?.as_array());
    if lists().all(|parts| is_written(parts, rendered)) {
        return None;
    }
    let join = |message: &Message| match message.get("content").and_then(Value::as_array) {
        Some(parts) => message.with_content(&texts(parts).collect::<Vec<_>>().join("\n")),
        None => message.clone(),
    };
    Some(messages.iter().map(join).collect())
}

/// The texts of parts.
fn texts(parts: &[Value]) -> impl Iterator<Item = &str> {
    parts.iter().filter_map(|part| part.as_str().or_else(|| part.get("text")?.as_str()))
}

/// Whether `text` has the parts, and not the list of them as Python prints it.
fn is_written(parts: &[Value], text: &str) -> bool {
    let printed = python::text(&Jinja::from(Serde(parts)));
    !printed.is_ok_and(|printed| text.contains(&printed))
        && texts(parts).all(|part| text.contains(part.trim()))
}
