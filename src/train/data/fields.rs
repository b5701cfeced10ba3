//! The fields of training rows and messages: used, known to be harmless, or refused by name.

use serde_json::{Map, Value};

use super::dialogue::FIELDS;
use super::record::Record;

/// Fields of a row without effect on what is learnt, each with the reason.
const HARMLESS: &[(&str, &[&str])] = &[
    (
        "they name the row",
        &[
            "_id",
            "conversation_hash",
            "hash",
            "id",
            "idx",
            "index",
            "key",
            "md5",
            "name",
            "num",
            "number",
            "qid",
            "rid",
            "sha256",
            "uid",
            "uuid",
        ],
    ),
    (
        "they say where it is from",
        &[
            "author",
            "created",
            "created_at",
            "creator",
            "data_source",
            "dataset",
            "dataset_name",
            "date",
            "file",
            "file_name",
            "filename",
            "generator",
            "license",
            "licence",
            "link",
            "model",
            "model_name",
            "name_of_model",
            "origin",
            "origin_dataset",
            "original_dataset",
            "path",
            "provenance",
            "repo",
            "seed",
            "source",
            "sources",
            "split",
            "subset",
            "teacher",
            "time",
            "timestamp",
            "title",
            "updated_at",
            "url",
            "uri",
            "user",
            "version",
            "year",
        ],
    ),
    (
        "they describe it",
        &[
            "annotation",
            "annotations",
            "annotator",
            "attributes",
            "categories",
            "category",
            "comment",
            "comments",
            "description",
            "difficulty",
            "domain",
            "extra",
            "extra_info",
            "field",
            "genre",
            "grade",
            "info",
            "intent",
            "keywords",
            "kind",
            "lang",
            "language",
            "languages",
            "level",
            "locale",
            "meta",
            "metadata",
            "note",
            "notes",
            "skill",
            "skills",
            "style",
            "subject",
            "subtopic",
            "tag",
            "tags",
            "task",
            "task_category",
            "task_name",
            "task_type",
            "theme",
            "topic",
            "topics",
            "type",
        ],
    ),
    (
        "they measure it",
        &[
            "avg_rating",
            "confidence",
            "correct",
            "count",
            "detoxify_moderation",
            "is_correct",
            "length",
            "len",
            "likes",
            "moderation",
            "openai_moderation",
            "perplexity",
            "ppl",
            "pii",
            "quality",
            "rank",
            "rating",
            "ratings",
            "redacted",
            "score",
            "scores",
            "similarity",
            "tokens",
            "toxic",
            "toxicity",
            "turn",
            "turns",
            "upvotes",
            "verified",
        ],
    ),
    (
        "problems and their known answers are for tasks; what is learnt is in the record",
        &[
            "answer",
            "answers",
            "expected_answer",
            "final_answer",
            "gold",
            "ground_truth",
            "problem",
            "reference",
            "reward_model",
            "solution",
            "target",
        ],
    ),
    (
        "they say how an answer is to be drawn",
        &["max_tokens", "n", "parallel_tool_calls", "stop", "stream", "temperature", "tool_choice", "top_p"],
    ),
];

/// Beginnings and ends of names that count, name or describe.
const HARMLESS_PARTS: ([&str; 6], [&str; 13]) = (
    ["is_", "has_", "n_", "num_", "meta_", "__"],
    [
        "_id",
        "_ids",
        "_idx",
        "_index",
        "_count",
        "_length",
        "_tokens",
        "_score",
        "_scores",
        "_hash",
        "_name",
        "_type",
        "_metadata",
    ],
);

/// Fields that are refused, each with what to write in their place.
const REFUSED: &[(&str, &str)] = &[
    ("instruction", "write instruction and input as `prompt`, the output as `completion`"),
    ("input", "write it as `prompt`, or into it, and the output as `completion`"),
    ("output", "write it as `completion` after a `prompt`"),
    ("question", "write it as `prompt`, the answer as `completion`"),
    ("query", "write it as `prompt`, the response as `completion`"),
    ("response", "write it as `completion` after a `prompt`"),
    ("context", "write it into `prompt`"),
    ("system", "write it as a message with role `system`, or into `prompt`"),
    ("system_prompt", "write it as a message with role `system`, or into `prompt`"),
    (
        "chosen",
        "pairs of preference are not trained on; write the better one as `completion` or as the last message",
    ),
    (
        "rejected",
        "pairs of preference are not trained on; write the better one as `completion` or as the last message",
    ),
    ("label", "rows are learnt whole; leave out those with a false label"),
    ("functions", "it is an old form; write `tools`, and `tool_calls` in the messages"),
    ("function_call", "it is an old form; write `tools`, and `tool_calls` in the messages"),
    ("weight", "rows are learnt alike; leave out those of weight 0"),
    ("images", "only text is learnt"),
    ("image", "only text is learnt"),
    ("audio", "only text is learnt"),
    ("videos", "only text is learnt"),
    ("input_ids", "give the text; it is encoded with the model's own tokenizer"),
    ("labels", "give the text; what is learnt follows from the form of the row"),
];

/// Checks the names of a row's fields; those that are null are left out before. A row that lacks the fields of every form gets
/// the words for that where none of its own says how to write it.
pub(super) fn check_row(row: &Map<String, Value>) -> Result<(), String> {
    let complete = row.contains_key("messages")
        || row.contains_key("conversations")
        || row.contains_key("text")
        || row.contains_key("completion");
    let has_form = row.keys().any(|name| Record::is_form(name));
    for (name, value) in row {
        let name = name.as_str();
        let harmless =
            Record::is_form(name) || FIELDS.contains(&name) || is_empty(value) || is_repeated(row, value);
        if let Some((_, remedy)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
            let means_nothing = match name {
                "weight" => value.as_f64() == Some(1.0),
                // Classes have labels too; only judgements are true or false.
                "label" => !value.is_boolean(),
                _ => false,
            };
            if !harmless && !means_nothing {
                return Err(format!("has `{name}`, which is not learnt: {remedy}"));
            }
        } else if name == "answer" && !complete {
            return Err(
                "has `answer` and nothing to learn: write a question as `prompt`, its answer as `completion`"
                    .into(),
            );
        } else if has_form && !harmless && !is_harmless(name) {
            return Err(format!(
                "has `{name}`, of which it is not known whether it matters: leave it out, or put it into `meta`"
            ));
        }
    }
    Ok(())
}

