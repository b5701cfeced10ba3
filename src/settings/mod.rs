//! Every setting of learning, stated once: its path, what values it takes, what it does, where its value comes from, and the
//! option it has of its own. Checks, `--set`, the options of commands and of the package, and their help follow from the rows
//! of [`LADDER`], [`SFT`] and [`LESSONS`].
//!
//! The paths are those of what defines a run as JSON, so that the command line, kept runs, study files and pages speak of the
//! same things.

mod change;
mod ladder;
mod lessons;
mod package;
mod sft;
mod shells;
mod takes;

use serde_json::Value;

pub use change::{Change, Tabled, expect_one_value, put, same, setter};
pub use ladder::LADDER;
pub use lessons::LESSONS;
pub use package::{SettingKind, SettingRow, in_settings, name_in_calls};
pub use sft::SFT;
pub use shells::{PACKAGE, PROGRAM, Shell};
pub use takes::{Bounds, MOST, Takes, list};

use crate::{Error, Result};

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Names from the outermost field inwards, with dots.
    pub path: &'static str,
    /// The values it takes.
    pub takes: Takes,
    /// Null is a value too.
    pub nullable: bool,
    /// What it does, as one sentence without its full stop.
    pub doc: &'static str,
    /// Where the values of the presets come from.
    pub source: &'static str,
    /// The option that it has of its own on the command line, without dashes.
    pub option: Option<&'static str>,
    /// The path of another setting that this option sets as well.
    pub also: Option<&'static str>,
    /// A run that goes on may be given another value.
    pub anew: bool,
    /// It stands for several fields, or for one within a field: it has a value of its own nowhere.
    pub shorthand: bool,
    /// What a number of it counts, in capital letters as in the help of its option, where its path does not say so.
    pub unit: Option<&'static str>,
    /// Its option takes no value, but sets this one; and what the option does, as `doc`.
    pub switch: Option<(bool, &'static str)>,
    /// Without a value it follows from the model, and for supervised training from the data.
    pub fitted: bool,
    /// The path of the setting that it stands for: only one of the two has a value.
    pub instead: Option<&'static str>,
}

/// Every table.
pub const TABLES: [Table; 3] = [LADDER, SFT, LESSONS];

/// The settings of one kind of run, or of a library.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// In the order of the help.
    pub rows: &'static [Setting],
}

impl Setting {
    const fn new(path: &'static str, takes: Takes, source: &'static str, doc: &'static str) -> Self {
        Self {
            path,
            takes,
            doc,
            source,
            option: None,
            also: None,
            nullable: false,
            anew: false,
            shorthand: false,
            unit: None,
            switch: None,
            fitted: false,
            instead: None,
        }
    }

    const fn option(self, name: &'static str) -> Self {
        Self { option: Some(name), ..self }
    }

    const fn also(self, path: &'static str) -> Self {
        Self { also: Some(path), ..self }
    }

    const fn nullable(self) -> Self {
        Self { nullable: true, ..self }
    }

    const fn anew(self) -> Self {
        Self { anew: true, ..self }
    }

    const fn shorthand(self) -> Self {
        Self { shorthand: true, ..self }
    }

    const fn unit(self, unit: &'static str) -> Self {
        Self { unit: Some(unit), ..self }
    }

    const fn switch(self, value: bool, doc: &'static str) -> Self {
        Self { switch: Some((value, doc)), ..self }
    }

    const fn fitted(self) -> Self {
        Self { fitted: true, ..self }
    }

    const fn instead_of(self, path: &'static str) -> Self {
        Self { instead: Some(path), ..self }
    }

    /// The name of a value in the help of its option.
    pub fn value_name(&self) -> &'static str {
        self.unit.unwrap_or_else(|| self.takes.value_name())
    }

    /// Its name among the options of a call of the package: the last part of its path, in JavaScript's spelling.
    pub fn field(&self) -> String {
        camel_case(self.path.rsplit('.').next().unwrap_or(self.path))
    }

    /// Whether `value` may stand at the path.
    ///
    /// # Errors
    /// [`Error::Usage`] that names the path and says what it takes.
    pub fn check(&self, value: &Value) -> Result<()> {
        if (self.nullable && value.is_null()) || self.takes.fits(value) {
            return Ok(());
        }
        let shown: String = value.to_string().chars().take(SHOWN).collect();
        let or_null = if self.nullable { ", or null" } else { "" };
        // JSON has no form for a number that is not finite but null.
        let problem = match value.is_null() && self.takes.is_number() {
            true => "is not a finite number".to_owned(),
            false => format!("is {shown}"),
        };
        Err(Error::usage(self.path, problem, format!("give {}{or_null}", self.takes.words_for(value))))
    }
}

/// A name in JavaScript's spelling.
pub fn camel_case(name: &str) -> String {
    let mut parts = name.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |name, part| {
        let (head, tail) = part.split_at(part.len().min(1));
        name + &head.to_uppercase() + tail
    })
}

