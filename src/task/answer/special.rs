//! Answers with a form of their own: letters of a choice and times; read and compared. Dates are read in [`super::dates`].

use super::Same;
use super::dates::{self, dates};
use super::number::Literal;
use super::term::Term;
use super::value::Value;

/// Longest text of a choice, in bytes.
const MAX_CONTENT: usize = 200;

/// What a normalised text is besides a value, and whether it can be nothing else.
pub(super) fn read(text: &str) -> (Vec<Value>, bool) {
    let days = dates(text);
    if !days.is_empty() {
        // `12/2020` is a number as well.
        return (days, !dates::is_fraction(text));
    }
    if let Some(time) = time(text) {
        return (vec![time], true);
    }
    if let Some(division) = division(text) {
        return (vec![division], true);
    }
    if let Some(based) = hexadecimal(text) {
        return (vec![based], true);
    }
    (choice(text).into_iter().collect(), false)
}

/// The name of a quotient and what is left, as a pair.
pub(super) const REMAINDER: &str = "remainder";

/// A quotient and what is left of a division: `17 remainder 2`, `17 R2`.
fn division(text: &str) -> Option<Value> {
    let parts = ["remainder", "rem.", "rem", "R", "r"].into_iter().find_map(|word| text.split_once(word))?;
    let number = |part: &str| {
        let digits = !part.is_empty() && part.len() < 20 && part.bytes().all(|b| b.is_ascii_digit());
        Some(Value::plain(Term::Literal(Literal::new(part, "").filter(|_| digits)?)))
    };
    let items = vec![number(parts.0.trim().trim_end_matches(','))?, number(parts.1.trim())?];
    let value = Value::List { open: '(', close: ')', items, joined: false, junction: None };
    Some(Value::Named { name: REMAINDER.into(), left: None, value: Box::new(value) })
}

/// Digits of a base above ten, with letters, `FF_{16}`, or of a base by its sign in programs: `0xFF`, `0b101`, `0o17`.
fn hexadecimal(text: &str) -> Option<Value> {
    let lower = text.to_lowercase();
    let signed = [("0x", 16), ("0b", 2), ("0o", 8)].into_iter().find_map(|(sign, base)| {
        let digits = lower.strip_prefix(sign)?;
        (!digits.is_empty() && digits.bytes().all(|b| char::from(b).is_digit(base))).then_some((digits, base))
    });
    let based = || {
        let (digits, base) = text.split_once('_')?;
        Some((digits, base.trim_matches(['{', '}']).parse().ok().filter(|base| (11..=36).contains(base))?))
    };
    let (digits, base): (&str, u32) = signed.or_else(based)?;
    let value = num_bigint::BigInt::parse_bytes(digits.as_bytes(), base).filter(|_| digits.len() <= 64)?;
    let value =
        Term::Literal(Literal { value: num_rational::BigRational::from_integer(value), written: None });
    if signed.is_some() {
        return Some(Value::plain(value));
    }
    Some(Value::Based { digits: Term::Variable(digits.to_lowercase()), base, value })
}

/// The letter of a choice, from A to J, with what may stand behind it: `(A)`, `A.`, `option A`, `A. 42`.
fn choice(text: &str) -> Option<Value> {
    let mut rest = text.trim();
    for word in
        ["option ", "choice ", "answer ", "Option ", "Choice ", "Answer ", "OPTION ", "CHOICE ", "letter "]
    {
        rest = rest.strip_prefix(word).unwrap_or(rest).trim_start();
    }
    let open = rest.starts_with(['(', '[']);
    let mut chars = rest.trim_start_matches(['(', '[']).trim_start().chars();
    let letter =
        chars.next().filter(|c| c.is_ascii_alphabetic() && ('A'..='J').contains(&c.to_ascii_uppercase()))?;
    let rest = chars.as_str().trim_start();
    let closed = rest.starts_with([')', ']']);
    if open != closed && open {
        return None;
    }
    let marked = closed || rest.starts_with(['.', ':']);
    let content = if marked { rest[1..].trim_start_matches(['.', ':', '-', ' ']).trim() } else { rest };
    if content.len() > MAX_CONTENT {
        return None;
    }
    let stated = content.trim_end_matches(['.', '!']).to_lowercase();
    if content.is_empty() || (letter.is_ascii_uppercase() || marked) && STATED.contains(&stated.as_str()) {
        return Some(Value::Choice(letter.to_ascii_uppercase(), None));
    }
    if !stands_for(content) {
        return None;
    }
    let fits = marked && (letter.is_ascii_uppercase() || closed) && (rest[1..].starts_with(' ') || closed);
    fits.then(|| Value::Choice(letter.to_ascii_uppercase(), Some(content.to_owned())))
}

/// What says of a letter that it is the answer.
const STATED: &[&str] = &[
    "is correct",
    "is right",
    "is true",
    "is the answer",
    "is the correct answer",
    "is the right answer",
    "is the correct option",
    "is the correct choice",
    "is the best answer",
];
/// Words with which a text behind a letter speaks of the letter, or takes it back.
const RETRACTED: &[&str] = &[
    "is",
    "isn't",
    "was",
    "wasn't",
    "are",
    "seems",
    "looks",
    "cannot",
    "can't",
    "doesn't",
    "and",
    "or",
    "but",
    "nor",
    "not",
    "wrong",
    "incorrect",
    "false",
    "no",
    "nope",
    "wait",
    "actually",
    "sorry",
    "oops",
    "hmm",
    "rather",
    "instead",
    "vs",
    "versus",
];
/// Words that take an answer back wherever they stand.
const SECOND_THOUGHTS: &[&str] =
    &["wait", "actually", "sorry", "oops", "hmm", "wrong", "incorrect", "instead", "rather", "nope"];

