//! The one number that a sentence states: `Therefore, 3 bolts are needed in total.`

use super::numerals::{Piece, is_numeral, number, pieces};
use super::vocabulary::{DENIALS, ENDINGS, MEASURES, NUMBERED, OPERATIONS, among};

/// Longest sentence whose only number is its answer, in words.
const MAX_SENTENCE: usize = 30;

/// A number that a sentence states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claim<'a> {
    /// The number with the words behind it that may be its unit.
    pub(super) text: &'a str,
    /// Whether it is the only number; else the others are only spoken of, as in `for the 16 glasses`.
    pub(super) only: bool,
}

/// Whether a text compares, by another sign than an equals sign.
pub(super) fn relates(text: &str) -> bool {
    const COMMANDS: &[&str] =
        &["ne", "neq", "le", "leq", "leqslant", "ge", "geq", "geqslant", "lt", "gt", "not"];
    text.contains(['<', '>', '≤', '≥', '≠', '≦', '≧', '⩽', '⩾'])
        || text.contains("!=")
        || text.split('\\').skip(1).any(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
            COMMANDS.contains(&&rest[..end])
        })
}

/// The words of a text in lower case.
fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !(c.is_alphanumeric() || matches!(c, '\'' | '’')))
        .map(|word| word.trim_matches(['\'', '’']).to_lowercase().replace('’', "'"))
        .filter(|word| !word.is_empty())
        .collect()
}

/// Whether a text denies something, or doubts it.
pub(super) fn denied(text: &str) -> bool {
    let words = words(text);
    let limit = |two: &[String]| two[0] == "at" && matches!(two[1].as_str(), "least" | "most");
    words.windows(2).any(limit) || words.iter().any(|word| among(word, DENIALS) || word.ends_with("n't"))
}

/// Whether the words before a number leave it as it is.
fn plain_before(before: &str) -> bool {
    let words = words(before);
    let of = words.last().is_some_and(|word| word == "of")
        && !words.iter().rev().nth(1).is_some_and(|noun| among(noun, MEASURES));
    let phrase = |two: &[String]| match [two[0].as_str(), two[1].as_str()] {
        ["up" | "used", "to"] | ["different", "from"] => true,
        [size, "as"] => among(size, "many few much little high low far long"),
        _ => false,
    };
    let limit = words.windows(2).any(phrase);
    let name = words.last().is_some_and(|word| among(word, NUMBERED));
    !of && !limit && !name && !relates(before) && !words.iter().any(|word| among(word, OPERATIONS))
}

fn is_number(word: &str) -> bool {
    is_numeral(word) || word.starts_with(|c: char| c.is_ascii_digit())
}

/// Whether the words behind a number leave it as it is.
fn plain_after(after: &str) -> bool {
    let words = words(after);
    let next = |place: usize| words.get(place + 1).map_or("", String::as_str);
    !relates(after)
        && !words.iter().enumerate().any(|(place, word)| match word.as_str() {
            // `over the three months`, `before he starts`.
            "over" | "under" => !among(next(place), "the a an his her its their"),
            "before" | "after" | "until" => {
                let number = words.get(place + 2).is_some_and(|word| is_number(word));
                let clause = next(place).ends_with("ing")
                    || among(next(place), "the a an his her its their he she it they we you");
                number || !clause
            }
            // `7 is one of the answers`.
            "and" | "times" | "one" => true,
            // `10 to the 3`.
            "to" => next(place) == "the" && words.get(place + 2).is_some_and(|word| is_number(word)),
            word => among(word, OPERATIONS),
        })
}

/// Where a number stands in a text, and whether it is written as no fraction.
#[derive(Debug, Clone, Copy)]
struct Place {
    start: usize,
    end: usize,
    whole: bool,
}

/// Each run of digits in a piece of a text.
fn digits(text: &str, piece: &Piece, places: &mut Vec<Place>) {
    let mut at = piece.start;
    while let Some(place) = text[at..piece.end].find(|c: char| c.is_ascii_digit()) {
        let start = at + place;
        let length =
            text[start..piece.end].find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ',' | '/')));
        at = length.map_or(piece.end, |length| start + length);
        // `.5` without the zero.
        let before = text[piece.start..start].strip_suffix('.');
        let point = before.is_some_and(|before| !before.ends_with(char::is_alphanumeric));
        let start = if point { start - 1 } else { start };
        places.push(Place { start, end: at, whole: !text[start..at].contains('/') });
    }
}

/// Whether a word for a number stands for a thing: `the correct one`, `one of them`.
fn is_pronoun(pieces: &[Piece], at: usize) -> bool {
    let word = |place: Option<usize>| {
        place.and_then(|place| pieces.get(place)).map_or("", |piece| piece.word.as_str())
    };
    let (before, first) = (word(at.checked_sub(1)), word(at.checked_sub(2)));
    pieces[at].is("one")
        && (among(
            before,
            "the no any some every each this that which correct right last first other another",
        ) || before == "only" && among(first, "the an")
            || word(Some(at + 1)) == "of")
}