/// Most characters of a value in a message.
const SHOWN: usize = 60;

impl Table {
    /// The setting at `path`, or the one that is an object with `path` inside.
    ///
    /// # Errors
    /// [`Error::Usage`] that names similar paths.
    pub fn find(&self, path: &str) -> Result<&'static Setting> {
        let exact = self.rows.iter().find(|setting| setting.path == path);
        let around =
            || self.rows.iter().find(|setting| setting.takes == Takes::Json && inside(setting.path, path));
        exact.or_else(around).ok_or_else(|| unknown(path, self.rows))
    }

    /// `text` as a value for `path`. Whether it fits is not said.
    ///
    /// # Errors
    /// As [`Table::find`].
    pub fn read(&self, path: &str, text: &str) -> Result<Value> {
        let setting = self.find(path)?;
        let takes = if setting.path == path { setting.takes } else { Takes::Json };
        Ok(takes.read(text))
    }

    /// Holds every value of `settings`, an object with an object in it for every dot of a path, to its row.
    ///
    /// # Errors
    /// [`Error::Usage`] that names the first path whose value does not fit.
    pub fn check(&self, settings: &Value) -> Result<()> {
        self.rows.iter().try_for_each(|setting| match at(settings, setting.path) {
            Some(value) if !setting.shorthand => setting.check(value),
            _ => Ok(()),
        })
    }
}

/// Whether `path` is a field of the object at `outer`.
fn inside(outer: &str, path: &str) -> bool {
    path.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'))
}

/// The error for a path that none of `rows` has.
pub fn unknown(path: &str, rows: &[Setting]) -> Error {
    let last = path.rsplit('.').next().unwrap_or(path);
    let paths = rows.iter().map(|setting| setting.path);
    let alike = |known: &&str| !last.is_empty() && known.rsplit('.').next() == Some(last);
    let near: Vec<&str> = paths.filter(alike).take(3).collect();
    let hint = match near.is_empty() {
        true => "see the list of settings for all".to_owned(),
        false => format!("did you mean {}?", near.join(" or ")),
    };
    Error::usage(path, "there is no such setting", hint)
}

/// A value to be shown: what is a 32-bit float has as few digits as such a float needs, `0.8` and not `0.800000011920929`.
pub fn shortest(value: &Value) -> Value {
    match value {
        Value::Number(number) => {
            let float = number.as_f64().filter(|_| number.is_f64()).unwrap_or_default();
            let short = float as f32;
            let digits = (f64::from(short) == float).then(|| short.to_string().parse::<f64>().ok()).flatten();
            digits.filter(|_| number.is_f64()).map_or_else(|| value.clone(), Value::from)
        }
        Value::Array(items) => items.iter().map(shortest).collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), shortest(value))).collect(),
        _ => value.clone(),
    }
}

