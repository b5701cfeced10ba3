//! What is asked for beside what is there already, a run or an adapter: equal to its own, or refused by name, or taken over and
//! kept.

use serde_json::{Map, Value};

use crate::{Error, Result};

/// What becomes of an option that differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// It is refused.
    Same,
    /// So is it, and what is kept is its opposite.
    SameNot,
    /// It is taken over.
    Taken,
}

/// Whose values count, for messages.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// As in `but OWNER has 8`.
    pub name: &'a str,
    /// What to do.
    pub hint: &'a str,
}

/// The options of supervised training, their places in what defines a run, and whether a run that goes on may be given another
/// value.
pub const RULES: &[(&str, &str, Rule)] = &[
    ("learning_rate", "/settings/learning_rate", Rule::Taken),
    ("schedule", "/settings/schedule", Rule::Taken),
    ("warmup_steps", "/settings/warmup_steps", Rule::Taken),
    ("weight_decay", "/settings/optimizer/weight_decay", Rule::Taken),
    ("max_grad_norm", "/settings/optimizer/max_grad_norm", Rule::Taken),
    ("checkpoint_every", "/checkpoint_every", Rule::Taken),
    ("batch_size", "/settings/batch_size", Rule::Same),
    ("max_length", "/settings/max_length", Rule::Same),
    ("no_shuffle", "/settings/shuffle", Rule::SameNot),
    ("shuffle", "/settings/shuffle", Rule::Same),
    ("seed", "/settings/seed", Rule::Same),
    ("held_out", "/settings/held_out", Rule::Same),
    ("patience", "/settings/patience", Rule::Same),
    ("rank", "/lora/rank", Rule::Same),
    ("alpha", "/lora/alpha", Rule::Same),
    ("rslora", "/lora/rslora", Rule::Same),
    ("target_modules", "/lora/targets", Rule::Same),
    ("weights", "/base/weights", Rule::Same),
    ("context", "/base/context", Rule::Same),
    ("f16", "/base/f16", Rule::Same),
];

/// Holds each of `rules` (the option's name, the place of its value in `asked` and `has`) of which `given` says how the user writes
/// it, being among what was given, to what `has` says, and takes over what may change. Where `has` lacks the place, being of an
/// older version, there is nothing to hold to.
///
/// # Errors
/// [`Error::Usage`] that names the option and both values.
pub fn reconcile(
    owner: Owner<'_>,
    rules: &[(&str, &str, Rule)],
    given: impl Fn(&str) -> Option<String>,
    asked: &Value,
    has: &mut Value,
) -> Result<()> {
    for (name, place, rule) in rules {
        let Some(option) = given(name) else { continue };
        let Some(new) = asked.pointer(place) else { continue };
        let Some(old) = has.pointer_mut(place) else { continue };
        if same(old, new) {
            continue;
        }
        match rule {
            Rule::Taken => old.clone_from(new),
            Rule::Same => return Err(differs(&option, owner, old, new)),
            Rule::SameNot => return Err(differs(&option, owner, &negated(old), &negated(new))),
        }
    }
    Ok(())
}

fn negated(value: &Value) -> Value {
    value.as_bool().map_or_else(|| value.clone(), |value| (!value).into())
}

/// `option` asks for `new` where `owner` has `old`.
pub fn differs(option: &str, owner: Owner<'_>, old: &Value, new: &Value) -> Error {
    Error::usage(option, format!("is {}, but {} has {}", words(new), owner.name, words(old)), owner.hint)
}

/// `option` ends a run at step `steps`, which it is past.
pub fn before(option: &str, steps: u64, done: u64) -> Error {
    let problem = format!("ends the run at step {steps}, but {done} are done");
    Error::usage(option, problem, format!("give at least {done}, or leave it out to go on"))
}

/// A value for a message.
pub fn words(value: &Value) -> String {
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
pub fn differences(old: &Value, new: &Value) -> Vec<(String, Value, Value)> {
    let (Value::Object(one), Value::Object(other)) = (old, new) else {
        return if same(old, new) { Vec::new() } else { vec![(String::new(), old.clone(), new.clone())] };
    };
    let names = one.keys().chain(other.keys().filter(|name| !one.contains_key(*name)));
    let below = names.flat_map(|name| {
        let of = |fields: &Map<String, Value>| fields.get(name).cloned().unwrap_or_default();
        differences(&of(one), &of(other)).into_iter().map(move |(path, old, new)| {
            let path = if path.is_empty() { name.clone() } else { format!("{name}.{path}") };
            (path, old, new)
        })
    });
    below.collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use serde_json::json;

    const RUN: Owner<'static> = Owner { name: "the run", hint: "leave it out" };

    #[test]
    fn differences_are_found_by_path() {
        let (one, other) =
            (json!({"a": {"b": 1, "c": [1]}, "d": null}), json!({"a": {"b": 1.0, "c": [2]}, "e": 1}));
        let paths: Vec<String> = differences(&one, &other).into_iter().map(|(path, ..)| path).collect();
        assert_eq!(paths, ["a.c", "e"]);
        assert!(differences(&one, &one).is_empty());
        let error = differs("--rank", RUN, &json!(8), &json!(4)).to_string();
        assert_eq!(error, "--rank: is 4, but the run has 8; leave it out");
    }

    #[test]
    fn only_what_was_given_counts() {
        let kept = json!({"settings": {"learning_rate": 0.1, "seed": 1, "shuffle": true}});
        let asked = json!({"settings": {"learning_rate": 0.2, "seed": 2, "shuffle": false}});
        let hold = |names: &[&str]| {
            let mut has = kept.clone();
            let given = |name: &str| names.contains(&name).then(|| name.to_owned());
            reconcile(RUN, RULES, given, &asked, &mut has).map(|()| has).map_err(|error| error.to_string())
        };
        assert_eq!(hold(&[]).unwrap(), kept);
        assert_eq!(hold(&["learning_rate", "rank"]).unwrap()["settings"]["learning_rate"], 0.2);
        assert!(hold(&["seed"]).unwrap_err().starts_with("seed: is 2, but the run has 1"));
        assert!(hold(&["shuffle"]).unwrap_err().starts_with("shuffle: is false, but the run has true"));
        assert!(hold(&["no_shuffle"]).unwrap_err().starts_with("no_shuffle: is true, but the run has false"));
    }
}
