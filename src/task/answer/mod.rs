//! Answers as people and models write them, compared by what they mean.
//!
//! A text is rewritten into one notation ([`normal`]), split into tokens ([`lexer`]) and read as every value that it can be
//! ([`value`]): a number, an expression, a quantity with its unit, a set, an interval and so on, or only words. Two answers are the same
//! if they are the same text or one reading of each has the same value; they differ if all readings differ; else nobody can tell.
//! Lengths, depths, numbers of tokens and sizes of numbers are bounded.

mod amounts;
mod claim;
mod clock;
mod collections;
mod compare;
mod completion;
mod dates;
mod derived;
mod identity;
mod labels;
mod lexer;
mod names;
mod names_of_units;
mod normal;
mod notation;
mod number;
mod numerals;
mod parser;
mod sentence;
mod sizes;
mod special;
mod spoken;
mod structure;
mod symbols;
mod term;
mod units;
mod value;
mod vocabulary;
mod wording;
mod words;

pub(super) use completion::{Found, find};

use super::text::unwrap_math;
use compare::Comparison;
use lexer::{Commas, tokenize};
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

impl Same {
    /// Whether things are the same that have these parts.
    fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut result = Self::Yes;
        for same in parts {
            match same {
                Self::No => return Self::No,
                Self::Unknown => result = Self::Unknown,
                Self::Yes => {}
            }
        }
        result
    }
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
    /// Readings that may be meant but are unusual: `3,14` as a decimal, `42!` as 42.
    unusual: Vec<Value>,
    /// What stands behind the letter of a choice.
    content: Option<Box<Answer>>,
    /// Whether it is all that was said, so that it is wrong if it is not the known answer.
    only: bool,
}

impl Answer {
    /// A text whose value is not told.
    fn unread(text: &str) -> Self {
        let text = text.trim().to_owned();
        Self { text, readings: Vec::new(), unusual: Vec::new(), content: None, only: false }
    }

    /// Reads an answer: what [`find`] found, not a whole completion.
    pub(super) fn read(text: &str) -> Self {
        // Three dots go on; one ends a sentence.
        if text.len() > MAX_LENGTH {
            return Self { only: true, ..Self::unread(text) };
        }
        let text = normal::normalise(unwrap_math(&text.replace("...", "…")));
        let text = words::signs(&text);
        let text = dates::year(&text).unwrap_or(text);
        let mut text = text.trim_matches(|c: char| matches!(c, '"' | '`')).trim();
        for arrow in ["=>", "⇒", "->", "→"] {
            text = text.strip_prefix(arrow).unwrap_or(text).trim_start();
        }
        for mark in ["*", "__", "_", "'"] {
            text = text.strip_prefix(mark).and_then(|text| text.strip_suffix(mark)).unwrap_or(text).trim();
        }
        let mut answer = Self {
            text: text.to_owned(),
            readings: Vec::new(),
            unusual: Vec::new(),
            content: None,
            only: true,
        };
        let wording = wording::read(text);
        let (special, mut only) = special::read(text);
        answer.readings = special;
        for said in &wording.says {
            let (special, only) = special::read(said);
            answer.readings.extend(special);
            if !only {
                answer.readings.extend(readings(said));
            }
        }
        only |= wording.instead;
        if let [Value::Choice(_, Some(content))] = answer.readings.as_slice() {
            // A letter in what it stands for is no choice again.
            answer.content = Some(Box::new(Self {
                text: content.clone(),
                readings: readings(content),
                unusual: Vec::new(),
                content: None,
                only: true,
            }));
        }
        if !only {
            let (mut said, difference) = apart(text, readings(text));
            // Nothing of one thing is not nothing of another, as a product would be.
            if is_none_of_something(text) {
                said =
                    flat(said).filter(|value| !matches!(value, Value::Quantity { unit: None, .. })).collect();
            }
            answer.readings.extend(said);
            answer.unusual = unusual(text);
            answer.unusual.extend(difference);
        }
        answer.unusual.extend(wording.may.iter().flat_map(|text| readings(text)));
        answer
    }

    /// Whether it has a value, be it an unusual one, or a digit.
    fn has_some_value(&self) -> bool {
        let digit = |c: char| c.is_ascii_digit() || numerals::is_han(c);
        self.has_value() || !self.unusual.is_empty() || self.text.contains(digit)
    }

