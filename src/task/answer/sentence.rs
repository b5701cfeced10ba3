//! What a sentence says at its end: `So 48+24 = 72.` says 72.

use super::claim::{claim, denied, relates};
use super::numerals::{number, pieces};
use super::vocabulary::{CHOOSING, CONNECTIVES, RETRACTIONS, among};

/// Longest sentence that is looked at, in bytes.
const MAX_SENTENCE: usize = 1_000;
/// Words behind an answer that begin a reason for it.
const REASONS: &[&str] =
    &[" because ", " since ", " as we ", ", so ", ", which ", ", where ", " where ", ", as "];

/// Words behind which a sentence says what something is.
const VERBS: &[&str] =
    &[" is ", " are ", " equals ", " was ", " were ", " must be ", " should be ", " would be ", " will be "];

/// The answer without the sentences and reasons behind it.
pub(super) fn without_reason(text: &str) -> &str {
    let mut end = text.len();
    for (at, _) in text.match_indices(". ") {
        // Not `A. 42`, `Dr. Who`, `p.m. today`; but `$4$. I hope`.
        let closed = text[..at].ends_with(['$', '}']);
        let word = text[..at].rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or("");
        let sentence = text[at + 2..].trim_start().starts_with(|c: char| c.is_uppercase());
        if sentence && (closed || word.len() > 2 || word.bytes().any(|b| b.is_ascii_digit())) {
            end = at;
            break;
        }
    }
    for reason in REASONS {
        if let Some(at) = text[..end].find(reason) {
            end = at;
        }
    }
    text[..end].trim()
}

/// What a text says if it says only that: `230` in `230 (not 320)`, `B` in `B, not A`.
pub(super) fn contrasted(text: &str) -> Option<&str> {
    let text = text.trim().trim_end_matches(['.', '!']);
    for open in [
        " (not ",
        " (rather than ",
        " (instead of ",
        ", not ",
        ", and not ",
        " and not ",
        " rather than ",
        " instead of ",
    ] {
        let Some((said, other)) = text.split_once(open) else { continue };
        let other = other.trim_end_matches(')');
        let last = said.rsplit(' ').next().unwrap_or(said);
        let letter = |word: &str| word.trim_matches(|c: char| !c.is_alphanumeric()).len() == 1;
        let digits = |text: &str| text.contains(|c: char| c.is_ascii_digit());
        // `42, not sure` takes it back.
        let alike = digits(said) && digits(other) || letter(last) && letter(other);
        if alike && other.split_whitespace().count() <= 3 && last != other && !denied(said) && !denied(other)
        {
            return Some(said);
        }
    }
    None
}

/// `3/4 or 75%` for `3/4 (or 75%)`, `3/4 (75%)`, and `3 or three` for `3 (three)`.
pub(super) fn restated(text: &str) -> Option<String> {
    let (said, again) = text.trim().trim_end_matches('.').strip_suffix(')')?.rsplit_once(" (")?;
    let digit = |c: char| c.is_ascii_digit() || matches!(c, '%' | '}' | '$');
    let share = again.ends_with('%') && again.starts_with(|c: char| c.is_ascii_digit());
    let words = || {
        let pieces = pieces(again)?;
        number(&pieces, 0, again).filter(|numeral| numeral.spoken && numeral.end == pieces.len())
    };
    let other = match again.strip_prefix("or ") {
        Some(other) => Some(other),
        None => (said.ends_with(digit) && (share || words().is_some())).then_some(again),
    };
    other.map(|other| format!("{said} or {other}"))
}

/// A text without the word and the comma at its start that lead over to it: `Therefore, x = 3`.
pub(super) fn without_lead(text: &str) -> &str {
    match text.trim().split_once(", ") {
        Some((lead, rest)) if among(&lead.to_lowercase(), "so thus therefore hence then finally") => rest,
        _ => text,
    }
}

/// `Yes` or `No`, if a text begins with it and does not take it back.
fn yes_or_no(text: &str) -> Option<&str> {
    let end = text.find([',', '.', ';', ':', '!'])?;
    let (first, rest) = (&text[..end], &text[end..]);
    let yes = super::words::yes_or_no(first).filter(|_| among(&first.to_lowercase(), "yes no true false"))?;
    let lower = rest.to_lowercase();
    let mut words = lower.split(|c: char| !(c.is_alphanumeric() || matches!(c, '\'' | '’')));
    let kept = !words.any(|word| {
        among(word, RETRACTIONS)
            || if yes { word == "no" } else { matches!(word, "yes" | "true" | "correct") }
    });
    (kept && !(yes && denied(rest))).then_some(first)
}

/// What a sentence says of the answer: `17` in `17 is the correct answer`.
fn stated(text: &str) -> Option<&str> {
    let (said, rest) = text.rsplit_once(" is the ").or_else(|| text.rsplit_once(" is our "))?;
    let answer = rest.split_whitespace().all(|word| {
        among(
            &word.to_lowercase(),
            "answer solution result total value choice option correct right final best",
        )
    });
    answer.then_some(said)
}

