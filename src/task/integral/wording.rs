//! What people and models write around an answer: environments, words in front of it, remarks on its constant, marks of an end.
//!
//! Only words of short lists are taken away, and none of them can turn the meaning: what is left must still be an answer from its
//! first character to its last.

use std::borrow::Cow;

use crate::task::expr::{Grammar, parse};
use crate::task::text::unwrap_math;

/// Environments that hold one formula.
const ENVIRONMENTS: [&str; 8] =
    ["aligned", "align", "align*", "equation", "equation*", "gathered", "split", "gather*"];

/// Takes `\begin{aligned} .. \end{aligned}` and the marks of its columns and lines away.
pub(super) fn without_environment(text: &str) -> Cow<'_, str> {
    let inside = ENVIRONMENTS.iter().find_map(|name| {
        let rest = text.strip_prefix(&format!("\\begin{{{name}}}"))?;
        rest.trim_end().strip_suffix(&format!("\\end{{{name}}}"))
    });
    inside.map_or(Cow::Borrowed(text), |inside| {
        Cow::Owned(inside.replace('&', " ").replace("\\\\", "\n").trim().to_owned())
    })
}

/// Signs and words for "about", longer ones first.
const ABOUT: [&str; 15] = [
    "\\approxeq",
    "\\approx",
    "\\thickapprox",
    "\\simeq",
    "\\doteq",
    "\\cong",
    "\u{2248}",
    "\u{2243}",
    "\u{2245}",
    "\u{2250}",
    "approximately equal to",
    "approximately",
    "approx.",
    "approx",
    "about",
];

/// The length of the sign for "about" that `text` begins with.
pub(super) fn about(text: &str) -> Option<usize> {
    ABOUT.iter().find(|sign| text.starts_with(**sign)).map(|sign| sign.len())
}

/// `a ≈ b` for `a (≈ b)` and for `a or about b`.
pub(super) fn opened(text: &str) -> Cow<'_, str> {
    let brackets = text.strip_suffix(')').and_then(|text| {
        let (exact, rounded) = text.rsplit_once('(')?;
        about(rounded.trim_start()).map(|_| format!("{exact} {rounded}"))
    });
    if let Some(text) = brackets {
        return Cow::Owned(text);
    }
    let words = text.match_indices("or ").find(|(place, or)| about(&text[place + or.len()..]).is_some());
    words.map_or(Cow::Borrowed(text), |(place, or)| {
        let exact = without_separator(&text[..place]);
        Cow::Owned(format!("{exact} {}", &text[place + or.len()..]))
    })
}

/// Takes words in front, remarks on the constant and marks of an end away.
pub(super) fn without_words(text: &str) -> &str {
    let text = without_mark(unwrap_math(text));
    let text = without_lead(unwrap_math(text));
    let text = without_constant_in_words(without_remark(unwrap_math(text)));
    // The dollar of a formula whose other one went with a remark.
    let text = text.strip_prefix('$').filter(|rest| !rest.contains('$')).unwrap_or(text);
    unwrap_math(text)
}

/// Marks of an end.
const MARKS: [&str; 9] = [
    "\\blacksquare",
    "\\square",
    "\\Box",
    "\\qed",
    "\\qedsymbol",
    "\u{220e}",
    "\u{25a1}",
    "\u{25a0}",
    "\u{25fc}",
];

fn without_mark(text: &str) -> &str {
    let bare = text.strip_suffix('$').unwrap_or(text).trim_end();
    let marked = MARKS.iter().find_map(|mark| Some((mark, bare.strip_suffix(mark)?)));
    match marked {
        Some((_, rest)) if bare.len() == text.len() => without_separator(rest),
        // A dollar behind the mark has its fellow right before it, or before the answer.
        Some((_, rest)) if rest.trim_end().ends_with('$') => without_separator(rest),
        _ => text,
    }
}

/// Words that may stand in front of an answer.
const LEAD: [&str; 29] = [
    "the",
    "an",
    "a",
    "antiderivative",
    "antiderivatives",
    "primitive",
    "indefinite",
    "definite",
    "integral",
    "answer",
    "final",
    "result",
    "value",
    "solution",
    "general",
    "exact",
    "required",
    "this",
    "we",
    "it",
    "then",
    "follows",
    "that",
    "given",
    "which",
    "evaluates",
    "equal",
    "comes",
    "out",
];
/// Words behind which the answer begins.
const LEAD_END: [&str; 14] = [
    "is",
    "equals",
    "get",
    "have",
    "obtain",
    "find",
    "by",
    "to",
    "gives",
    "so",
    "thus",
    "hence",
    "therefore",
    "are",
];

/// Takes `The antiderivative of x^2 is`, `Answer:` and `Therefore,` away.
fn without_lead(text: &str) -> &str {
    let (mut rest, mut answer) = (text, text);
    while let Some(end) = rest.find(char::is_whitespace) {
        let (head, tail) = (&rest[..end], rest[end..].trim_start());
        let word = head.trim_matches([',', ':', '*']).to_lowercase();
        let ends = head.contains(':') || LEAD_END.contains(&word.as_str());
        let next = tail.split_whitespace().next().unwrap_or_default();
        if matches!(word.as_str(), "of" | "for") && !LEAD.contains(&next) {
            // What it is the antiderivative of.
            let place = [" is ", " equals ", ": "].iter().filter_map(|verb| tail.find(verb)).min();
            let Some(place) = place.filter(|&place| is_formula(&tail[..place])) else { break };
            rest = tail[place..].trim_start();
        } else if ends
            && (word.is_empty() || LEAD_END.contains(&word.as_str()) || LEAD.contains(&word.as_str()))
        {
            (rest, answer) = (tail, tail);
        } else if matches!(word.as_str(), "of" | "for") || LEAD.contains(&word.as_str()) {
            rest = tail;
        } else {
            break;
        }
    }
    answer
}

