//! Jinja's filters of texts that the library lacks: `wordwrap`, `striptags`, `filesizeformat`, `xmlattr`, `pprint`, `indent`.
//!
//! Lines are broken as Python's `textwrap` breaks them, tags removed as `markupsafe` does. `fixtures/chat/make.py` compares them.

use std::sync::OnceLock;

use fancy_regex::Regex;
use minijinja::value::{Kwargs, Rest, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, Value};

use super::arguments::named;
use super::filters::escaped;
use super::{bounds, methods, python};

pub(super) fn add(environment: &mut Environment<'_>) {
    environment.add_filter("wordwrap", wordwrap);
    environment.add_filter("striptags", striptags);
    environment.add_filter("filesizeformat", filesizeformat);
    environment.add_filter("xmlattr", xmlattr);
    environment.add_filter("pprint", pprint);
    environment.add_filter("indent", indent);
}

/// Jinja's `wordwrap(width=79, break_long_words=True, wrapstring=None, break_on_hyphens=True)`.
fn wordwrap(state: &mut State<'_, '_>, text: &str, args: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let options = named(args, &["width", "break_long_words", "wrapstring", "break_on_hyphens"])?;
    let width: usize = options.get::<Option<usize>>("width")?.unwrap_or(79);
    let long = options.get::<Option<bool>>("break_long_words")?.unwrap_or(true);
    let with = options.get::<Option<String>>("wrapstring")?.unwrap_or_else(|| "\n".into());
    let hyphens = options.get::<Option<bool>>("break_on_hyphens")?.unwrap_or(true);
    options.assert_all_used()?;
    if width == 0 {
        return Err(wrong("wordwrap: the width must be above zero"));
    }
    // Every character may become a line of its own, and is looked at several times.
    bounds::charge(state, (text.len() as u64).saturating_mul(16 + with.len() as u64))?;
    let mut lines = Vec::new();
    for line in methods::lines(text, false) {
        let chunks = chunks(line, hyphens)?;
        // A long word is copied for each line that is cut from it.
        let long_words = chunks.iter().map(|chunk| chunk.len() as u64).filter(|&size| size > width as u64);
        let copied: u64 = long_words.map(|size| size.saturating_mul(size) / width as u64).sum();
        bounds::charge(state, copied)?;
        lines.push(wrap(chunks, width, long, hyphens).join(&with));
    }
    Ok(lines.join(&with))
}

/// The pieces of a line between which it can be broken: `textwrap`'s `wordsep_re` and `wordsep_simple_re`.
fn chunks(line: &str, hyphens: bool) -> Result<Vec<String>, Error> {
    const SPACE: &str = r"[\t\n\x0b\x0c\r ]";
    static PARTS: OnceLock<Option<[Regex; 2]>> = OnceLock::new();
    let parts = PARTS.get_or_init(|| {
        let (no_space, mark, letter) = (r"[^\t\n\x0b\x0c\r ]", r#"[\w!"'&.,?]"#, r"[^\d\W]");
        let words = format!(
            r"{SPACE}+|(?<={mark})-{{2,}}(?=\w)|{no_space}+?(?:-(?:(?<={letter}{letter}-)|(?<={letter}-{letter}-))(?={letter}-?{letter})|(?={SPACE}|\z)|(?<={mark})(?=-{{2,}}\w))"
        );
        Some([Regex::new(&words).ok()?, Regex::new(&format!("{SPACE}+|{no_space}+")).ok()?])
    });
    let parts = parts.as_ref().ok_or_else(|| wrong("wordwrap is not available"))?;
    let found = parts[usize::from(!hyphens)].find_iter(line);
    found
        .map(|found| Ok(found.map_err(|_| wrong("wordwrap: the text takes too long"))?.as_str().to_owned()))
        .collect()
}

/// `textwrap`'s `_wrap_chunks`.
fn wrap(chunks: Vec<String>, width: usize, long: bool, hyphens: bool) -> Vec<String> {
    let length = |text: &str| text.chars().count();
    let mut chunks: Vec<String> = chunks.into_iter().rev().collect();
    let mut lines: Vec<String> = Vec::new();
    while let Some(first) = chunks.last() {
        if first.trim().is_empty() && !lines.is_empty() {
            chunks.pop();
        }
        let (mut line, mut used): (Vec<String>, usize) = (Vec::new(), 0);
        while let Some(chunk) = chunks.pop_if(|chunk| used + length(chunk) <= width) {
            used += length(&chunk);
            line.push(chunk);
        }
        if let Some(chunk) = chunks.pop_if(|chunk| length(chunk) > width) {
            let room = width - used;
            if long {
                let letters: Vec<char> = chunk.chars().collect();
                let hyphen = letters[..room]
                    .iter()
                    .rposition(|&c| c == '-')
                    .filter(|&place| hyphens && place > 0 && letters[..place].iter().any(|&c| c != '-'));
                let (begin, rest) = letters.split_at(hyphen.map_or(room, |place| place + 1));
                line.push(begin.iter().collect());
                chunks.push(rest.iter().collect());
            } else if line.is_empty() {
                line.push(chunk);
            } else {
                chunks.push(chunk);
            }
        }
        line.pop_if(|last| last.trim().is_empty());
        if !line.is_empty() {
            lines.push(line.concat());
        }
    }
    lines
}

/// Longest name of an entity that is looked for, in bytes.
const MAX_ENTITY: usize = 32;

/// Jinja's `striptags`: comments and tags go, white space becomes one space, entities become characters.
fn striptags(text: &str) -> Result<String, Error> {
    let mut text = text.to_owned();
    for (open, close) in [("<!--", "-->"), ("<", ">")] {
        let mut out = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once(open) {
            let Some((_, behind)) = after.split_once(close) else { break };
            out.push_str(before);
            rest = behind;
        }
        out.push_str(rest);
        text = out;
    }
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let end = after.bytes().take(MAX_ENTITY).position(|byte| byte == b';');
        let name = end.map(|end| (&after[..end], &after[end + 1..])).filter(|(name, _)| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '#')
        });
        rest = after;
        let Some((name, behind)) = name else {
            out.push('&');
            continue;
        };
        let number = name.strip_prefix('#').and_then(|number| match number.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16).ok(),
            None => number.parse().ok(),
        });
        let character = match name {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            "nbsp" => Some('\u{a0}'),
            // Other numbers stand for something else in HTML.
            _ => number
                .filter(|number| (0x20..0x7f).contains(number) || *number >= 0xa0)
                .and_then(char::from_u32),
        };
        out.push(character.ok_or_else(|| wrong(&format!("striptags: the entity &{name}; is not known")))?);
        rest = behind;
    }
    out.push_str(rest);
    Ok(out)
}

