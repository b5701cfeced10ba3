//! The fields of a JSON object, with an account of those that nothing looked at.

use std::cell::RefCell;
use std::collections::HashSet;
use std::path::Path;

use serde_json::{Map, Value};

use crate::{Error, Result};

/// Fields that change no result, with the reason. A name that ends in `*` stands for all that begin so.
#[derive(Debug, Clone, Copy)]
pub struct Harmless {
    /// Why they change nothing.
    pub reason: &'static str,
    /// Their names.
    pub names: &'static [&'static str],
}

/// Whether one of `lists` has `name`.
pub fn is_harmless(lists: &[Harmless], name: &str) -> bool {
    let fits = |known: &&str| match known.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => *known == name,
    };
    lists.iter().any(|list| list.names.iter().any(fits))
}

/// Whether a field is switched off: null, false, or empty.
pub fn is_off(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// A value for a message, cut where it is long.
pub fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The fields of a JSON object with errors that name file and field. `null` counts as absent.
///
/// It remembers which fields were looked at, so that [`Fields::finish`] can tell those that nothing here knows.
pub struct Fields<'a> {
    /// The file the object is from.
    pub file: &'a Path,
    /// Prefix of field names in messages, such as `rope_scaling.`.
    pub prefix: &'a str,
    map: &'a Map<String, Value>,
    used: RefCell<HashSet<&'a str>>,
}

impl<'a> Fields<'a> {
    /// The fields of `map`.
    pub fn new(file: &'a Path, prefix: &'a str, map: &'a Map<String, Value>) -> Self {
        Self { file, prefix, map, used: RefCell::default() }
    }

    /// An error about field `name`.
    pub fn error(&self, name: &str, problem: impl Into<String>, hint: impl Into<String>) -> Error {
        Error::input(self.file, format!("{}{name}", self.prefix), problem, hint)
    }

    fn wrong_type(&self, name: &str, value: &Value, expected: &str) -> Error {
        let hint = format!("take the original {}", self.file_name());
        self.error(name, format!("is {} where {expected} is needed", shown(value)), hint)
    }

    /// The value as it stands.
    pub fn get(&self, name: &str) -> Option<&'a Value> {
        let (name, value) = self.map.get_key_value(name)?;
        self.used.borrow_mut().insert(name);
        (!value.is_null()).then_some(value)
    }

    /// Whether the field is there and was looked at.
    pub fn was_read(&self, name: &str) -> bool {
        self.used.borrow().contains(name)
    }

    /// Whether the field is there, be it null.
    pub fn has(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }

    /// Errors unless every field that was not looked at is one of `harmless` names or off.
    ///
    /// # Errors
    /// `Input` naming the first field that may change the result and is not known here.
    pub fn finish(&self, harmless: &[Harmless]) -> Result<()> {
        match self.rest(harmless).first() {
            Some((name, value)) => Err(self.unknown(name, value)),
            None => Ok(()),
        }
    }

    /// The fields that were not looked at, are none of `harmless` names and not off.
    pub fn rest(&self, harmless: &[Harmless]) -> Vec<(&'a str, &'a Value)> {
        let used = self.used.borrow();
        let fields = self.map.iter().map(|(name, value)| (name.as_str(), value));
        fields
            .filter(|(name, value)| !used.contains(name) && !is_harmless(harmless, name) && !is_off(value))
            .collect()
    }

    fn unknown(&self, name: &str, value: &Value) -> Error {
        self.error(
            name,
            format!("is {}, and what it means is not known here", shown(value)),
            format!(
                "if the model's results do not depend on it, remove it from {}; else use another model",
                self.file_name()
            ),
        )
    }

    fn file_name(&self) -> String {
        self.file.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// A count from 0 to 2^31 - 1 (so that products of two fit into 64 bits).
    pub fn count(&self, name: &str) -> Result<Option<usize>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value
            .as_u64()
            .filter(|&count| count < 1 << 31)
            .and_then(|count| usize::try_from(count).ok())
            .map(Some)
            .ok_or_else(|| self.wrong_type(name, value, "a whole number below 2147483648"))
    }

    /// A count that must be there.
    pub fn required_count(&self, name: &str) -> Result<usize> {
        self.count(name)?.ok_or_else(|| self.error(name, "is missing", "take the original config.json"))
    }

    /// A finite number.
    pub fn number(&self, name: &str) -> Result<Option<f64>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value
            .as_f64()
            .filter(|number| number.is_finite())
            .map(Some)
            .ok_or_else(|| self.wrong_type(name, value, "a number"))
    }

    /// A finite number that must be there.
    pub fn required_number(&self, name: &str) -> Result<f64> {
        self.number(name)?.ok_or_else(|| self.error(name, "is missing", "take the original config.json"))
    }

    /// A truth value; absent is false.
    pub fn flag(&self, name: &str) -> Result<bool> {
        let Some(value) = self.get(name) else { return Ok(false) };
        value.as_bool().ok_or_else(|| self.wrong_type(name, value, "true or false"))
    }

    /// A string.
    pub fn text(&self, name: &str) -> Result<Option<&'a str>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| self.wrong_type(name, value, "a string"))
    }

    /// An object.
    pub fn object(&self, name: &str) -> Result<Option<&'a Map<String, Value>>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_object().map(Some).ok_or_else(|| self.wrong_type(name, value, "an object"))
    }

    /// Token ids given as one number or a list; absent is empty.
    pub fn token_ids(&self, name: &str) -> Result<Vec<u32>> {
        let Some(value) = self.get(name) else { return Ok(Vec::new()) };
        let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
        let ids = match value {
            Value::Array(list) => list.iter().map(id).collect(),
            one => id(one).map(|id| vec![id]),
        };
        ids.ok_or_else(|| self.wrong_type(name, value, "a token id or a list of them"))
    }

    /// Rejects `name: true`.
    pub fn reject_flag(&self, name: &str, what: &str) -> Result<()> {
        if self.flag(name)? {
            return Err(self.error(name, format!("{what} is not supported"), "use a model without it"));
        }
        Ok(())
    }
}
