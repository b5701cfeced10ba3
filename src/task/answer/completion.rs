//! Finding the answer in what a model wrote, or in a dataset's solution.

use super::Answer;
use crate::task::text::{closing, last_tag};

/// Boxes at the end that are looked at.
const MAX_BOXES: usize = 8;
/// Longest answer behind `####` or `The answer is`, in bytes.
const MAX_TAIL: usize = 400;
/// Longest sentence whose only number is its answer, in words.
const MAX_SENTENCE: usize = 30;
/// What announces an answer. The last one in the text counts.
const MARKERS: &[&str] = &[
    "answer is",
    "answer:",
    "answer =",
    "answers are",
    "answer to this is",
    "answer**:",
    "answer:**",
    "option is",
    "choice is",
];
/// Words at the start of a last sentence that say nothing.
const CONNECTIVES: &[&str] = &[
    "so",
    "thus",
    "therefore",
    "hence",
    "then",
    "finally",
    "and",
    "we",
    "get",
    "have",
    "it",
    "is",
    "it's",
    "that's",
    "this",
    "that",
    "gives",
    "which",
    "there",
    "are",
    "equals",
    "in",
    "total",
    "altogether",
    "i",
    "think",
    "believe",
];
/// Words before the letter of a choice.
const CHOOSING: &[&str] = &["choose", "pick", "select", "with", "option", "choice", "answer"];
/// Words behind an answer that begin a reason for it.
const REASONS: &[&str] =
    &[" because ", " since ", " as we ", ", so ", ", which ", ", where ", " where ", ", as "];
/// Words with which a sentence does not state its only number as the answer.
const DENIALS: &[&str] = &[
    "not",
    "no",
    "never",
    "isn't",
    "aren't",
    "wasn't",
    "cannot",
    "can't",
    "don't",
    "doesn't",
    "or",
    "than",
    "least",
    "most",
    "if",
    "between",
    "except",
    "wrong",
    "incorrect",
    "false",
    "maybe",
    "unless",
    "neither",
    "nor",
    "but",
    "over",
    "under",
    "unlikely",
    "impossible",
    "guess",
    "step",
];

/// The answer in a text.
#[derive(Debug, Clone)]
pub(in crate::task) struct Found {
    /// As written.
    pub(in crate::task) text: String,
    /// Ready to be compared: the whole of it, and what it says at its end if it is a sentence.
    pub(in crate::task) answers: Vec<Answer>,
}

impl Found {
    /// Whether it is a number, perhaps with a unit.
    pub(in crate::task) fn is_number(&self) -> bool {
        self.answers.iter().any(Answer::is_number)
    }

    /// Whether it has no value and no digit, so that there is nothing to compare with a number.
    pub(in crate::task) fn is_mere_text(&self) -> bool {
        !self.answers.iter().any(Answer::has_some_value)
    }
}

/// The answer in `text`: in the last `<answer>`, else in the last `\boxed`, else behind `####`, else behind words such as `the answer
/// is`, else the last line. Errors say why there is none.
pub(in crate::task) fn find(text: &str) -> Result<Found, &'static str> {
    // What comes after the thinking counts, if there is anything.
    let text = text
        .rsplit_once("</think>")
        .map_or(text, |(_, after)| if after.trim().is_empty() { text } else { after });
    let inside = match last_tag(text, "answer") {
        Some(inside) => inside,
        None if text.contains("<answer>") => return Err("the <answer> is not closed"),
        None => text,
    };
    let tagged = inside.len() < text.len();
    if let Some(boxed) = boxed(inside) {
        return found(&boxed, &[]);
    }
    let plain = without_stars(inside);
    if let Some(tail) = behind_hashes(&plain) {
        return found(tail, &sentence(tail));
    }
    if let Some(tail) = behind_marker(&plain) {
        let cut = without_reason(tail);
        return found(cut, &sentence(cut));
    }
    let whole = plain.trim();
    if whole.lines().count() > 1 && !tagged {
        // A code fence or a displayed formula is one answer.
        let unwrapped = crate::task::text::unwrap_math(whole);
        if unwrapped.lines().count() > 1 && !unwrapped.contains("\\begin{") {
            let last =
                whole.lines().rev().map(str::trim).find(|line| !matches!(*line, "" | "$$" | "\\]" | "```"));
            let last = last.unwrap_or("");
            return found(last, &sentence(last));
        }
        return found(unwrapped, &[]);
    }
    found(whole, &sentence(whole))
}

