//! Options beside what is there already, a run or an adapter: equal to its own, or refused by name, or taken over and kept.

use serde_json::Value;
use stepladder::{Error, Result};

use super::context::{Context, option};

/// What becomes of an option that differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// It is refused.
    Same,
    /// So is it, and what is kept is its opposite.
    SameNot,
    /// It is taken over.
    Taken,
}

/// Whose values count, for messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner<'a> {
    /// As in `but OWNER has 8`.
    pub(super) name: &'a str,
    /// What to do.
    pub(super) hint: &'a str,
}

/// A run that goes on.
pub(super) const RUN: Owner<'static> = Owner {
    name: "the run",
    hint: "leave it out to go on, or start a new run in another folder (`--help` says what may change)",
};

/// The adapter that training goes on from.
pub(super) const ADAPTER: Owner<'static> = Owner {
    name: "the adapter",
    hint: "leave it out to go on with the adapter's own, or start without --adapter",
};

/// Holds each of `rules` (the option's name, the place of its value in `asked` and `has`) whose option was given to what `has`
/// says, and takes over what may change. Where `has` lacks the place, being of an older version, there is nothing to hold to.
///
/// # Errors
/// [`Error::Usage`] that names the option and both values.
pub(super) fn reconcile(
    context: &Context,
    owner: Owner<'_>,
    rules: &[(&str, &str, Rule)],
    asked: &Value,
    has: &mut Value,
) -> Result<()> {
    for (name, place, rule) in rules.iter().filter(|(name, ..)| context.is_given(name)) {
        let Some(new) = asked.pointer(place) else { continue };
        let Some(old) = has.pointer_mut(place) else { continue };
        if same(old, new) {
            continue;
        }
        match rule {
            Rule::Taken => old.clone_from(new),
            Rule::Same => return Err(differs(&option(name), owner, old, new)),
            Rule::SameNot => return Err(differs(&option(name), owner, &negated(old), &negated(new))),
        }
    }
    Ok(())
}

fn negated(value: &Value) -> Value {
    value.as_bool().map_or_else(|| value.clone(), |value| (!value).into())
}

/// `option` asks for `new` where `owner` has `old`.
pub(super) fn differs(option: &str, owner: Owner<'_>, old: &Value, new: &Value) -> Error {
    Error::usage(option, format!("is {}, but {} has {}", words(new), owner.name, words(old)), owner.hint)
}

/// `option` ends a run at step `steps`, which it is past.
pub(super) fn before(option: &str, steps: u64, done: u64) -> Error {
    let problem = format!("ends the run at step {steps}, but {done} are done");
    Error::usage(option, problem, format!("give at least {done}, or leave it out to go on"))
}

/// A value for a message.
pub(super) fn words(value: &Value) -> String {
    match value {
        Value::Null => "none".into(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(words).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// Whether two values are the same, integers and floats alike.
fn same(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

/// The places where two values differ, by path, with both.
pub(super) fn differences(old: &Value, new: &Value) -> Vec<(String, Value, Value)> {
    let (Value::Object(one), Value::Object(other)) = (old, new) else {
        return if same(old, new) { Vec::new() } else { vec![(String::new(), old.clone(), new.clone())] };
    };
    let names = one.keys().chain(other.keys().filter(|name| !one.contains_key(*name)));
    let below = names.flat_map(|name| {
        let of = |fields: &serde_json::Map<String, Value>| fields.get(name).cloned().unwrap_or_default();
        differences(&of(one), &of(other)).into_iter().map(move |(path, old, new)| {
            let path = if path.is_empty() { name.clone() } else { format!("{name}.{path}") };
            (path, old, new)
        })
    });
    below.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn differences_are_found_by_path() {
        let (one, other) =
            (json!({"a": {"b": 1, "c": [1]}, "d": null}), json!({"a": {"b": 1.0, "c": [2]}, "e": 1}));
        let paths: Vec<String> = differences(&one, &other).into_iter().map(|(path, ..)| path).collect();
        assert_eq!(paths, ["a.c", "e"]);
        assert!(differences(&one, &one).is_empty());
        let error = differs("--rank", RUN, &json!(8), &json!(4)).to_string();
        assert!(error.starts_with("--rank: is 4, but the run has 8; leave it out"), "{error}");
    }
}
