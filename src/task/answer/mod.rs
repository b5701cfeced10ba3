//! Answers as people and models write them, compared by what they mean.
//!
//! A text is rewritten into one notation ([`normal`]), split into tokens ([`lexer`]) and read as every value that it can be
//! ([`value`]): a number, an expression, a quantity with its unit, a set, an interval and so on, or only words. Two answers are the same
//! if they are the same text or one reading of each has the same value; they differ if all readings differ; else nobody can tell.
//! Lengths, depths, numbers of tokens and sizes of numbers are bounded.

mod compare;
mod completion;
mod identity;
mod lexer;
mod normal;
mod number;
mod parser;
mod special;
mod structure;
mod term;
mod units;
mod value;
mod words;

pub(super) use completion::{Found, find};

use compare::Comparison;
use lexer::{Commas, tokenize};
use super::text::unwrap_math;
use value::{Reader, Value};

/// Longest answer that is read for its value, in bytes; the text of a longer one can only be the same or not.
const MAX_LENGTH: usize = 8_192;

/// Whether two things are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Same {
    Yes,
    No,
    /// Nobody can tell.
    Unknown,
}

impl From<bool> for Same {
    fn from(same: bool) -> Self {
        if same { Self::Yes } else { Self::No }
    }
}

/// An answer, ready to be compared.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    text: String,
    readings: Vec<Value>,
}

impl Answer {
    /// Reads an answer: what [`find`] found, not a whole completion.
    pub(super) fn read(text: &str) -> Self {
        let unwrapped = unwrap_math(text);
        let text = normal::normalise(unwrapped);
        let text = text.trim_matches(|c: char| matches!(c, '"' | '`')).trim().to_owned();
        let mut readings = Vec::new();
        if text.len() <= MAX_LENGTH {
            let (special, only) = special::read(&text);
            readings = special;
            if !only {
                if let Some(number) = words::number_in_words(&text) {
                    let value = num_rational::BigRational::from_integer(number.into());
                    readings.push(Value::plain(term::Term::Literal(number::Literal { value, written: None })));
                }
                for commas in [Commas::Group, Commas::Split] {
                    let Some(tokens) = tokenize(&text, commas) else { continue };
                    for decimal in [false, true] {
                        let mut reader = Reader { text: &text, decimal, depth: 0 };
                        if let Some(value) = reader.value(&tokens)
                            && !readings.contains(&value)
                        {
                            readings.push(value);
                        }
                    }
                }
            }
        }
        Self { text, readings }
    }

    /// Whether it has a value, and is not only words.
    fn has_value(&self) -> bool {
        !self.readings.is_empty()
    }

    /// Whether it is a number, perhaps with a unit.
    fn is_number(&self) -> bool {
        fn number(value: &Value) -> bool {
            match value {
                Value::Quantity { term, .. } => !term.has_variable(),
                Value::Either(readings) => readings.iter().any(number),
                Value::Named { value, .. } => number(value),
                _ => false,
            }
        }
        self.readings.iter().any(number)
    }

    /// Whether a digit is in it.
    fn has_digit(&self) -> bool {
        self.text.contains(|c: char| c.is_ascii_digit())
    }
}

/// Whether `answer` says what `known` says. `tolerance` is the relative error that is granted to numbers; with zero, exact ones are
/// compared exactly and decimals by their digits.
pub(super) fn compare(known: &Answer, answer: &Answer, tolerance: f64) -> Same {
    if known.text.is_empty() || answer.text.is_empty() {
        return Same::from(known.text == answer.text);
    }
    if words::same_text(&known.text, &answer.text) {
        return Same::Yes;
    }
    let verdict = Comparison { tolerance }.any(&known.readings, &answer.readings);
    match (verdict, known.has_value(), answer.has_value()) {
        (Same::Unknown, false, false) => words::compare(&known.text, &answer.text),
        // Letters can be read as variables, and are words as well.
        (Same::Unknown, ..) if words::yes_or_no(&known.text).is_some() => words::compare(&known.text, &answer.text),
        (verdict, ..) => verdict,
    }
}

/// Whether the answer that was found says what the known one says: by any way to narrow them down, else by the narrowest that has a
/// value.
pub(super) fn judge(known: &Found, answer: &Found, tolerance: f64) -> Same {
    let mut verdict = Same::Unknown;
    for a in &known.answers {
        for b in &answer.answers {
            match compare(a, b, tolerance) {
                Same::Yes => return Same::Yes,
                Same::No => verdict = Same::No,
                Same::Unknown if b.has_value() => verdict = Same::Unknown,
                Same::Unknown => {}
            }
        }
    }
    verdict
}

/// [`compare`] of texts.
fn compare_texts(known: &str, answer: &str) -> Same {
    compare(&Answer::read(known), &Answer::read(answer), 0.0)
}
