//! Settings as JavaScript has them: rows for forms, and the options of a call.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{Change, SFT, TABLES, Table, Takes, at, camel_case, shortest};
use crate::{Error, Result};

/// A setting, for a form on a page.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct SettingRow {
    /// Names from the outermost field inwards, with dots.
    pub path: &'static str,
    /// Its name among the options of a call; null where it is only in `settings`.
    pub field: Option<String>,
    /// What its values are.
    pub kind: SettingKind,
    /// The words that it takes.
    pub words: &'static [&'static str],
    /// The smallest number that it takes, or a bound that is itself too small.
    pub least: Option<f64>,
    /// The largest number that it takes, or a bound that is itself too large.
    pub most: Option<f64>,
    /// What it takes, such as `a number from 0 to 1`.
    pub takes: String,
    /// What its number counts, where the path does not say so.
    pub unit: Option<String>,
    /// Null is a value too.
    pub nullable: bool,
    /// A run that goes on may be given another value.
    pub anew: bool,
    /// What it does.
    pub doc: &'static str,
    /// Where the value comes from.
    pub source: &'static str,
    /// What is taken without it; null for what follows from the model and the data.
    #[cfg_attr(test, ts(type = "unknown"))]
    pub value: Value,
}

/// Kinds of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum SettingKind {
    /// A whole number.
    Whole,
    /// A number.
    Number,
    /// True or false.
    Flag,
    /// One of `words`.
    Word,
    /// A list of `words`.
    Words,
    /// A list or an object.
    Json,
}

impl From<Takes> for SettingKind {
    fn from(takes: Takes) -> Self {
        match takes {
            Takes::Whole(..) => Self::Whole,
            Takes::Number(_) => Self::Number,
            Takes::Flag => Self::Flag,
            Takes::Word(_) => Self::Word,
            Takes::Words(_) => Self::Words,
            Takes::Json => Self::Json,
        }
    }
}

impl Table {
    /// The rows with `values`, in which each has its own at its path; `fields` are options of the call themselves.
    pub fn forms(&self, values: &Value, fields: bool) -> Vec<SettingRow> {
        let row = |setting: &super::Setting| {
            let (least, most) = match setting.takes {
                Takes::Whole(least, most) => (Some(least as f64), (most < u64::MAX).then_some(most as f64)),
                Takes::Number(bounds) => (Some(bounds.low), bounds.high.is_finite().then_some(bounds.high)),
                _ => (None, None),
            };
            let words: &[&str] = match setting.takes {
                Takes::Word(words) | Takes::Words(words) => words,
                _ => &[],
            };
            SettingRow {
                path: setting.path,
                field: setting.option.filter(|_| fields).map(|_| setting.field()),
                kind: setting.takes.into(),
                words,
                least,
                most,
                takes: setting.takes.words(),
                unit: setting.unit.map(str::to_lowercase),
                nullable: setting.nullable,
                anew: setting.anew,
                doc: setting.doc,
                source: setting.source,
                // What stands for several fields has no value of its own.
                value: at(values, setting.path)
                    .filter(|value| !setting.fitted && setting.takes.fits(value))
                    .map(shortest)
                    .unwrap_or_default(),
            }
        };
        self.rows.iter().map(row).collect()
    }

    /// The changes that the options of a call ask for: settings that have an option by their field, and all by their paths in
    /// `settings`. Null as a field says nothing.
    ///
    /// # Errors
    /// [`Error::Usage`] that names an option that there is not.
    pub fn asked(&self, options: Map<String, Value>) -> Result<Vec<Change>> {
        let mut changes = Vec::new();
        for (name, value) in options {
            if name == "settings" {
                let Value::Object(paths) = value else {
                    return Err(Error::usage(name, "is no object", "give { PATH: value }"));
                };
                let named = |(path, value): (String, Value)| Change::new(in_settings(&path), &path, value);
                changes.extend(paths.into_iter().map(named));
                continue;
            }
            let mut fields = self.rows.iter().filter(|setting| setting.option.is_some());
            let Some(setting) = fields.find(|setting| setting.field() == name) else {
                return Err(Error::usage(name, "there is no such option", "see the package's types"));
            };
            if !value.is_null() {
                changes.push(Change::new(name, setting.path, value));
            }
        }
        Ok(changes)
    }
}

