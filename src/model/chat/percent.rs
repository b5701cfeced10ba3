//! Python's formatting with `%` (docs.python.org, "printf-style String Formatting"), which Jinja's filter `format` does.

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};

use super::methods::MAX_WIDTH;
use super::{bounds, python};

/// One `%`: what stands between it and its letter.
#[derive(Default)]
struct Spec {
    left: bool,
    zeros: bool,
    sign: bool,
    space: bool,
    other: bool,
    width: usize,
    precision: Option<usize>,
}

/// `text` with `values` in the place of its conversions.
pub(super) fn format(state: &mut State<'_, '_>, text: &str, values: &[Value]) -> Result<String, Error> {
    let options = values.last().filter(|last| last.is_kwargs()).map(|last| Kwargs::try_from(last.clone()));
    let options = options.transpose()?;
    let mut given = values[..values.len() - usize::from(options.is_some())].iter();
    // `'%(a)s' % {'a': 1}`.
    let map = given.as_slice().first().filter(|only| values.len() == 1 && only.kind() == ValueKind::Map);
    let named = |name: &str| match (&options, map) {
        (Some(options), _) => options.get::<Value>(name),
        (None, Some(map)) => map.get_item(&Value::from(name)),
        (None, None) => Err(wrong("format requires a mapping")),
    };
    let mut out = String::new();
    let mut rest = text;
    let mut uses_names = options.is_some();
    while let Some((plain, behind)) = rest.split_once('%') {
        push(state, &mut out, plain)?;
        rest = behind;
        let mut name = None;
        if let Some(after) = rest.strip_prefix('(') {
            let (inside, after) = after.split_once(')').ok_or_else(|| wrong("incomplete format key"))?;
            (name, rest) = (Some(inside), after);
            uses_names = true;
        }
        let mut spec = Spec::default();
        rest = spec.read(rest, &mut given)?;
        let letter = rest.chars().next().ok_or_else(|| wrong("incomplete format"))?;
        rest = &rest[letter.len_utf8()..];
        if letter == '%' {
            push(state, &mut out, "%")?;
            continue;
        }
        let value = match name {
            Some(name) => named(name)?,
            None => given.next().cloned().ok_or_else(|| wrong("not enough arguments for format string"))?,
        };
        bounds::check(state, &value)?;
        let piece = spec.write(letter, &value)?;
        push(state, &mut out, &piece)?;
    }
    push(state, &mut out, rest)?;
    if !uses_names && given.next().is_some() {
        return Err(wrong("not all arguments converted during string formatting"));
    }
    Ok(out)
}

/// Adds a piece, which counts before it is there.
fn push(state: &mut State<'_, '_>, out: &mut String, piece: &str) -> Result<(), Error> {
    bounds::charge(state, piece.len() as u64)?;
    out.push_str(piece);
    Ok(())
}

