//! Exact rational numbers and the arithmetic expressions of answers.

use std::fmt::{Display, Formatter};

/// Longest expression, in bytes.
const MAX_LENGTH: usize = 400;
/// Deepest nesting of parentheses.
const MAX_DEPTH: usize = 32;

/// A fraction in lowest terms with a positive denominator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Rational {
    numerator: i128,
    denominator: i128,
}

impl Rational {
    pub(super) fn integer(value: u32) -> Self {
        Self { numerator: i128::from(value), denominator: 1 }
    }

    fn reduced(numerator: i128, denominator: i128) -> Option<Self> {
        if denominator == 0 {
            return None;
        }
        let divisor = gcd(numerator.unsigned_abs(), denominator.unsigned_abs());
        let divisor = i128::try_from(divisor).ok()? * denominator.signum();
        Some(Self { numerator: numerator / divisor, denominator: denominator / divisor })
    }

    /// `self operator other`; `None` for a division by zero or a result beyond 128 bits.
    pub(super) fn apply(self, operator: char, other: Self) -> Option<Self> {
        let (a, b, c, d) = (self.numerator, self.denominator, other.numerator, other.denominator);
        match operator {
            '+' => Self::reduced(a.checked_mul(d)?.checked_add(c.checked_mul(b)?)?, b.checked_mul(d)?),
            '-' => Self::reduced(a.checked_mul(d)?.checked_sub(c.checked_mul(b)?)?, b.checked_mul(d)?),
            '*' => Self::reduced(a.checked_mul(c)?, b.checked_mul(d)?),
            _ => Self::reduced(a.checked_mul(d)?, b.checked_mul(c)?),
        }
    }
}

fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

impl Display for Rational {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self.denominator {
            1 => write!(f, "{}", self.numerator),
            _ => write!(f, "{}/{}", self.numerator, self.denominator),
        }
    }
}

/// The value of an expression (`None` if it divides by zero or leaves 128 bits) and the numbers in it.
pub(super) fn evaluate(text: &str) -> Result<(Option<Rational>, Vec<u64>), String> {
    if text.len() > MAX_LENGTH {
        return Err(format!("longer than {MAX_LENGTH} bytes"));
    }
    let plain = text
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
        while let Some(operator) = self.accept(&['*', '/']) {
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