/// Whether a text behind the letter of a choice is what the letter stands for, as `42` and `None of the above` are: no second letter,
/// and nothing that is said of the letter.
fn stands_for(content: &str) -> bool {
    if content.contains('?')
        || content.starts_with([',', ';', '/', '&', '+', '=', '|', '→', '<', '>', '≠', '!'])
    {
        return false;
    }
    let letter = |word: &str| matches!(word.as_bytes(), [b'A'..=b'J' | b'a'..=b'j']);
    let bare = |word: &str| word.trim_matches(|c: char| !c.is_alphanumeric() && c != '\'').replace('’', "'");
    // `(B)`, `B)`, `B.`, `B:`, each with something behind it or not.
    let marks = content.char_indices().any(|(at, c)| {
        let before = content[..at].chars().next_back();
        let after = content[at + c.len_utf8()..].chars().next();
        letter(&content[at..at + c.len_utf8()])
            && !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '\'' | '.' | '_' | '^'))
            && (after == Some(')')
                || c.is_ascii_uppercase()
                    && matches!(after, Some(':' | '.'))
                    && !content[at + 2..].starts_with(|c: char| c.is_alphanumeric()))
    });
    if marks {
        return false;
    }
    let words: Vec<String> =
        content.split([' ', ',', '/', ';']).map(bare).filter(|word| !word.is_empty()).collect();
    let Some(first) = words.first() else { return false };
    let lower: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
    // `B C D`, `B and C`.
    if words.iter().all(|word| letter(word) || matches!(word.as_str(), "and" | "or" | "not")) {
        return false;
    }
    let taken_back = lower.iter().any(|word| SECOND_THOUGHTS.contains(&word.as_str()));
    let spoken = first.starts_with(char::is_lowercase) && RETRACTED.contains(&lower[0].as_str());
    // `No, D`: a letter after a denial.
    let denial = lower.iter().position(|word| matches!(word.as_str(), "no" | "not" | "but" | "false"));
    let corrected =
        denial.is_some_and(|place| words[place + 1..].iter().any(|word| letter(word) && word != "a"));
    !taken_back && !spoken && !corrected
}

/// `3:30`, `3:30 pm`, `15:30:00`, `3 p.m.`, `7 o'clock`.
fn time(text: &str) -> Option<Value> {
    let lower = text.to_lowercase().replace("a.m", "am").replace("p.m", "pm");
    let lower = lower.trim_end_matches('.').trim();
    let (clock, half) = match lower {
        lower if lower.ends_with("am") => (lower.strip_suffix("am")?.trim(), Some(0)),
        lower if lower.ends_with("pm") => (lower.strip_suffix("pm")?.trim(), Some(12)),
        lower => (lower, None),
    };
    let (clock, spoken) = clock.strip_suffix("o'clock").map_or((clock, false), |clock| (clock.trim(), true));
    let mut parts = Vec::new();
    for (place, part) in clock.split(':').enumerate() {
        let digits = part.len() == 2 || (place == 0 && part.len() == 1);
        let value =
            part.parse::<u32>().ok().filter(|value| digits && *value < if place == 0 { 25 } else { 60 })?;
        parts.push(value);
    }
    let enough = parts.len() > 1 || half.is_some() || spoken;
    if !enough || parts.len() > 3 || !clock.bytes().all(|b| b.is_ascii_digit() || b == b':') {
        return None;
    }
    if half.is_some() && !(1..=12).contains(&parts[0]) {
        return None;
    }
    let hour = half.map_or(parts[0], |half| parts[0] % 12 + half);
    let [minute, second] = [1, 2].map(|place| parts.get(place).copied().unwrap_or(0));
    Some(Value::Time { hour, minute, second, half: half.is_some() })
}

pub(super) fn clock(hour: u32, minute: u32) -> [Term; 2] {
    [Term::whole(hour), Term::whole(minute)]
}

pub(super) fn times(known: &Value, answer: &Value) -> Same {
    let (
        Value::Time { hour: a, minute, second, half },
        Value::Time { hour: b, minute: other_minute, second: other_second, half: other_half },
    ) = (known, answer)
    else {
        return Same::Unknown;
    };
    if (minute, second) == (other_minute, other_second) {
        if a == b {
            return Same::Yes;
        }
        // Which half of the day was left away by one of them.
        if half != other_half && a % 12 == b % 12 {
            // An hour past noon says it as well.
            let spoken = if *half { b } else { a };
            return Same::from((1..=12).contains(spoken));
        }
    }
    // As ratios, 10:15 and 20:30 are the same.
    if !half && !other_half && a * other_minute == b * minute && *second == 0 && *other_second == 0 {
        return Same::Unknown;
    }
    Same::No
}

/// Letters of choices, with what they stand for.
pub(super) fn choices(known: &Value, answer: &Value) -> Same {
    let letter = |value: &Value| match value {
        Value::Choice(letter, _) => Some(*letter),
        Value::Quantity { term: Term::Variable(name), unit: None, .. } if name.len() == 1 => {
            name.chars().next().map(|letter| letter.to_ascii_uppercase())
        }
        _ => None,
    };
    match (letter(known), letter(answer)) {
        (Some(a), Some(b)) => Same::from(a == b),
        _ => match (known, answer) {
            (Value::Choice(..), Value::List { .. }) | (Value::List { .. }, Value::Choice(..)) => Same::No,
            // Several letters in one word.
            (Value::Choice(..), Value::Quantity { term: Term::Product(letters), .. })
            | (Value::Quantity { term: Term::Product(letters), .. }, Value::Choice(..))
                if letters.iter().all(|(_, letter)| matches!(letter, Term::Variable(_))) =>
            {
                Same::No
            }
            _ => Same::Unknown,
        },
    }
}