/// An expression in `x`, or an integral of one.
fn is_formula(text: &str) -> bool {
    let text = unwrap_math(text);
    super::problem::split(text).is_some_and(|parts| parse(parts.integrand, Grammar::Expression).is_ok())
}

/// Words of which a remark on the constant may be made. There is no `x` among them: a constant that depends on it is none.
const REMARK: [&str; 28] = [
    "C",
    "c",
    "K",
    "k",
    "is",
    "the",
    "a",
    "an",
    "any",
    "some",
    "arbitrary",
    "real",
    "constant",
    "constants",
    "number",
    "of",
    "integration",
    "integrating",
    "denotes",
    "represents",
    "being",
    "stands",
    "for",
    "const",
    "where",
    "with",
    "as",
    "here",
];

/// Whether a text is made of the words of a remark alone, `\text{..}` around them or not.
fn is_remark(text: &str) -> bool {
    let text = text.replace("\\text{", " ").replace("\\textrm{", " ").replace("\\mathrm{", " ");
    let text = text.replace("\\quad", " ").replace("\\,", " ").replace("\\ ", " ");
    let mut words =
        text.split(|c: char| c.is_whitespace() || ".,$(){}~".contains(c)).filter(|word| !word.is_empty());
    words.all(|word| REMARK.contains(&word))
}

/// Takes a remark on the constant away: `.. + C, where C is the constant of integration`, `.., C \in \mathbb{R}`.
fn without_remark(text: &str) -> &str {
    for sign in ["\\in", "\u{2208}"] {
        if let Some((left, set)) = text.rsplit_once(sign) {
            let set = set.trim_matches(|c: char| c.is_whitespace() || "$.){}".contains(c));
            let reals = ["\\mathbb{R", "\\mathbb R", "\\R", "R", "\u{211d}", "\\mathbf{R", "\\Reals"];
            let answer = left.trim_end().strip_suffix(['C', 'c', 'K', 'k']).map(without_separator);
            if let Some(answer) = answer.filter(|answer| reals.contains(&set) && ends_with_constant(answer)) {
                return answer;
            }
        }
    }
    ["where", "with C ", "(C ", ", C ", ", $C$ ", "; C ", "for any", "for some"]
        .iter()
        .filter_map(|begin| text.split_once(begin))
        .map(|(answer, remark)| (without_separator(answer), remark))
        .find(|(answer, remark)| is_remark(remark) && ends_with_constant(answer))
        .map_or(text, |(answer, _)| answer)
}

/// Takes a constant told in several words away: `.. + constant of integration`.
fn without_constant_in_words(text: &str) -> &str {
    let Some((answer, constant)) = text.rsplit_once('+') else { return text };
    let told = constant.contains("constant") && constant.split_whitespace().count() > 1;
    if told && is_remark(constant) && !answer.trim().is_empty() { answer.trim_end() } else { text }
}

fn ends_with_constant(answer: &str) -> bool {
    let answer = answer.trim_end_matches(['}', '.', '1']).trim_end_matches(['_', '{']);
    ["C", "c", "K", "k", "const", "constant"].iter().any(|name| answer.ends_with(name))
}

/// Without what separates a remark: `(`, a comma, a dollar, spaces of LaTeX.
fn without_separator(text: &str) -> &str {
    let mut text = text;
    loop {
        let before = text;
        text = text.trim_end().trim_end_matches(['(', ',', ';', '$', '~']);
        for space in ["\\qquad", "\\quad", "\\,", "\\;", "\\:", "\\ ", "\\hfill", "\\text{", "\\"] {
            text = text.strip_suffix(space).unwrap_or(text);
        }
        if text == before {
            return text;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_around_an_answer_are_taken_away() {
        for text in [
            "The antiderivative is x^2 + C.",
            "An antiderivative of $2x$ is $x^2 + C$.",
            r"Hence, the integral of 2x is \(x^2 + C\)",
            "**Answer:** x^2 + C",
            "Final answer: $x^2 + C$",
            "Therefore, we get x^2 + C",
            "The value of the integral is x^2 + C",
            r"x^2 + C \quad \blacksquare",
            r"x^2 + C $\square$",
            r"$x^2 + C \qed$",
            "x^2 + C \u{220e}",
            "x^2 + C (C is an arbitrary constant)",
            r"x^2 + C, \text{ where } C \text{ is a constant}",
            "$x^2 + C$, where C is the constant of integration.",
        ] {
            assert_eq!(without_words(text), "x^2 + C", "{text}");
        }
        for text in
            ["x^2 + constant of integration", "x^2 + an arbitrary constant", r"x^2 + \text{a constant}"]
        {
            assert_eq!(without_words(text), "x^2", "{text}");
        }
        for text in [
            "The answer is not x^2",
            "The x^2",
            "a x^2",
            "Not the answer: x^2",
            "x^2 + C, where C depends on x",
            "x^2 + x constant",
            "The integral of what is x^2",
        ] {
            let left = without_words(text);
            assert!(parse(left, Grammar::Antiderivative).is_err(), "{text}: {left}");
        }
    }

    #[test]
    fn what_is_about_is_set_apart() {
        assert_eq!(about("\\approx 1"), Some(7));
        assert_eq!(about("1 approx"), None);
        assert_eq!(opened("1/3 (\u{2248} 0.3)"), "1/3  \u{2248} 0.3");
        assert_eq!(opened("1/3, or about 0.3"), "1/3 about 0.3");
        assert_eq!(opened("sin(x)"), "sin(x)");
    }
}
