//! What a sentence says at its end: `So 48+24 = 72.` says 72.

use super::vocabulary::{CHOOSING, CONNECTIVES, DENIALS, MEASURES, OPERATIONS, among};

/// Longest sentence whose only number is its answer, in words.
const MAX_SENTENCE: usize = 30;
/// Words behind an answer that begin a reason for it.
const REASONS: &[&str] =
    &[" because ", " since ", " as we ", ", so ", ", which ", ", where ", " where ", ", as "];

/// The answer without the sentences and reasons behind it.
pub(super) fn without_reason(text: &str) -> &str {
    let mut end = text.len();
    for (at, _) in text.match_indices(". ") {
        // Not `A. 42`, `Dr. Who`, `p.m. today`.
        let word = text[..at].rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or("");
        let sentence = text[at + 2..].trim_start().starts_with(|c: char| c.is_uppercase());
        if sentence && (word.len() > 2 || word.bytes().any(|b| b.is_ascii_digit())) {
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

/// What a sentence may say at its end: narrower texts, most likely first; none if it is no plain sentence.
pub(super) fn sentence(text: &str) -> Vec<String> {
    let text = text.trim().trim_end_matches(['.', '!']).trim();
    let whole = text;
    let last = text.rmatch_indices(". ").map(|(at, _)| &text[at + 2..]).next().unwrap_or(text);
    let last = last.rsplit_once(", so ").map_or(last, |(_, conclusion)| conclusion);
    let mut rest = last;
    for word in last.split_whitespace() {
        let plain = word.trim_matches([',', ':']).to_lowercase();
        if !among(&plain, CONNECTIVES) {
            break;
        }
        rest = rest.trim_start()[word.len()..].trim_start();
    }
    let mut out = Vec::new();
    let mut add = |text: &str| {
        let text = text.trim().trim_start_matches([':', '=']).trim();
        if !text.is_empty() && text != whole && !out.iter().any(|other| other == text) {
            out.push(text.to_owned());
        }
    };
    let lower = rest.to_ascii_lowercase();
    let verb = [" is ", " are ", " equals ", " was ", " were "].iter();
    let verb = verb.filter_map(|verb| lower.rfind(verb).map(|at| at + verb.len())).max();
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
            add(tail);
        }
        return out;
    }
    if rest.len() < whole.len() {
        add(rest);
    }
    if let Some(place) = verb {
        add(without_reason(&rest[place..]));
    }
    // `I choose D`.
    let mut ending = last.rsplit(' ');
    if let (Some(letter), Some(verb)) = (ending.next(), ending.next())
        && letter.trim_matches(['(', ')']).len() == 1
        && among(&verb.to_lowercase(), CHOOSING)
    {
        add(letter);
    }
    if let Some((left, side)) = rest.rsplit_once('=')
        && !left.ends_with(['!', '<', '>', ':', '/', '~'])
        && balanced(side)
        && !relates(rest)
    {
        add(side);
    }
    if let Some(number) = only_number(last) {
        add(number);
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

/// Whether a text compares, by another sign than an equals sign.
fn relates(text: &str) -> bool {
    const COMMANDS: &[&str] =
        &["ne", "neq", "le", "leq", "leqslant", "ge", "geq", "geqslant", "lt", "gt", "not"];
    text.contains(['<', '>', '≤', '≥', '≠', '≦', '≧', '⩽', '⩾'])
        || text.contains("!=")
        || text.split('\\').skip(1).any(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
            COMMANDS.contains(&&rest[..end])
        })
}

/// Whether the words before a number leave it as it is.
fn plain_before(before: &str) -> bool {
    let words: Vec<String> = before
        .split(|c: char| !(c.is_alphanumeric() || c == '\''))
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    let of = words.last().is_some_and(|word| word == "of")
        && !words.iter().rev().nth(1).is_some_and(|noun| among(&noun, MEASURES));
    !of && !relates(before) && !words.iter().any(|word| among(&word, OPERATIONS))
}

fn denied(text: &str) -> bool {
    let denies = |word: &str| {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase().replace('’', "'");
        among(&word, DENIALS)
    };
    text.split_whitespace().any(denies)
}

/// The part of a sentence from its only number on.
fn only_number(text: &str) -> Option<&str> {
    if text.split_whitespace().count() > MAX_SENTENCE {
        return None;
    }
    let first = text.find(|c: char| c.is_ascii_digit())?;
    let end = first
        + text[first..]
            .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ',' | '/')))
            .unwrap_or(text.len() - first);
    if text[end..].contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let mut before = text[..first].trim_end_matches(['-', '$', '\\', '€', '£']);
    // A sign in words is the number's.
    for sign in ["minus", "negative"] {
        let lower = before.trim_end().to_ascii_lowercase();
        if let Some(rest) = lower.strip_suffix(sign).filter(|rest| !rest.ends_with(char::is_alphanumeric)) {
            before = &before[..rest.len()];
        }
    }
    let start = before.len();
    if !plain_before(before) {
        return None;
    }
    let glued = before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '^' | '_' | '{' | '('));
    (!glued).then(|| text[start..].trim_end_matches([',', '.']))
}

#[cfg(test)]
mod tests {
    use super::sentence;

    #[test]
    fn sentences_are_narrowed() {
        assert_eq!(sentence("So 48+24 = 72."), ["48+24 = 72", "72"]);
        assert_eq!(sentence("The capital of France is Paris."), ["Paris"]);
        assert_eq!(sentence("She sold 72 clips"), ["72 clips"]);
        assert!(sentence("it is not 72").is_empty());
        assert!(sentence("it is 72 or 73").is_empty());
    }
}