fn found(text: &str, narrower: &[String]) -> Result<Found, &'static str> {
    if text.trim().is_empty() {
        return Err("the answer is empty");
    }
    let mut answers = vec![Answer::read(text)];
    if !answers[0].has_value() {
        // The first that has a value counts, and no other: a text must not give several answers to choose from.
        for text in narrower {
            answers.push(Answer::read(text));
            if answers.last().is_some_and(Answer::has_value) {
                break;
            }
        }
    }
    Ok(Found { text: text.trim().to_owned(), answers })
}

/// The inside of the last complete `\boxed{..}`; of several with nothing but `and` and commas between them, all.
fn boxed(text: &str) -> Option<String> {
    let mut boxes: Vec<(usize, usize, &str)> = Vec::new();
    let starts = text.rmatch_indices("\\boxed").chain(text.rmatch_indices("\\fbox")).take(MAX_BOXES);
    let mut starts: Vec<_> = starts.collect();
    starts.sort_by_key(|(start, _)| std::cmp::Reverse(*start));
    for (start, name) in starts {
        let after = &text[start + name.len()..];
        let trimmed = after.trim_start();
        let Some(inside) = trimmed.strip_prefix('{') else { continue };
        let Some(end) = closing(inside, '{', '}') else { continue };
        let from = text.len() - inside.len();
        let next = boxes.last().map_or(usize::MAX, |(start, ..)| *start);
        if from + end > next {
            continue;
        }
        let joined = boxes.is_empty() || connects(&text[from + end + 1..next]);
        if !joined {
            break;
        }
        boxes.push((start, from + end, &inside[..end]));
    }
    let inside: Vec<&str> = boxes.iter().rev().map(|(.., inside)| inside.trim()).collect();
    (!inside.is_empty()).then(|| inside.join(", "))
}

/// Whether a text between two boxes only joins them.
fn connects(between: &str) -> bool {
    between.len() < 40
        && between
            .replace("\\text", "")
            .replace("\\quad", "")
            .split(|c: char| c.is_whitespace() || matches!(c, '$' | ',' | ';' | '{' | '}' | '(' | ')' | '\\'))
            .all(|word| matches!(word, "" | "and" | "or"))
}

