//! The words beside a number, which are a part of an answer: `Windows 10` is not `iPhone 10`, `won 3 games` not `lost 3 games`.
//!
//! Words only take an answer back that was right by its number. Those of one side alone are mostly a wrapper, as in `The train takes 5
//! hours` for `5 hours`; where each side has words that the other lacks, nobody can tell whether they say the same.

use super::dates::is_month;
use super::numerals::is_numeral;
use super::symbols::is_open;
use super::units::is_unit;
use super::vocabulary::{CONNECTIVES, ENDINGS, FORMULAS, LOSING, LOSSES, OPPOSITES, WRAPPERS, among};
use super::{normal, parser, spoken, wording};
use crate::task::text::unwrap_math;

/// Longest text that is looked at, in bytes.
const MAX_LENGTH: usize = 2_000;

/// A word of an answer.
#[derive(Debug, Clone, PartialEq)]
struct Word {
    /// In lower case and in the singular.
    stem: String,
    /// Whether it has a capital letter behind which others can stand, as names have.
    name: bool,
    /// Whether it is a unit that values are compared with.
    measure: bool,
}

/// What stands beside the numbers of a text.
#[derive(Debug, Default)]
struct Beside {
    /// Words right behind a number, which say what is counted.
    counted: Vec<Word>,
    /// All other words.
    label: Vec<Word>,
    /// Letters that name something.
    letters: Vec<char>,
    /// Whether a name stands right before a number, as in `Carbon 14`, or a place before it, as in `born in Tarn in 1990`.
    named: bool,
    /// Whether there is a number.
    number: bool,
    /// Whether it is only a loss and its amount, as `down 5` is.
    lost: bool,
}

/// The texts between white space and marks, each with the character before it, and numbers as one.
fn runs(text: &str) -> Vec<(char, &str)> {
    let (mut out, mut start, mut before) = (Vec::new(), None, ' ');
    let mut previous = ' ';
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        let kind = |c: char| (c.is_alphabetic() || c == '\'', c.is_ascii_digit());
        let inside = c.is_alphanumeric() || c == '\'' && previous.is_alphabetic();
        if let Some(from) = start.filter(|_| !inside || kind(c) != kind(previous)) {
            out.push((before, &text[from..at]));
            start = None;
        }
        if start.is_none() && inside {
            (start, before) = (Some(at), previous);
        }
        if !inside && !c.is_whitespace() {
            out.push((previous, &text[at..at + c.len_utf8()]));
        }
        previous = c;
    }
    out
}

/// Whether a word in lower case says nothing of what a number is.
fn is_empty(word: &str) -> bool {
    among(word, WRAPPERS)
        || among(word, CONNECTIVES)
        || among(word, ENDINGS) && !among(word, "over under before after left")
        || among(word, FORMULAS)
}

fn stem(word: &str) -> String {
    let word = word.split('\'').next().unwrap_or(word);
    let stem =
        word.strip_suffix("es").filter(|stem| stem.ends_with(['s', 'x', 'h'])).or(word.strip_suffix('s'));
    stem.filter(|stem| stem.len() > 2 && !stem.ends_with('s')).unwrap_or(word).to_owned()
}

impl Beside {
    fn read(text: &str) -> Option<Self> {
        if text.len() > MAX_LENGTH {
            return None;
        }
        let text = normal::normalise(unwrap_math(text));
        let worded = wording::read(&text).says.into_iter().next();
        let text = worded.or_else(|| spoken::rewritten(&text).map(|spoken| spoken.text)).unwrap_or(text);
        let mut beside = Self::default();
        // Whether what is counted can follow, and what stood right before.
        let (mut behind, mut last, mut preposition) = (false, None::<Word>, false);
        let mut first = true;
        for (before, run) in runs(&text) {
            let lower = run.to_lowercase();
            if before == '\\' || run == "\\" {
                continue;
            }
            if run.bytes().all(|b| b.is_ascii_digit()) || is_numeral(&lower) {
                beside.number = true;
                beside.named |= last.take().is_some_and(|word| word.name);
                behind = true;
                first = false;
                continue;
            }
            if !run.starts_with(char::is_alphabetic) {
                // A number in a list with its name: `Tarn, 1990`.
                behind &= matches!(run, "." | "," | "-" | "%" | "$" | "(" | ")" | "}" | "°");
                if !matches!(run, "," | "." | "(" | "$" | "-") {
                    last = None;
                }
                continue;
            }
            let glued = before.is_ascii_digit();
            if run.chars().count() == 1 {
                // `m/s`.
                let said = run == "a" || run == "I" || is_unit(run) && (behind || before == '/');
                if !said && !glued && !matches!(run, "e" | "i" | "s") {
                    beside.letters.push(if matches!(run, "f" | "g") { 'y' } else { run.chars().next()? });
                }
                last = None;
                continue;
            }
            let measure = is_unit(run) || is_open(run);
            if glued && !measure && run.chars().count() < 3 || parser::is_name(run) {
                continue;
            }
            let word = Word { stem: stem(&lower), name: run.starts_with(char::is_uppercase), measure };
            let end = among(&lower, ENDINGS) || among(&lower, "that it he she they we i you");
            if behind && end {
                behind = false;
            }
            if is_empty(&lower) && !(measure && behind)
                || behind && among(&lower, "left remaining remain old")
            {
                last = None;
                preposition = among(&lower, "in at from of near to");
                first = false;
                continue;
            }
            // A place, or whose it is: `born in Tarn`.
            beside.named |= word.name && preposition && !first && !beside.number && !is_month(&lower);
            beside.lost |= first && (among(&lower, LOSING) || among(&lower, LOSSES));
            beside.lost |= behind && among(&lower, LOSSES);
            (first, preposition) = (false, false);
            last = Some(word.clone());
            if behind { beside.counted.push(word) } else { beside.label.push(word) }
        }
        beside.number.then_some(beside)
    }