/// The value at `path`.
pub fn at<'a>(settings: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(settings, |place, name| place.get(name))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn paths_and_options_are_there_once() {
        for table in TABLES {
            let mut seen = HashSet::new();
            for setting in table.rows {
                assert!(seen.insert(setting.path), "{} twice", setting.path);
                assert!(!setting.doc.is_empty() && !setting.source.is_empty(), "{}", setting.path);
                assert!(!setting.doc.ends_with('.'), "{}", setting.path);
                if let Some(option) = setting.option {
                    assert!(seen.insert(option) || option == setting.path, "--{option} twice");
                }
                if let Some(also) = setting.also {
                    assert!(setting.option.is_some());
                    assert_eq!(table.find(also).unwrap().takes, setting.takes, "{also}");
                }
                if let Some((_, doc)) = setting.switch {
                    assert!(setting.takes == Takes::Flag && setting.option.is_some() && !doc.is_empty());
                }
                assert!(setting.instead.is_none_or(|path| table.find(path).is_ok() && setting.nullable));
            }
        }
    }

    #[test]
    fn a_path_of_both_kinds_of_runs_takes_the_same_in_both() {
        for setting in SFT.rows {
            let twin = LADDER.rows.iter().find(|twin| twin.path == setting.path);
            assert!(twin.is_none_or(|twin| twin.takes == setting.takes && twin.anew == setting.anew));
            assert!(twin.is_none_or(|twin| twin.option.is_none() || twin.option == setting.option));
        }
        for setting in LESSONS.rows {
            let twin = SFT.rows.iter().find(|twin| twin.path == setting.path);
            assert!(twin.is_none_or(|twin| twin.takes == setting.takes), "{}", setting.path);
            assert!(twin.is_none_or(|twin| setting.option.is_none() || twin.option == setting.option));
        }
    }

    #[test]
    fn fields_of_the_package_are_there_once() {
        let mut seen = HashSet::new();
        assert!(SFT.rows.iter().all(|setting| seen.insert(setting.field())));
        seen.clear();
        assert!(LESSONS.rows.iter().all(|setting| seen.insert(setting.field())));
        for (path, field) in [("learning_rate", "learningRate"), ("optimizer.max_grad_norm", "maxGradNorm")] {
            assert_eq!(SFT.find(path).unwrap().field(), field);
        }
    }

    #[test]
    fn a_setting_gets_one_value() {
        let ladder = |changes: &[(&str, &str, &str)]| one_value(LADDER, changes);
        let sft = |changes: &[(&str, &str, &str)]| one_value(SFT, changes);
        assert_eq!(
            ladder(&[("--steps", "steps", "1"), ("--set steps", "steps", "2")]).unwrap_err(),
            "--set steps: is 2, but --steps is 1 in the same call; give one of them"
        );
        assert!(ladder(&[("a", "lora.rank", "1"), ("b", "lora.rank", "2")]).is_err());
        assert!(ladder(&[("a", "learning_rate", "1e-3"), ("b", "learning_rate", "0.001")]).is_ok());
        let both = [
            ("--max-tokens", "sampling.max_tokens", "3"),
            ("--max-tokens", "evaluation.sampling.max_tokens", "3"),
        ];
        let own = ("--set e", "evaluation.sampling.max_tokens", "9");
        assert!(ladder(&[both[0], both[1], own]).is_ok());
        for order in [[("steps", "1"), ("epochs", "2")], [("epochs", "2"), ("steps", "1")]] {
            let changes = order.map(|(path, value)| (path, path, value));
            let error = sft(&changes).unwrap_err();
            assert!(error.contains("steps") && error.contains("epochs"), "{error}");
        }
        assert!(sft(&[("steps", "steps", "null"), ("epochs", "epochs", "2")]).is_ok());
    }

    fn one_value(table: Table, changes: &[(&str, &str, &str)]) -> Result<(), String> {
        let changes: Vec<_> =
            changes.iter().map(|&(name, path, text)| Change::new(name, path, text.into())).collect();
        expect_one_value(table, &changes).map_err(|error| error.to_string())
    }

    #[test]
    fn a_path_that_is_none_is_said_with_similar_ones() {
        for (path, words) in [
            ("variants.temprature", "list of settings"),
            ("temperatures", "variants.temperatures"),
            ("", "list of settings"),
            ("reward.weight.style", "list of settings"),
            ("seed.low", "list of settings"),
        ] {
            let message = LADDER.find(path).unwrap_err().to_string();
            assert!(message.contains("no such setting") && message.contains(words), "{message}");
        }
        assert_eq!(LADDER.find("reward.weights.style").unwrap().path, "reward.weights");
        assert_eq!(LADDER.find("loss.kl.coef").unwrap().path, "loss.kl.coef");
        assert_eq!(LADDER.find("loss.kl.estimator").unwrap().path, "loss.kl");
    }

    #[test]
    fn floats_are_shown_as_they_were_typed() {
        let value = serde_json::json!({"a": [0.8f32, 1.2f32, 1.0], "b": 0.1, "c": 7, "d": "x", "e": 1e-8});
        let shown = r#"{"a":[0.8,1.2,1.0],"b":0.1,"c":7,"d":"x","e":1e-8}"#;
        assert_eq!(shortest(&value).to_string(), shown);
    }

    #[test]
    fn values_are_held_to_their_rows() {
        let settings =
            serde_json::json!({ "steps": 0, "learning_rate": null, "curriculum": { "memory": 2.0 } });
        assert_eq!(
            LADDER.check(&settings).unwrap_err().to_string(),
            "steps: is 0; give a whole number from 1 up"
        );
        let row =
            |path: &str, value: Value| LADDER.find(path).unwrap().check(&value).unwrap_err().to_string();
        assert!(row("learning_rate", Value::Null).contains("not a finite number"));
        assert!(row("learning_rate", 1e39.into()).contains("above 0 that fits 32-bit floats"));
        assert!(row("learning_rate", 0.into()).contains("give a number above 0"));
        assert!(row("curriculum.memory", 2.0.into()).contains("from 0 to 1"));
        assert!(row("token_budget", 0.into()).contains("or null"));
        assert!(row("method", "magic".into()).contains("policy_gradient or expert_iteration"));
        assert!(LADDER.find("token_budget").unwrap().check(&Value::Null).is_ok());
        for (path, text, value) in [
            ("learning_rate", ".5", serde_json::json!(0.5)),
            ("learning_rate", "inf", serde_json::json!("inf")),
            ("steps", "7", serde_json::json!(7)),
            ("method", "magic", serde_json::json!("magic")),
            ("token_budget", "null", Value::Null),
        ] {
            assert_eq!(LADDER.read(path, text).unwrap(), value);
        }
    }
}
