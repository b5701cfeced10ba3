//! Answers that are words: what counts as the same, and what can be told apart.

use super::Same;

/// Words that both say yes, and words that both say no.
const YES: &[&str] = &["yes", "true", "correct", "right", "yeah", "yep", "yup"];
const NO: &[&str] = &["no", "false", "incorrect", "wrong", "nope", "nah"];
/// Longest texts that are told apart; longer ones can say the same in other words.
const MAX_WORDS: usize = 4;
/// Longest word that is told apart, in bytes.
const MAX_WORD: usize = 64;
/// Groups of texts that say that there is nothing.
const NOTHING: &[&[&str]] = &[
    &["no solution", "no solutions", "empty set", "∅", "no real solutions", "no real solution", "⦃⦄", "⦃ ⦄"],
    &["undefined", "does not exist", "dne", "not defined", "doesn't exist"],
    &["infinity", "∞", "+∞", "positive infinity", "+infinity"],
    &["-∞", "negative infinity", "-infinity", "minus infinity"],
    &["all real numbers", "ℝ", "all reals", "(-∞, ∞)", "(-∞,∞)"],
    &["infinitely many", "infinitely many solutions", "infinite solutions"],
];

/// Words in lower case without articles, quotes and the like. `None` if something else than words is in it.
pub(super) fn words(text: &str) -> Option<Vec<String>> {
    // A bracket that belongs to a name, as in `f(x)`, is notation, and so is a mark between single letters, as in `x-y`.
    let glued = |pair: &[char]| match pair {
        [a, '('] => a.is_alphanumeric(),
        [')', b] => b.is_alphanumeric(),
        _ => false,
    };
    let chars: Vec<char> = text.chars().collect();
    if chars.windows(2).any(glued) {
        return None;
    }
    // So is a mark at the end of a name or before one: `A-`, `!p`, `~p`.
    let end = text.trim_end_matches(['.', '"', '\'', ' ']);
    let mark = |c: char| matches!(c, '-' | '!' | '~');
    let negated =
        text.trim_start().strip_prefix(mark).is_some_and(|rest| rest.starts_with(char::is_alphanumeric));
    let graded = end.strip_suffix('-').is_some_and(|rest| rest.ends_with(char::is_alphanumeric));
    if negated || graded {
        return None;
    }
    let mut words = Vec::new();
    for piece in text.split(|c: char| c.is_whitespace() || matches!(c, '-' | '_' | '/')) {
        let word: String = piece
            .chars()
            .filter(|c| {
                !matches!(
                    c,
                    '\'' | '"' | '`' | ',' | '.' | ';' | ':' | '!' | '?' | '*' | '(' | ')' | '{' | '}'
                )
            })
            .collect();
        if !word.chars().all(|c| c.is_alphanumeric() || matches!(c, '&')) {
            return None;
        }
        if !word.is_empty() {
            // `Γ` is no `γ`.
            let capital =
                !word.is_ascii() && word.chars().count() == 1 || super::parser::is_capital_letter(&word);
            words.push(if capital { word } else { word.to_lowercase() });
        }
    }
    if words.len() > 1 && matches!(words[0].as_str(), "a" | "an" | "the") {
        words.remove(0);
    }
    words.iter().any(|word| word.chars().any(char::is_alphabetic)).then_some(words)
}

/// A sign in words before a number, as one: `minus 10` is `-10`.
pub(super) fn signs(text: &str) -> String {
    for sign in ["minus ", "negative "] {
        let head = text.get(..sign.len()).filter(|head| head.eq_ignore_ascii_case(sign));
        let number =
            |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '$' | '.' | '\\'));
        if let Some(rest) = head.map(|head| text[head.len()..].trim_start()).filter(|rest| number(rest)) {
            return format!("-{rest}");
        }
    }
    text.to_owned()
}

/// Whether a text is an answer of yes or no.
pub(super) fn yes_or_no(text: &str) -> Option<bool> {
    let words = words(text)?;
    let [word] = words.as_slice() else { return None };
    if YES.contains(&word.as_str()) {
        return Some(true);
    }
    NO.contains(&word.as_str()).then_some(false)
}

/// Whether a text is an answer of yes or no, or denies one: `not true`.
fn truth(text: &str) -> Option<bool> {
    yes_or_no(text).or_else(|| match words(text)?.as_slice() {
        [not, word] if not == "not" && matches!(word.as_str(), "true" | "correct" | "right") => Some(false),
        [not, word] if not == "not" && word == "false" => Some(true),
        [word] if word == "untrue" => Some(false),
        _ => None,
    })
}

/// The group of [`NOTHING`] that a text is in.
fn nothing(text: &str) -> Option<usize> {
    let text = text.trim_matches(['.', '"', ' ']).to_lowercase();
    NOTHING.iter().position(|group| group.contains(&text.as_str()))
}

/// Whether two words of two or three letters may be products of the same factors: `ab` and `ba`.
fn may_be_products(known: &str, answer: &str) -> bool {
    let factors = |text: &str| {
        let mut letters: Vec<char> = text.chars().collect();
        letters.sort_unstable();
        (matches!(letters.len(), 2 | 3) && letters.iter().all(char::is_ascii_lowercase)).then_some(letters)
    };
    factors(known).is_some_and(|letters| factors(answer) == Some(letters))
}