/// The text without Markdown's double stars. Between two operands they are a power.
fn without_stars(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("**") {
        out.push_str(before);
        let left = out.ends_with(|c: char| c.is_alphanumeric() || matches!(c, ')' | ']' | '}'));
        let right = after.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '(' | '-' | '{'));
        let spaced = out.ends_with(' ') && after.starts_with(' ');
        if left && right || spaced {
            out.push_str("**");
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// What follows the last `####`, if it ends the text.
fn behind_hashes(text: &str) -> Option<&str> {
    let (_, after) = text.rsplit_once("####")?;
    let mut lines = after.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines.next()?;
    (lines.next().is_none() && line.len() <= MAX_TAIL && !after.starts_with('#')).then_some(line)
}

/// What follows the last `the answer is` or the like: the rest of its line, or the next one.
fn behind_marker(text: &str) -> Option<&str> {
    let lower = text.to_ascii_lowercase();
    let place = MARKERS.iter().filter_map(|marker| lower.rfind(marker).map(|at| at + marker.len())).max()?;
    let line = text[place..].lines().map(|line| line.trim().trim_start_matches([':', '=']).trim());
    let line = line.into_iter().find(|line| !matches!(*line, "" | "$$" | "\\["))?;
    (line.len() <= MAX_TAIL).then_some(line)
}

/// The answer without the sentences and reasons behind it.
fn without_reason(text: &str) -> &str {
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
fn sentence(text: &str) -> Vec<String> {
    let text = text.trim().trim_end_matches(['.', '!']).trim();
    let whole = text;
    let last = text.rmatch_indices(". ").map(|(at, _)| &text[at + 2..]).next().unwrap_or(text);
    let last = last.rsplit_once(", so ").map_or(last, |(_, conclusion)| conclusion);
    let mut rest = last;
    for word in last.split_whitespace() {
        let plain = word.trim_matches([',', ':']).to_lowercase();
        if !CONNECTIVES.contains(&plain.as_str()) {
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
        && CHOOSING.contains(&verb.to_lowercase().as_str())
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

/// Words before a number that make another one of it.
const OPERATIONS: &[&str] = &[
    "double",
    "doubled",
    "twice",
    "thrice",
    "triple",
    "quadruple",
    "half",
    "third",
    "quarter",
    "thirds",
    "quarters",
    "fifth",
    "tenth",
    "hundredth",
    "thousandth",
    "root",
    "log",
    "ln",
    "logarithm",
    "lg",
    "exp",
    "exponential",
    "sin",
    "sine",
    "cos",
    "cosine",
    "tan",
    "tangent",
    "cot",
    "sec",
    "csc",
    "reciprocal",
    "inverse",
    "opposite",
    "negation",
    "sum",
    "product",
    "quotient",
    "difference",
    "factorial",
    "square",
    "squared",
    "cube",
    "cubed",
    "power",
    "times",
    "plus",
    "minus",
    "negative",
    "divided",
    "modulo",
    "mod",
    "abs",
    "absolute",
    "floor",
    "ceiling",
    "multiple",
    "multiples",
    "factor",
    "factors",
    "divisor",
    "divisors",
    "percent",
    "hundred",
    "dozen",
    "sqrt",
    "multiplied",
    "added",
    "subtracted",
    "less",
    "fewer",
    "more",
    "before",
    "after",
    "until",
    "above",
    "below",
];
/// What a sentence may give the size of, as in `a total of 10`; other things `of 10` are not 10.
const MEASURES: &[&str] = &[
    "total",
    "maximum",
    "minimum",
    "value",
    "length",
    "width",
    "height",
    "depth",
    "area",
    "volume",
    "distance",
    "speed",
    "velocity",
    "rate",
    "cost",
    "price",
    "profit",
    "loss",
    "amount",
    "number",
    "average",
    "mean",
    "median",
    "mode",
    "range",
    "probability",
    "perimeter",
    "circumference",
    "radius",
    "diameter",
    "weight",
    "mass",
    "age",
    "score",
    "answer",
    "result",
    "solution",
    "time",
    "temperature",
    "salary",
    "income",
    "balance",
    "count",
    "population",
    "discount",
    "change",
    "remainder",
    "capacity",
    "slope",
    "angle",
    "measure",
    "size",
    "bill",
    "fee",
    "savings",
    "revenue",
    "tip",
    "tax",
    "payment",
    "degree",
];

/// Whether the words before a number leave it as it is.
fn plain_before(before: &str) -> bool {
    let words: Vec<String> = before
        .split(|c: char| !(c.is_alphanumeric() || c == '\''))
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    let of = words.last().is_some_and(|word| word == "of")
        && !words.iter().rev().nth(1).is_some_and(|noun| MEASURES.contains(&noun.as_str()));
    !of && !relates(before) && !words.iter().any(|word| OPERATIONS.contains(&word.as_str()))
}

fn denied(text: &str) -> bool {
    let denies = |word: &str| {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase().replace('’', "'");
        DENIALS.contains(&word.as_str())
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
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_found() {
        for (text, answer) in [
            ("<answer>1</answer><answer> 2 </answer>", "2"),
            (r"so \boxed{\frac{x}{2}}.", r"\frac{x}{2}"),
            (r"\boxed{1} and $\boxed{2}$", "1, 2"),
            (r"first \boxed{1}, then we see that it is \boxed{2}", "2"),
            ("48/2 = 24. So 48+24 = 72. #### 72", "72"),
            ("so she sold\n#### 72\n", "72"),
            ("#### Step 1\nadd\n\nThe answer is 5 because 2+3 = 5.", "5"),
            ("**Answer:** **42**", "42"),
            ("Final Answer:\n\n42", "42"),
            ("<think>\\boxed{3}</think> It is \\boxed{4}", "4"),
            ("x**2", "x**2"),
            ("line\nlast line", "last line"),
        ] {
            assert_eq!(find(text).unwrap().text, answer, "{text}");
        }
        assert!(find("<answer>42").is_err());
        assert!(find(" ").is_err());
    }

    #[test]
    fn sentences_are_narrowed() {
        assert_eq!(sentence("So 48+24 = 72."), ["48+24 = 72", "72"]);
        assert_eq!(sentence("The capital of France is Paris."), ["Paris"]);
        assert_eq!(sentence("She sold 72 clips"), ["72 clips"]);
        assert!(sentence("it is not 72").is_empty());
        assert!(sentence("it is 72 or 73").is_empty());
    }
}
