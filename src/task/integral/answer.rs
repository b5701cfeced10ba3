//! Finding the answer in a completion.

use std::borrow::Cow;

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
    let text = without_environment(unwrap_math(text));
    let text = without_remark(right_hand_side(unwrap_math(&text))?);
    let answer = parse(text, Grammar::Antiderivative).map_err(|error| error.to_string())?;
    match answer.undefined_constant() {
        None => Ok(answer),
        Some(constant) => {
            let constant: String = constant.to_string().chars().take(40).collect();
            Err(format!("`{constant}` is not a finite real number"))
        }
    }
}

/// What stands behind `F(x) =`, `\int f dx =` or a bare `=`, or behind several of them. Any other equation is refused: `a = b` would
/// be two answers to choose from.
fn right_hand_side(text: &str) -> Result<&str, String> {
    let Some((left, right)) = text.rsplit_once('=') else { return Ok(text) };
    let mut lefts = left.split('=').map(str::trim);
    if lefts.all(|left| left.is_empty() || is_name(left) || is_integral(left)) {
        return Ok(unwrap_math(right));
    }
    Err("an equation instead of an expression".to_owned())
}

/// `F(x)` with any letter, or one of the letters that stand for a function by themselves.
fn is_name(text: &str) -> bool {
    let letter = |text: &str| matches!(text.as_bytes(), [b] if b.is_ascii_alphabetic() && *b != b'x');
    matches!(text, "y" | "I" | "F") || text.strip_suffix("(x)").is_some_and(|name| letter(name.trim()))
}

fn is_integral(text: &str) -> bool {
    ["\\int", "\u{222b}", "integrate(", "Integral(", "integral", "Integral"]
        .iter()
        .any(|sign| text.starts_with(sign))
}

/// Environments that hold one formula.
const ENVIRONMENTS: [&str; 8] =
    ["aligned", "align", "align*", "equation", "equation*", "gathered", "split", "gather*"];

/// Takes `\begin{aligned} .. \end{aligned}` and the marks of its columns away.
fn without_environment(text: &str) -> Cow<'_, str> {
    let inside = ENVIRONMENTS.iter().find_map(|name| {
        let rest = text.strip_prefix(&format!("\\begin{{{name}}}"))?;
        rest.trim_end().strip_suffix(&format!("\\end{{{name}}}"))
    });
    inside.map_or(Cow::Borrowed(text), |inside| Cow::Owned(inside.replace('&', " ").trim().to_owned()))
}

/// Words of which a remark on the constant may be made. There is no `x` among them: a constant that depends on it is none.
const REMARK: [&str; 25] = [
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
    "an",
    "const",
];

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
    let Some((answer, remark)) = text.split_once("where").or_else(|| text.split_once("with C ")) else {
        return text;
    };
    let answer = without_separator(answer);
    let mut words =
        remark.split(|c: char| c.is_whitespace() || ".,$()".contains(c)).filter(|word| !word.is_empty());
    if words.all(|word| REMARK.contains(&word)) && ends_with_constant(answer) { answer } else { text }
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
        for space in ["\\qquad", "\\quad", "\\,", "\\;", "\\:", "\\ ", "\\text{", "\\"] {
            text = text.strip_suffix(space).unwrap_or(text);
        }
        if text == before {
            return text;
        }
    }
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
            ("x^2 + C, where C is an arbitrary real constant", "x^2"),
            (r"x^2+C_{1}", "x^2"),
            ("x^2+C\u{2081}", "x^2"),
            (r"x^2 + C, \quad C \in \mathbb{R}", "x^2"),
            (r"$x^2 + C\;(C \in \mathbb{R})$", "x^2"),
            ("x^2+C, C \u{2208} \u{211d}", "x^2"),
            (r"x^2+\mathcal{C}", "x^2"),
            (r"x^2 + \text{const.}", "x^2"),
            ("= x^2 + C", "x^2"),
            ("G(x) = x^2", "x^2"),
            (r"F(x) = \int 2x\,dx = x^2 + C", "x^2"),
            (r"\begin{aligned}x^2+C\end{aligned}", "x^2"),
            (r"\begin{align*}F(x) &= x^2+C\end{align*}", "x^2"),
            (r"{x^3 \over 3}+C", "x^3/3"),
            (r"2^x\log_2 e", "2^x*(log(e)/log(2))"),
            (r"\log_e|x|", "log(abs(x))"),
            (r"\log_{10} x", "log(x)/log(10)"),
            ("log_10(x)", "log(x)/log(10)"),
            (r"-\operatorname{erfc}(x)", "-(1-erf(x))"),
            ("(x-1)e\u{2e3}", "(x-1)*e^x"),
            ("e\u{b2}\u{2e3}/2", "e^(2*x)/2"),
            ("e\u{207b}\u{2e3}", "e^(-x)"),
            ("ch x - sh(x) + th x", "cosh(x)-sinh(x)+tanh(x)"),
            (r"1\frac12 x", "(1+1/2)*x"),
            (r"1\frac{1}{2}x", "(1+1/2)*x"),
            ("1\u{bd}x", "(1+1/2)*x"),
            (r"2\frac{x}{3}", "2*(x/3)"),
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
            "x^2 + C where C depends on x",
            "x^2 + C, where C is a function of x",
            "x^2 + C, C \u{2208} x",
            "x^2 = x^2",
            "x = x^2",
            r"3\frac{5}{2}x",
            "1 1/2 x",
            "log_x(2)",
            "y_2",
            r"{x \over}",
            r"x \over 2",
        ] {
            assert!(find(completion).is_err(), "{completion}");
        }
    }
}