    /// Whether it has a value, and is not only words.
    fn has_value(&self) -> bool {
        !self.readings.is_empty()
    }

    /// Whether it is nothing but words, or a list that begins with some, as `In total, 12`.
    fn is_words(&self) -> bool {
        let words = |value: &Value| match value {
            Value::List { open: ' ', items, .. } => matches!(items.first(), Some(Value::Text(_))),
            _ => false,
        };
        self.readings.iter().all(words)
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
}

impl Answer {
    /// Whether it is a number or a time, so that the words beside it can be parts of it.
    fn is_amount(&self) -> bool {
        self.is_number() || self.readings.iter().any(|value| matches!(value, Value::Time { .. }))
    }
}

/// Readings of a text that are each one.
fn flat(readings: Vec<Value>) -> impl Iterator<Item = Value> {
    readings.into_iter().flat_map(|value| match value {
        Value::Either(values) => values,
        value => vec![value],
    })
}

/// Whether a text is a zero and letters behind it: `0 m`, `0ABC`.
fn is_none_of_something(text: &str) -> bool {
    let letters = text.strip_prefix('0').map(|rest| rest.trim_start_matches(['.', '0']).trim_start());
    letters.is_some_and(|letters| !letters.is_empty() && letters.chars().all(char::is_alphabetic))
}

/// Parts whole numbers with hyphens between them, which are a range, a score or a number to call, from what they come to as a
/// difference, which is rarely meant.
fn apart(text: &str, readings: Vec<Value>) -> (Vec<Value>, Vec<Value>) {
    let digits = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let parts: Vec<&str> = text.split('-').collect();
    let number = |part: &str| part.parse().unwrap_or(u64::MAX);
    // From a larger number to a smaller one no range goes.
    let is_difference = matches!(parts.as_slice(), [a, b] if number(a) >= number(b));
    if parts.len() < 2 || is_difference || !parts.iter().all(digits) {
        return (readings, Vec::new());
    }
    // Nobody writes a range of these.
    let called = parts.iter().rev().map(|part| part.len()).take(2).eq([4, 3]);
    let (difference, mut said): (Vec<_>, Vec<_>) =
        flat(readings).partition(|value| matches!(value, Value::Quantity { .. }));
    if called {
        said.clear();
    }
    (said, difference)
}

/// The values that a normalised text can be, with its words as formulas.
fn readings(text: &str) -> Vec<Value> {
    let Some(spoken) = spoken::rewritten(text) else { return written(text) };
    let readings = written(&spoken.text);
    if spoken.doubtful { readings.into_iter().map(Value::doubted).collect() } else { readings }
}

/// The values that a normalised text in notation can be.
fn written(text: &str) -> Vec<Value> {
    let mut readings = Vec::new();
    for commas in [Commas::Group, Commas::Split] {
        let Some(tokens) = tokenize(text, commas) else { continue };
        for decimal in [false, true] {
            let mut reader = Reader { text, decimal, depth: 0 };
            if let Some(value) = reader.value(&tokens)
                && !readings.contains(&value)
            {
                readings.push(value);
            }
        }
    }
    readings
}

/// The unusual values that a normalised text can be.
fn unusual(text: &str) -> Vec<Value> {
    if matches!(text.to_lowercase().as_str(), "none" | "nothing" | "nil") {
        return vec![Value::plain(term::Term::whole(0))];
    }
    // An engineer's imaginary unit.
    if text.contains('j') && text.contains(|c: char| c.is_ascii_digit()) {
        return readings(&text.replace('j', "i"));
    }
    // `3 and 1/2` may be a mixed number.
    if let Some((whole, fraction)) = text.split_once(" and ")
        && whole.bytes().all(|b| b.is_ascii_digit())
        && fraction.starts_with(|c: char| c.is_ascii_digit() || c == '\\')
    {
        return readings(&format!("{whole} {fraction}"));
    }
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    // `42!!` without words may be said loudly, by both marks or by one of them.
    let loud = text.strip_suffix('!').map(|stated| [stated, stated.trim_end_matches('!')]);
    match (text.split_once(','), loud) {
        (Some((whole, fraction)), _) if digits(whole.trim_start_matches('-')) && digits(fraction) => {
            readings(&format!("{whole}.{fraction}"))
        }
        (_, Some(stated)) => stated.into_iter().flat_map(readings).collect(),
        _ => Vec::new(),
    }
}

/// Whether `answer` says what `known` says. `tolerance` is the relative error that is granted to numbers; with zero, exact ones are
/// compared exactly and decimals by their digits.
pub(super) fn compare(known: &Answer, answer: &Answer, tolerance: f64) -> Same {
    if known.text.is_empty() || answer.text.is_empty() || known.text == answer.text {
        return Same::from(known.text == answer.text);
    }
    if known.text.len().max(answer.text.len()) > MAX_LENGTH {
        return Same::Unknown;
    }
    if words::same_text(&known.text, &answer.text) {
        return Same::Yes;
    }
    if let Some(same) = dates::in_one_notation(&known.text, &answer.text) {
        return same;
    }
    // Pounds of money and of weight have one name, but signs of their own.
    let is_weight =
        |text: &str| text.split(|c: char| !c.is_alphabetic()).any(|word| matches!(word, "lb" | "lbs"));
    let differ = |a: &str, b: &str| a.contains('£') && is_weight(b);
    if differ(&known.text, &answer.text) || differ(&answer.text, &known.text) {
        return Same::Unknown;
    }
    let comparison = Comparison::new(tolerance);
    if let ([a @ Value::Choice(..), ..], [b @ Value::Choice(..), ..]) =
        (known.readings.as_slice(), answer.readings.as_slice())
    {
        return match comparison.values(a, b) {
            // The letter of one and the content of both may be at odds.
            verdict @ (Same::Yes | Same::No) => match (&known.content, &answer.content) {
                (Some(a), Some(b)) if compare(a, b, tolerance) != verdict => Same::Unknown,
                _ => verdict,
            },
            Same::Unknown => Same::Unknown,
        };
    }
    let contents = match (&known.content, &answer.content) {
        (Some(content), None) => compare(content, answer, tolerance),
        (None, Some(content)) => compare(known, content, tolerance),
        _ => Same::Unknown,
    };
    if contents == Same::Yes {
        return Same::Yes;
    }
    let verdict = comparison.any(&known.readings, &answer.readings);
    if verdict == Same::No
        && (comparison.any(&known.unusual, &answer.readings) == Same::Yes
            || comparison.any(&known.readings, &answer.unusual) == Same::Yes)
    {
        return Same::Unknown;
    }
    match (verdict, known.has_value(), answer.has_value()) {
        (Same::Unknown, false, false) => words::compare(&known.text, &answer.text),
        // `H2O` has no value, `H_2O` could be a product.
        (Same::Unknown, ..) if !known.has_value() || !answer.has_value() => {
            match words::compare(&known.text, &answer.text) {
                Same::Yes => Same::Yes,
                _ => Same::Unknown,
            }
        }
        // Letters can be read as variables, and are words as well.
        (Same::Unknown, ..) if words::yes_or_no(&known.text).is_some() => {
            words::compare(&known.text, &answer.text)
        }
        (verdict, ..) => verdict,
    }
}

/// Whether the answer that was found says what the known one says: by any way to narrow them down, else by the narrowest that has a
/// value.
pub(super) fn judge(known: &Found, answer: &Found, tolerance: f64) -> Same {
    if let Some(same) = sizes::differ(&known.text, &answer.text) {
        return same;
    }
    let mut verdict = Same::Unknown;
    // Integrals, sums, products and limits are not worked out.
    let is_read = |text: &str| {
        !["\\int", "\\sum", "\\prod", "\\lim", "∫", "∑", "∏"].iter().any(|sign| text.contains(sign))
    };
    let are_read = is_read(&known.text) && is_read(&answer.text);
    for a in &known.answers {
        for b in &answer.answers {
            match compare(a, b, tolerance) {
                // The same number of something else.
                Same::Yes if a.is_amount() && b.is_amount() && labels::differ(&known.text, &answer.text) => {
                    return Same::Unknown;
                }
                Same::Yes => return Same::Yes,
                Same::No if !are_read => {}
                Same::No if b.only => verdict = Same::No,
                Same::No => {}
                Same::Unknown if b.has_value() => verdict = Same::Unknown,
                Same::Unknown => {}
            }
        }
    }
    verdict
}