/// Whether two texts, normalised, are the same without looking at values.
pub(super) fn same_text(known: &str, answer: &str) -> bool {
    let compact = |text: &str| {
        let mut out = String::with_capacity(text.len());
        let mut gap = false;
        for c in text.chars() {
            if c == ' ' {
                gap = true;
                continue;
            }
            // White space counts between words and digits only.
            let joins = |c: char| c.is_alphanumeric() || c == '.' || c == '\\';
            if gap && joins(c) && out.ends_with(joins) {
                out.push(' ');
            }
            gap = false;
            out.push(c);
        }
        out
    };
    if known == answer || compact(known) == compact(answer) {
        return true;
    }
    if nothing(known).is_some_and(|group| nothing(answer) == Some(group)) {
        return true;
    }
    match (words(known), words(answer)) {
        // Digits and signs have their values; letters alone are words.
        (Some(known_words), Some(answer_words)) => {
            known_words == answer_words
                && known_words.iter().any(|word| {
                    word.chars().count() >= 3 || YES.contains(&word.as_str()) || NO.contains(&word.as_str())
                })
                && [known, answer].iter().all(|text| !text.contains(|c: char| c.is_ascii_digit()))
        }
        _ => false,
    }
}

/// Whether two texts without values say the same. Called when they are not the same text.
pub(super) fn compare(known: &str, answer: &str) -> Same {
    if let (Some(a), Some(b)) = (truth(known), truth(answer)) {
        return Same::from(a == b);
    }
    // That there is none of what was asked for may be either.
    let none =
        |text: &str| words(text).is_some_and(|words| matches!(words.as_slice(), [word] if word == "none"));
    match (nothing(known).is_some() || none(known), nothing(answer).is_some() || none(answer)) {
        (true, true) if none(known) || none(answer) => return Same::Unknown,
        (true, true) => return Same::No,
        _ => {}
    }
    let (Some(a), Some(b)) = (words(known), words(answer)) else { return Same::Unknown };
    if a.concat() == b.concat() {
        return Same::Yes;
    }
    if let (Some(truth), [letter]) = (yes_or_no(known), b.as_slice()) {
        match letter.as_str() {
            "t" | "y" => return Same::from(truth),
            "f" | "n" => return Same::from(!truth),
            _ => {}
        }
    }
    let long = |words: &[String]| words.len() > MAX_WORDS || words.iter().any(|word| word.len() > MAX_WORD);
    if long(&a) || long(&b) {
        return Same::Unknown;
    }
    let within = |short: &[String], long: &[String]| short.iter().all(|word| long.contains(word));
    if within(&a, &b) || within(&b, &a) {
        return Same::Unknown;
    }
    let (a, b) = (a.concat(), b.concat());
    // `Mon` for Monday.
    let cut = |short: &str, long: &str| short.chars().count() >= 3 && long.starts_with(short);
    if cut(&a, &b) || cut(&b, &a) || shortens(known, &b) || shortens(answer, &a) {
        return Same::Unknown;
    }
    let plural = |one: &str, many: &str| many.strip_prefix(one).is_some_and(|end| matches!(end, "s" | "es"));
    if plural(&a, &b) || plural(&b, &a) {
        return Same::Unknown;
    }
    // Other spellings and endings: `colour`, `isoceles`, `triangles`.
    let length = a.chars().count().min(b.chars().count());
    let stem = a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count();
    if length >= 4 && (distance(&a, &b) * 4 <= length || stem >= 5 && stem * 3 >= length * 2) {
        return Same::Unknown;
    }
    if may_be_products(known, answer) { Same::Unknown } else { Same::No }
}

/// Whether `short` is made of the first letters of the words of `long`, as `usa` is.
fn shortens(long: &str, short: &str) -> bool {
    let initials: String =
        words(long).unwrap_or_default().iter().filter_map(|word| word.chars().next()).collect();
    let main: String = words(long)
        .unwrap_or_default()
        .iter()
        .filter(|word| !matches!(word.as_str(), "of" | "the" | "and"))
        .filter_map(|word| word.chars().next())
        .collect();
    let longer = main.len() > 1 && short.len() <= 4 && short.starts_with(&main);
    short.len() > 1 && (initials.starts_with(short) || main.starts_with(short) || longer)
}

/// The number of letters to change, add or leave out (Levenshtein); both texts are a few words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, c) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for j in 0..b.len() {
            let change = diagonal + usize::from(c != b[j]);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_apart_only_where_they_can_be() {
        for (known, answer, expected) in [
            ("Paris", "London", Same::No),
            ("Paris", "Paris, France", Same::Unknown),
            ("colour", "color", Same::Unknown),
            ("cat", "cats", Same::Unknown),
            ("United States of America", "USA", Same::Unknown),
            ("United States", "USA", Same::Unknown),
            ("yes", "True", Same::Yes),
            ("no", "True", Same::No),
            ("True", "F", Same::No),
            ("it rains every day in spring", "spring is rainy", Same::Unknown),
        ] {
            assert_eq!(compare(known, answer), expected, "{known} {answer}");
        }
        for (known, answer, expected) in [
            ("Paris", "paris", true),
            ("the cat", "A cat", true),
            ("New York", "new-york", true),
            ("1 1/2", "11/2", false),
            ("-5", "5", false),
            ("(1,2)", "(1, 2)", true),
        ] {
            assert_eq!(same_text(known, answer), expected, "{known} {answer}");
        }
    }
}