/// What calls of the package have other names for than the rest of the program.
const RENAMED: &[(&str, &str)] = &[
    ("context", "contextLength"),
    ("data", "examples"),
    ("eval_problems", "heldOut"),
    ("task_option", "task.options"),
];

/// The name that calls have for a setting, by its path, or for another thing that is given; `None` for what is written as in calls
/// already.
pub fn name_in_calls(name: &str) -> Option<String> {
    let is_option = |setting: &&super::Setting| setting.path == name && setting.option.is_some();
    if let Some(setting) = SFT.rows.iter().find(is_option) {
        return Some(setting.field());
    }
    if TABLES.iter().any(|table| table.find(name).is_ok()) {
        return Some(in_settings(name));
    }
    let renamed = RENAMED.iter().find(|(own, _)| *own == name).map(|(_, other)| (*other).to_owned());
    renamed.or_else(|| (!name.contains('.')).then(|| camel_case(name)))
}

/// A setting by its path as a call's `settings` have it.
pub fn in_settings(path: &str) -> String {
    format!("settings.{path}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn options_of_a_call_are_changes_of_settings() {
        let asked = |options: Value| {
            let options = options.as_object().unwrap().clone();
            let changes = SFT.asked(options).map_err(|error| error.to_string())?;
            Ok(changes.into_iter().map(|change| (change.name, change.path, change.value)).collect())
        };
        let named = |name: &str, path: &str, value: Value| (name.to_owned(), path.to_owned(), value);
        assert_eq!(
            asked(
                json!({"rank": 4, "alpha": null, "targets": ["q_proj"], "settings": {"optimizer.eps": 1e-6}})
            ),
            Ok(vec![
                named("rank", "lora.rank", json!(4)),
                named("targets", "lora.targets", json!(["q_proj"])),
                named("settings.optimizer.eps", "optimizer.eps", json!(1e-6)),
            ])
        );
        for (options, words) in [
            (json!({"rnk": 4}), "rnk: there is no such option"),
            (json!({"beta1": 0.5}), "beta1: there is no such option"),
            (json!({"settings": [1]}), "settings: is no object"),
        ] {
            let got: Result<Vec<(String, String, Value)>, String> = asked(options);
            assert!(got.unwrap_err().starts_with(words), "{words}");
        }
    }

    #[test]
    fn calls_have_their_own_names() {
        for (name, own) in [
            ("lora.rank", Some("rank")),
            ("optimizer.weight_decay", Some("weightDecay")),
            ("optimizer.beta1", Some("settings.optimizer.beta1")),
            ("prompts_per_step", Some("settings.prompts_per_step")),
            ("earlier_share", Some("settings.earlier_share")),
            ("sampling.max_tokens", Some("settings.sampling.max_tokens")),
            ("max_tokens", Some("maxTokens")),
            ("eval_problems", Some("heldOut")),
            ("resume", Some("resume")),
            ("settings.prompts_per_step", None),
            ("task.options.time_limit", None),
        ] {
            assert_eq!(name_in_calls(name).as_deref(), own, "{name}");
        }
    }

    #[test]
    fn forms_have_kinds_ranges_and_values() {
        let rows = SFT.forms(&json!({"lora": {"rank": 16}}), true);
        let row = |path: &str| rows.iter().find(|row| row.path == path).unwrap();
        let rank = row("lora.rank");
        assert_eq!(
            (rank.kind, rank.least, rank.most, &rank.value),
            (SettingKind::Whole, Some(1.0), None, &json!(16))
        );
        assert_eq!((rank.field.as_deref(), row("optimizer.eps").field.as_deref()), (Some("rank"), None));
        let share = row("held_out");
        assert_eq!((share.least, share.most, share.unit.as_deref()), (Some(0.0), Some(1.0), Some("share")));
        assert_eq!((row("schedule").words.len(), &row("learning_rate").value), (3, &Value::Null));
        assert!(SFT.forms(&Value::Null, false).iter().all(|row| row.field.is_none()));
    }
}
