//! What is asked for beside what is there already, a run or an adapter: equal to its own, or refused by name, or taken over and
//! kept.

use serde_json::{Map, Value};

use crate::settings::{Change, Table, at, same};
use crate::{Error, Result};

/// Whose values count, for messages.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// As in `but OWNER has 8`.
    pub name: &'a str,
    /// What to do.
    pub hint: &'a str,
}

/// Makes `changes` of settings in `has`, what defines a run or an adapter; `place` says where it has the value at a path. Where
/// it lacks that, being of an older version or an adapter, there is nothing to change, and null asks for nothing.
///
/// # Errors
/// [`Error::Usage`] that names the setting and both values where one may not change.
pub fn change(
    owner: Owner<'_>,
    table: Table,
    changes: &[Change],
    asked: &Value,
    place: impl Fn(&str) -> String,
    has: &mut Value,
) -> Result<()> {
    for change in changes {
        let row = table.find(&change.path)?;
        let Some(new) = at(asked, row.path).filter(|new| !new.is_null()) else { continue };
        if row.anew
            && let Some(other) = table.rows.iter().find(|other| other.instead == Some(row.path))
            && let Some(other) = has.pointer_mut(&place(other.path))
        {
            *other = Value::Null;
        }
        let Some(old) = has.pointer_mut(&place(row.path)) else { continue };
        match same(old, new) {
            true => {}
            false if row.anew => old.clone_from(new),
            false => return Err(differs(&change.name, owner, old, new)),
        }
    }
    Ok(())
}

/// Holds each of `options` (its name, the place of its value in `asked` and `has`) of which `given` says how the user writes it,
/// being among what was given, to what `has` says. Where `has` lacks the place, being of an older version, there is nothing to
/// hold to.
///
/// # Errors
/// [`Error::Usage`] that names the option and both values.
pub fn expect_same(
    owner: Owner<'_>,
    options: &[(&str, &str)],
    given: impl Fn(&str) -> Option<String>,
    asked: &Value,
    has: &Value,
) -> Result<()> {
    for (name, place) in options {
        let Some(option) = given(name) else { continue };
        if let (Some(new), Some(old)) = (asked.pointer(place), has.pointer(place))
            && !same(old, new)
        {
            return Err(differs(&option, owner, old, new));
        }
    }
    Ok(())
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
        let has = json!({"base": {"context": 64, "weights": null}});
        let hold = |names: &[&str], asked: Value| {
            let given = |name: &str| names.contains(&name).then(|| format!("its {name}"));
            let options = [("context", "/base/context"), ("weights", "/base/weights"), ("f16", "/base/f16")];
            expect_same(RUN, &options, given, &asked, &has).map_err(|error| error.to_string())
        };
        assert_eq!(hold(&[], json!({"base": {"context": 9}})), Ok(()));
        assert_eq!(hold(&["context", "f16"], json!({"base": {"context": 64, "f16": true}})), Ok(()));
        let error = hold(&["context"], json!({"base": {"context": 9}})).unwrap_err();
        assert_eq!(error, "its context: is 9, but the run has 64; leave it out");
    }
}
