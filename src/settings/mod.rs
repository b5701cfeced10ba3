//! Every setting of learning, stated once: its path, what values it takes, what it does, where its value comes from, and the
//! option it has of its own. Checks, `--set`, the options of commands and their help follow from the rows of [`TABLE`].
//!
//! The paths are those of [`crate::ladder::settings::Settings`] as JSON, so that the command line, `run.json`, study files
//! and pages speak of the same things.

mod table;
mod takes;

use serde_json::Value;

pub use table::{MOST, TABLE};
pub use takes::{Bounds, Takes, list};

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
}

impl Setting {
    const fn new(path: &'static str, takes: Takes, source: &'static str, doc: &'static str) -> Self {
        let (option, also) = (None, None);
        Self { path, takes, doc, source, option, also, nullable: false, anew: false, shorthand: false }
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

    /// `text` as a value: as the setting takes it, else as JSON, else as a word. Whether it fits is not said.
    pub fn read(&self, text: &str) -> Value {
        let number = match self.takes {
            // Also forms that JSON has not, such as `.5`.
            Takes::Number(_) => text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::from),
            _ => None,
        };
        number.or_else(|| serde_json::from_str(text).ok()).unwrap_or_else(|| Value::String(text.to_owned()))
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
        Err(Error::usage(self.path, problem, format!("give {}{or_null}", self.takes.words())))
    }
}

/// Most characters of a value in a message.
const SHOWN: usize = 60;

/// The setting at `path`, or the one that is an object with `path` inside.
///
/// # Errors
/// [`Error::Usage`] that names similar paths.
pub fn find(path: &str) -> Result<&'static Setting> {
    let exact = TABLE.iter().find(|setting| setting.path == path);
    let around = || TABLE.iter().find(|setting| setting.takes == Takes::Json && inside(setting.path, path));
    exact.or_else(around).ok_or_else(|| unknown(path))
}

/// Whether `path` is a field of the object at `outer`.
fn inside(outer: &str, path: &str) -> bool {
    path.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'))
}

/// The error for a path that no setting has.
pub fn unknown(path: &str) -> Error {
    let last = path.rsplit('.').next().unwrap_or(path);
    let paths = TABLE.iter().map(|setting| setting.path);
    let alike = |known: &&str| !last.is_empty() && known.rsplit('.').next() == Some(last);
    let near: Vec<&str> = paths.filter(alike).take(3).collect();
    let hint = match near.is_empty() {
        true => "see the list of settings for all".to_owned(),
        false => format!("did you mean {}?", near.join(" or ")),
    };
    Error::usage(path, "there is no such setting", hint)
}

/// Holds every value of `settings`, an object with an object in it for every dot of a path, to its row.
///
/// # Errors
/// [`Error::Usage`] that names the first path whose value does not fit.
pub fn check(settings: &Value) -> Result<()> {
    TABLE.iter().try_for_each(|setting| match at(settings, setting.path) {
        Some(value) if !setting.shorthand => setting.check(value),
        _ => Ok(()),
    })
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
        let mut seen = HashSet::new();
        for setting in TABLE {
            assert!(seen.insert(setting.path), "{} twice", setting.path);
            assert!(!setting.doc.is_empty() && !setting.source.is_empty(), "{}", setting.path);
            assert!(!setting.doc.ends_with('.'), "{}", setting.path);
            if let Some(option) = setting.option {
                assert!(seen.insert(option) || option == setting.path, "--{option} twice");
            }
            if let Some(also) = setting.also {
                assert!(setting.option.is_some());
                assert_eq!(find(also).unwrap().takes, setting.takes, "{also}");
            }
        }
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
            let message = find(path).unwrap_err().to_string();
            assert!(message.contains("no such setting") && message.contains(words), "{message}");
        }
        assert_eq!(find("reward.weights.style").unwrap().path, "reward.weights");
        assert_eq!(find("loss.kl.coef").unwrap().path, "loss.kl.coef");
        assert_eq!(find("loss.kl.estimator").unwrap().path, "loss.kl");
    }

    #[test]
    fn values_are_held_to_their_rows() {
        let settings =
            serde_json::json!({ "steps": 0, "learning_rate": null, "curriculum": { "memory": 2.0 } });
        assert_eq!(check(&settings).unwrap_err().to_string(), "steps: is 0; give a whole number from 1 up");
        let row = |path: &str, value: Value| find(path).unwrap().check(&value).unwrap_err().to_string();
        assert!(row("learning_rate", Value::Null).contains("not a finite number"));
        assert!(row("learning_rate", 0.into()).contains("give a number above 0"));
        assert!(row("curriculum.memory", 2.0.into()).contains("from 0 to 1"));
        assert!(row("token_budget", 0.into()).contains("or null"));
        assert!(row("method", "magic".into()).contains("policy_gradient or expert_iteration"));
        assert!(find("token_budget").unwrap().check(&Value::Null).is_ok());
        for (path, text, value) in [
            ("learning_rate", ".5", serde_json::json!(0.5)),
            ("learning_rate", "inf", serde_json::json!("inf")),
            ("steps", "7", serde_json::json!(7)),
            ("method", "magic", serde_json::json!("magic")),
            ("token_budget", "null", Value::Null),
        ] {
            assert_eq!(find(path).unwrap().read(text), value);
        }
    }
}
