//! What tasks share whose problems are plain text: wording, identity and lists of variants.

use std::fmt::Write;

use super::text::{all_tags, unwrap_math};
use super::{PromptStyle, VariantKind, VariantRequest};

/// Most variants taken from one completion.
const MAX_VARIANTS: usize = 32;
/// Longest problem, in bytes.
const MAX_PROBLEM: usize = 16_384;

/// The text with its white space made uniform; an error if it is empty or too long.
pub(super) fn canonical(problem: &str) -> Result<String, String> {
    if problem.len() > MAX_PROBLEM {
        return Err(format!("longer than {MAX_PROBLEM} bytes"));
    }
    let words: Vec<_> = problem.split_whitespace().collect();
    if words.is_empty() { Err("empty".to_owned()) } else { Ok(words.join(" ")) }
}

/// The user message that poses a problem in full sentences.
pub(super) fn prompt(problem: &str) -> String {
    format!(
        "{problem}\n\nWork step by step. Then write only the final answer between <answer> and </answer>."
    )
}

/// The user message that asks for variants. In full sentences, `what` says which properties they must keep; the terse style puts
/// the mark of the kind before the problem and a colon behind it.
pub(super) fn variant_prompt(
    problem: &str,
    request: &VariantRequest,
    what: &str,
    example: &str,
    style: PromptStyle,
) -> String {
    if style == PromptStyle::Terse {
        return format!("{}{problem}:", terse_mark(request.kind));
    }
    let mut text = String::new();
    // Writing to a string cannot fail.
    if let Some(persona) = &request.persona {
        let _ = write!(text, "Think like {persona}. ");
    }
    let wish = match request.kind {
        VariantKind::Easier => "a step easier",
        VariantKind::Equivalent => "about as hard, but with another solution",
        VariantKind::Harder => "a step harder, and still solvable",
    };
    let count = request.count.clamp(1, MAX_VARIANTS);
    let _ = write!(text, "A student cannot yet solve this problem:\n\n{problem}\n\nInvent ");
    let _ = match count {
        1 => write!(text, "one other problem of the same kind that is {wish}."),
        _ => write!(text, "{count} other problems of the same kind, all different, each {wish}."),
    };
    if request.transformations.is_empty() {
        text.push('\n');
    } else {
        text.push_str(" Use changes such as these:\n");
        for transformation in &request.transformations {
            let _ = writeln!(text, "- {transformation}");
        }
    }
    let _ = write!(
        text,
        "{what}\nWrite each problem between <variant> and </variant>, for example\n<variant>{example}</variant>"
    );
    text
}

/// The character that asks for a variant in the terse style.
pub(super) fn terse_mark(kind: VariantKind) -> char {
    match kind {
        VariantKind::Easier => '<',
        VariantKind::Equivalent => '~',
        VariantKind::Harder => '>',
    }
}

/// The insides of the `<variant>` tags of a completion.
pub(super) fn tagged_variants(completion: &str) -> Vec<String> {
    all_tags(completion, "variant", MAX_VARIANTS)
        .into_iter()
        .map(unwrap_math)
        .filter(|text| !text.is_empty() && text.len() <= MAX_PROBLEM)
        .map(str::to_owned)
        .collect()
}
