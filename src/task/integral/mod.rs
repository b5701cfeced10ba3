//! Symbolic integration: problems are integrands in `x`, answers are antiderivatives.
//!
//! An answer is right if its exact derivative equals the integrand wherever both are real, and if it is continuous where the
//! integrand is ([`indefinite`], [`jumps`]). Nothing else is compared: no reference answer is needed, and `log|x|`, `log(x)` and
//! `log(2*x)+C` are all antiderivatives of `1/x`. An antiderivative that holds only on part of the common domain, such as `x^2/2`
//! for `|x|`, is wrong; one that is real on part of it only, such as `acosh(x)` for `1/sqrt(x^2-1)`, is right. A definite integral
//! (`integrate(f,x,a,b)` with finite bounds) is answered by a number ([`definite`]). An answer told as a chain, `a = b` or
//! `a \approx b`, is right if every side is ([`answer`]). A decimal of eight or more digits may be a rounded number, as far as its last
//! digit explains what differs. `(-8)^(1/3)` is not real, as in computer algebra; `cbrt(-8)` is -2. A verdict that rounding errors,
//! poles or a bounded amount of work leave open is `unverifiable`.

mod algebra;
mod answer;
mod check;
mod closed;
mod definite;
mod exact;
mod indefinite;
mod jumps;
mod outcome;
mod problem;
mod prompt;
mod quadrature;
mod solvable;
mod variants;
mod wording;
mod worked;

use outcome::Outcome;
use problem::Question;
use rand_pcg::Pcg64Mcg;

use super::expr::{Expr, Grammar, parse, proportional};
use super::{
    Parameter, Problem, PromptStyle, Task, TaskOptions, VariantKind, VariantRequest, Verdict, VerdictKind,
    WorkedExample, WorkedVariants, check_options,
};
use crate::Result;

/// The task `integral`.
#[derive(Debug, Clone, Copy)]
pub struct Integral;

impl Integral {
    /// Takes no options.
    pub fn new(options: &TaskOptions) -> Result<Self> {
        check_options("integral", &[], options)?;
        Ok(Self)
    }
}

