//! Python's methods of strings, lists and dictionaries, which templates call.

use minijinja::value::{Kwargs, Tuple, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat::unknown_method_callback;

use super::python;
use super::views::View;

/// The widest field that a format or a padding may ask for.
pub(super) const MAX_WIDTH: usize = 10_000;

/// Calls `method` of `value`: those here, and the ones that the library knows.
pub(super) fn call(
    state: &mut State<'_, '_>,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    if let Some(view) = View::of(state, value, method, args, python::text)? {
        return Ok(view);
    }
    let known = match value.as_str() {
        Some(text) => of_string(text, method, args)?,
        // Nothing changes what is copied.
        None if method == "copy"
            && args.is_empty()
            && matches!(value.kind(), ValueKind::Seq | ValueKind::Map) =>
        {
            Some(value.clone())
        }
        None if value.kind() == ValueKind::Seq => of_list(value, method, args)?,
        None if value.kind() == ValueKind::Number => of_number(value, method, args)?,
        None => None,
    };
    match known {
        Some(answer) => Ok(answer),
        None => unknown_method_callback(state, value, method, args),
    }
}

fn of_string(text: &str, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    Ok(Some(match method {
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(args)?;
            Value::from(text.strip_prefix(prefix).unwrap_or(text))
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(args)?;
            Value::from(text.strip_suffix(suffix).unwrap_or(text))
        }
        "partition" | "rpartition" => {
            let (separator,): (&str,) = from_args(args)?;
            let first = method == "partition";
            let parts = if first { text.split_once(separator) } else { text.rsplit_once(separator) };
            let parts = match parts {
                Some((before, after)) => [before, separator, after],
                None if first => [text, "", ""],
                None => ["", "", text],
            };
            Value::from(Tuple::from(parts.map(Value::from)))
        }
        "split" | "rsplit" => {
            let (separator, count, options): (Option<&str>, Option<i64>, Kwargs) = from_args(args)?;
            let separator = separator.or(options.get::<Option<&str>>("sep")?);
            let count = count.or(options.get::<Option<i64>>("maxsplit")?);
            options.assert_all_used()?;
            if separator == Some("") {
                return Err(wrong("empty separator"));
            }
            let count = count.and_then(|count| usize::try_from(count).ok());
            split(text, separator, count, method == "rsplit").into_iter().map(Value::from).collect()
        }
        "splitlines" => {
            let (keep, options): (Option<bool>, Kwargs) = from_args(args)?;
            let keep = keep.or(options.get::<Option<bool>>("keepends")?).unwrap_or(false);
            options.assert_all_used()?;
            lines(text, keep).into_iter().map(Value::from).collect()
        }
        "center" => {
            let (width, fill): (i64, Option<&str>) = from_args(args)?;
            Value::from(centered(text, width, fill.unwrap_or(" "))?)
        }
        "ljust" | "rjust" => {
            let (width, fill): (i64, Option<&str>) = from_args(args)?;
            let space = space(text, width)?;
            let left = if method == "ljust" { 0 } else { space };
            let fill = fill.unwrap_or(" ");
            Value::from(format!("{}{text}{}", fill.repeat(left), fill.repeat(space - left)))
        }
        "zfill" => {
            let (width,): (i64,) = from_args(args)?;
            let sign = text.len() - text.strip_prefix(['+', '-']).unwrap_or(text).len();
            Value::from(format!("{}{}{}", &text[..sign], "0".repeat(space(text, width)?), &text[sign..]))
        }
        "swapcase" => {
            let swap = |c: char| {
                if c.is_uppercase() { c.to_lowercase().to_string() } else { c.to_uppercase().to_string() }
            };
            Value::from(text.chars().map(swap).collect::<String>())
        }
        "casefold" => Value::from(text.to_lowercase().replace('ß', "ss")),
        "title" if args.is_empty() => Value::from(titled(text)),
        "istitle" => Value::from(is_title(text)),
        "isprintable" => Value::from(text.chars().all(python::is_printable)),
        "isidentifier" if text.is_ascii() => {
            let letters = |c: char| c.is_ascii_alphanumeric() || c == '_';
            Value::from(
                !text.is_empty()
                    && !text.starts_with(|c: char| c.is_ascii_digit())
                    && text.chars().all(letters),
            )
        }
        // What it adds is more than what fuel counts for the call.
        "expandtabs" if text.matches('\t').count() <= MAX_WIDTH / 8 => {
            let (size, options): (Option<usize>, Kwargs) = from_args(args)?;
            let size = size.or(options.get("tabsize")?).unwrap_or(8);
            options.assert_all_used()?;
            Value::from(expanded(text, size.min(MAX_WIDTH + 1))?)
        }
        "isdecimal" => Value::from(!text.is_empty() && text.chars().all(|c| c.is_ascii_digit())),
        "index" | "rindex" => {
            let (what,): (&str,) = from_args(args)?;
            let place = if method == "index" { text.find(what) } else { text.rfind(what) };
            let place = place.ok_or_else(|| wrong("substring not found"))?;
            Value::from(text[..place].chars().count())
        }
        // The library makes room for the width before anything is charged.
        "format" if widest_number(text) > MAX_WIDTH => {
            return Err(wrong("the format asks for too wide a field"));
        }
        _ => return Ok(None),
    }))
}

fn of_number(number: &Value, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    Ok(match method {
        "is_integer" if args.is_empty() => {
            let whole = |real: f64| real.is_finite() && real.fract() == 0.0;
            Some(Value::from(number.is_integer() || f64::try_from(number.clone()).is_ok_and(whole)))
        }
        "bit_length" if args.is_empty() && number.is_integer() => i128::try_from(number.clone())
            .ok()
            .map(|whole| Value::from(u128::BITS - whole.unsigned_abs().leading_zeros())),
        _ => None,
    })
}

