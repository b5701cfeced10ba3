//! How Python prints values and writes JSON, and the filters that differ from the library's.

use std::fmt::Write as _;

use minijinja::value::{Kwargs, Rest, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, Output, State, Value};

use super::arguments::named;
use super::bounds;
use super::views::{Method, Range, View};

pub(super) fn add_filters(environment: &mut Environment<'_>) {
    environment.add_filter("tojson", to_json);
    environment.add_filter("string", |state: &mut State<'_, '_>, value: Value| -> Result<Value, Error> {
        if value.as_str().is_some() {
            return Ok(value);
        }
        bounds::check(state, &value)?;
        Ok(Value::from(text(&value)?))
    });
    environment.add_filter("join", join);
    // Jinja counts runs of letters, digits and underscores.
    environment.add_filter("wordcount", |text: String| {
        let in_word = |character: char| character.is_alphanumeric() || character == '_';
        text.split(|character| !in_word(character)).filter(|word| !word.is_empty()).count()
    });
    for name in ["default", "d"] {
        environment.add_filter(name, default);
    }
    // Texts and maps have a length and items in Python, nothing has neither.
    environment.add_test("iterable", |value: Value| {
        use ValueKind::{Bool, None, Number, Plain};
        !matches!(value.kind(), None | Bool | Number | Plain)
    });
    environment.add_test("sequence", |value: Value| {
        let kind = matches!(
            value.kind(),
            ValueKind::Undefined | ValueKind::String | ValueKind::Seq | ValueKind::Map
        );
        kind && value.downcast_object_ref::<View>().is_none()
    });
}

/// Jinja's `join(d='', attribute=None)`.
fn join(state: &mut State<'_, '_>, value: Value, args: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let options = named(args, &["d", "attribute"])?;
    let between = options.get::<Option<Value>>("d")?.map_or(Ok(String::new()), |value| text(&value))?;
    let attribute: Option<Value> = options.get("attribute")?;
    options.assert_all_used()?;
    if value.is_none() {
        return Err(wrong("none is not iterable"));
    }
    let value = match attribute.filter(|attribute| !attribute.is_none()) {
        Some(attribute) => {
            let attribute = Kwargs::from_iter([("attribute", attribute)]);
            state.apply_filter("map", &[value, Value::from(attribute)])?
        }
        None => value,
    };
    let mut out = String::new();
    for (place, item) in value.try_iter()?.enumerate() {
        bounds::check(state, &item)?;
        let before = out.len();
        out.push_str(if place > 0 { &between } else { "" });
        match item.as_str() {
            Some(text) => out.push_str(text),
            None => write(&mut out, &item, false)?,
        }
        bounds::charge(state, (out.len() - before) as u64)?;
    }
    Ok(out)
}

/// Jinja's `default(value, default_value='', boolean=false)`.
fn default(value: Value, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let options = named(args, &["default_value", "boolean"])?;
    // What is given may be undefined too.
    let other = if options.has("default_value") { options.get("default_value")? } else { Value::from("") };
    let boolean = options.get::<Option<bool>>("boolean")?.unwrap_or(false);
    options.assert_all_used()?;
    Ok(if value.is_undefined() || boolean && !value.is_true() { other } else { value })
}

/// Writes a value as `{{ value }}` does.
pub(super) fn print(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    if let Some(text) = value.as_str() {
        return Ok(out.write_str(text)?);
    }
    bounds::check(state, value)?;
    write(out, value, false)
}

/// Python's `str(value)`.
pub(super) fn text(value: &Value) -> Result<String, Error> {
    let mut text = String::new();
    write(&mut text, value, false)?;
    Ok(text)
}

/// Python's `repr(value)`.
pub(super) fn repr(value: &Value) -> Result<String, Error> {
    let mut text = String::new();
    write(&mut text, value, true)?;
    Ok(text)
}

/// Python's `repr(value)` with the keys of dictionaries in order.
pub(super) fn sorted_repr(value: &Value) -> Result<String, Error> {
    let mut text = String::new();
    write_in(&mut text, value, Way { quoted: true, sorted: true })?;
    Ok(text)
}