/// A text that a sentence says at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Narrow {
    pub(super) text: String,
    /// Whether it is all that the sentence says, so that it is wrong if it is not the known answer.
    pub(super) only: bool,
}

/// What a sentence may say at its end: narrower texts, most likely first; none if it is no plain sentence.
pub(super) fn sentence(text: &str) -> Vec<Narrow> {
    let text = text.trim().trim_end_matches(['.', '!']).trim();
    let whole = text;
    let last = text.rmatch_indices(". ").map(|(at, _)| &text[at + 2..]).next().unwrap_or(text);
    let last = last.rsplit_once(", so ").map_or(last, |(_, conclusion)| conclusion);
    if last.len() > MAX_SENTENCE {
        return Vec::new();
    }
    let last = without_reason(last);
    let mut rest = last;
    for word in last.split_whitespace() {
        let plain = word.trim_matches([',', ':']).to_lowercase();
        if !among(&plain, CONNECTIVES) {
            break;
        }
        rest = rest.trim_start()[word.len()..].trim_start();
    }
    let mut out = Vec::new();
    let mut add = |text: &str, only: bool| {
        let text = text.trim().trim_start_matches([':', '=']).trim();
        if !text.is_empty() && text != whole && !out.iter().any(|other: &Narrow| other.text == text) {
            out.push(Narrow { text: text.to_owned(), only });
        }
    };
    if whole.len() <= MAX_SENTENCE
        && let Some(first) = yes_or_no(whole)
    {
        add(first, true);
    }
    let lower = rest.to_ascii_lowercase();
    let spaced = format!(" {lower}");
    let verb = VERBS.iter().filter_map(|verb| spaced.rfind(verb).map(|at| at + verb.len() - 1)).max();
    let colon = lower.rfind(": ").map(|at| at + 2);
    let verb = match (verb, colon) {
        // `x is 41: 42` says 41.
        (Some(verb), Some(colon)) if lower[verb..colon.max(verb)].contains(|c: char| c.is_ascii_digit()) => {
            Some(verb)
        }
        _ => verb.max(colon),
    };
    if denied(last) {
        // `The statement is false` says what it says.
        if let Some(tail) =
            verb.map(|place| &rest[place..]).filter(|tail| super::words::yes_or_no(tail).is_some())
        {
            add(tail, true);
        }
        // `The probability is 3/4 or 0.75`.
        if let Some(tail) = verb.map(|place| &rest[place..]).filter(|tail| tail.contains(" or ")) {
            add(tail, false);
        }
        return out;
    }
    if rest.len() < whole.len() {
        add(rest, true);
    }
    if let Some(place) = verb {
        add(without_reason(&rest[place..]), true);
    }
    if let Some(said) = stated(rest) {
        add(said, true);
    }
    // `I choose D`.
    let mut ending = last.rsplit(' ');
    if let (Some(letter), Some(verb)) = (ending.next(), ending.next())
        && letter.trim_matches(['(', ')']).len() == 1
        && among(&verb.to_lowercase(), CHOOSING)
    {
        add(letter, true);
    }
    if let Some((left, side)) = rest.rsplit_once('=')
        && !left.ends_with(['!', '<', '>', ':', '/', '~'])
        && balanced(side)
        && !relates(rest)
    {
        add(side, true);
    }
    if let Some(claim) = claim(last) {
        add(claim.text, claim.only);
    }
    out
}

/// Whether every bracket of a text closes in it: what stands behind the sign of `\sum_{k=1}^{n} k` is no side.
fn balanced(text: &str) -> bool {
    ["()", "{}", "[]"].iter().all(|pair| {
        let count = |place: usize| text.matches(&pair[place..=place]).count();
        count(0) == count(1) || *pair != "{}"
    })
}

#[cfg(test)]
mod tests {
    use super::{contrasted, sentence};

    #[test]
    fn sentences_are_narrowed() {
        let sentence =
            |text| -> Vec<String> { sentence(text).into_iter().map(|narrow| narrow.text).collect() };
        assert_eq!(sentence("So 48+24 = 72."), ["48+24 = 72", "72"]);
        assert_eq!(sentence("The capital of France is Paris."), ["Paris"]);
        assert_eq!(sentence("She sold 72 clips"), ["72 clips"]);
        assert_eq!(sentence("Thus, 17 is the correct answer.").last().map(String::as_str), Some("17"));
        assert_eq!(sentence("No, it is not."), ["No"]);
        assert!(sentence("Yes, but no.").is_empty());
        assert!(sentence("it is not 72").is_empty());
        assert!(sentence("it is 72 or 73").is_empty());
    }

    #[test]
    fn contrasts_say_one_thing() {
        for (text, said) in [
            ("230 (not 320)", Some("230")),
            ("The answer is B, not A.", Some("The answer is B")),
            ("42 rather than 43", Some("42")),
            ("42, not sure", None),
            ("not 42, not 43", None),
            ("not 42", None),
            ("42, not 42", None),
        ] {
            assert_eq!(contrasted(text), said, "{text}");
        }
    }
}
