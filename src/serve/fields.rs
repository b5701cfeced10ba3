//! The fields of a request: each is used, known to be harmless, or refused by name.

use std::fmt::Display;

use serde_json::{Map, Value};

use super::refusal::Refusal;
use crate::json;

/// Whether a value of a field changes nothing.
type Without = fn(&Value) -> bool;

/// Fields that are not used: the values at which they change nothing, and why, or what to do about others. Null is as good as
/// left out.
const UNUSED: &[(&str, Without, &str)] = &[
    ("user", any, "it names who asks"),
    ("safety_identifier", any, "it names who asks"),
    ("metadata", any, "it is kept with a request, and none is kept"),
    ("service_tier", any, "there is one tier"),
    ("prompt_cache_key", any, "common beginnings are found by their tokens"),
    ("prompt_cache_retention", any, "what is cached stays as long as there is room"),
    ("prediction", any, "it changes how fast an answer comes, and not which"),
    ("parallel_tool_calls", any, "there are no tools that could be called together"),
    ("store", is_false, "nothing is kept"),
    (
        "echo",
        is_false,
        "put the prompt before the answer yourself, or use `stepladder score` for its log-probabilities",
    ),
    (
        "response_format",
        is_text,
        "texts are not held to a form; ask by /v1/chat/completions, or leave it out",
    ),
    ("tools", is_empty, "texts call no tools; ask by /v1/chat/completions"),
    ("functions", is_empty, "it is an old form; write tools"),
    ("tool_choice", is_none, "texts call no tools; ask by /v1/chat/completions"),
    ("function_call", is_none, "it is an old form; write tool_choice"),
    ("suffix", is_empty, "texts are continued and not filled in; leave it out"),
    ("modalities", is_only_text, "answers are texts; leave it out"),
    ("audio", never, "answers are texts; leave it out"),
    ("web_search_options", never, "nothing is looked up; leave it out"),
    (
        "reasoning_effort",
        never,
        "templates know it by other names; give chat_template_kwargs what the model's template reads",
    ),
    ("verbosity", never, "ask for short answers in the prompt, or lower max_tokens"),
];

fn any(_: &Value) -> bool {
    true
}

fn never(_: &Value) -> bool {
    false
}