/// How a value is written.
#[derive(Clone, Copy)]
struct Way {
    /// As `repr` writes it.
    quoted: bool,
    /// Keys of dictionaries in order.
    sorted: bool,
}

/// Python's `str(value)`, or `repr(value)` where `quoted`.
fn write(out: &mut dyn std::fmt::Write, value: &Value, quoted: bool) -> Result<(), Error> {
    write_in(out, value, Way { quoted, sorted: false })
}

fn write_in(out: &mut dyn std::fmt::Write, value: &Value, way: Way) -> Result<(), Error> {
    let within = Way { quoted: true, ..way };
    if let Some(range) = value.downcast_object_ref::<Range>() {
        return Ok(out.write_str(&range.text())?);
    }
    // Python writes its address, another one each time.
    if let Some(Method { name, .. }) = value.downcast_object_ref::<Method>() {
        let key = format!(
            "the method `{name}` is written, not called: write `.{name}()`, or `['{name}']` for the key"
        );
        return Err(wrong(&key));
    }
    if value.as_object().is_some_and(|object| object.type_name().ends_with("::Loop")) {
        let [index, length] = ["index", "length"].map(|name| value.get_attr(name));
        return Ok(write!(out, "<LoopContext {}/{}>", index?, length?)?);
    }
    if let Some(view) = value.downcast_object_ref::<View>() {
        write!(out, "{}(", view.name)?;
        write_in(out, &view.items.iter().cloned().collect(), within)?;
        return Ok(out.write_str(")")?);
    }
    match value.kind() {
        ValueKind::Undefined => out.write_str(if way.quoted { "Undefined" } else { "" })?,
        ValueKind::None => out.write_str("None")?,
        ValueKind::Bool => out.write_str(if value.is_true() { "True" } else { "False" })?,
        ValueKind::Number => out.write_str(&number(value))?,
        ValueKind::String if way.quoted => write_quoted(out, value.as_str().unwrap_or_default())?,
        ValueKind::Seq => {
            let tuple = is_tuple(value);
            let [open, close] = if tuple { ["(", ")"] } else { ["[", "]"] };
            out.write_str(open)?;
            for (index, item) in value.try_iter()?.enumerate() {
                out.write_str(if index > 0 { ", " } else { "" })?;
                write_in(out, &item, within)?;
            }
            out.write_str(if tuple && value.len() == Some(1) { "," } else { "" })?;
            out.write_str(close)?;
        }
        ValueKind::Iterable if value.len().is_some() => {
            let items: Value = value.try_iter()?.collect();
            write_in(out, &items, way)?;
        }
        ValueKind::Map => {
            out.write_str("{")?;
            let mut keys: Vec<Value> = value.try_iter()?.collect();
            if way.sorted {
                keys.sort();
            }
            for (index, key) in keys.iter().enumerate() {
                out.write_str(if index > 0 { ", " } else { "" })?;
                write_in(out, key, within)?;
                out.write_str(": ")?;
                write_in(out, &value.get_item(key)?, within)?;
            }
            out.write_str("}")?;
        }
        _ => write!(out, "{value}")?,
    }
    Ok(())
}

/// Whether it is a tuple, as the groups of `groupby` are.
fn is_tuple(value: &Value) -> bool {
    value.is_tuple() || value.as_object().is_some_and(|object| object.type_name().ends_with("::GroupTuple"))
}

/// Single quotes unless only they occur within.
fn write_quoted(out: &mut dyn std::fmt::Write, text: &str) -> std::fmt::Result {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.write_char(quote)?;
    for character in text.chars() {
        match character {
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            '\\' => out.write_str("\\\\")?,
            other if other == quote => write!(out, "\\{other}")?,
            other if !is_printable(other) => match other as u32 {
                code @ 0..=0xff => write!(out, "\\x{code:02x}")?,
                code @ 0x100..=0xffff => write!(out, "\\u{code:04x}")?,
                code => write!(out, "\\U{code:08x}")?,
            },
            other => out.write_char(other)?,
        }
    }
    out.write_char(quote)
}

/// Whether Python writes a character as it is: neither a control nor a mark of format, nor a space but the usual one.
pub(super) fn is_printable(character: char) -> bool {
    let format = matches!(
        character,
        '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e000}'..='\u{f8ff}'
            | '\u{e0001}'..='\u{e007f}' | '\u{f0000}'..
    );
    !format && !character.is_control() && (character == ' ' || !character.is_whitespace())
}

