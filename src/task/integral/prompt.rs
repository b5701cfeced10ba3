//! The words in which problems are posed and variants asked for.

use super::problem::Question;
use crate::task::{PromptStyle, VariantKind, VariantRequest, plain};

/// Transformations that make an integral easier.
const EASIER: &[&str] = &[
    "keep only one of several terms",
    "lower the highest power by one or two",
    "replace the denominator by a simpler one",
    "drop a factor that does not fit the rest",
    "replace a nested function by its outer function of x alone",
    "take a logarithm or a root away",
    "turn it into a form from a table of standard integrals",
    "keep one part of its partial fraction decomposition",
    "make the argument of a function linear, or a linear one just x",
    "replace two trigonometric factors by one",
    "add the factor that makes an obvious substitution work",
    "replace an inverse function by a power of x",
    "set an additive constant to zero or a coefficient to one",
    "split a product into a sum and keep one part",
];

/// Transformations that keep an integral as hard.
const EQUIVALENT: &[&str] = &[
    "change the coefficients inside the functions",
    "change an exponent while the same technique still works",
    "exchange sine and cosine, or an exponential and a hyperbolic function",
    "replace x by x plus a constant",
    "exchange the polynomial factor for another of the same degree",
    "replace one term by another that needs the same technique",
    "change the constants in the denominator but keep its discriminant's sign",
    "add a term that can be integrated at sight",
    "exchange a logarithm for an inverse tangent",
    "replace a square root by another odd power of the same root",
];

/// Transformations that make an integral harder.
const HARDER: &[&str] = &[
    "multiply by x or by another polynomial",
    "raise the highest power by one",
    "compose one function with another",
    "combine two kinds of functions in one product",
    "add a term that needs a second technique",
    "square a factor",
    "replace a linear argument by a quadratic one",
    "put another factor into the denominator",
    "replace a function by its inverse",
];

pub(super) fn transformations(kind: VariantKind) -> &'static [&'static str] {
    match kind {
        VariantKind::Easier => EASIER,
        VariantKind::Equivalent => EQUIVALENT,
        VariantKind::Harder => HARDER,
    }
}

/// `problem` in the terse notation; a text that is no problem loses its white space.
fn terse(problem: &str) -> String {
    Question::read(problem).map_or_else(|_| problem.split_whitespace().collect(), |question| question.terse())
}

pub(super) fn problem(problem: &str, style: PromptStyle) -> String {
    if style == PromptStyle::Terse {
        return format!("?{}=", terse(problem));
    }
    let definite = Question::read(problem).is_ok_and(|question| question.bounds.is_some());
    let (question, answer) = if definite {
        ("Compute the definite integral", "the exact value")
    } else {
        (
            "Find an antiderivative with respect to x of",
            "only the antiderivative, without a constant of integration,",
        )
    };
    format!(
        "{question}\n\n{problem}\n\nWork step by step. Then write {answer} between <answer> and </answer> as one plain expression, \
         with * for products, ^ for powers and function names such as sin, exp, log, sqrt and atan.\n\
         For example, the antiderivative of 2*x + cos(x) is written <answer>x^2 + sin(x)</answer>"
    )
}

pub(super) fn variants(problem: &str, request: &VariantRequest, style: PromptStyle) -> String {
    let posed = match style {
        PromptStyle::Terse => terse(problem),
        PromptStyle::Instruct => format!("Integrate with respect to x: {problem}"),
    };
    let what = "Give the integrand alone, with a closed form for its antiderivative, no variable but x and no unknown constants. \
                A mere constant factor is no change.";
    plain::variant_prompt(&posed, request, what, "x^2*cos(3*x)", style)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terse_prompts_use_the_terse_notation() {
        assert_eq!(problem("3*x^2+sin(2*x)", PromptStyle::Terse), "?3*x^2+sin(2*x)=");
        assert_eq!(problem("3 x**2 + sin(2 x) dx", PromptStyle::Terse), "?3*x^2+sin(2*x)=");
        let request = |kind| VariantRequest { kind, count: 1, transformations: vec![], persona: None };
        for (kind, prompt) in [
            (VariantKind::Easier, "<x*exp(x):"),
            (VariantKind::Equivalent, "~x*exp(x):"),
            (VariantKind::Harder, ">x*exp(x):"),
        ] {
            assert_eq!(variants("x * exp(x)", &request(kind), PromptStyle::Terse), prompt);
        }
    }

    #[test]
    fn instructions_name_what_was_asked_for() {
        let text = problem("x*exp(x)", PromptStyle::Instruct);
        assert!(text.contains("\n\nx*exp(x)\n\n") && text.contains("<answer>"));
        assert!(problem("integrate(x, x, 0, 1)", PromptStyle::Instruct).contains("definite"));
        let request = VariantRequest {
            kind: VariantKind::Easier,
            count: 10,
            transformations: vec![EASIER[0].into(), EASIER[3].into()],
            persona: Some("a careful geometer".into()),
        };
        let text = variants("x*exp(x)", &request, PromptStyle::Instruct);
        for part in
            ["a careful geometer", "x*exp(x)", "10 other", "a step easier", EASIER[0], EASIER[3], "<variant>"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