fn is_false(value: &Value) -> bool {
    value == &Value::Bool(false)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn is_none(value: &Value) -> bool {
    value == "none" || value == "auto"
}

fn is_text(value: &Value) -> bool {
    value.get("type").is_some_and(|kind| kind == "text")
}

fn is_only_text(value: &Value) -> bool {
    value.as_array().is_some_and(|kinds| kinds.iter().all(|kind| kind == "text"))
}

/// Names that are meant where others are written.
const MEANT: &[(&str, &str)] = &[
    ("max_new_tokens", "max_tokens"),
    ("max_output_tokens", "max_tokens"),
    ("n_predict", "max_tokens"),
    ("num_predict", "max_tokens"),
    ("stop_sequences", "stop"),
    ("input", "messages"),
];

/// The fields of an object that are not taken yet.
#[derive(Debug)]
pub(super) struct Fields {
    /// What stands before their names in messages.
    place: String,
    rest: Map<String, Value>,
}

impl Fields {
    /// The fields of a request's body.
    pub(super) fn of_body(body: &[u8]) -> Result<Self, Refusal> {
        let wrong = |problem: String| Refusal::field("body", problem, "send one JSON object as UTF-8");
        match json::from_slice(body) {
            Ok(Value::Object(rest)) => Ok(Self::new("", rest)),
            Ok(_) => Err(wrong("is JSON, but no object".into())),
            // A key that an object has twice: which of the two is meant nobody can tell.
            Err(error) if error.is_data() => Err(wrong(json::what(&error))),
            Err(error) => Err(wrong(format!("is not JSON: {error}"))),
        }
    }

    fn new(place: &str, rest: Map<String, Value>) -> Self {
        let rest = rest.into_iter().filter(|(_, value)| !value.is_null()).collect();
        Self { place: place.to_owned(), rest }
    }

    /// A field, which counts as used from now on.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.rest.shift_remove(name)
    }

    fn wrong(&self, name: &str, value: &Value, expected: impl Display) -> Refusal {
        let mut shown = value.to_string();
        if shown.chars().count() > 60 {
            shown = shown.chars().take(60).chain(['…']).collect();
        }
        Refusal::field(format!("{}{name}", self.place), format!("is {shown}"), format!("use {expected}"))
    }

    /// A number within bounds.
    pub(super) fn number(
        &mut self,
        name: &str,
        fits: impl Fn(f64) -> bool,
        expected: &str,
    ) -> Result<Option<f64>, Refusal> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value.as_f64().filter(|number| fits(*number)) {
            Some(number) => Ok(Some(number)),
            None => Err(self.wrong(name, &value, expected)),
        }
    }

    /// A whole number from `least` to `most`.
    pub(super) fn count(&mut self, name: &str, least: u64, most: u64) -> Result<Option<u64>, Refusal> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value.as_u64().filter(|count| (least..=most).contains(count)) {
            Some(count) => Ok(Some(count)),
            None => Err(self.wrong(name, &value, format!("a whole number from {least} to {most}"))),
        }
    }

    /// A whole number, which may be negative, as 64 bits.
    pub(super) fn seed(&mut self, name: &str) -> Result<Option<u64>, Refusal> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value.as_u64().or_else(|| value.as_i64().map(i64::cast_unsigned)) {
            Some(seed) => Ok(Some(seed)),
            None => Err(self.wrong(name, &value, "a whole number of 64 bits")),
        }
    }

    /// True or false.
    pub(super) fn flag(&mut self, name: &str) -> Result<Option<bool>, Refusal> {
        let Some(value) = self.take(name) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| self.wrong(name, &value, "true or false"))
    }

    /// A text.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(value) => Err(self.wrong(name, &value, "a text")),
        }
    }

    /// A text or a list of at most `most`, none of them empty.
    pub(super) fn texts(&mut self, name: &str, most: usize) -> Result<Vec<String>, Refusal> {
        let Some(value) = self.take(name) else { return Ok(Vec::new()) };
        let texts = match &value {
            Value::String(text) => Some(vec![text.clone()]),
            Value::Array(items) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
            _ => None,
        };
        let fits = |texts: &Vec<String>| texts.len() <= most && texts.iter().all(|text| !text.is_empty());
        texts.filter(fits).ok_or_else(|| {
            self.wrong(name, &value, format!("a text, or a list of at most {most}, none of them empty"))
        })
    }

    /// The fields of an object.
    pub(super) fn object(&mut self, name: &str) -> Result<Option<Self>, Refusal> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Object(fields)) => Ok(Some(Self::new(&format!("{}{name}.", self.place), fields))),
            Some(value) => Err(self.wrong(name, &value, "an object")),
        }
    }

    /// Fails if a field is left that would have changed something.
    pub(super) fn finish(self) -> Result<(), Refusal> {
        for (name, value) in &self.rest {
            let unused = UNUSED.iter().find(|(unused, ..)| unused == name && self.place.is_empty());
            match unused {
                Some((_, without, _)) if without(value) => {}
                Some((_, _, hint)) => {
                    return Err(Refusal::field(name, "is not supported at this value", hint));
                }
                None => {
                    let meant = MEANT.iter().find(|(other, _)| other == name);
                    let hint = meant.map_or_else(
                        || "leave it out, or look for another spelling".to_owned(),
                        |(_, meant)| format!("write {meant}"),
                    );
                    return Err(Refusal::field(format!("{}{name}", self.place), "is not known here", hint));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn left(body: &str) -> Result<(), Refusal> {
        Fields::of_body(body.as_bytes())?.finish()
    }

    #[test]
    fn a_field_that_would_change_something_is_refused() {
        for body in [
            "{}",
            r#"{"user": "a", "metadata": {"a": 1}, "store": false, "tools": []}"#,
            r#"{"response_format": {"type": "text"}, "anything": null, "modalities": ["text"]}"#,
        ] {
            assert_eq!(left(body), Ok(()), "{body}");
        }
        for (body, words) in [
            (r#"{"store": true}"#, "store: is not supported at this value; nothing is kept"),
            (r#"{"tools": [{}]}"#, "tools: is not supported"),
            (r#"{"temprature": 1}"#, "temprature: is not known here; leave it out"),
            (r#"{"max_new_tokens": 1}"#, "max_new_tokens: is not known here; write max_tokens"),
            ("[]", "body: is JSON, but no object; send one JSON object"),
            ("{", "body: is not JSON: EOF"),
            (r#"{"n": 1, "n": 2}"#, "body: has "),
        ] {
            let message = left(body).unwrap_err().body()["error"]["message"].to_string();
            assert!(message.contains(words), "{body}: {message}");
        }
    }
}