    fn words(&self) -> impl Iterator<Item = &Word> {
        self.label.iter().chain(&self.counted)
    }

    /// Whether it has nothing but its numbers.
    fn is_bare(&self) -> bool {
        self.words().all(|word| word.measure) && self.letters.is_empty()
    }

    /// Whether one of some words is nowhere in it.
    fn lacks(&self, words: &[Word], counted: bool) -> bool {
        let said = |word: &Word| self.words().any(|other| alike(word, other));
        words.iter().any(|word| !(counted && word.measure || said(word)))
    }
}

/// Whether two words are one, perhaps with another ending, or cut short.
fn alike(a: &Word, b: &Word) -> bool {
    let (short, long) = if a.stem.len() < b.stem.len() { (&a.stem, &b.stem) } else { (&b.stem, &a.stem) };
    if a.stem == b.stem || is_month(short) && is_month(long) && long.starts_with(short.as_str()) {
        return true;
    }
    let (same, length) =
        (a.stem.chars().zip(b.stem.chars()).take_while(|(a, b)| a == b).count(), short.len());
    !(a.name && b.name) && (same >= 4 && same * 4 >= length * 3 || length >= 3 && same == length)
}

/// Whether one text has a word and the other one that says the opposite.
fn opposed(known: &Beside, answer: &Beside) -> bool {
    let has = |beside: &Beside, list: &str| beside.words().any(|word| among(&word.stem, list));
    OPPOSITES.iter().any(|(one, other)| {
        let [a, b] = [known, answer].map(|beside| (has(beside, one), has(beside, other)));
        matches!((a, b), ((true, false), (false, true)) | ((false, true), (true, false)))
    })
}

/// Whether two texts with the same number may say it of different things.
pub(super) fn differ(known: &str, answer: &str) -> bool {
    let (Some(known), Some(answer)) = (Beside::read(known), Beside::read(answer)) else { return false };
    if opposed(&known, &answer) {
        return true;
    }
    if answer.is_bare() {
        return known.named;
    }
    if known.is_bare() {
        return answer.lost || answer.named && answer.words().all(|word| word.name);
    }
    let letters =
        |a: &Beside, b: &Beside| !a.letters.is_empty() && !a.letters.iter().any(|c| b.letters.contains(c));
    answer.lacks(&known.label, false) && known.lacks(&answer.label, false)
        || answer.lacks(&known.counted, true) && known.lacks(&answer.counted, true)
        || letters(&known, &answer) && letters(&answer, &known)
}

#[cfg(test)]
mod tests {
    use super::differ;

    #[test]
    fn words_beside_a_number_count() {
        for (known, answer) in [
            ("Mira was born in Tarn in 1990", "Mira was born in Varna in 1990"),
            ("Mira was born in Tarn in 1990", "1990"),
            ("Tarn, 1990", "1990"),
            ("Beethoven 5", "Mahler 5"),
            ("Matthew 5", "Mark 5"),
            ("Windows 10", "iPhone 10"),
            ("10", "Windows 10"),
            ("Air Force One", "Formula One"),
            ("Oak Street 5", "Elm Street 5"),
            ("John: 5", "Mary: 5"),
            ("A wins by 5", "B wins by 5"),
            ("The price rose by $3", "The price fell by $3"),
            ("5%", "decreased by 5%"),
            ("5%", "down 5%"),
            ("$5 profit", "$5 loss"),
            ("$5 profit", "they lost $5"),
            ("$5", "$5 loss"),
            ("won 3 games", "lost 3 games"),
            ("turn left 90°", "turn right 90°"),
            ("north 5 km", "south 5 km"),
            ("first 5", "last 5"),
            ("minimum: 5", "maximum: 5"),
            ("5 is the minimum", "The maximum is 5"),
            ("mean 5", "median 5"),
            ("sum: 5", "product: 5"),
            ("at least 5", "at most 5"),
            ("Day 5", "Week 5"),
            ("5 red balls", "5 blue balls"),
            ("r = 5", "d = 5"),
        ] {
            assert!(differ(known, answer), "{known} {answer}");
        }
        for (known, answer) in [
            ("5 hours", "The train takes 5 hours"),
            ("5", "John has 5 apples"),
            ("John has 5 apples", "5"),
            ("John has 5 apples", "John has 5 apples left"),
            ("John has 5 apples", "He has 5 apples in total"),
            ("72 clips", "She sold 72 in total"),
            ("72 clips", "72 paper clips"),
            ("about 5", "roughly 5"),
            ("The price rose by $3", "It rose by $3"),
            ("increased by 5%", "an increase of 5%"),
            ("5 hours", "300 minutes"),
            ("20", "He owes 20 dollars"),
            ("12", "The loss was 12."),
            ("r = 5", "The radius is 5"),
            (r"\frac{\sqrt{6}+\sqrt{2}}{4}", r"\cos 15^\circ"),
            ("square root of 5", r"\sqrt{5}"),
            ("13 years old", "13 years"),
            ("$5 per hour", "5 dollars an hour"),
        ] {
            assert!(!differ(known, answer), "{known} {answer}");
        }
    }
}
