//! Filters of Jinja that the library lacks, or that it does otherwise: `escape`, `truncate`, `urlencode`, `center`, `int`, `float`.
//!
//! What they do is Jinja's documentation (jinja.palletsprojects.com, "List of Builtin Filters"); `fixtures/chat/make.py` compares them.

use minijinja::value::{Kwargs, Rest, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, Value};

use super::arguments::named;
use super::{bounds, methods, percent, python};

/// Jinja's `truncate` leaves a text that is this much too long.
const LEEWAY: usize = 5;

pub(super) fn add(environment: &mut Environment<'_>) {
    for name in ["e", "escape"] {
        environment.add_filter(name, |state: &mut State<'_, '_>, value: Value| match value.is_safe() {
            true => Ok(value),
            false => escape(state, value),
        });
    }
    environment.add_filter("forceescape", escape);
    environment.add_filter("truncate", truncate);
    environment.add_filter("urlencode", urlencode);
    environment.add_filter("center", |text: &str, width: Option<i64>, options: Kwargs| {
        let width = width.or(options.get("width")?).unwrap_or(80);
        options.assert_all_used()?;
        methods::centered(text, width, " ")
    });
    environment.add_filter("int", int);
    environment.add_filter("float", float);
    environment.add_filter("format", |state: &mut State<'_, '_>, text: &str, values: Rest<ValueOrKwargs>| {
        percent::format(state, text, &values.into_values())
    });
    environment.add_filter("sort", |state: &State<'_, '_>, value: Value, args: Rest<ValueOrKwargs>| {
        minijinja::filters::sort(state, value, named(args, &["reverse", "case_sensitive", "attribute"])?)
    });
    environment.add_filter("unique", |state: &State<'_, '_>, value: Value, args: Rest<ValueOrKwargs>| {
        minijinja::filters::unique(state, value, named(args, &["case_sensitive", "attribute"])?)
    });
    environment.add_filter("min", |state: &State<'_, '_>, value: Value, args: Rest<ValueOrKwargs>| {
        minijinja::filters::min(state, value, named(args, &["case_sensitive", "attribute"])?)
    });
    environment.add_filter("max", |state: &State<'_, '_>, value: Value, args: Rest<ValueOrKwargs>| {
        minijinja::filters::max(state, value, named(args, &["case_sensitive", "attribute"])?)
    });
    environment.add_filter(
        "dictsort",
        |state: &mut State<'_, '_>, value: Value, args: Rest<ValueOrKwargs>| {
            bounds::check(state, &value)?;
            minijinja::filters::dictsort(&value, named(args, &["case_sensitive", "by", "reverse"])?)
        },
    );
}

/// A text for HTML.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&#39;"),
            '"' => out.push_str("&#34;"),
            other => out.push(other),
        }
    }
    out
}

/// A text for HTML as `markupsafe` writes it.
fn escape(state: &mut State<'_, '_>, value: Value) -> Result<Value, Error> {
    bounds::check(state, &value)?;
    let out = escaped(&python::text(&value)?);
    bounds::charge(state, out.len() as u64)?;
    Ok(Value::from_safe_string(out))
}

/// Jinja's `truncate(length=255, killwords=False, end='...', leeway=5)`.
fn truncate(
    text: &str,
    length: Option<usize>,
    whole: Option<bool>,
    end: Option<&str>,
    options: Kwargs,
) -> Result<String, Error> {
    let length = length.or(options.get("length")?).unwrap_or(255);
    let cut_words = whole.or(options.get("killwords")?).unwrap_or(false);
    let end = end.or(options.get("end")?).unwrap_or("...");
    let leeway: Option<usize> = options.get("leeway")?;
    options.assert_all_used()?;
    let Some(room) = length.checked_sub(end.chars().count()) else {
        return Err(wrong("truncate: the length has no room for the end"));
    };
    if text.chars().count() <= length.saturating_add(leeway.unwrap_or(LEEWAY)) {
        return Ok(text.to_owned());
    }
    let place = text.char_indices().nth(room).map_or(text.len(), |(place, _)| place);
    let begin = &text[..place];
    let begin = if cut_words { begin } else { begin.rsplit_once(' ').map_or(begin, |(words, _)| words) };
    Ok(format!("{begin}{end}"))
}

/// Jinja's `urlencode`: a text for a path, a map or pairs for a query.
fn urlencode(state: &mut State<'_, '_>, value: Value) -> Result<String, Error> {
    bounds::check(state, &value)?;
    let mut out = String::new();
    match value.kind() {
        ValueKind::Map | ValueKind::Seq | ValueKind::Iterable => {
            for item in value.try_iter()? {
                let (name, value) = match value.kind() {
                    ValueKind::Map => (item.clone(), value.get_item(&item)?),
                    _ => (item.get_item_by_index(0)?, item.get_item_by_index(1)?),
                };
                if !out.is_empty() {
                    out.push('&');
                }
                quote(&mut out, &python::text(&name)?, true);
                out.push('=');
                quote(&mut out, &python::text(&value)?, true);
            }
        }
        _ => quote(&mut out, &python::text(&value)?, false),
    }
    bounds::charge(state, out.len() as u64)?;
    Ok(out)
}

/// Python's `quote`, or `quote_plus` for a `query`.
fn quote(out: &mut String, text: &str, query: bool) {
    for byte in text.bytes() {
        match byte {
            b'_' | b'.' | b'-' | b'~' => out.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            b'/' if !query => out.push('/'),
            b' ' if query => out.push('+'),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
}

/// Jinja's `int(default=0, base=10)`.
fn int(
    state: &mut State<'_, '_>,
    value: Value,
    default: Option<Value>,
    base: Option<u32>,
    options: Kwargs,
) -> Result<Value, Error> {
    let default = default.or(options.get("default")?).unwrap_or_else(|| Value::from(0));
    let base = base.or(options.get("base")?);
    options.assert_all_used()?;
    // `1_000`; Python takes single marks between digits.
    let grouped = |text: &str| {
        let whole =
            !text.is_empty() && !text.starts_with('_') && !text.ends_with('_') && !text.contains("__");
        if whole { text.replace('_', "") } else { text.to_owned() }
    };
    let value = value.as_str().map(|text| Value::from(grouped(text.trim()))).unwrap_or(value);
    let real = if value.is_integer() { None } else { f64::try_from(value.clone()).ok() };
    if real.is_some_and(|real| real.abs() >= i128::MAX as f64) {
        return Err(wrong("int: the number is too large"));
    }
    minijinja::filters::int(state, &value, Some(default), base, Kwargs::from_iter::<[(&str, Value); 0]>([]))
}

/// Jinja's `float(default=0.0)`.
fn float(
    state: &mut State<'_, '_>,
    value: Value,
    default: Option<Value>,
    options: Kwargs,
) -> Result<Value, Error> {
    let default = default.or(options.get("default")?).unwrap_or_else(|| Value::from(0.0));
    options.assert_all_used()?;
    let value = value.as_str().map(|text| Value::from(text.trim())).unwrap_or(value);
    minijinja::filters::float(state, &value, Some(default), Kwargs::from_iter::<[(&str, Value); 0]>([]))
}

fn wrong(problem: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, problem.to_string())
}
