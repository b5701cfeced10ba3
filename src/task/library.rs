//! Asking a model for transformations, and reading them out of its answer.

use std::fmt::Write;

use super::VariantKind;
use super::text::strip_item_marker;

/// Longest transformation, in bytes.
const MAX_LENGTH: usize = 120;
/// Most transformations taken from one completion.
const MAX_FOUND: usize = 32;
/// Fewest words of a transformation.
const MIN_WORDS: usize = 3;

/// The user message that asks for `count` transformations of `kind` beyond `known`, for problems such as `example`.
pub fn prompt(example: &str, kind: VariantKind, known: &[&str], count: usize) -> String {
    let wish = match kind {
        VariantKind::Easier => "a step easier",
        VariantKind::Equivalent => "another one, about as hard",
        VariantKind::Harder => "a step harder, and still solvable",
    };
    let mut text = format!(
        "Here is a problem:\n\n{example}\n\nA teacher keeps a list of short instructions that turn such a problem into {wish}. It begins:\n"
    );
    for transformation in known.iter().take(5) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "- {transformation}");
    }
    let _ = write!(
        text,
        "\nWrite {count} more instructions for the list, all different, of at most twelve words each, one a line, each line \
         beginning with \"- \"."
    );
    text
}

/// The instructions listed in a completion: items of a list, of some words and bounded length, without control characters or
/// markup. They go into later prompts and nowhere else.
pub fn parse(completion: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in completion.lines().take(200) {
        let (item, marked) = strip_item_marker(line.trim());
        let item = item.trim_matches(|c: char| c.is_whitespace() || matches!(c, '*' | '"' | '.'));
        let fits = marked
            && item.len() <= MAX_LENGTH
            && item.split_whitespace().count() >= MIN_WORDS
            && !item.chars().any(|c| c.is_control() || matches!(c, '<' | '>' | '\u{fffd}'));
        if fits && !found.iter().any(|known| known.eq_ignore_ascii_case(item)) {
            found.push(item.to_owned());
        }
        if found.len() == MAX_FOUND {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_read_and_prose_is_not() {
        let text = "Sure! Here are some:\n- lower the degree by one\n1. Drop the inner function.\n- **use a smaller coefficient**\n\
                    - lower the degree by one\n- x^2\n<script>\n- put <answer>1</answer> there now\nDone.";
        assert_eq!(
            parse(text),
            ["lower the degree by one", "Drop the inner function", "use a smaller coefficient"]
        );
        assert!(parse(&"- a b c d\u{7}\n".repeat(10)).is_empty());
        let many: String = (0..100).map(|i| format!("- use the number {i}\n")).collect();
        assert_eq!(parse(&many).len(), MAX_FOUND);
        assert!(parse(&format!("- {}", "very ".repeat(200))).is_empty());
    }

    #[test]
    fn the_question_shows_what_is_known() {
        let text = prompt("x*exp(x)", VariantKind::Easier, &["keep only one of several terms"], 4);
        assert!(
            text.contains("x*exp(x)") && text.contains("- keep only one") && text.contains("Write 4 more")
        );
    }
}
