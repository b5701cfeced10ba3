//! Normalised text to tokens.

use super::number::Literal;

/// Most tokens of an answer that is read for its value.
const MAX_TOKENS: usize = 400;

/// A lexical unit.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Number(Literal),
    /// A run of letters.
    Word(String),
    /// `\frac`, `\sqrt` or `\binom`.
    Command(&'static str),
    /// Anything else.
    Symbol(char),
}

/// A token, where it stands in the text, and whether white space is before it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) spaced: bool,
}

impl Token {
    /// Whether it is that symbol.
    pub(super) fn is(&self, symbol: char) -> bool {
        self.kind == Kind::Symbol(symbol)
    }

    /// The word, if it is one.
    pub(super) fn word(&self) -> Option<&str> {
        match &self.kind {
            Kind::Word(word) => Some(word),
            _ => None,
        }
    }

    /// Whether it is a number of digits alone.
    pub(super) fn is_whole(&self) -> bool {
        matches!(&self.kind, Kind::Number(literal) if literal.written.is_none() && literal.value.is_integer())
    }
}

/// How a comma between digits is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Commas {
    /// `1,000` is a thousand.
    Group,
    /// `1,000` are two numbers.
    Split,
}

/// Splits normalised text into tokens; `None` if there are too many, or something has no place in a value.
pub(super) fn tokenize(text: &str, commas: Commas) -> Option<Vec<Token>> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut at = 0;
    let mut spaced = false;
    while let Some(c) = text[at..].chars().next() {
        if c == ' ' {
            spaced = true;
            at += 1;
            continue;
        }
        let rest = &text[at..];
        let point = c == '.' && rest[1..].starts_with(|d: char| d.is_ascii_digit());
        let (kind, length) = if c.is_ascii_digit() || point {
            number(rest, commas)?
        } else if c == '\\' {
            let name = ["\\frac", "\\sqrt", "\\binom"].into_iter().find(|name| rest.starts_with(name))?;
            (Kind::Command(name), name.len())
        } else if c.is_alphabetic() && !matches!(c, 'ℝ' | 'ℤ' | 'ℕ' | 'ℚ' | 'ℂ') {
            let length = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
            (Kind::Word(rest[..length].to_owned()), length)
        } else if matches!(c, '<' | '>' | '!') && rest[1..].starts_with('=') {
            let symbol = match c {
                '<' => '≤',
                '>' => '≥',
                _ => '≠',
            };
            (Kind::Symbol(symbol), 2)
        } else if rest.starts_with("**") {
            (Kind::Symbol('^'), 2)
        } else if rest.starts_with("+-") || rest.starts_with("+/-") {
            (Kind::Symbol('±'), if rest.starts_with("+-") { 2 } else { 3 })
        } else {
            (Kind::Symbol(c), c.len_utf8())
        };
        tokens.push(Token { kind, start: at, end: at + length, spaced });
        if tokens.len() > MAX_TOKENS {
            return None;
        }
        at += length;
        spaced = false;
    }
    // `(100,200)` is a pair.
    let alone = tokens.windows(3).any(|three| {
        let number =
            matches!(three[1].kind, Kind::Number(_)) && text[three[1].start..three[1].end].contains(',');
        number
            && matches!(three[0].kind, Kind::Symbol('(' | '[' | '⦃'))
            && matches!(three[2].kind, Kind::Symbol(')' | ']' | '⦄'))
    });
    (!alone).then_some(tokens)
}

/// `1.234,56` as it is written in much of Europe: the number in digits and a point, and its length.
fn european(text: &str) -> Option<(String, usize)> {
    let length = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ','))).unwrap_or(text.len());
    let (whole, fraction) = text[..length].split_once(',')?;
    let mut groups = whole.split('.');
    let first = groups.next()?;
    let mut count = 0;
    let fits = groups.all(|group| {
        count += 1;
        group.len() == 3
    });
    let digits = !fraction.is_empty() && fraction.bytes().all(|b| b.is_ascii_digit());
    (fits && count > 0 && (1..=3).contains(&first.len()) && digits)
        .then(|| (format!("{}.{fraction}", whole.replace('.', "")), length))
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// A number at the start of `text`, and its length.
fn number(text: &str, commas: Commas) -> Option<(Kind, usize)> {
    if let Some((number, length)) = european(text) {
        return Some((Kind::Number(Literal::new(&number, "")?), length));
    }
    let (mut mantissa, mut length) = whole(text, commas);
    if text[length..].starts_with('.') {
        let fraction = digits(&text[length + 1..]);
        let after = &text[length + 1 + fraction..];
        // `1.2.3` is no number; `3.` at the end of a sentence is 3.
        if fraction > 0 && after.starts_with('.') && after[1..].starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        mantissa.push('.');
        mantissa.push_str(&text[length + 1..length + 1 + fraction]);
        if let Some(period) = repeated(after) {
            let end = length + 1 + fraction + "\\overline{}".len() + period.len();
            return Some((Kind::Number(Literal::repeating(&mantissa, period)?), end));
        }
        length += 1 + fraction;
        // `0.333…` goes on as it began, `3.14159…` somehow.
        if fraction > 0 && text[length..].starts_with('…') {
            let last = &mantissa[mantissa.len() - 1..];
            let literal = match fraction >= 3 && mantissa.ends_with(&last.repeat(3)) {
                true => Literal::repeating(&mantissa, last)?,
                false => Literal::new(&mantissa, "")?,
            };
            return Some((Kind::Number(literal), length + '…'.len_utf8()));
        }
    }
    let rest = &text[length..];
    let mut exponent = "";
    if rest.starts_with(['e', 'E']) {
        let sign = usize::from(rest[1..].starts_with(['+', '-']));
        let count = digits(&rest[1 + sign..]);
        let after = rest[1 + sign + count..].chars().next();
        if count > 0 && !after.is_some_and(|c| c.is_alphanumeric() || c == '.') {
            exponent = &rest[1..1 + sign + count];
            length += 1 + sign + count;
        }
    }
    Some((Kind::Number(Literal::new(&mantissa, exponent)?), length))
}

/// The period of a repeating decimal, `\overline{36}`.
fn repeated(text: &str) -> Option<&str> {
    let period = text.strip_prefix("\\overline{")?.split_once('}')?.0;
    (!period.is_empty() && period.bytes().all(|b| b.is_ascii_digit())).then_some(period)
}

/// The digits before a decimal point without the marks that group them, and how many bytes they and the marks take.
fn whole(text: &str, commas: Commas) -> (String, usize) {
    let first = digits(text);
    let mut found = text[..first].to_owned();
    let mut length = first;
    if !(1..=3).contains(&first) {
        return (found, length);
    }
    for mark in [",", " ", "_", "'"] {
        if mark == "," && commas == Commas::Split {
            continue;
        }
        let mut end = first;
        let mut groups = String::new();
        // Groups of three; in India of two before the last.
        while let Some(rest) = text[end..].strip_prefix(mark) {
            let count = digits(rest);
            if !(count == 3
                || (mark == "," && count == 2 && digits(rest[2..].strip_prefix(mark).unwrap_or("")) >= 2))
            {
                break;
            }
            groups.push_str(&rest[..count]);
            end += mark.len() + count;
        }
        let closed = !text[end..].starts_with(|c: char| c.is_ascii_digit())
            && text[end..]
                .strip_prefix(mark)
                .is_none_or(|rest| mark == " " || !rest.starts_with(|c: char| c.is_ascii_digit()));
        if !groups.is_empty() && closed {
            found.push_str(&groups);
            length = end;
            break;
        }
    }
    (found, length)
}
