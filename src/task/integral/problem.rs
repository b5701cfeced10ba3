//! Reading a problem: an integrand, bare or inside one of the usual ways to write an integral, with bounds or without.

use crate::task::expr::{Branch, Expr, Grammar, fingerprint, parse};
use crate::task::text::{closing, split_arguments, unwrap_math};

/// Longest problem, in bytes.
pub(super) const MAX_PROBLEM: usize = 1024;

/// An integral to find.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) integrand: Expr,
    /// Lower and upper bound of a definite integral.
    pub(super) bounds: Option<(Expr, Expr)>,
}

impl Question {
    /// Reads and checks a problem; the error says what is wrong with it.
    pub(super) fn read(problem: &str) -> Result<Self, String> {
        let question = Self::parse(problem)?;
        if let Some(constant) = question.integrand.undefined_constant() {
            return Err(format!("`{}` is not a finite real number", short(constant)));
        }
        for bound in question.bounds.iter().flat_map(|(a, b)| [a, b]) {
            if bound.has_variable() || bound.undefined_constant().is_some() {
                return Err("the bounds must be finite real numbers".to_owned());
            }
        }
        Ok(question)
    }

    fn parse(problem: &str) -> Result<Self, String> {
        if problem.len() > MAX_PROBLEM {
            return Err(format!("longer than {MAX_PROBLEM} bytes"));
        }
        let parts = split(unwrap_math(problem)).ok_or("an integral whose parts cannot be told")?;
        let expression = |text: &str| parse(text, Grammar::Expression).map_err(|error| error.to_string());
        Ok(Self {
            integrand: expression(parts.integrand)?,
            bounds: match parts.bounds {
                Some((a, b)) => Some((expression(a)?, expression(b)?)),
                None => None,
            },
        })
    }

    /// Equal for problems that are the same.
    pub(super) fn canonical(&self) -> Result<String, String> {
        let values = fingerprint(&self.integrand)
            .ok_or("the integrand is zero, or real and finite at too few points")?;
        Ok(match self.bounds_values() {
            Some((a, b)) => format!("{a:.8e}..{b:.8e} {values}"),
            None => values,
        })
    }

    /// The bounds as numbers.
    pub(super) fn bounds_values(&self) -> Option<(f64, f64)> {
        let value = |bound: &Expr| bound.eval(0.0, Branch::Real).value;
        self.bounds.as_ref().map(|(a, b)| (value(a), value(b)))
    }

    /// In the terse notation.
    pub(super) fn terse(&self) -> String {
        match &self.bounds {
            Some((a, b)) => format!("integrate({},x,{a},{b})", self.integrand),
            None => self.integrand.to_string(),
        }
    }
}

/// A constant for a message.
fn short(expr: &Expr) -> String {
    expr.to_string().chars().take(40).collect()
}

/// The texts of the parts of an integral.
#[derive(Debug, PartialEq)]
pub(super) struct Parts<'a> {
    pub(super) integrand: &'a str,
    pub(super) bounds: Option<(&'a str, &'a str)>,
}

/// Splits `integrate(f, x)`, `Integral(f, (x, a, b))`, `\int_a^b f dx`, `integral of f from a to b` and the like; any other text is
/// an integrand by itself. `None` for an integral whose parts cannot be told.
pub(super) fn split(text: &str) -> Option<Parts<'_>> {
    let text = text.trim();
    if let Some((arguments, rest)) = call(text) {
        return if rest.trim().is_empty() { split_call(arguments) } else { None };
    }
    for sign in [
        "\\int",
        "\u{222b}",
        "integral of ",
        "Integral of ",
        "integral ",
        "Integral ",
        "int ",
        "Integrate ",
        "integrate ",
    ] {
        if let Some(rest) = text.strip_prefix(sign) {
            return split_sign(rest);
        }
    }
    Some(Parts { integrand: without_differential(text), bounds: None })
}

/// The arguments of a leading `integrate(..)`, and what follows it.
pub(super) fn call(text: &str) -> Option<(&str, &str)> {
    ["integrate(", "Integrate(", "integral(", "Integral(", "int("].iter().find_map(|name| {
        let rest = text.strip_prefix(name)?;
        let end = closing(rest, '(', ')')?;
        Some((&rest[..end], &rest[end + 1..]))
    })
}

