//! Finding the answer in a completion.

use crate::task::expr::{Expr, Grammar, parse};
use crate::task::text::{last_boxed, last_tag, unwrap_math};

/// The answer in `completion`, or why there is none. The last `<answer>..</answer>` counts and nothing else does when there is one;
/// then the last `\boxed{..}`; then the whole completion, which must be an answer from its first character to its last.
pub(super) fn find(completion: &str) -> Result<Expr, String> {
    let text = match last_tag(completion, "answer").or_else(|| last_boxed(completion)) {
        Some(text) => text,
        None if completion.contains("<answer>") => return Err("the <answer> is not closed".to_owned()),
        None => completion,
    };
    let text = without_remark(right_hand_side(unwrap_math(text))?);
    let answer = parse(text, Grammar::Antiderivative).map_err(|error| error.to_string())?;
    match answer.undefined_constant() {
        None => Ok(answer),
        Some(constant) => {
            let constant: String = constant.to_string().chars().take(40).collect();
            Err(format!("`{constant}` is not a finite real number"))
        }
    }
}

/// What stands behind `F(x) =` or `\int f dx =`. Any other equation is refused, and so is more than one: `a = b` would be
/// two answers to choose from.
fn right_hand_side(text: &str) -> Result<&str, String> {
    let Some((left, right)) = text.split_once('=') else { return Ok(text) };
    let left = left.trim();
    let name = matches!(left, "F(x)" | "f(x)" | "y" | "y(x)" | "I" | "F" | "I(x)");
    let integral = ["\\int", "\u{222b}", "integrate(", "Integral(", "integral", "Integral"]
        .iter()
        .any(|sign| left.starts_with(sign));
    if (name || integral) && !right.contains('=') {
        return Ok(unwrap_math(right));
    }
    Err("an equation instead of an expression".to_owned())
}

/// Takes a remark on the constant away: `.. + C, where C is the constant of integration`. It must be words and nothing that could be a
/// second answer.
fn without_remark(text: &str) -> &str {
    let Some((answer, remark)) = text.split_once("where").or_else(|| text.split_once("with C ")) else {
        return text;
    };
    let answer = answer.trim_end().trim_end_matches(['(', ',', '$']).trim_end();
    let words =
        remark.chars().all(|c| c.is_alphabetic() || c.is_whitespace() || matches!(c, '.' | ',' | '$' | ')'));
    if words && answer.ends_with('C') { answer } else { text }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn one_answer_is_found_and_no_other() {
        for (completion, answer) in [
            ("x^2", "x^2"),
            ("  x**2 + C\n", "x^2"),
            ("We get x^3.\n<answer>x^2 + C</answer>", "x^2"),
            ("<answer>x</answer> no, <answer>$x^{2}$.</answer> done", "x^2"),
            (r"So the result is \boxed{x^2 + C}.", "x^2"),
            (r"<answer>\int 2x dx = x^2 + C</answer>", "x^2"),
            ("<answer>F(x) = x^2</answer>", "x^2"),
            ("<answer>x^2 + C, where C is the constant of integration.</answer>", "x^2"),
            ("<answer>x^2 + C (where $C$ is a constant)</answer>", "x^2"),
        ] {
            assert_eq!(find(completion).unwrap().to_string(), answer, "{completion}");
        }
        for completion in [
            "the answer is x^2",
            "<answer>x^2",
            "<answer></answer>",
            "<answer>x^2 = x^3</answer>",
            "<answer>F(x) = x^2 = x^3</answer>",
            "<answer>x^2 or x^3</answer>",
            "<answer>x^2, x^3</answer>",
            "<answer>x^2\nx^3</answer>",
            "x^2<answer></answer>",
            "<answer>x^2 + C, where x^3 is as good</answer>",
            "<answer>x^2 + C where x = 2</answer>",
            "<answer>x^2 where C is not</answer>",
        ] {
            assert!(find(completion).is_err(), "{completion}");
        }
    }
}