fn is_harmless(name: &str) -> bool {
    let lower = name.to_lowercase();
    HARMLESS.iter().any(|(_, names)| names.contains(&lower.as_str()))
        || HARMLESS_PARTS.0.iter().any(|start| lower.starts_with(start))
        || HARMLESS_PARTS.1.iter().any(|end| lower.ends_with(end))
}

/// Whether the record says the same: data sets often carry a text and what it was made of.
fn is_repeated(row: &Map<String, Value>, value: &Value) -> bool {
    let Some(part) = value.as_str().map(str::trim) else { return false };
    let holds =
        |whole: Option<&Value>| whole.and_then(Value::as_str).is_some_and(|whole| whole.contains(part));
    let turns =
        ["messages", "conversations"].into_iter().filter_map(|field| row.get(field)?.as_array()).flatten();
    ["text", "prompt", "completion"].into_iter().any(|field| holds(row.get(field)))
        || turns.into_iter().any(|turn| holds(turn.get("content")) || holds(turn.get("value")))
}

/// Nothing, so that it cannot change anything.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Fields of messages that templates read.
const READ: [&str; 10] = [
    "content",
    "documents",
    "name",
    "reasoning",
    "reasoning_content",
    "role",
    "thinking",
    "tool_call_id",
    "tool_calls",
    "tools",
];

/// Fields of messages that no template reads: they name and date.
const HARMLESS_IN_MESSAGES: [&str; 20] = [
    "annotations",
    "created",
    "created_at",
    "date",
    "finish_reason",
    "id",
    "index",
    "language",
    "metadata",
    "meta",
    "model",
    "object",
    "redacted",
    "refusal",
    "source",
    "status",
    "timestamp",
    "tokens",
    "toxic",
    "usage",
];

/// Fields by which other programs leave a message out of what is learnt, and old forms.
const REFUSED_IN_MESSAGES: &[(&str, &str)] = &[
    ("function_call", "it is an old form; write `tool_calls`"),
    ("train", "write `weight` 0 or 1"),
    ("training", "write `weight` 0 or 1"),
    ("trainable", "write `weight` 0 or 1"),
    ("loss", "write `weight` 0 or 1"),
    ("learn", "write `weight` 0 or 1"),
    ("mask", "write `weight` 0 or 1"),
    ("images", "only text is learnt"),
    ("audio", "only text is learnt"),
];

/// Checks the names of a message's fields.
pub(super) fn check_message(message: &Map<String, Value>) -> Result<(), String> {
    for (name, value) in message.iter().filter(|(_, value)| !is_empty(value)) {
        let name = name.as_str();
        if let Some((_, remedy)) = REFUSED_IN_MESSAGES.iter().find(|(refused, _)| *refused == name) {
            return Err(format!("has `{name}`: {remedy}"));
        }
        // Flags and numbers nobody knows may say what is learnt; texts are for the template, which gets all.
        let may_weigh = value.is_boolean() || value.is_number();
        if may_weigh && !READ.contains(&name) && !HARMLESS_IN_MESSAGES.contains(&name) && !is_harmless(name) {
            return Err(format!("has `{name}`, of which it is not known whether it matters: leave it out"));
        }
    }
    Ok(())
}

/// Takes a message's `weight`: true for 1, false for 0.
pub(super) fn take_weight(message: &mut Map<String, Value>) -> Result<Option<bool>, String> {
    match message.shift_remove("weight") {
        None | Some(Value::Null) => Ok(None),
        Some(weight) => match weight.as_f64() {
            Some(0.0) => Ok(Some(false)),
            Some(1.0) => Ok(Some(true)),
            _ => Err(format!("`weight` is {weight}; it must be 0 or 1")),
        },
    }
}

#[cfg(test)]
mod tests {
    use crate::train::data::Record;

    #[test]
    fn every_field_is_used_harmless_or_refused() {
        for rest in [
            r#""meta": {"a": 1}"#,
            r#""source": "x", "num_turns": 3"#,
            r#""lang": "en", "chosen": null"#,
            r#""system": "", "weight": 1"#,
            r#""instruction": "a", "label": 3"#,
            r#""problem": "x", "level": 2, "answer": "y""#,
        ] {
            let line = format!(r#"{{"text": "a", {rest}}}"#);
            assert!(Record::parse(&line).is_ok(), "{line}");
        }
        for (line, words) in [
            (r#"{"instruction": "a", "input": "", "output": "b"}"#, "`instruction`"),
            (r#"{"question": "a", "answer": "b"}"#, "`prompt`"),
            (r#"{"answer": "b"}"#, "`completion`"),
            (r#"{"prompt": "a", "chosen": "b", "rejected": "c"}"#, "`chosen`"),
            (r#"{"text": "a", "weight": 0.5}"#, "`weight`"),
            (r#"{"text": "a", "frobnicate": true}"#, "`frobnicate`"),
            (r#"{"prompt": "a", "completion": "b", "system": "be brief"}"#, "`system`"),
        ] {
            let problem = Record::parse(line).err().unwrap_or_default();
            assert!(problem.contains(words), "{line}: {problem}");
        }
    }
}