/// Python's `title`: letters after letters in lower case, others in upper case.
fn titled(text: &str) -> String {
    let (mut out, mut inside) = (String::with_capacity(text.len()), false);
    for c in text.chars() {
        match inside {
            true => out.extend(c.to_lowercase()),
            false => out.extend(c.to_uppercase()),
        }
        inside = c.is_uppercase() || c.is_lowercase();
    }
    out
}

/// Python's `istitle`: words begin in upper case and go on in lower case, and there is one.
fn is_title(text: &str) -> bool {
    let (mut inside, mut some) = (false, false);
    for c in text.chars() {
        let cased = c.is_uppercase() || c.is_lowercase();
        if cased && c.is_uppercase() == inside {
            return false;
        }
        some |= cased;
        inside = cased;
    }
    some
}

/// Python's `expandtabs`.
fn expanded(text: &str, size: usize) -> Result<String, Error> {
    let (mut out, mut column) = (String::with_capacity(text.len()), 0);
    if size > MAX_WIDTH {
        return Err(wrong("the tab size is too large"));
    }
    for c in text.chars() {
        match c {
            '\t' if size > 0 => {
                let space = size - column % size;
                out.push_str(&" ".repeat(space));
                column += space;
            }
            '\t' => {}
            _ => {
                out.push(c);
                column = if matches!(c, '\n' | '\r') { 0 } else { column + 1 };
            }
        }
    }
    Ok(out)
}

fn of_list(list: &Value, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    match method {
        "index" => {
            let (what,): (Value,) = from_args(args)?;
            let place = list.try_iter()?.position(|item| item == what);
            Ok(Some(Value::from(place.ok_or_else(|| wrong("value is not in list"))?)))
        }
        "append" | "extend" | "insert" | "pop" | "remove" | "clear" | "sort" | "reverse" => {
            Err(wrong(&format!("lists cannot be changed, as with `{method}`; templates run in a sandbox")))
        }
        _ => Ok(None),
    }
}

/// Python's `splitlines`, for which more than a line feed ends a line.
pub(super) fn lines(text: &str, keep: bool) -> Vec<&str> {
    const ENDS: [char; 10] =
        ['\n', '\r', '\x0b', '\x0c', '\x1c', '\x1d', '\x1e', '\u{85}', '\u{2028}', '\u{2029}'];
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(place) = rest.find(ENDS) {
        let after = &rest[place..];
        let end = match after.strip_prefix("\r\n") {
            Some(_) => place + 2,
            None => place + after.chars().next().map_or(0, char::len_utf8),
        };
        lines.push(&rest[..if keep { end } else { place }]);
        rest = &rest[end..];
    }
    if !rest.is_empty() {
        lines.push(rest);
    }
    lines
}

/// Python's `split` and `rsplit`; without a separator, words between runs of white space.
fn split<'a>(text: &'a str, separator: Option<&str>, count: Option<usize>, from_right: bool) -> Vec<&'a str> {
    let mut parts: Vec<&str> = Vec::new();
    let mut rest = if separator.is_none() { text.trim() } else { text };
    while count.is_none_or(|count| parts.len() < count) {
        let cut = match (separator, from_right) {
            (Some(separator), false) => rest.split_once(separator),
            (Some(separator), true) => rest.rsplit_once(separator).map(|(before, after)| (after, before)),
            (None, false) => {
                rest.split_once(char::is_whitespace).map(|(word, after)| (word, after.trim_start()))
            }
            (None, true) => {
                rest.rsplit_once(char::is_whitespace).map(|(before, word)| (word, before.trim_end()))
            }
        };
        let Some((part, after)) = cut else { break };
        parts.push(part);
        rest = after;
    }
    if separator.is_some() || !rest.is_empty() {
        parts.push(rest);
    }
    if from_right {
        parts.reverse();
    }
    parts
}

/// Python's `center`.
pub(super) fn centered(text: &str, width: i64, fill: &str) -> Result<String, Error> {
    let space = space(text, width)?;
    // The odd one is to the left of a text of odd length in an odd width.
    let left = space / 2 + (space & width.unsigned_abs() as usize & 1);
    Ok(format!("{}{text}{}", fill.repeat(left), fill.repeat(space - left)))
}

/// Characters that are missing to `width`.
fn space(text: &str, width: i64) -> Result<usize, Error> {
    let width = usize::try_from(width).unwrap_or(0);
    if width > MAX_WIDTH {
        return Err(wrong("the width is too large"));
    }
    Ok(width.saturating_sub(text.chars().count()))
}

/// The largest number written out in a format.
fn widest_number(format: &str) -> usize {
    let number = |digits: &str| match digits {
        "" => 0,
        digits => digits.parse().unwrap_or(usize::MAX),
    };
    format.split(|c: char| !c.is_ascii_digit()).map(number).max().unwrap_or(0)
}

fn wrong(problem: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, problem.to_string())
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn texts_are_split_as_python_splits_them() {
        let both = |text, separator, count| {
            [false, true].map(|from_right| split(text, separator, count, from_right).join("|"))
        };
        // str.split and str.rsplit, their parts joined
        assert_eq!(both("a-b-c", Some("-"), None), ["a|b|c", "a|b|c"]);
        assert_eq!(both("a-b-c", Some("-"), Some(1)), ["a|b-c", "a-b|c"]);
        assert_eq!(both("  a  b c ", None, None), ["a|b|c", "a|b|c"]);
        assert_eq!(both("  a  b c ", None, Some(1)), ["a|b c", "a  b|c"]);
        assert_eq!([split("", Some("-"), None, false).len(), split(" ", None, None, true).len()], [1, 0]);
    }
}