/// The places of all numbers in a sentence, and of those which it only speaks of; `None` if there are too many words.
fn numbers(text: &str) -> Option<(Vec<Place>, Vec<Place>)> {
    let pieces = pieces(text)?;
    let (mut stated, mut known) = (Vec::new(), Vec::new());
    let mut at = 0;
    while let Some(piece) = pieces.get(at) {
        let before = at.checked_sub(1).map_or("", |place| pieces[place].word.as_str());
        let definite = among(before, "the these those all both his her its their");
        let places = if definite { &mut known } else { &mut stated };
        let numeral = number(&pieces, at, text);
        let end = numeral.as_ref().map_or(at + 1, |numeral| numeral.end);
        match numeral {
            Some(_) if is_pronoun(&pieces, at) && end == at + 1 => {}
            Some(numeral) => places.push(Place {
                start: piece.start,
                end: pieces[end - 1].end,
                whole: !numeral.notation.contains('\\'),
            }),
            None if piece.word.is_empty() => digits(text, piece, places),
            // `hundreds`, `twenty fifth`.
            None if is_numeral(&piece.word) && super::numerals::ordinal(&piece.word).is_none() => {
                return None;
            }
            None => {}
        }
        at = end;
    }
    Some((stated, known))
}

/// The number that a sentence states, if there is one and the sentence says nothing else of it; at its end behind a clause without
/// numbers, as in `After giving some away, he has 12 left`.
pub(super) fn claim(text: &str) -> Option<Claim<'_>> {
    clause(text).or_else(|| {
        let (first, last) = text.rsplit_once(", ")?;
        let (stated, known) = numbers(first)?;
        if stated.is_empty() && known.is_empty() { clause(last) } else { None }
    })
}

fn clause(text: &str) -> Option<Claim<'_>> {
    if text.split_whitespace().count() > MAX_SENTENCE {
        return None;
    }
    let (stated, known) = numbers(text)?;
    let (Place { start: first, end, whole }, only) = match (stated.as_slice(), known.as_slice()) {
        ([one], others) => (*one, others.is_empty()),
        ([], [one]) => (*one, true),
        _ => return None,
    };
    let mut before = text[..first].trim_end_matches(['-', '$', '\\', '€', '£']);
    // A sign in words is the number's.
    for sign in ["minus", "negative"] {
        let lower = before.trim_end().to_ascii_lowercase();
        if let Some(rest) = lower.strip_suffix(sign).filter(|rest| !rest.ends_with(char::is_alphanumeric)) {
            before = &before[..rest.len()];
        }
    }
    let start = before.len();
    let glued = before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '^' | '_' | '{' | '('));
    if glued || !plain_before(before) {
        return None;
    }
    let after = &text[end..];
    // A share of a number is another number.
    if after.trim_start_matches('\\').starts_with('%') && !known.is_empty() {
        return None;
    }
    let ends = after.match_indices(' ').map(|(at, _)| at).find(|at| {
        let mut words =
            after[at + 1..].split(|c: char| !c.is_ascii_alphabetic()).map(str::to_ascii_lowercase);
        let (word, next) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        among(&word, ENDINGS)
            || whole
                && word == "of"
                && among(&next, "the these those all his her its their them us you which")
    });
    // `10 is excluded` speaks of the number.
    let bare = ends.filter(|at| after[..*at].trim_matches([',', '$', '%', '\\']).is_empty());
    if bare.is_some_and(|at| {
        let word = after[at + 1..].split(' ').next().unwrap_or("");
        among(
            &word.to_ascii_lowercase(),
            "is was can could may must should would will has had does did that which who with",
        )
    }) {
        return None;
    }
    let unit = ends.map_or(text.len(), |at| end + at);
    // `3 apples and some pears`.
    if words(&text[end..unit]).iter().any(|word| word == "and") || !plain_after(&text[unit..]) {
        return None;
    }
    Some(Claim { text: text[start..unit].trim_end_matches([',', '.']), only })
}

#[cfg(test)]
mod tests {
    use super::claim;

    #[test]
    fn one_number_is_stated() {
        for (text, expected) in [
            ("Therefore, 3 bolts are needed in total", Some(("3 bolts", true))),
            ("He spends five hours", Some(("five hours", true))),
            ("Kylar needs to pay $64.00 for the 16 glasses", Some(("$64.00", false))),
            (
                "The program had 366 downloads total over the three months",
                Some(("366 downloads total", false)),
            ),
            ("The correct one has 7 legs", Some(("7 legs", true))),
            ("the temperature fell to minus 10 degrees", Some(("minus 10 degrees", true))),
            ("He has 3 apples and 4 pears", None),
            ("He has 3 apples and some pears", None),
            ("Two of them are red", Some(("Two", true))),
            ("He has only one apple", Some(("one apple", true))),
            ("The only one of them", None),
            ("After giving some away, he has 12 left", Some(("12", true))),
            ("The least such number is 12", Some(("12", true))),
            ("hundreds of them, 3 in all", None),
            ("a multiple of 7", None),
            ("3 is less than it", None),
            ("x^2", None),
        ] {
            assert_eq!(claim(text).map(|claim| (claim.text, claim.only)), expected, "{text}");
        }
    }
}
