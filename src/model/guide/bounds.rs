//! Bounds of a JSON schema that nothing meets: told when the schema is read, since what is drawn by it would end in the middle.

use num_rational::BigRational;
use serde_json::{Map, Number, Value};

/// Largest power of ten of a number that is judged exactly.
const MAX_POWER: i32 = 400;

/// Keywords whose values hold schemas by names of the author's.
pub(super) const NAMED: [&str; 5] =
    ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];
/// Keywords whose values are JSON to be compared or shown, no schemas.
pub(super) const VALUES: [&str; 4] = ["const", "enum", "default", "examples"];

/// The first part of a schema that no value meets, as a path and words.
pub(super) fn impossible(schema: &Value, path: &str) -> Option<String> {
    let fields = schema.as_object()?;
    if let Some(problem) = problem(fields) {
        let path = if path.is_empty() { String::new() } else { format!("`{path}` ") };
        return Some(format!("{path}{problem}"));
    }
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    fields.iter().filter(|(name, _)| !VALUES.contains(&name.as_str())).find_map(|(name, value)| match value {
        Value::Object(parts) if NAMED.contains(&name.as_str()) => {
            parts.iter().find_map(|(part, value)| impossible(value, &below(part)))
        }
        Value::Object(_) => impossible(value, &below(name)),
        Value::Array(parts) => parts.iter().find_map(|part| impossible(part, &below(name))),
        _ => None,
    })
}

/// Why no value of the schema's one type is within its bounds.
fn problem(fields: &Map<String, Value>) -> Option<String> {
    match fields.get("type").and_then(Value::as_str)? {
        "integer" => numbers(fields, true),
        "number" => numbers(fields, false),
        "string" => sizes(fields, "minLength", "maxLength"),
        "array" => sizes(fields, "minItems", "maxItems"),
        "object" => sizes(fields, "minProperties", "maxProperties"),
        _ => None,
    }
}

fn sizes(fields: &Map<String, Value>, least: &str, most: &str) -> Option<String> {
    let size = |name: &str| fields.get(name).and_then(Value::as_f64);
    let (low, high) = (size(least)?, size(most)?);
    (low > high).then(|| format!("can be met by nothing: {least} {low} is above {most} {high}"))
}

/// Why no number lies within the bounds.
fn numbers(fields: &Map<String, Value>, whole: bool) -> Option<String> {
    let number = |name: &str| match fields.get(name) {
        Some(Value::Number(number)) => exact(number),
        _ => None,
    };
    let zero = BigRational::from_integer(0.into());
    let multiple = number("multipleOf");
    if multiple.as_ref().is_some_and(|multiple| *multiple <= zero) {
        return Some("has a multipleOf that is not above zero".into());
    }
    // Both bounds with whether they are met themselves; the narrower one counts.
    let low = narrower(number("minimum"), number("exclusiveMinimum"), |a, b| a > b)?;
    let high = narrower(number("maximum"), number("exclusiveMaximum"), |a, b| a < b)?;
    // The least whole number among the multiples of p/q is p.
    let step = match (multiple, whole) {
        (Some(multiple), true) => Some(BigRational::from_integer(multiple.numer().clone())),
        (multiple, true) => Some(multiple.unwrap_or_else(|| BigRational::from_integer(1.into()))),
        (multiple, false) => multiple,
    };
    let (least, is_met) = match &step {
        None => (low.0.clone(), low.1),
        Some(step) => {
            let up = (&low.0 / step).ceil() * step;
            (if up == low.0 && !low.1 { up + step } else { up }, true)
        }
    };
    let fits = least < high.0 || least == high.0 && is_met && high.1;
    let what = match (fields.get("multipleOf"), whole) {
        (Some(multiple), true) => format!("integer that is a multiple of {multiple}"),
        (Some(multiple), false) => format!("multiple of {multiple}"),
        (None, true) => "integer".into(),
        (None, false) => "number".into(),
    };
    (!fits).then(|| format!("can be met by nothing: there is no {what} within its bounds"))
}

/// The narrower of a bound that is met itself and one that is not.
fn narrower(
    closed: Option<BigRational>,
    open: Option<BigRational>,
    within: fn(&BigRational, &BigRational) -> bool,
) -> Option<(BigRational, bool)> {
    match (closed, open) {
        (Some(closed), Some(open)) if within(&closed, &open) => Some((closed, true)),
        (_, Some(open)) => Some((open, false)),
        (closed, None) => closed.map(|closed| (closed, true)),
    }
}

/// A number as it is written.
fn exact(number: &Number) -> Option<BigRational> {
    let text = number.to_string();
    let (digits, power) = text.split_once(['e', 'E']).unwrap_or((&text, "0"));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let power: i32 = power.parse().ok().filter(|power: &i32| power.abs() <= MAX_POWER)?;
    let digits: num_bigint::BigInt = format!("{whole}{part}").parse().ok()?;
    let power = power - i32::try_from(part.len()).ok()?;
    Some(BigRational::from_integer(digits) * BigRational::from_integer(10.into()).pow(power))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::impossible;

    #[test]
    fn bounds_that_nothing_meets_are_named() {
        for schema in [
            json!({ "type": "integer", "minimum": 1, "maximum": 5, "multipleOf": 7 }),
            json!({ "type": "integer", "minimum": 1.2, "maximum": 1.8 }),
            json!({ "type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 2 }),
            json!({ "type": "integer", "minimum": 1, "maximum": 2, "multipleOf": 1.5 }),
            json!({ "type": "number", "minimum": 0.11, "maximum": 0.19, "multipleOf": 0.1 }),
            json!({ "type": "number", "exclusiveMinimum": 0.1, "maximum": 0.199, "multipleOf": 0.1 }),
            json!({ "type": "number", "minimum": 2, "maximum": 1 }),
            json!({ "type": "number", "minimum": 2, "exclusiveMaximum": 2 }),
            json!({ "type": "number", "minimum": 1, "multipleOf": 0 }),
            json!({ "type": "number", "minimum": 1e-9, "maximum": 2e-9, "multipleOf": 3e-9 }),
            json!({ "type": "string", "minLength": 3, "maxLength": 2 }),
            json!({ "type": "array", "minItems": 3, "maxItems": 2 }),
            json!({ "type": "object", "minProperties": 3, "maxProperties": 2 }),
        ] {
            let problem = impossible(&json!({ "properties": { "a": { "items": schema } } }), "");
            assert!(
                problem.as_ref().is_some_and(|text| text.starts_with("`a.items` ")),
                "{schema}: {problem:?}"
            );
        }
        for schema in [
            json!({ "type": "integer", "minimum": 1, "maximum": 7, "multipleOf": 7 }),
            json!({ "type": "integer", "minimum": -1, "maximum": 5, "multipleOf": 7 }),
            json!({ "type": "integer", "minimum": 1, "maximum": 3, "multipleOf": 1.5 }),
            json!({ "type": "number", "minimum": 0.1, "maximum": 0.19, "multipleOf": 0.1 }),
            json!({ "type": "number", "minimum": 0.3, "maximum": 0.3, "multipleOf": 0.1 }),
            json!({ "type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1e-300 }),
            json!({ "type": "integer", "minimum": 3, "exclusiveMaximum": 4 }),
            json!({ "type": ["integer", "null"], "minimum": 3, "maximum": 2 }),
            json!({ "minimum": 3, "maximum": 2 }),
            json!({ "enum": [{ "type": "integer", "minimum": 3, "maximum": 2 }] }),
        ] {
            assert_eq!(impossible(&schema, ""), None, "{schema}");
        }
    }
}
