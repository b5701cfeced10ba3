//! The fields of a conversation's messages: read by every template, known to be harmless, refused by name, or to be looked for in
//! what the template writes.

use serde_json::{Map, Value};

use super::learning_fields::{Says, is_kept_back, says, says_bad};
use super::names::is_empty;

/// Fields that templates read or may leave out.
const READ: [&str; 8] =
    ["content", "name", "reasoning", "reasoning_content", "role", "thinking", "tool_call_id", "tool_calls"];

/// Fields of a part of a message's content that are read, or only say how it may be kept.
const PART: [&str; 3] = ["cache_control", "text", "type"];

/// Fields without effect on what is learnt, each with the reason.
const HARMLESS: &[(&str, &[&str])] = &[
    (
        "they name the message",
        &[
            "conversation_id",
            "hash",
            "id",
            "idx",
            "index",
            "message_id",
            "message_tree_id",
            "parent_id",
            "parent_message_id",
            "sha256",
            "turn",
            "turn_id",
            "turn_identifier",
            "turn_idx",
            "turn_index",
            "uid",
            "uuid",
        ],
    ),
    (
        "they say where it is from",
        &[
            "country",
            "created",
            "created_at",
            "created_date",
            "date",
            "hashed_ip",
            "header",
            "model",
            "model_name",
            "object",
            "service_tier",
            "source",
            "state",
            "system_fingerprint",
            "synthetic",
            "time",
            "timestamp",
            "updated_at",
            "user_id",
            "username",
        ],
    ),
    (
        "they describe it",
        &[
            "annotations",
            "category",
            "comment",
            "comments",
            "domain",
            "intent",
            "lang",
            "language",
            "meta",
            "metadata",
            "tags",
            "topic",
        ],
    ),
    (
        "they measure it",
        &[
            "detoxify",
            "detoxify_moderation",
            "emojis",
            "finish_reason",
            "length",
            "moderation",
            "n_tokens",
            "num_tokens",
            "openai_moderation",
            "quality",
            "rank",
            "rating",
            "redacted",
            "refusal",
            "review_count",
            "review_result",
            "score",
            "status",
            "token_count",
            "tokens",
            "toxic",
            "toxicity",
            "usage",
        ],
    ),
];

/// Fields by which other programs leave a message out of what is learnt, and old forms.
const REFUSED: &[(&str, &str)] = &[
    ("function_call", "it is an old form; write `tool_calls`"),
    ("tool_call", "write `tool_calls`, a list"),
    ("train_detail", "write `weight` 0 or 1; a turn is learnt whole"),
    ("loss_mask", "write `weight` 0 or 1; a turn is learnt whole"),
    ("loss_scale", "write `weight` 0 or 1; a turn is learnt whole"),
    ("images", "only text is learnt"),
    ("audio", "only text is learnt"),
];

/// Refuses fields of a message that other programs read and this one does not.
pub(super) fn check(message: &Map<String, Value>) -> Result<(), String> {
    for (name, value) in message.iter().filter(|(_, value)| !is_empty(value)) {
        if is_kept_back(name, value) {
            return Err(format!("has `{name}` {value}, which says that it is for tests: leave the row out"));
        }
        if !READ.contains(&name.as_str()) && says_bad(name, value) || name == "label" && is_no(value) {
            return Err(format!("has `{name}` {value}, which says that it is not right: leave the row out"));
        }
        if let Some((_, remedy)) = REFUSED.iter().find(|(refused, _)| refused == name) {
            return Err(format!("has `{name}`: {remedy}"));
        }
    }
    match message.get("content") {
        Some(Value::Array(parts)) => parts.iter().filter_map(Value::as_object).try_for_each(check_part),
        _ => Ok(()),
    }
}

/// Whether a label says no.
fn is_no(value: &Value) -> bool {
    let word = value.as_str().map(str::to_lowercase);
    *value == Value::Bool(false)
        || matches!(value.as_f64(), Some(-1.0 | 0.0))
        || matches!(word.as_deref(), Some("false" | "no" | "0" | "-1"))
}

/// Refuses what may change what is learnt of a part of a message's content: a turn is learnt whole.
fn check_part(part: &Map<String, Value>) -> Result<(), String> {
    let fields = part.iter().filter(|(name, value)| !is_empty(value) && !PART.contains(&name.as_str()));
    for (name, value) in fields {
        if !matches!(says(name, value), None | Some(Says::Learnt)) || says_bad(name, value) {
            return Err(format!(
                "a part of its content has `{name}`; write `weight` 0 or 1 at the message: a turn is learnt whole"
            ));
        }
        if says(name, value).is_none() && is_unknown(name) {
            return Err(format!(
                "a part of its content has `{name}`, of which it is not known whether it matters: leave it out"
            ));
        }
    }
    Ok(())
}

/// Whether nothing is known of a field: it matters where the template writes it, and may matter elsewhere where not.
pub(super) fn is_unknown(name: &str) -> bool {
    !READ.contains(&name) && !HARMLESS.iter().any(|(_, names)| names.contains(&name))
}

/// Takes a message's `weight`, and the fields that say the same elsewhere: true where it is learnt, false where it is left out.
pub(super) fn take_weight(message: &mut Map<String, Value>) -> Result<Option<bool>, String> {
    let names: Vec<String> = message.keys().cloned().collect();
    let mut weight: Option<(String, bool)> = None;
    for name in names {
        let value = message.get(&name).unwrap_or(&Value::Null);
        let learnt = match says(&name, value) {
            None => continue,
            Some(_) if is_empty(value) => None,
            Some(Says::Learnt) => Some(true),
            Some(Says::LeftOut) => Some(false),
            Some(Says::Unclear) => {
                return Err(format!("`{name}` is {value}; write `weight` 0 or 1, or leave it out"));
            }
        };
        message.shift_remove(&name);
        let Some(learnt) = learnt else { continue };
        if let Some((other, _)) = weight.as_ref().filter(|(_, other)| *other != learnt) {
            return Err(format!(
                "has `{other}` and `{name}`, of which one says that it is learnt and one not"
            ));
        }
        weight = Some((name, learnt));
    }
    Ok(weight.map(|(_, learnt)| learnt))
}
