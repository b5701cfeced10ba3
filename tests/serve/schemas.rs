//! Schemas made by rule, and a check of values against them that shares nothing with what holds answers to them.

use fancy_regex::Regex;
use serde_json::{Map, Value, json};

/// Numbers that look random, the same in every run (Marsaglia's xorshift).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) % limit
    }
}

const NAMES: [&str; 6] = ["name", "age", "tags", "where to", "größe", "a\"b"];
const PATTERNS: [&str; 4] = ["^[a-z]{2,4}$", "^(ab|cd)+$", "^[0-9]{3}-[0-9]{2}$", "^x?y$"];

/// A schema of at most so many levels. What stands in `$defs` of the whole may be named.
fn part(dice: &mut Dice, levels: u64) -> Value {
    match dice.below(if levels == 0 { 7 } else { 12 }) {
        0 => json!({ "type": "boolean" }),
        1 => {
            let least = dice.below(50) as i64 - 25;
            let most = least + dice.below(40) as i64;
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        2 => {
            let (least, span) = (dice.below(4) as i64 - 2, [1.5, 0.5, 0.001][dice.below(3) as usize]);
            json!({ "type": "number", "exclusiveMinimum": least, "maximum": least as f64 + span })
        }
        3 => json!({ "type": "string", "minLength": dice.below(3), "maxLength": 3 + dice.below(6) }),
        4 => json!({ "type": "string", "pattern": PATTERNS[dice.below(4) as usize] }),
        5 => json!({ "enum": ["red", "grün", 3, null, [1, "x"]] }),
        6 => json!({ "const": { "k": dice.below(100) } }),
        7 => {
            let least = dice.below(3);
            json!({ "type": "array", "items": part(dice, levels - 1), "minItems": least, "maxItems": least + dice.below(3) })
        }
        8 => json!({ "anyOf": [part(dice, levels - 1), part(dice, levels - 1)] }),
        9 => json!({ "$ref": "#/$defs/point" }),
        _ => object(dice, levels - 1),
    }
}

fn object(dice: &mut Dice, levels: u64) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for name in NAMES.iter().take(1 + dice.below(5) as usize) {
        properties.insert((*name).into(), part(dice, levels));
        if dice.below(3) > 0 {
            required.push(*name);
        }
    }
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

/// A schema whose root is an object.
pub(crate) fn schema(dice: &mut Dice) -> Value {
    let mut schema = object(dice, 2);
    schema["$defs"] = json!({
        "point": { "type": "object", "properties": { "x": { "type": "integer", "minimum": 0, "maximum": 9 },
            "next": { "anyOf": [{ "$ref": "#/$defs/point" }, { "type": "null" }] } },
            "required": ["x", "next"], "additionalProperties": false },
    });
    schema
}

/// What is wrong with a value, if anything is. Keywords that [`schema`] does not write are an error of the test.
pub(crate) fn check(value: &Value, schema: &Value, root: &Value) -> Result<(), String> {
    let wrong = |word: &str| Err(format!("{word}: {value} against {schema}"));
    let number = |name: &str| schema[name].as_f64().unwrap();
    for (keyword, wanted) in schema.as_object().unwrap() {
        let holds = match keyword.as_str() {
            "type" => match wanted.as_str().unwrap() {
                "boolean" => value.is_boolean(),
                "null" => value.is_null(),
                "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
                "number" => value.is_number(),
                "string" => value.is_string(),
                "array" => value.is_array(),
                "object" => value.is_object(),
                other => panic!("{other}"),
            },
            "minimum" => value.as_f64().is_none_or(|is| is >= number("minimum")),
            "maximum" => value.as_f64().is_none_or(|is| is <= number("maximum")),
            "exclusiveMinimum" => value.as_f64().is_none_or(|is| is > number("exclusiveMinimum")),
            "minLength" => value.as_str().is_none_or(|is| is.chars().count() as f64 >= number("minLength")),
            "maxLength" => value.as_str().is_none_or(|is| is.chars().count() as f64 <= number("maxLength")),
            "minItems" => value.as_array().is_none_or(|is| is.len() as f64 >= number("minItems")),
            "maxItems" => value.as_array().is_none_or(|is| is.len() as f64 <= number("maxItems")),
            "pattern" => {
                let pattern = Regex::new(wanted.as_str().unwrap()).unwrap();
                value.as_str().is_none_or(|is| pattern.is_match(is).unwrap())
            }
            "enum" => wanted.as_array().unwrap().contains(value),
            "const" => wanted == value,
            "anyOf" => wanted.as_array().unwrap().iter().any(|one| check(value, one, root).is_ok()),
            "$ref" => {
                check(value, root.pointer(&wanted.as_str().unwrap()[1..]).unwrap(), root)?;
                true
            }
            "items" => {
                value.as_array().into_iter().flatten().try_for_each(|item| check(item, wanted, root))?;
                true
            }
            "properties" => {
                for (name, value) in value.as_object().into_iter().flatten() {
                    wanted.get(name).map_or(Ok(()), |wanted| check(value, wanted, root))?;
                }
                true
            }
            "required" => {
                let names = wanted.as_array().unwrap();
                value
                    .as_object()
                    .is_none_or(|is| names.iter().all(|name| is.contains_key(name.as_str().unwrap())))
            }
            "additionalProperties" => value
                .as_object()
                .is_none_or(|is| is.keys().all(|name| schema["properties"].get(name).is_some())),
            "$defs" => true,
            other => panic!("{other}"),
        };
        if !holds {
            return wrong(keyword);
        }
    }
    Ok(())
}
