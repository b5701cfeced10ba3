//! JSON in which no object has a key twice. `serde_json` takes the last of several, so that what a file says first would be passed
//! over in silence.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// A value from JSON text.
///
/// # Errors
/// Those of `serde_json`; one of [`serde_json::error::Category::Data`] that names the key, for a key that an object has twice.
pub(crate) fn from_slice<'a, T: Deserialize<'a>>(text: &'a [u8]) -> serde_json::Result<T> {
    serde_json::from_slice::<Unique>(text)?;
    serde_json::from_slice(text)
}

/// [`from_slice`] of a text.
///
/// # Errors
/// The same.
pub(crate) fn from_str<'a, T: Deserialize<'a>>(text: &'a str) -> serde_json::Result<T> {
    from_slice(text.as_bytes())
}

/// A line of a file of JSON objects, one a line. Errors say what is wrong with it, in words that go on from the line's number.
///
/// # Errors
/// If it is no JSON, or an object has a key twice.
pub(crate) fn line(line: &str) -> Result<Value, String> {
    from_str(line).map_err(|error| {
        // The line is one of many: the place that the parser names counts from its own line 1.
        let what = what(&error);
        match error.is_data() {
            true => what,
            false => match hint(line, error.column()) {
                Some(hint) => format!("is not JSON at column {}: {hint}", error.column()),
                None => format!("is not JSON: {what} at column {}", error.column()),
            },
        }
    })
}

/// Better words for what stands in `line` about `column`, where programs write what is no JSON.
fn hint(line: &str, column: usize) -> Option<&'static str> {
    let before = line.get(..column.saturating_sub(1))?;
    let word = before.rfind(|character: char| !character.is_ascii_alphabetic() && character != '-');
    let rest =
        &line[word.map_or(0, |place| place + before[place..].chars().next().map_or(1, char::len_utf8))..];
    if ["NaN", "Infinity", "-Infinity"].iter().any(|name| rest.starts_with(name)) {
        return Some("NaN and Infinity are no numbers of JSON: write null, or leave the field out");
    }
    // The parser stops within or behind the escape.
    let start = before.char_indices().rev().nth(12).map_or(0, |(place, _)| place);
    let escapes = line[start..].to_ascii_lowercase();
    ["\\ud8", "\\ud9", "\\uda", "\\udb", "\\udc", "\\udd", "\\ude", "\\udf"]
        .iter()
        .any(|escape| escapes.find(escape).is_some_and(|place| start + place < column))
        .then_some("half of a character (a lone surrogate such as \\ud83d): write the whole character, or leave it out")
}

/// What `serde_json` found, without its place.
pub(crate) fn what(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(what, _)| what.to_owned())
}

/// The key of the value in `text` that does not fit, where the text was JSON: the last before the place that the parser names.
pub(crate) fn key(text: &[u8], error: &serde_json::Error) -> Option<String> {
    let start = text
        .split(|&byte| byte == b'\n')
        .take(error.line().checked_sub(1)?)
        .map(|line| line.len() + 1)
        .sum::<usize>();
    let before = String::from_utf8_lossy(text.get(..(start + error.column()).min(text.len()))?);
    if !error.is_data() {
        return None;
    }
    // The colon of a key stands behind its closing quote.
    let colons = before.match_indices(':').rev().map(|(place, _)| before[..place].trim_end());
    let before = colons.into_iter().find_map(|before| before.strip_suffix('"'))?;
    before.rsplit_once('"').map(|(_, key)| key.chars().take(SHOWN).collect())
}

/// Any value; reading it fails at a key that an object has twice.
struct Unique;

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

/// Longest part of a key in a message.
const SHOWN: usize = 60;

impl<'de> Visitor<'de> for Unique {
    type Value = Self;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let mut keys = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if keys.contains(&key) {
                let start: String = key.chars().take(SHOWN).collect();
                return Err(A::Error::custom(format!("has the key `{start}` twice")));
            }
            keys.insert(key);
            map.next_value::<Self>()?;
        }
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self, A::Error> {
        while list.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn the_key_of_what_does_not_fit_is_named() {
        #[derive(Debug, serde::Deserialize)]
        struct Ranks {
            #[allow(dead_code, reason = "it is read")]
            r: usize,
        }
        for text in [r#"{"r": 4.0}"#, "{\"a\": \"x: y\",\n \"r\"\n: [4]}", r#"{"b": {"r": 1}, "r": "4"}"#] {
            let error = from_slice::<Ranks>(text.as_bytes()).unwrap_err();
            assert_eq!(key(text.as_bytes(), &error).as_deref(), Some("r"), "{text}: {error}");
        }
        let error = from_slice::<Ranks>(b"{\"r\": ").unwrap_err();
        assert_eq!(key(b"{\"r\": ", &error), None);
    }

    #[test]
    fn a_key_that_is_there_twice_is_named() {
        for (text, key) in [
            (r#"{"a": 1, "a": 1}"#, "a"),
            (r#"{"a": {"b": [1, {"c": null, "d": "", "c": 2.5}]}}"#, "c"),
            (r#"[true, {"é": -1, "\u00e9": 1e300}]"#, "é"),
        ] {
            let error = from_str::<Value>(text).unwrap_err();
            assert!(error.is_data() && what(&error) == format!("has the key `{key}` twice"), "{error}");
            assert_eq!(line(text).unwrap_err(), format!("has the key `{key}` twice"));
        }
        for text in
            [r#"{"a": {"a": {"b": 1}}, "b": [{"a": 1}, {"a": 2}], "A": 18446744073709551615}"#, "3", "null"]
        {
            assert_eq!(from_str::<Value>(text).unwrap(), serde_json::from_str::<Value>(text).unwrap());
        }
    }

    #[test]
    fn what_is_no_json_is_told_with_its_column() {
        let error = line("{\"a\": ").unwrap_err();
        assert_eq!(error, "is not JSON: EOF while parsing a value at column 6");
        for (text, word) in [
            (r#"{"text": "a", "score": NaN}"#, "NaN"),
            (r#"{"text": "a", "score": -Infinity}"#, "Infinity"),
            ("[Infinity]", "Infinity"),
            (r#"{"text": "é \ud83d b"}"#, "lone surrogate"),
            (r#"{"text": "a \uDE00"}"#, "lone surrogate"),
        ] {
            let error = line(text).unwrap_err();
            assert!(error.starts_with("is not JSON at column ") && error.contains(word), "{text}: {error}");
        }
        assert!(!line(r#"{"text": "NaN" x}"#).unwrap_err().contains("NaN"));
        let deep = "[".repeat(100_000);
        assert!(line(&deep).unwrap_err().contains("recursion limit"));
    }
}
