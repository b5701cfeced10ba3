//! Formulas in English words, rewritten into the one notation: `the square root of 5`, `x squared`, `pi over 2`, `minus three apples`.
//!
//! Words do not show how far an operation goes: `the square root of 2 over 2` may be either of two numbers. What can be read in two
//! ways is not rewritten.

use super::lexer::{Commas, Kind, tokenize};
use super::numerals::{Numeral, Piece, is_numeral, number, ordinal, pieces};
use super::parser::is_name;
use super::units::is_unit;
use super::vocabulary::{FORMULAS, among};

/// Most words behind a number that may be its unit.
const MAX_TAIL: usize = 6;

/// What was rewritten.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spoken {
    /// In the one notation.
    pub(super) text: String,
    /// Whether it may mean something else.
    pub(super) doubtful: bool,
}

/// A normalised text whose words say a number or a formula, in notation; `None` if they do not, or not clearly.
pub(super) fn rewritten(text: &str) -> Option<Spoken> {
    without_sign(text).or_else(|| {
        // `-six`, `+ a dozen`; a mark that stands by itself may be that of a list.
        let (sign, rest) = [("minus ", '-'), ("", '+')]
            .iter()
            .find_map(|(sign, mark)| Some((sign, text.strip_prefix(*mark)?)))?;
        let spoken = without_sign(&format!("{sign}{}", rest.trim_start()))?;
        Some(Spoken { doubtful: spoken.doubtful || rest.starts_with(' '), ..spoken })
    })
}

/// The same for a text that begins with no sign.
fn without_sign(text: &str) -> Option<Spoken> {
    let pieces = pieces(text)?;
    let spoken = |piece: &Piece| {
        is_numeral(&piece.word)
            || among(&piece.word, FORMULAS)
            || text[piece.start..].starts_with('(') && text[..piece.start].ends_with(' ')
    };
    if !pieces.iter().any(spoken) {
        return None;
    }
    let mut speech =
        Speech { text, pieces: &pieces, at: 0, spoken: false, doubtful: false, last: false, operations: 0 };
    let mut out = speech.sum()?;
    if let Some(tail) = pieces.get(speech.at..).filter(|tail| !tail.is_empty()) {
        let tail = speech.unit(tail)?;
        out = format!("{out} {tail}");
    }
    speech.spoken.then_some(Spoken { text: out, doubtful: speech.doubtful })
}

struct Speech<'a> {
    text: &'a str,
    pieces: &'a [Piece],
    at: usize,
    /// Whether words were rewritten.
    spoken: bool,
    doubtful: bool,
    /// Whether nothing may follow what was read: it is not clear how far it goes.
    last: bool,
    operations: usize,
}

