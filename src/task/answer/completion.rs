//! Finding the answer in what a model wrote, or in a dataset's solution.

use super::sentence::{Narrow, contrasted, restated, sentence, without_lead, without_reason};
use super::{Answer, Same, compare, readings, wording};
use crate::task::text::{closing, last_tag};

/// Boxes at the end that are looked at.
const MAX_BOXES: usize = 8;
/// Longest answer behind `####` or `The answer is`, in bytes.
const MAX_TAIL: usize = 400;
/// What announces an answer. The last one in the text counts.
const MARKERS: &[&str] = &[
    "answer is",
    "answer:",
    "answer =",
    "answers are",
    "answer to this is",
    "answer must be",
    "answer should be",
    "answer would be",
    "answer will be",
    "answer**:",
    "answer:**",
    "option is",
    "choice is",
];

/// The answer in a text.
#[derive(Debug, Clone)]
pub(in crate::task) struct Found {
    /// The text as it was written.
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
        return said(tail);
    }
    if let Some(tail) = behind_marker(&plain) {
        let cut = without_reason(tail);
        if takes_back(cut, tail) {
            return Ok(Found { text: tail.trim().to_owned(), answers: vec![Answer::unread(tail)] });
        }
        let mut found = said(cut)?;
        if let Some(stated) = exclaimed(cut).filter(|_| found.answers.len() == 1) {
            found.answers.push(Answer::read(stated));
        }
        return Ok(found);
    }
    let whole = plain.trim();
    if whole.lines().count() > 1 && !tagged {
        // A code fence or a displayed formula is one answer.
        let unwrapped = crate::task::text::unwrap_math(whole);
        if unwrapped.lines().count() > 1 && !unwrapped.contains("\\begin{") {
            let last =
                whole.lines().rev().map(str::trim).find(|line| !matches!(*line, "" | "$$" | "\\]" | "```"));
            let last = last.unwrap_or("");
            return said(last);
        }
        return found(unwrapped, &[]);
    }
    said(whole)
}

/// Whether what follows an answer takes it back for another number: `5. Hmm, actually 4.`
fn takes_back(answer: &str, text: &str) -> bool {
    let Some(rest) = text.find(answer).and_then(|at| text.get(at + answer.len()..)) else { return false };
    let lower = rest.to_lowercase();
    let mut words = lower.split(|c: char| !c.is_alphabetic());
    let last = |text: &str| {
        let mut numbers = text
            .split(|c: char| !(c.is_ascii_digit() || c == '.'))
            .map(|number| number.trim_matches('.').to_owned());
        numbers.rfind(|number| !number.is_empty())
    };
    words.any(|word| matches!(word, "actually" | "wait" | "oops" | "sorry" | "correction"))
        && last(rest).is_some_and(|number| last(answer) != Some(number))
}

/// What an answer in a sentence, or alone, says.
fn said(text: &str) -> Result<Found, &'static str> {
    let text = without_lead(contrasted(text).unwrap_or(text));
    let Some(twice) = restated(text) else { return found(text, &sentence(text)) };
    let mut found = found(&twice, &sentence(&twice))?;
    // Two numbers that differ are perhaps a number and its share.
    let only = twice
        .rsplit_once(" or ")
        .is_some_and(|(first, again)| compare(&Answer::read(first), &Answer::read(again), 0.0) == Same::Yes);
    found.answers.iter_mut().for_each(|answer| answer.only &= only);
    Ok(Found { text: text.trim().to_owned(), ..found })
}

fn found(text: &str, narrower: &[Narrow]) -> Result<Found, &'static str> {
    if text.trim().is_empty() {
        return Err("the answer is empty");
    }
    let mut answers = vec![Answer::read(text)];
    if answers[0].is_words() {
        // The first that has a value counts, and no other: a text must not give several answers to choose from.
        for narrow in narrower {
            let mut answer = Answer { only: narrow.only, ..Answer::read(&narrow.text) };
            // What the words around may turn it into: `owes 20 dollars`.
            answer.unusual.extend(answers[0].unusual.iter().cloned());
            answer
                .unusual
                .extend(wording::lost_in(text, &narrow.text).iter().flat_map(|text| readings(text)));
            answers.push(answer);
            if answers.last().is_some_and(Answer::has_value) {
                // Behind words, `42!` is 42 said loudly, or its factorial.
                if exclaimed(text).is_some_and(|stated| stated.ends_with(&narrow.text)) {
                    answers.push(Answer::read(&format!("{}!", narrow.text)));
                }
                break;
            }
        }
    }
    Ok(Found { text: text.trim().to_owned(), answers })
}

/// A text that ends in exclamation marks behind a number or a letter, without them.
fn exclaimed(text: &str) -> Option<&str> {
    let text = text.trim().trim_end_matches('.');
    let stated = text.trim_end_matches('!');
    let factorial = stated.ends_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, ')' | '$' | '}'));
    (factorial && stated.len() < text.len()).then_some(stated)
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
    // `The answer isn't 42` has no `answer is`.
    let place = MARKERS.iter().filter_map(|marker| {
        let whole = |end: usize| !lower[end..].starts_with(|c: char| c.is_ascii_alphabetic());
        lower.rmatch_indices(marker).map(|(at, _)| at + marker.len()).find(|end| whole(*end))
    });
    let place = place.max()?;
    let line = text[place..].lines().map(|line| line.trim().trim_start_matches([':', '=']).trim());
    let line = line.into_iter().find(|line| !matches!(*line, "" | "$$" | "\\["))?;
    (line.len() <= MAX_TAIL).then_some(line)
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
}