fn split_call(arguments: &str) -> Option<Parts<'_>> {
    let (integrand, bounds) = match *split_arguments(arguments).as_slice() {
        [integrand] | [integrand, "x"] => (integrand, None),
        [integrand, range] => {
            let range = split_arguments(range.strip_prefix('(')?.strip_suffix(')')?);
            let &["x", a, b] = range.as_slice() else { return None };
            (integrand, Some((a, b)))
        }
        [integrand, "x", a, b] => (integrand, Some((a, b))),
        _ => return None,
    };
    Some(Parts { integrand, bounds })
}

fn split_sign(text: &str) -> Option<Parts<'_>> {
    let text = text.trim_start().trim_start_matches("\\limits").trim_start();
    if let Some(rest) = text.strip_prefix('_') {
        let (a, rest) = script(rest)?;
        let (b, rest) = script(rest.trim_start().strip_prefix('^')?)?;
        return Some(Parts { integrand: without_differential(rest), bounds: Some((a, b)) });
    }
    if let Some((integrand, range)) = text.rsplit_once(" from ") {
        let (a, b) = range.split_once(" to ")?;
        return Some(Parts {
            integrand: without_differential(integrand),
            bounds: Some((a.trim(), b.trim())),
        });
    }
    Some(Parts { integrand: without_differential(text), bounds: None })
}

/// A LaTeX subscript or superscript: a group in braces, or one word.
fn script(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    if let Some(rest) = text.strip_prefix('{') {
        let end = closing(rest, '{', '}')?;
        return Some((&rest[..end], &rest[end + 1..]));
    }
    let end = text.find(['^', ' ', '\\']).filter(|&end| end > 0)?;
    Some((&text[..end], &text[end..]))
}

/// Takes a `dx` at the end away.
fn without_differential(text: &str) -> &str {
    let text = text.trim();
    let Some(rest) = text.strip_suffix("dx").or_else(|| text.strip_suffix("\\mathrm{d}x")) else {
        return text;
    };
    let rest = rest.trim_end();
    ["\\,", "\\;", "\\!", "\\ ", "*", "\\"]
        .iter()
        .fold(rest, |rest, space| rest.strip_suffix(space).unwrap_or(rest).trim_end())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn integrals_in_every_usual_notation() {
        for text in [
            "x^2",
            "x**2 dx",
            "integrate(x^2, x)",
            "Integral(x**2, x)",
            r"\int x^2 \, dx",
            r"$\int x^{2}\,\mathrm{d}x$",
            "\u{222b} x\u{b2} dx",
            "integral of x^2 dx",
        ] {
            let question = Question::read(text).unwrap();
            assert_eq!(question.terse(), "x^2", "{text}");
            assert!(question.bounds.is_none());
        }
        for text in [
            "integrate(x^2, x, 0, 2*pi)",
            "integrate(x^2, (x, 0, 2*pi))",
            r"\int_{0}^{2\pi} x^2 dx",
            r"\int_0^{2 \pi} x^2 \, dx",
            "integral x^2 from 0 to 2 pi",
        ] {
            let question = Question::read(text).unwrap();
            assert_eq!(question.bounds_values(), Some((0.0, std::f64::consts::TAU)), "{text}");
            assert_eq!(question.integrand.to_string(), "x^2");
        }
    }

    #[test]
    fn what_is_no_problem_says_why() {
        for (text, reason) in [
            ("", "empty"),
            ("sin(x)cost(x)", "unknown symbol"),
            ("a*x", "unknown symbol"),
            ("x/0", "finite"),
            ("98**44**35", "finite"),
            ("integrate(x, y)", "parts"),
            ("integrate(x, x, 0, oo)", "unknown symbol"),
            ("integrate(x, x, 0, x)", "bounds"),
            ("integrate(integrate(x, x), x)", "unevaluated integral"),
        ] {
            let error = Question::read(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
        for text in ["x-x", "sqrt(-1-x^2)", "sin(x)^2+cos(x)^2-1"] {
            assert!(Question::read(text).unwrap().canonical().is_err(), "{text}");
        }
    }
}
