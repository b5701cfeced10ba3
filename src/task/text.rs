//! Finding answers and lists in the text a model wrote. Everything here is linear in the length of the text and cannot fail.

/// The inside of the last complete `<name>..</name>`, if any. Of nested openings the innermost counts.
pub(super) fn last_tag<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let end = text.rfind(&format!("</{name}>"))?;
    let open = format!("<{name}>");
    let start = text[..end].rfind(&open)? + open.len();
    Some(&text[start..end])
}

/// The insides of all complete `<name>..</name>`, in order, at most `limit`.
pub(super) fn all_tags<'a>(text: &'a str, name: &str, limit: usize) -> Vec<&'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut found = Vec::new();
    let mut rest = text;
    while found.len() < limit {
        let Some((_, after)) = rest.split_once(&open) else { break };
        let Some((inside, after)) = after.split_once(&close) else { break };
        // A forgotten closing tag: the last opening one counts.
        found.push(inside.rsplit_once(&open).map_or(inside, |(_, last)| last));
        rest = after;
    }
    found
}

/// The inside of the last `\boxed{..}`, if its braces balance.
pub(super) fn last_boxed(text: &str) -> Option<&str> {
    let (_, after) = text.rsplit_once("\\boxed{")?;
    Some(&after[..closing(after, '{', '}')?])
}

/// Where the bracket that is open before `text` closes, in bytes.
pub(super) fn closing(text: &str, open: char, close: char) -> Option<usize> {
    let mut depth = 1usize;
    for (i, c) in text.char_indices() {
        if c == open {
            depth += 1;
        } else if c == close {
            depth -= 1;
            if depth == 0 {
                return Some(i);
            }
        }
    }
    None
}

/// Splits at commas outside of brackets.
pub(super) fn split_arguments(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0i64, 0, Vec::new());
    for (i, c) in text.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(text[start..i].trim());
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts
}

/// Pairs of marks that people and models put around mathematics.
const WRAPPINGS: [(&str, &str); 7] =
    [("```", "```"), ("`", "`"), ("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ("**", "**")];

/// Takes marks around mathematics away: dollars, backticks, code fences, `\boxed{}`, a full stop at the end.
pub(super) fn unwrap_math(text: &str) -> &str {
    let mut text = text.trim();
    // Each round takes something away, and a few rounds are more than anyone needs.
    for _ in 0..8 {
        let before = text;
        for (open, close) in WRAPPINGS {
            let inside = text.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
            if let Some(inside) = inside.filter(|inside| !inside.contains(open)) {
                text = inside;
                if open == "```" {
                    text = ["python", "latex", "math", "text", "sympy"]
                        .iter()
                        .find_map(|language| {
                            text.strip_prefix(language).filter(|rest| rest.starts_with(['\n', '\r']))
                        })
                        .unwrap_or(text);
                }
                text = text.trim();
            }
        }
        if let Some(after) = text.strip_prefix("\\boxed{")
            && closing(after, '{', '}').is_some_and(|end| end + 1 == after.len())
        {
            text = after[..after.len() - 1].trim();
        }
        text = text.trim_end_matches(['.', ';', ',']).trim_end();
        if text == before {
            break;
        }
    }
    text
}

/// Takes the mark of a list item away (`-`, `*`, `•`, `3.`, `3)`, `(3)`, `Variant 3:`) and says whether there was one.
pub(super) fn strip_item_marker(line: &str) -> (&str, bool) {
    let line = line.trim();
    let bullet = line
        .strip_prefix(['-', '*', '+', '\u{2022}', '\u{2013}'])
        .filter(|rest| rest.starts_with(char::is_whitespace));
    if let Some(rest) = bullet {
        return (rest.trim(), true);
    }
    let plain = line.strip_prefix("**").unwrap_or(line);
    let label = ["variant", "problem", "easier", "equivalent", "harder"].iter().find_map(|word| {
        let head = plain.get(..word.len())?;
        let (before, after) = plain.split_once(':')?;
        (head.eq_ignore_ascii_case(word) && before.len() <= 24).then_some(after)
    });
    match label {
        Some(rest) => (rest.trim().trim_start_matches("**").trim(), true),
        None => strip_number(line),
    }
}

fn strip_number(line: &str) -> (&str, bool) {
    let inner = line.strip_prefix('(').unwrap_or(line);
    let digits = inner.bytes().take_while(u8::is_ascii_digit).count();
    let rest = &inner[digits..];
    let rest = match (digits, rest.chars().next()) {
        (1..=3, Some(')' | ':')) => Some(&rest[1..]),
        // `3. x`, but not the decimal `3.5`.
        (1..=3, Some('.')) => Some(&rest[1..]).filter(|rest| rest.starts_with(char::is_whitespace)),
        _ => None,
    };
    rest.map_or((line, false), |rest| (rest.trim(), true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_boxes() {
        assert_eq!(last_tag("<answer>a</answer> <answer>b</answer>", "answer"), Some("b"));
        assert_eq!(last_tag("<answer><answer>b</answer>", "answer"), Some("b"));
        assert_eq!(last_tag("<answer>a</answer> <answer>b", "answer"), Some("a"));
        assert_eq!(last_tag("</answer><answer>", "answer"), None);
        assert_eq!(all_tags("<v>a</v><v>b<v>c</v>", "v", 9), ["a", "c"]);
        assert_eq!(all_tags("<v>a</v><v>b</v>", "v", 1), ["a"]);
        assert_eq!(last_boxed(r"so \boxed{\frac{x}{2}} is it"), Some(r"\frac{x}{2}"));
        assert_eq!(last_boxed(r"\boxed{\frac{x}{2}"), None);
    }

    #[test]
    fn wrappings_and_markers() {
        assert_eq!(unwrap_math(" $$\\boxed{ x^2 }$$. "), "x^2");
        assert_eq!(unwrap_math("```python\nx**2\n```"), "x**2");
        assert_eq!(unwrap_math("\\boxed{"), "\\boxed{");
        assert_eq!(unwrap_math("$x$ or $y$"), "$x$ or $y$");
        for line in [
            "1. x^2",
            "(1) x^2",
            "1) x^2",
            "- x^2",
            "* x^2",
            "\u{2022} x^2",
            "Variant 1: x^2",
            "**Variant 1:** x^2",
        ] {
            assert_eq!(strip_item_marker(line), ("x^2", true), "{line}");
        }
        for line in ["x^2", "-x^2", "2*x", "1.5*x", "(1)*x"] {
            assert_eq!(strip_item_marker(line).0, line.trim_start_matches("(1)"), "{line}");
        }
    }
}