impl Spec {
    /// Reads flags, width and precision; what is behind them.
    fn read<'a>(
        &mut self,
        mut text: &'a str,
        given: &mut std::slice::Iter<'_, Value>,
    ) -> Result<&'a str, Error> {
        while let Some(flag @ ('-' | '0' | '+' | ' ' | '#')) = text.chars().next() {
            match flag {
                '-' => self.left = true,
                '0' => self.zeros = true,
                '+' => self.sign = true,
                ' ' => self.space = true,
                _ => self.other = true,
            }
            text = &text[1..];
        }
        let width;
        (width, text) = number(text, given)?;
        // A negative one is one to the left.
        self.left |= width.is_some_and(|width| width < 0);
        self.width = bounded(width.unwrap_or(0).unsigned_abs())?;
        if let Some(after) = text.strip_prefix('.') {
            let precision;
            (precision, text) = number(after, given)?;
            self.precision = Some(bounded(precision.unwrap_or(0).max(0).unsigned_abs())?);
        }
        // Python takes C's lengths and does nothing with them.
        Ok(text.strip_prefix(['h', 'l', 'L']).unwrap_or(text))
    }

    fn write(&self, letter: char, value: &Value) -> Result<String, Error> {
        let (sign, digits) = match letter {
            's' | 'r' => {
                let text = if letter == 's' { python::text(value)? } else { python::repr(value)? };
                let cut = self.precision.and_then(|most| text.char_indices().nth(most));
                let text = cut.map_or(&text[..], |(place, _)| &text[..place]).to_owned();
                return Ok(self.padded("", &text, false));
            }
            'c' => {
                let text = match value.as_str() {
                    Some(text) => text.to_owned(),
                    None => u32::try_from(value.clone())
                        .ok()
                        .and_then(char::from_u32)
                        .ok_or_else(|| wrong("%c requires int or char"))?
                        .to_string(),
                };
                if text.chars().count() != 1 {
                    return Err(wrong("%c requires int or char"));
                }
                return Ok(self.padded("", &text, false));
            }
            'd' | 'i' | 'u' => {
                let whole = self.whole(value, true)?;
                (whole < 0, self.filled(whole.unsigned_abs().to_string()))
            }
            'x' | 'X' | 'o' => {
                let whole = self.whole(value, false)?;
                if self.other {
                    return Err(wrong("the flag # is not supported"));
                }
                let size = whole.unsigned_abs();
                let digits = match letter {
                    'x' => format!("{size:x}"),
                    'X' => format!("{size:X}"),
                    _ => format!("{size:o}"),
                };
                (whole < 0, self.filled(digits))
            }
            'f' | 'F' | 'e' | 'E' | 'g' | 'G' => {
                let real = f64::try_from(value.clone()).map_err(|_| wrong("must be real number"))?;
                if !real.is_finite() || self.other {
                    return Err(wrong("such a number cannot be formatted"));
                }
                let precision = self.precision.unwrap_or(6);
                let digits = match letter {
                    'f' | 'F' => format!("{:.precision$}", real.abs()),
                    'g' | 'G' => general(real.abs(), precision.max(1), letter),
                    _ => exponent(&format!("{:.precision$e}", real.abs()), letter),
                };
                (real.is_sign_negative(), digits)
            }
            other => {
                return Err(wrong(&format!("the conversion `%{other}` is not supported")));
            }
        };
        let sign = match (sign, self.sign, self.space) {
            (true, ..) => "-",
            (false, true, _) => "+",
            (false, false, true) => " ",
            _ => "",
        };
        Ok(self.padded(sign, &digits, true))
    }

    /// A whole number; a real one is cut where that is `allowed`.
    fn whole(&self, value: &Value, allowed: bool) -> Result<i128, Error> {
        if value.kind() == ValueKind::Bool {
            return Ok(i128::from(value.is_true()));
        }
        if value.kind() != ValueKind::Number {
            return Err(wrong("a number is required"));
        }
        match i128::try_from(value.clone()) {
            Ok(whole) => Ok(whole),
            Err(_) if allowed => f64::try_from(value.clone())
                .ok()
                .filter(|real| real.is_finite())
                .map(|real| real as i128)
                .ok_or_else(|| wrong("a number is required")),
            Err(_) => Err(wrong("an integer is required")),
        }
    }

    /// Digits with zeros in front up to the precision.
    fn filled(&self, digits: String) -> String {
        let missing = self.precision.unwrap_or(0).saturating_sub(digits.len());
        format!("{}{digits}", "0".repeat(missing))
    }

    fn padded(&self, sign: &str, text: &str, number: bool) -> String {
        let missing = self.width.saturating_sub(sign.len() + text.chars().count());
        match (self.left, self.zeros && number) {
            (true, _) => format!("{sign}{text}{}", " ".repeat(missing)),
            (false, true) => format!("{sign}{}{text}", "0".repeat(missing)),
            (false, false) => format!("{}{sign}{text}", " ".repeat(missing)),
        }
    }
}

/// A number written out, or `*` for the next value; what is behind it.
fn number<'a>(
    text: &'a str,
    given: &mut std::slice::Iter<'_, Value>,
) -> Result<(Option<i64>, &'a str), Error> {
    if let Some(after) = text.strip_prefix('*') {
        let value = given.next().and_then(|value| i64::try_from(value.clone()).ok());
        return Ok((Some(value.ok_or_else(|| wrong("* wants int"))?), after));
    }
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let digits = (end > 0).then(|| text[..end].parse().map_err(|_| wrong("width too big"))).transpose()?;
    Ok((digits, &text[end..]))
}

fn bounded(width: u64) -> Result<usize, Error> {
    usize::try_from(width)
        .ok()
        .filter(|&width| width <= MAX_WIDTH)
        .ok_or_else(|| wrong("the format asks for too wide a field"))
}

/// `%g`: so many significant digits, without zeros at the end, with an exponent where that is very small or has more digits.
fn general(size: f64, precision: usize, letter: char) -> String {
    let text = format!("{size:.*e}", precision - 1);
    let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
    let power: i64 = power.parse().unwrap_or(0);
    let short = |digits: &str| match digits.contains('.') {
        true => digits.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => digits.to_owned(),
    };
    let most = i64::try_from(precision).unwrap_or(i64::MAX);
    if power < -4 || power >= most {
        let letter = if letter == 'G' { 'E' } else { 'e' };
        return exponent(&format!("{}e{power}", short(digits)), letter);
    }
    let decimals = usize::try_from(most - 1 - power).unwrap_or(0);
    short(&format!("{size:.decimals$}"))
}

/// `1.5e7` as `1.5e+07`.
fn exponent(text: &str, letter: char) -> String {
    let (digits, power) = text.split_once('e').unwrap_or((text, "0"));
    let (sign, power) = power.strip_prefix('-').map_or(('+', power), |power| ('-', power));
    format!("{digits}{letter}{sign}{power:0>2}")
}

fn wrong(problem: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, problem.to_string())
}