/// Jinja's `filesizeformat(binary=False)`.
fn filesizeformat(value: Value, binary: Option<bool>, options: Kwargs) -> Result<String, Error> {
    let binary = binary.or(options.get("binary")?).unwrap_or(false);
    options.assert_all_used()?;
    let number = value.as_str().and_then(|text| text.trim().parse().ok());
    let bytes = number.or_else(|| f64::try_from(value).ok()).filter(|bytes: &f64| bytes.is_finite());
    let bytes = bytes.ok_or_else(|| wrong("filesizeformat: could not convert to a number"))?;
    let base: f64 = if binary { 1024.0 } else { 1000.0 };
    if bytes == 1.0 {
        return Ok("1 Byte".into());
    }
    if bytes < base {
        return Ok(format!("{} Bytes", bytes.trunc()));
    }
    let mut unit = base;
    let mut name = 'k';
    for next in "kMGTPEZY".chars() {
        (name, unit) = (next, unit * base);
        if bytes < unit {
            break;
        }
    }
    let name = if binary { format!("{}iB", name.to_ascii_uppercase()) } else { format!("{name}B") };
    Ok(format!("{:.1} {name}", base * bytes / unit))
}

/// Jinja's `xmlattr(autospace=True)`.
fn xmlattr(
    state: &mut State<'_, '_>,
    value: Value,
    space: Option<bool>,
    options: Kwargs,
) -> Result<Value, Error> {
    let space = space.or(options.get("autospace")?).unwrap_or(true);
    options.assert_all_used()?;
    bounds::check(state, &value)?;
    if value.kind() != ValueKind::Map {
        return Err(wrong("xmlattr: wants a mapping"));
    }
    let mut out = Vec::new();
    for key in value.try_iter()? {
        let field = value.get_item(&key)?;
        if field.is_undefined() || field.is_none() {
            continue;
        }
        let name = python::text(&key)?;
        if name.contains(|c: char| c.is_whitespace() || matches!(c, '/' | '>' | '=')) {
            return Err(wrong("xmlattr: invalid character in attribute name"));
        }
        out.push(format!("{}=\"{}\"", escaped(&name), escaped(&python::text(&field)?)));
    }
    let text = out.join(" ");
    bounds::charge(state, text.len() as u64)?;
    Ok(Value::from_safe_string(if space && !text.is_empty() { format!(" {text}") } else { text }))
}

/// Python's `pprint` of what fits into a line; longer values it breaks in ways of its own, which are refused.
fn pprint(state: &mut State<'_, '_>, value: Value) -> Result<String, Error> {
    const WIDTH: usize = 80;
    bounds::check(state, &value)?;
    let text = python::sorted_repr(&value)?;
    if text.chars().count() > WIDTH || value.is_undefined() {
        return Err(wrong("pprint: a value of more than a line is not supported"));
    }
    Ok(text)
}

/// Jinja's `indent(width=4, first=False, blank=False)`, whose width may be a text.
fn indent(state: &mut State<'_, '_>, text: &str, args: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let options = named(args, &["width", "first", "blank"])?;
    let width = options.get::<Option<Value>>("width")?.unwrap_or_else(|| Value::from(4));
    let first = options.get::<Option<bool>>("first")?.unwrap_or(false);
    let blank = options.get::<Option<bool>>("blank")?.unwrap_or(false);
    options.assert_all_used()?;
    let space = match width.as_str() {
        Some(text) => text.to_owned(),
        None => {
            let width = usize::try_from(width).map_err(|_| wrong("indent: the width is no number"))?;
            if width > methods::MAX_WIDTH {
                return Err(wrong("the width is too large"));
            }
            " ".repeat(width)
        }
    };
    // Jinja adds a line break and takes the lines apart, so that one at the end stays.
    let text = format!("{text}\n");
    let lines = methods::lines(&text, false);
    bounds::charge(state, (lines.len() as u64).saturating_mul(space.len() as u64))?;
    let indented = lines.iter().enumerate().map(|(place, line)| {
        let bare = if place == 0 { !first } else { line.is_empty() && !blank };
        if bare { (*line).to_owned() } else { format!("{space}{line}") }
    });
    Ok(indented.collect::<Vec<_>>().join("\n"))
}

fn wrong(problem: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, problem.to_string())
}
