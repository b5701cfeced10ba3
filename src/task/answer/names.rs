//! Several values with a name each, in words: `x is 3 and y is 5`, `Alice: 3, Bob: 5`.

use super::numerals::is_numeral;
use super::vocabulary::among;

/// What stands between a name and its value.
const SAYS: [&str; 11] =
    [" is equal to ", " equals ", " is ", " are ", " was ", " has ", " have ", " gets ", " got ", ": ", "="];
/// Words that are no name, or change what is said.
const NO_NAMES: &str = "\
    it this that there which what who he she they we you i answer answers so if then when where because not no \
    or either total sum ratio result and but since let";

/// A list of values that each have a name, with equals signs: `x = 3, y = 5`; `None` if a text is anything else.
pub(super) fn read(text: &str) -> Option<String> {
    // What has none of the words is read as notation.
    if !SAYS.iter().any(|says| *says != "=" && text.contains(says)) {
        return None;
    }
    let clauses: Vec<(String, &str)> = clauses(text).into_iter().map(clause).collect::<Option<_>>()?;
    let twice = clauses
        .iter()
        .enumerate()
        .any(|(at, (name, _))| clauses[..at].iter().any(|(other, _)| other == name));
    let says = |(name, value): &(String, &str)| format!("{name} = {value}");
    (clauses.len() > 1 && !twice).then(|| clauses.iter().map(says).collect::<Vec<_>>().join(", "))
}

/// The parts of a text between commas and `and`, outside of brackets.
fn clauses(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0i32);
    for (at, c) in text.char_indices() {
        match c {
            '(' | '[' | '{' | '⦃' => depth += 1,
            ')' | ']' | '}' | '⦄' => depth -= 1,
            _ => {}
        }
        let rest = &text[at..];
        let mark = [", and ", "; and ", " and ", ", ", "; "].iter().find(|mark| rest.starts_with(**mark));
        if let Some(mark) = mark.filter(|_| depth <= 0 && at >= start) {
            parts.push(&text[start..at]);
            start = at + mark.len();
        }
    }
    parts.push(&text[start..]);
    parts
}

/// The name and the value of a clause.
fn clause(text: &str) -> Option<(String, &str)> {
    let (at, says) =
        SAYS.iter().filter_map(|says| Some((text.find(says)?, *says))).min_by_key(|(at, _)| *at)?;
    let (name, value) = (text[..at].trim(), text[at + says.len()..].trim());
    let name = ["the ", "The "].iter().find_map(|article| name.strip_prefix(article)).unwrap_or(name);
    let words: Vec<&str> = name.split(' ').collect();
    let letters = |word: &&str| {
        !word.is_empty()
            && word.chars().all(|c| c.is_alphabetic() || c == '\'')
            && !among(&word.to_lowercase(), NO_NAMES)
            && !is_numeral(&word.to_lowercase())
    };
    let number = value.split(' ').any(|word| is_numeral(&word.to_lowercase()))
        || value.contains(|c: char| c.is_ascii_digit());
    let short = value.split(' ').count() <= 4 && !SAYS.iter().any(|says| value.contains(says));
    ((1..=3).contains(&words.len()) && words.iter().all(letters) && number && short)
        .then(|| (words.join(" "), value))
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn values_keep_their_names() {
        for (text, expected) in [
            ("x is 3 and y is 5", Some("x = 3, y = 5")),
            ("Alice: 3, Bob: 5", Some("Alice = 3, Bob = 5")),
            ("Alice has 3 apples, and Bob has 5 apples", Some("Alice = 3 apples, Bob = 5 apples")),
            ("the length is 3 cm; the width is 2 cm", Some("length = 3 cm, width = 2 cm")),
            ("the point is (3, 4) and r is 5", Some("point = (3, 4), r = 5")),
            ("x is 3", None),
            ("x = 3, y = 4", None),
            ("x is 3 or y is 5", None),
            ("it is 3 and y is 5", None),
            ("x is 3 and x is 5", None),
            ("there are 3 apples and 5 pears", None),
        ] {
            assert_eq!(read(text).as_deref(), expected, "{text}");
        }
    }
}
