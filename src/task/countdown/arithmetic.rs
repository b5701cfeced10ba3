//! The arithmetic expressions of answers.

use crate::task::rational::Rational;
use crate::task::text::closing;

/// Longest expression, in bytes.
const MAX_LENGTH: usize = 400;
/// Deepest nesting of parentheses.
const MAX_DEPTH: usize = 32;

/// The value of an expression (`None` if it divides by zero or leaves 128 bits) and the numbers in it.
pub(super) fn evaluate(text: &str) -> Result<(Option<Rational>, Vec<u64>), String> {
    if text.len() > MAX_LENGTH {
        return Err(format!("longer than {MAX_LENGTH} bytes"));
    }
    let narrow = text.chars().map(|c| match c {
        // Signs as wide as a Chinese letter.
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        c => c,
    });
    let plain = fractions(&narrow.collect::<String>())
        .replace("\\times", "*")
        .replace("\\cdot", "*")
        .replace("\\div", "/")
        .replace("\\left", "")
        .replace("\\right", "")
        .replace(['\u{d7}', '\u{22c5}', '\u{b7}'], "*")
        .replace(['\u{f7}', '\u{2215}'], "/")
        .replace(['\u{2212}', '\u{2013}'], "-");
    let mut parser = Parser { rest: plain.trim_start(), used: Vec::new() };
    let value = parser.sum(0)?;
    if !parser.rest.is_empty() {
        return Err(format!("unexpected `{}`", parser.rest.chars().take(20).collect::<String>()));
    }
    Ok((value, parser.used))
}

/// `\\frac{a}{b}` as `((a)/(b))`.
fn fractions(text: &str) -> String {
    let mut text = text.replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac");
    // The innermost is the last.
    while let Some((before, rest)) = text.rsplit_once("\\frac{") {
        let part = |rest: &str| {
            closing(rest, '{', '}').map(|end| (rest[..end].to_owned(), rest[end + 1..].to_owned()))
        };
        let Some((above, rest)) = part(rest) else { break };
        let Some((below, rest)) = rest.strip_prefix('{').and_then(part) else { break };
        text = format!("{before}(({above})/({below})){rest}");
    }
    text
}

struct Parser<'a> {
    /// Without leading white space.
    rest: &'a str,
    used: Vec<u64>,
}

impl Parser<'_> {
    fn accept(&mut self, symbols: &[char]) -> Option<char> {
        let c = self.rest.chars().next().filter(|c| symbols.contains(c))?;
        self.rest = self.rest[c.len_utf8()..].trim_start();
        Some(c)
    }

    fn sum(&mut self, depth: usize) -> Result<Option<Rational>, String> {
        let mut value = self.product(depth)?;
        while let Some(operator) = self.accept(&['+', '-']) {
            let right = self.product(depth)?;
            value = value.zip(right).and_then(|(left, right)| left.apply(operator, right));
        }
        Ok(value)
    }

    fn product(&mut self, depth: usize) -> Result<Option<Rational>, String> {
        let mut value = self.atom(depth)?;
        while let Some(operator) = self.accept(&['*', '/', 'x', 'X']) {
            let operator = if operator == '/' { '/' } else { '*' };
            let right = self.atom(depth)?;
            value = value.zip(right).and_then(|(left, right)| left.apply(operator, right));
        }
        Ok(value)
    }

    fn atom(&mut self, depth: usize) -> Result<Option<Rational>, String> {
        if self.accept(&['(', '[', '{']).is_some() {
            if depth >= MAX_DEPTH {
                return Err(format!("nested deeper than {MAX_DEPTH} levels"));
            }
            let value = self.sum(depth + 1)?;
            return self
                .accept(&[')', ']', '}'])
                .map(|_| value)
                .ok_or_else(|| "a parenthesis is not closed".to_owned());
        }
        let digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u32 = self.rest[..digits].parse().map_err(|_| match self.rest.chars().next() {
            None => "it ends too early".to_owned(),
            Some(_) => {
                format!("a whole number expected at `{}`", self.rest.chars().take(20).collect::<String>())
            }
        })?;
        self.rest = self.rest[digits..].trim_start();
        self.used.push(u64::from(number));
        Ok(Some(Rational::integer(number)))
    }
}
