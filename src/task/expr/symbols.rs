//! The names, numbers and signs that the lexer knows.

use super::error::ParseError;
use super::token::{Special, Token};
use super::{Function, Number};

/// Significant digits from which on a decimal may be a rounded one.
const ROUNDED_DIGITS: usize = 8;

/// Names that stand for something unevaluated, with what to call it.
pub(super) const UNEVALUATED: &[(&str, &str)] = &[
    ("integral", "integral"),
    ("integrate", "integral"),
    ("int", "integral"),
    ("iint", "integral"),
    ("quad", "integral"),
    ("nintegrate", "integral"),
    ("antiderivative", "integral"),
    ("diff", "derivative"),
    ("derivative", "derivative"),
    ("differentiate", "derivative"),
    ("sum", "sum"),
    ("summation", "sum"),
    ("prod", "product"),
    ("limit", "limit"),
    ("lim", "limit"),
];

/// A single known name.
pub(super) fn named(word: &str) -> Option<Token> {
    Some(match word {
        "x" => Token::Variable,
        "e" | "E" => Token::E,
        "pi" | "Pi" | "PI" => Token::Pi,
        "C" | "c" | "K" | "k" | "const" | "constant" | "C1" | "c1" => Token::Constant,
        "log2" => Token::Special(Special::LogBase(2)),
        "log10" => Token::Special(Special::LogBase(10)),
        "Pow" | "pow" => Token::Special(Special::Pow),
        "root" => Token::Special(Special::Root),
        "erfc" => Token::Special(Special::Erfc),
        "log1p" => Token::Special(Special::LogOnePlus),
        "expm1" => Token::Special(Special::ExpMinusOne),
        "Rational" => Token::Special(Special::Rational),
        _ => Token::Function(Function::named(word)?),
    })
}

/// A literal of digits with an optional fraction and exponent.
pub(super) fn literal(text: &str) -> Result<Token, ParseError> {
    let value: f64 =
        text.parse().map_err(|_| ParseError::new(format!("`{}` is no number", shorten(text))))?;
    if !value.is_finite() {
        return Err(ParseError::new("a number too large"));
    }
    let mantissa = text.split(['e', 'E']).next().unwrap_or(text);
    let significant = mantissa.bytes().filter(u8::is_ascii_digit).skip_while(|&digit| digit == b'0').count();
    let unit = match mantissa.split_once('.') {
        Some((_, fraction)) if significant >= ROUNDED_DIGITS => {
            let exponent = text.split(['e', 'E']).nth(1).unwrap_or("0");
            format!("1e{exponent}").parse().unwrap_or(1.0)
                * 10f64.powi(-i32::try_from(fraction.len()).unwrap_or(i32::MAX))
        }
        _ => 0.0,
    };
    let exact = value < 9_007_199_254_740_992.0 && value == value.trunc();
    let error = if exact { 0.0 } else { f64::EPSILON * value };
    Ok(Token::Number(Number { value, error, unit, text: text.to_owned() }))
}

pub(super) fn superscript(c: char) -> Option<char> {
    Some(match c {
        '\u{2070}' => '0',
        '\u{b9}' => '1',
        '\u{b2}' => '2',
        '\u{b3}' => '3',
        '\u{2074}' => '4',
        '\u{2075}' => '5',
        '\u{2076}' => '6',
        '\u{2077}' => '7',
        '\u{2078}' => '8',
        '\u{2079}' => '9',
        '\u{207a}' => '+',
        '\u{207b}' => '-',
        '\u{207d}' => '(',
        '\u{207e}' => ')',
        '\u{2e3}' => 'x',
        _ => return None,
    })
}

pub(super) fn vulgar_fraction(c: char) -> Option<(&'static str, &'static str)> {
    Some(match c {
        '\u{bd}' => ("1", "2"),
        '\u{2153}' => ("1", "3"),
        '\u{2154}' => ("2", "3"),
        '\u{bc}' => ("1", "4"),
        '\u{be}' => ("3", "4"),
        '\u{2155}' => ("1", "5"),
        '\u{2159}' => ("1", "6"),
        '\u{215b}' => ("1", "8"),
        _ => return None,
    })
}

/// A word of untrusted text, short enough for a message.
pub(super) fn shorten(word: &str) -> String {
    word.chars().take(24).collect()
}
