//! JSON schemas for llguidance: bounded, and without what it would read as something else.

use serde_json::{Map, Number, Value, json};

use super::bounds::{self, NAMED, VALUES};
use crate::{Error, Result};

/// How deep a schema's objects and lists may be nested.
const MAX_DEPTH: usize = 64;
/// Most white space between two parts of JSON: models that are unsure else write it without an end.
const WHITE_SPACE: &str = r"[ \n\r\t]{1,20}";
/// The least positive number that bounds of other numbers than zero are moved by.
const LEAST: f64 = 1e-16;
/// Integers up to this are exact as floating-point numbers, in which llguidance compares.
const MAX_EXACT: u64 = 1 << 53;

/// The schema of a value as llguidance is to be given it.
///
/// # Errors
/// [`Error::Usage`] for what is no schema, nested too deep, or would be read otherwise than it says.
pub fn readable(schema: &Value) -> Result<Value> {
    let fail = |problem: String, hint| Err(Error::usage("schema", problem, hint));
    if depth(schema) > MAX_DEPTH {
        return fail(format!("is nested more than {MAX_DEPTH} deep"), "name its parts in `$defs`");
    }
    let fields = match schema {
        Value::Bool(true) => &Map::new(),
        Value::Object(fields) => fields,
        _ => return fail("is no object".into(), "write a JSON schema, as {\"type\": \"object\"}"),
    };
    if fields.contains_key("x-guidance") {
        return fail("has `x-guidance`, which changes how schemas are read".into(), "leave it out");
    }
    if let Some(number) = inexact(schema) {
        return fail(
            format!("has {number}, which would be compared as {:?}", number.as_f64().unwrap_or_default()),
            "use integers up to 2^53, or texts",
        );
    }
    if let Some(problem) = bounds::impossible(schema, "") {
        return fail(problem, "widen its bounds");
    }
    let mut fields = fields.clone();
    closed(&mut fields);
    fields.insert("x-guidance".into(), json!({ "whitespace_pattern": WHITE_SPACE }));
    Ok(Value::Object(fields))
}

/// Levels of objects and lists.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// An integer that no floating-point number may be.
fn inexact(value: &Value) -> Option<&Number> {
    match value {
        Value::Number(number) => {
            let size = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
            Some(number).filter(|_| size.is_some_and(|size| size > MAX_EXACT))
        }
        Value::Array(items) => items.iter().find_map(inexact),
        Value::Object(fields) => fields.values().find_map(inexact),
        _ => None,
    }
}

/// Makes bounds that are not met ones that are: the next floating-point number. llguidance allows `5` itself where the least number
/// above it is wanted and the greatest one has the same integer part, and `-0` below zero.
fn closed(schema: &mut Map<String, Value>) {
    for (open, closed, is_least) in
        [("exclusiveMinimum", "minimum", true), ("exclusiveMaximum", "maximum", false)]
    {
        let Some(bound) = schema.get(open).and_then(Value::as_f64) else { continue };
        let other = schema.get(closed).and_then(Value::as_f64);
        // From zero the next number has 324 digits.
        let bound = match (bound == 0.0, is_least) {
            (true, true) => LEAST,
            (true, false) => -LEAST,
            (false, true) => bound.next_up(),
            (false, false) => bound.next_down(),
        };
        let bound = match (other, is_least) {
            (Some(other), true) => bound.max(other),
            (Some(other), false) => bound.min(other),
            (None, _) => bound,
        };
        if let Some(bound) = Number::from_f64(bound) {
            schema.remove(open);
            schema.insert(closed.into(), Value::Number(bound));
        }
    }
    for (name, value) in schema.iter_mut().filter(|(name, _)| !VALUES.contains(&name.as_str())) {
        match value {
            Value::Object(parts) if NAMED.contains(&name.as_str()) => {
                parts.values_mut().filter_map(Value::as_object_mut).for_each(closed);
            }
            Value::Object(part) => closed(part),
            Value::Array(parts) => parts.iter_mut().filter_map(Value::as_object_mut).for_each(closed),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn field(schema: Value) -> String {
        readable(&schema).unwrap_err().to_string()
    }

    #[test]
    fn bounds_are_closed_and_other_words_stay() {
        let schema = json!({ "properties": { "const": { "exclusiveMinimum": 5, "maximum": 5.001 },
            "exclusiveMaximum": { "exclusiveMaximum": 0, "maximum": 3, "enum": [{ "exclusiveMinimum": 5 }] } },
            "anyOf": [{ "exclusiveMinimum": 1, "minimum": 2 }] });
        let mut read = readable(&schema).unwrap();
        read.as_object_mut().unwrap().remove("x-guidance");
        let want = json!({ "properties": { "const": { "minimum": 5.000_000_000_000_001, "maximum": 5.001 },
            "exclusiveMaximum": { "maximum": -1e-16, "enum": [{ "exclusiveMinimum": 5 }] } },
            "anyOf": [{ "minimum": 2.0 }] });
        assert_eq!(read, want);
    }

    #[test]
    fn what_would_be_read_otherwise_is_refused() {
        assert!(field(json!({ "enum": [9_007_199_254_740_993_u64, 1] })).contains("9007199254740993"));
        assert!(field(json!({ "minimum": -9_007_199_254_740_993_i64 })).contains("-9007199254740993"));
        assert!(field(json!({ "x-guidance": {} })).contains("x-guidance"));
        assert!(field(json!([])).contains("no object"));
        readable(&json!({ "maximum": 9_007_199_254_740_992_u64 })).unwrap();
    }
}
