//! Changes of settings by path.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Table, unknown};
use crate::{Error, Result};

/// Settings whose values are set by the paths of a table.
pub trait Tabled: Sized {
    /// Their rows.
    const TABLE: Table;

    /// Puts a value at a path. The whole is not checked, so that several settings can be changed one after the other.
    ///
    /// # Errors
    /// [`Error::Usage`] that names `path` if no setting has it, or if it takes other values.
    fn set_value(&mut self, path: &str, value: Value) -> Result<()>;

    /// [`Tabled::set_value`] with a text: JSON, or a bare word.
    ///
    /// # Errors
    /// As [`Tabled::set_value`].
    fn set(&mut self, path: &str, text: &str) -> Result<()> {
        let value = Self::TABLE.read(path, text)?;
        self.set_value(path, value)
    }
}

/// A change of one setting that a user asks for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// What the user calls it: an option, or the path as the shell at hand writes it.
    pub name: String,
    /// The setting's path.
    pub path: String,
    /// The value: JSON, or a text that is read as the setting takes it.
    pub value: Value,
}

impl Change {
    /// The change that `name` asks for.
    pub fn new(name: impl Into<String>, path: &str, value: Value) -> Self {
        Self { name: name.into(), path: path.to_owned(), value }
    }

    /// Makes it.
    ///
    /// # Errors
    /// [`Error::Usage`] that names it as the user does.
    pub fn make(&self, settings: &mut impl Tabled) -> Result<()> {
        let made = match &self.value {
            Value::String(text) => settings.set(&self.path, text),
            value => settings.set_value(&self.path, value.clone()),
        };
        made.map_err(|error| match error {
            Error::Usage { problem, hint, .. } => Error::Usage { option: self.name.clone(), problem, hint },
            other => other,
        })
    }

    /// Whether it sets what is at `path`, or a part of it.
    pub fn touches(&self, path: &str) -> bool {
        let within = |outer: &str, inner: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        within(&self.path, path) || within(path, &self.path)
    }

    /// Its value as the table's row reads it.
    fn read(&self, table: Table) -> Value {
        let text = self.value.as_str();
        let read = text.and_then(|text| table.read(&self.path, text).ok());
        read.unwrap_or_else(|| self.value.clone())
    }
}

/// The last of `changes` that sets what is at `path`.
pub fn setter<'a>(changes: &'a [Change], path: &str) -> Option<&'a Change> {
    changes.iter().rev().find(|change| change.touches(path))
}

/// Fails where a setting gets two values, or two settings of which one stands for the other get one each: what is given first
/// would be passed over in silence.
///
/// # Errors
/// [`Error::Usage`] that names both.
pub fn expect_one_value(table: Table, changes: &[Change]) -> Result<()> {
    for (index, change) in changes.iter().enumerate() {
        let row = table.rows.iter().find(|row| row.path == change.path);
        let value = change.read(table);
        for other in &changes[..index] {
            let old = other.read(table);
            // An option that sets a second setting beside its own gives way to what is said of the second alone.
            let beside = table.rows.iter().any(|row| {
                row.also == Some(&other.path)
                    && changes.iter().any(|first| first.name == other.name && first.path == row.path)
            });
            let twice = other.path == change.path && !beside && !same(&old, &value);
            let of = |row: &super::Setting, path: &str| row.instead == Some(path);
            let apart = row.is_some_and(|row| of(row, &other.path))
                || table.rows.iter().any(|row| row.path == other.path && of(row, &change.path));
            if twice || (apart && !old.is_null() && !value.is_null()) {
                let problem = format!("is {value}, but {} is {old} in the same call", other.name);
                return Err(Error::usage(&change.name, problem, "give one of them"));
            }
        }
    }
    Ok(())
}

/// Whether two values are the same, integers and floats alike.
pub fn same(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

/// `whole` with `value` in place of what is at `path`; with `merge` an object's fields replace those of the one there, and what
/// is not said stays.
///
/// # Errors
/// [`Error::Usage`] that names `path`, where nothing has it or the value cannot stand there.
pub fn put<T: Serialize + DeserializeOwned>(whole: &T, path: &str, value: Value, merge: bool) -> Result<T> {
    let failed = |problem: String, hint: &str| Error::usage(path, problem, hint);
    let mut json = serde_json::to_value(whole).map_err(|error| failed(error.to_string(), "report this"))?;
    let mut place = &mut json;
    for name in path.split('.') {
        // Text of the user's never makes a field: a path inside of an object may be misspelt.
        place = place.get_mut(name).ok_or_else(|| unknown(path, &[]))?;
    }
    let shown: String = value.to_string().chars().take(60).collect();
    match (&mut *place, value) {
        (Value::Object(old), Value::Object(new)) if merge => old.extend(new),
        (place, value) => *place = value,
    }
    serde_json::from_value(json).map_err(|error| {
        failed(format!("`{shown}` cannot be used ({error})"), "the list of settings says what it takes")
    })
}