/// Python's notation of a number: exponents have a sign and two digits.
fn number(value: &Value) -> String {
    if value.is_integer() {
        return value.to_string();
    }
    let Ok(number) = f64::try_from(value.clone()) else { return value.to_string() };
    if number.is_nan() {
        return "nan".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.into();
    }
    if number != 0.0 && !(1e-4..1e16).contains(&number.abs()) {
        let text = format!("{number:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    format!("{number:?}")
}

/// How JSON is written: Python's `json.dumps` with the options that transformers' filter has.
struct Style {
    ensure_ascii: bool,
    indent: Option<usize>,
    separators: [String; 2],
    sort_keys: bool,
}

/// transformers' `tojson(ensure_ascii=False, indent=None, separators=None, sort_keys=False)`, which unlike Jinja's own
/// does not escape for HTML.
fn to_json(state: &mut State<'_, '_>, value: Value, options: Kwargs) -> Result<String, Error> {
    bounds::check(state, &value)?;
    let indent: Option<usize> = options.get("indent")?;
    let separators: Option<Vec<String>> = options.get("separators")?;
    let style = Style {
        ensure_ascii: options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
        indent: indent.map(|indent| indent.min(16)),
        separators: match separators.map(<[String; 2]>::try_from) {
            Some(Ok(separators)) => separators,
            None => [if indent.is_some() { "," } else { ", " }, ": "].map(String::from),
            Some(Err(_)) => return Err(wrong("tojson: separators must be two texts")),
        },
        sort_keys: options.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
    };
    options.assert_all_used()?;
    let mut out = String::new();
    write_json(&mut out, &value, &style, 0)?;
    Ok(out)
}

fn write_json(out: &mut String, value: &Value, style: &Style, depth: usize) -> Result<(), Error> {
    let line = |out: &mut String, depth: usize| {
        if let Some(indent) = style.indent {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent * depth));
        }
    };
    let [comma, colon] = &style.separators;
    match value.kind() {
        ValueKind::None => out.push_str("null"),
        ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => {
            let text = number(value);
            out.push_str(match text.as_str() {
                "nan" => "NaN",
                "inf" => "Infinity",
                "-inf" => "-Infinity",
                other => other,
            });
        }
        ValueKind::String => write_json_string(out, value.as_str().unwrap_or_default(), style.ensure_ascii),
        ValueKind::Seq | ValueKind::Iterable => {
            out.push('[');
            let mut count = 0;
            for item in value.try_iter()? {
                out.push_str(if count > 0 { comma } else { "" });
                line(out, depth + 1);
                write_json(out, &item, style, depth + 1)?;
                count += 1;
            }
            if count > 0 {
                line(out, depth);
            }
            out.push(']');
        }
        ValueKind::Map => {
            let mut keys: Vec<Value> = value.try_iter()?.collect();
            if style.sort_keys {
                keys.sort();
            }
            out.push('{');
            for (index, key) in keys.iter().enumerate() {
                out.push_str(if index > 0 { comma } else { "" });
                line(out, depth + 1);
                let name = match key.kind() {
                    ValueKind::String => key.as_str().unwrap_or_default().to_string(),
                    ValueKind::Bool | ValueKind::None | ValueKind::Number => {
                        let mut name = String::new();
                        write_json(&mut name, key, style, 0)?;
                        name
                    }
                    _ => return Err(wrong("tojson: a key is no text")),
                };
                write_json_string(out, &name, style.ensure_ascii);
                out.push_str(colon);
                write_json(out, &value.get_item(key)?, style, depth + 1)?;
            }
            if !keys.is_empty() {
                line(out, depth);
            }
            out.push('}');
        }
        kind => return Err(wrong(&format!("tojson: a value of kind {kind} cannot be written as JSON"))),
    }
    Ok(())
}

fn write_json_string(out: &mut String, text: &str, ensure_ascii: bool) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            other if (other as u32) < 0x20 || ensure_ascii && !(' '..='~').contains(&other) => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

fn wrong(problem: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, problem.to_string())
}