impl Speech<'_> {
    fn word(&self, ahead: usize) -> &str {
        self.pieces.get(self.at + ahead).map_or("", |piece| piece.word.as_str())
    }

    /// Whether these words come next, with no mark between them.
    fn sees(&self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(place, word)| {
            self.word(place) == *word
                && (place + 1 == words.len() || self.pieces[self.at + place].stop.is_none())
        })
    }

    /// Goes past these words if they come next.
    fn accept(&mut self, words: &[&str]) -> bool {
        let found = self.sees(words);
        if found {
            self.at += words.len();
            self.spoken = true;
        }
        found
    }

    fn operation(&mut self, words: &[&str]) -> bool {
        let found = !self.stopped() && self.accept(words);
        self.operations += usize::from(found);
        found
    }

    /// Whether a mark is behind what was read.
    fn stopped(&self) -> bool {
        self.at > 0 && self.pieces[self.at - 1].stop.is_some()
    }

    fn sum(&mut self) -> Option<String> {
        let mut out = String::new();
        if self.accept(&["minus"]) || self.accept(&["negative"]) {
            out.push('-');
        }
        out.push_str(&self.product()?);
        while let Some(sign) = [("plus", '+'), ("minus", '-')].iter().find(|(word, _)| self.word(0) == *word)
        {
            if self.last || !self.operation(&[sign.0]) {
                return None;
            }
            let product = self.product()?;
            // `x plus 1 over 2`.
            if self.last && product.starts_with("\\frac") {
                return None;
            }
            out.push(sign.1);
            out.push_str(&product);
        }
        Some(out)
    }

    fn product(&mut self) -> Option<String> {
        let mut out = self.power()?;
        loop {
            let root = matches!(self.word(0), "root" | "square" | "cube") && !self.stopped() && !self.last;
            let letter = self.letter().is_some() && !self.stopped() && !self.last;
            // `It happened three times.`
            let times = self.word(0) == "times" && self.at + 1 < self.pieces.len();
            if times || self.sees(&["multiplied", "by"]) {
                if self.last || !(self.operation(&["times"]) || self.operation(&["multiplied", "by"])) {
                    return None;
                }
                let factor = self.power()?;
                out = format!("{out}*{factor}");
            } else if matches!(self.word(0), "over") || self.sees(&["divided", "by"]) {
                if self.last || !(self.operation(&["over"]) || self.operation(&["divided", "by"])) {
                    return None;
                }
                let below = self.primary()?;
                self.last = true;
                return Some(format!("\\frac{{{out}}}{{{below}}}"));
            } else if root || letter {
                let factor = self.power()?;
                out = format!("{out}*{factor}");
            } else {
                return Some(out);
            }
        }
    }

    /// Something with `squared` or the like behind it.
    fn power(&mut self) -> Option<String> {
        let base = self.primary()?;
        let raises =
            matches!(self.word(0), "squared" | "cubed" | "factorial" | "raised") || self.sees(&["to", "the"]);
        if !raises {
            return Some(base);
        }
        if self.last || self.stopped() || !is_atom(&base) {
            return None;
        }
        let base = if base.starts_with('\\') { format!("({base})") } else { base };
        let exponent = if self.operation(&["squared"]) {
            "2".to_owned()
        } else if self.operation(&["cubed"]) {
            "3".to_owned()
        } else if self.operation(&["factorial"]) {
            return Some(format!("{base}!"));
        } else {
            self.operation(&["raised"]);
            if !self.operation(&["to", "the"]) {
                return None;
            }
            self.exponent()?
        };
        Some(format!("{base}^{{{exponent}}}"))
    }

    /// What follows `to the`: `power of 4`, `fourth power`, `4th`, `n`.
    fn exponent(&mut self) -> Option<String> {
        if self.accept(&["power", "of"]) || self.accept(&["power"]) {
            self.last = true;
            let sign = if self.accept(&["minus"]) || self.accept(&["negative"]) { "-" } else { "" };
            return self.primary().map(|exponent| format!("{sign}{exponent}"));
        }
        let piece = self.pieces.get(self.at)?;
        let source = &self.text[piece.start..piece.end];
        let digits = source.trim_end_matches(|c: char| c.is_ascii_lowercase());
        let place = match matches!(&source[digits.len()..], "th" | "nd" | "rd" | "st") {
            true => digits.parse().ok(),
            false => ordinal(&piece.word),
        };
        if let Some(place) = place {
            self.at += 1;
            self.spoken = true;
            if !self.accept(&["power"]) {
                self.last = true;
            }
            return Some(place.to_string());
        }
        self.last = true;
        let sign = if self.accept(&["minus"]) || self.accept(&["negative"]) { "-" } else { "" };
        let exponent = self.primary()?;
        self.accept(&["power"]);
        Some(format!("{sign}{exponent}"))
    }

    /// The name of a variable or of a constant.
    fn letter(&self) -> Option<&str> {
        let piece = self.pieces.get(self.at)?;
        let source = &self.text[piece.start..piece.end];
        let letter = piece.word.len() == 1 && source != "I";
        let article = piece.is("a") && self.word(1).len() > 1 && !among(self.word(1), FORMULAS);
        let named = is_name(source) && crate::task::expr::Function::named(source).is_none();
        let named = named && !matches!(source, "log" | "lg" | "choose");
        ((letter || named) && !article).then_some(source)
    }

    fn primary(&mut self) -> Option<String> {
        if self.stopped() {
            return None;
        }
        if let Some(root) = self.root() {
            return root;
        }
        for (word, factor) in [("twice", 2), ("double", 2), ("triple", 3)] {
            if self.operation(&[word]) {
                let inside = self.primary()?;
                self.last = true;
                return Some(format!("{factor}*{inside}"));
            }
        }
        if let Some(numeral) = number(self.pieces, self.at, self.text) {
            return self.numeral(numeral);
        }
        if let Some(letter) = self.letter().map(str::to_owned) {
            self.at += 1;
            return Some(letter);
        }
        let piece = self.pieces.get(self.at)?;
        let source = &self.text[piece.start..piece.end];
        let operand = piece.word.is_empty() && is_operand(source);
        self.at += usize::from(operand);
        operand.then(|| source.to_owned())
    }

    /// A number, and what is taken of it: `a third of 9`, `3 out of 4`.
    fn numeral(&mut self, numeral: Numeral) -> Option<String> {
        let start = self.at;
        self.at = numeral.end;
        self.spoken |= numeral.spoken;
        self.doubtful |= numeral.doubtful;
        if numeral.fraction && self.sees(&["of"]) && !self.stopped() {
            let place = self.at;
            self.at += 1;
            let value = self.word(0).is_empty()
                || self.letter().is_some()
                || is_numeral(self.word(0))
                || among(self.word(0), "the square cube root")
                    && (1..4).any(|ahead| self.word(ahead) == "root");
            if value && self.at < self.pieces.len() {
                let of = self.primary()?;
                self.operations += 1;
                self.last = true;
                return Some(format!("{}*{of}", numeral.notation));
            }
            self.at = place;
        }
        let whole = |notation: &str| notation.bytes().all(|b| b.is_ascii_digit());
        let among = self.sees(&["out", "of"]) || start == 0 && self.sees(&["in"]);
        if among && whole(&numeral.notation) && !self.stopped() {
            let from = self.at + if self.word(0) == "in" { 1 } else { 2 };
            let total = number(self.pieces, from, self.text)
                .filter(|total| total.end == self.pieces.len() && whole(&total.notation))?;
            self.at = total.end;
            self.spoken = true;
            // Out of ten, three may be three.
            self.doubtful = true;
            self.last = true;
            return Some(format!("\\frac{{{}}}{{{}}}", numeral.notation, total.notation));
        }
        Some(numeral.notation)
    }

    /// `the square root of 5`, `root 5`; the inner `None` if it cannot be read.
    fn root(&mut self) -> Option<Option<String>> {
        let article = usize::from(self.word(0) == "the");
        let degree = match self.word(article) {
            "root" if article == 0 => 0,
            "square" => 2,
            "cube" => 3,
            word => ordinal(word)?,
        };
        let ahead = article + usize::from(degree > 0);
        if self.word(ahead) != "root" {
            return None;
        }
        self.at += ahead + 1;
        self.spoken = true;
        self.operations += 1;
        self.accept(&["of"]);
        let inside = self.primary().filter(|inside| !self.last && is_atom(inside));
        self.last = true;
        Some(inside.map(|inside| format!("\\sqrt[{}]{{{inside}}}", degree.max(2))))
    }

    /// The words behind a number as its unit; behind a formula, only units of the table.
    fn unit(&self, tail: &[Piece]) -> Option<String> {
        let mut tail = tail;
        if self.stopped() {
            return None;
        }
        // `half an hour`, `three quarters of a mile`.
        if let [of, article, unit, ..] = tail
            && of.is("of")
            && matches!(article.word.as_str(), "a" | "an")
            && is_unit(&unit.word)
        {
            tail = &tail[2..];
        } else if let [article, unit, ..] = tail
            && matches!(article.word.as_str(), "a" | "an")
            && is_unit(&unit.word)
        {
            tail = &tail[1..];
        }
        let (first, last) = (tail.first()?, tail.last()?);
        // `half-life`, `two-sided`: names.
        let named = self.text[..first.start].ends_with('-')
            || self.at == 1 && self.pieces[0].is("half") && tail.len() + 1 == self.pieces.len();
        let source = &self.text[first.start..last.end];
        let scale = |piece: &Piece| {
            matches!(piece.word.as_str(), "hundred" | "thousand" | "million" | "billion" | "dozen")
        };
        let rest = if scale(first) { &tail[1..] } else { tail };
        let plain = rest.iter().enumerate().all(|(place, piece)| {
            let power = place > 0 && matches!(piece.word.as_str(), "squared" | "cubed");
            let known = self.operations == 0 || is_unit(&piece.word);
            let counted = piece.is("times") && tail.len() == 1;
            piece.word.len() > 1
                && piece.stop.is_none_or(|stop| stop == '.')
                && known
                && (counted || power || !is_numeral(&piece.word) && !among(&piece.word, FORMULAS))
                || piece.is("a") && place > 0
        });
        let named = named || source.starts_with(char::is_uppercase);
        (plain && !named && tail.len() <= MAX_TAIL).then(|| source.to_owned())
    }
}

/// Whether a text is one thing that a power can be of: a number, a letter, or something in brackets.
fn is_atom(text: &str) -> bool {
    let letters = text.bytes().all(|b| b.is_ascii_alphabetic());
    let digits = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let bracketed = text.starts_with('(') && text.ends_with(')') && text.matches('(').count() == 1;
    let fraction = text.starts_with("\\frac{") && text.matches('}').count() == 2 && text.ends_with('}');
    letters || digits || bracketed || fraction
}

/// Whether a text between two spaces can be an operand of its own: no relation, and no sum.
fn is_operand(text: &str) -> bool {
    let bracketed = text.starts_with('(') && text.ends_with(')') && text.matches('(').count() == 1;
    let Some(tokens) = tokenize(text, Commas::Group) else { return false };
    let factor = |kind: &Kind| match kind {
        Kind::Number(_) | Kind::Command(_) => true,
        Kind::Word(word) => word.len() == 1 || is_name(word),
        Kind::Symbol(symbol) => {
            matches!(symbol, '^' | '_' | '{' | '}' | '(' | ')' | '[' | ']' | '√' | '%' | '°' | '!')
        }
    };
    tokens.iter().all(|token| factor(&token.kind)) || bracketed && !text.contains([',', '='])
}