impl Task for Integral {
    fn name(&self) -> &'static str {
        "integral"
    }

    fn parameters(&self) -> &'static [Parameter] {
        &[]
    }

    fn prompt(&self, problem: &str, style: PromptStyle) -> String {
        prompt::problem(problem, style)
    }

    fn variant_prompt(&self, problem: &str, request: &VariantRequest, style: PromptStyle) -> String {
        prompt::variants(problem, request, style)
    }

    fn transformations(&self, kind: VariantKind) -> &'static [&'static str] {
        prompt::transformations(kind)
    }

    fn parse_variants(&self, completion: &str) -> Vec<String> {
        variants::parse(completion)
    }

    fn canonical(&self, problem: &str) -> std::result::Result<String, String> {
        Question::read(problem)?.canonical()
    }

    fn is_restatement(&self, parent: &str, variant: &str) -> bool {
        let (Ok(parent), Ok(variant)) = (Question::read(parent), Question::read(variant)) else {
            return false;
        };
        parent.bounds_values() == variant.bounds_values()
            && proportional(&parent.integrand, &variant.integrand)
    }

    fn solvable(&self, problem: &str) -> std::result::Result<(), String> {
        solvable::solvable(&Question::read(problem)?)
    }

    fn same_answer(&self, problem: &Problem, one: &str, other: &str) -> bool {
        if one == other {
            return true;
        }
        let read = |text| parse(text, Grammar::Antiderivative);
        match (Question::read(&problem.problem), read(one), read(other)) {
            (Ok(question), Ok(one), Ok(other)) => check::same(&question, &one, &other),
            _ => false,
        }
    }

    fn worked_levels(&self) -> &'static [(u32, &'static str)] {
        worked::LEVELS
    }

    fn worked_example(&self, level: u32, rng: &mut Pcg64Mcg) -> Option<WorkedExample> {
        worked::example(level, rng)
    }

    fn worked_variants(&self, level: u32, most: usize, rng: &mut Pcg64Mcg) -> Option<WorkedVariants> {
        worked::variants(level, most, rng)
    }

    fn verify(&self, problem: &Problem, completion: &str) -> Verdict {
        let question = match Question::read(&problem.problem) {
            Ok(question) => question,
            Err(reason) => {
                return Verdict::new(
                    VerdictKind::Unverifiable,
                    format!("the problem is not an integrand: {reason}"),
                    None,
                );
            }
        };
        let definite = question.bounds.is_some();
        let answer = match answer::find(completion, definite) {
            Ok(answer) => answer,
            Err(reason) => return Verdict::new(VerdictKind::Malformed, reason, None),
        };
        let text = Some(answer.value.to_string());
        if definite && answer.equals.iter().chain([&answer.value]).any(Expr::has_variable) {
            return Verdict::new(VerdictKind::Malformed, "a definite integral is a number", text);
        }
        match check::check_all(&question, &answer) {
            Some(Outcome::Correct(reason)) => Verdict::new(VerdictKind::Correct, reason, text),
            Some(Outcome::Wrong(reason)) => Verdict::new(VerdictKind::Wrong, reason, text),
            Some(Outcome::Unverifiable(reason)) => Verdict::new(VerdictKind::Unverifiable, reason, text),
            None => Verdict::new(VerdictKind::Malformed, "an equation of different answers", text),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn equal_integrands_have_equal_canonical_forms() {
        for group in [
            &["x^2+2*x+1", "(x+1)**2", "(1+x)*(x+1)", "x*(x+2)+1"][..],
            &["sin(2*x)", "2*sin(x)*cos(x)", "2 sin x cos x", r"2\sin(x)\cos{x}"],
            &["1/cosh(x)", "sech(x)", "2/(e^x+e^-x)"],
            &["tan(x)", "sin(x)/cos(x)"],
            &["(1+cos(2*x))/2", "cos(x)^2", "1-sin(x)**2"],
            &["log(x^2+1)/(x^2+1)", "ln(1+x*x)*(1+x^2)^(-1)"],
            &["acosh(x)/x", "arccosh(x)*x^-1"],
            &["x*(1+x**2)**(-3/2)", "x/sqrt(1+x^2)^3", "x/((1+x^2)*sqrt(x^2+1))"],
            &["acosh(x/30)", "arcosh(x/30)"],
        ] {
            let forms: Vec<_> = group.iter().map(|problem| Integral.canonical(problem).unwrap()).collect();
            assert!(forms.iter().all(|form| *form == forms[0]), "{group:?}: {forms:?}");
        }
        let different = [
            "x^2",
            "x^2+x/1000000",
            "2*x^2",
            "abs(x)",
            "x",
            "sqrt(x)^2",
            "sin(x)",
            "integrate(x,x,0,1)",
            "integrate(x,x,0,2)",
        ];
        let forms: std::collections::BTreeSet<_> =
            different.iter().map(|problem| Integral.canonical(problem).unwrap()).collect();
        assert_eq!(forms.len(), different.len());
    }

    #[test]
    fn equal_answers_are_one_class() {
        let problem = |text: &str| Problem::new(text);
        for (question, one, other, same) in [
            ("1/x", "log(x)", "log(abs(x))", true),
            ("1/x", "log(2*x)", "log(x)+C", true),
            ("sin(2*x)", "sin(x)^2", "-cos(2*x)/2", true),
            // Wrong answers have classes too.
            ("x", "x^3", "x^3+1", true),
            ("x", "x^3", "x^3/2", false),
            ("x^2", "x^3/3", "x^3/3+x/1000000", false),
            ("1/sqrt(1-x^2)", "asin(x)", "-acos(x)", true),
            ("integrate(x,x,0,1)", "1/2", "0.5", true),
            ("integrate(x,x,0,1)", "1/2", "0.6", false),
            ("x", "nonsense", "x^2", false),
        ] {
            assert_eq!(Integral.same_answer(&problem(question), one, other), same, "{one} {other}");
            assert_eq!(Integral.same_answer(&problem(question), other, one), same, "{other} {one}");
        }
    }

    #[test]
    fn constant_multiples_are_restatements() {
        for (parent, variant) in [
            ("x*exp(x)", "5*x*exp(x)"),
            ("x*exp(x)", "exp(x)*x"),
            ("sin(2*x)", "sin(x)*cos(x)"),
            ("1/(x^2+1)", "-3/(7+7*x^2)"),
            ("acosh(x)/x", "acosh(x)/(2*x)"),
        ] {
            assert!(Integral.is_restatement(parent, variant), "{parent} {variant}");
            assert!(Integral.is_restatement(variant, parent), "{parent} {variant}");
        }
        for (parent, variant) in [
            ("x*exp(x)", "x*exp(2*x)"),
            ("x", "abs(x)"),
            ("x", "sin(x)"),
            ("x^2", "x^2+1"),
            ("x", "y"),
            ("x", "x^1.000001"),
        ] {
            assert!(!Integral.is_restatement(parent, variant), "{parent} {variant}");
        }
    }
}
