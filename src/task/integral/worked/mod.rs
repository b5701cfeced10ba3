//! Worked examples of the task: antiderivatives are drawn and differentiated, so every problem comes with its answer.

mod level;
mod shape;

use rand_pcg::Pcg64Mcg;

pub(super) use level::LEVELS;
use shape::Shape;

use super::Integral;
use crate::task::expr::{self, Expr, Grammar, content, join, monomials};
use crate::task::rational::Rational;
use crate::task::worked::{WorkedExample, WorkedVariants, different};

/// Draws of easier problems for each one that is wanted; most of them repeat others.
const DRAWS_PER_VARIANT: usize = 6;

/// A term of an integrand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Term {
    /// Of the term as it is written, not of its antiderivative.
    coefficient: i64,
    shape: Shape,
}

/// An integrand with an antiderivative.
struct Solved {
    integrand: Expr,
    antiderivative: Expr,
}

impl Term {
    /// `None` if a text of the shape is no expression or a number gets too large, which the tests rule out.
    fn solve(&self) -> Option<Solved> {
        let parse = |text: &str| expr::parse(text, Grammar::Expression).ok();
        let antiderivative = parse(&self.shape.antiderivative())?.simplified();
        let coefficient = Rational::integer(self.coefficient);
        let (integrand, factor) = match self.shape.integrand() {
            Some(text) => (parse(&text)?.simplified(), coefficient),
            None => {
                // Divided by what all its coefficients have in common, the derivative has whole ones, the first above zero.
                let derivative = antiderivative.derivative();
                let parts = monomials(&derivative);
                let sign = Rational::integer(parts.first()?.coefficient.numerator().signum());
                let common = content(&parts)?.apply('*', sign)?;
                (derivative, coefficient.apply('/', common)?)
            }
        };
        Some(Solved {
            integrand: scaled(&integrand, factor)?,
            antiderivative: scaled(&antiderivative, factor)?,
        })
    }
}

/// `factor*expr`, multiplied out.
fn scaled(expr: &Expr, factor: Rational) -> Option<Expr> {
    let mut parts = monomials(expr);
    for part in &mut parts {
        part.coefficient = part.coefficient.apply('*', factor)?;
    }
    Some(join(&parts))
}

fn sum(parts: impl Iterator<Item = Expr>) -> Expr {
    Expr::Sum(parts.map(|expr| expr::Term { negative: false, expr }).collect()).simplified()
}

fn solve(terms: &[Term]) -> Option<Vec<Solved>> {
    terms.iter().map(Term::solve).collect()
}

fn total(solved: &[Solved]) -> Solved {
    Solved {
        integrand: sum(solved.iter().map(|part| part.integrand.clone())),
        antiderivative: sum(solved.iter().map(|part| part.antiderivative.clone())),
    }
}

/// A random problem of `level` with its answer; `None` for a level that there is not.
pub(super) fn example(level: u32, rng: &mut Pcg64Mcg) -> Option<WorkedExample> {
    let terms = level::draw(level, rng)?;
    let solved = solve(&terms)?;
    let whole = total(&solved);
    // One line for each rule, with the terms that it integrates.
    let mut rules: Vec<(String, Vec<Solved>)> = Vec::new();
    for (term, part) in terms.iter().zip(solved) {
        let rule = term.shape.rule();
        match rules.iter_mut().find(|(known, _)| *known == rule) {
            Some((_, parts)) => parts.push(part),
            None => rules.push((rule, vec![part])),
        }
    }
    let line = |(rule, parts): &(String, Vec<Solved>)| {
        let Solved { integrand, antiderivative } = total(parts);
        format!("{integrand}: {rule}, which gives {antiderivative}")
    };
    Some(WorkedExample {
        problem: whole.integrand.to_string(),
        level,
        answer: whole.antiderivative.to_string(),
        working: rules.iter().map(line).collect::<Vec<_>>().join("\n"),
    })
}

/// A random problem of `level` with at most `most` easier ones.
pub(super) fn variants(level: u32, most: usize, rng: &mut Pcg64Mcg) -> Option<WorkedVariants> {
    let terms = level::draw(level, rng)?;
    let text = |terms: &[Term]| Some(total(&solve(terms)?).integrand.to_string());
    let problem = text(&terms)?;
    let draws = (0..DRAWS_PER_VARIANT * most).filter_map(|_| text(&level::step_down(&terms, rng)?));
    different(&Integral, &problem, draws, most)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::task::{Problem, PromptStyle, Task, VerdictKind};

    #[test]
    fn every_example_is_verified() {
        let mut rng = Pcg64Mcg::new(3);
        for &(level, _) in LEVELS {
            let draws = if level < 9 { 80 } else { 400 };
            for _ in 0..draws {
                let example = example(level, &mut rng).unwrap();
                let problem = Problem::new(example.problem.clone());
                for style in [PromptStyle::Instruct, PromptStyle::Terse] {
                    let verdict = Integral.verify(&problem, &example.completion(&Integral, style));
                    assert_eq!(verdict.verdict, VerdictKind::Correct, "{example:?}: {}", verdict.reason);
                }
                assert!(Integral.canonical(&example.problem).is_ok(), "{example:?}");
                // As a model of the terse notation reads it.
                assert_eq!(
                    Integral.prompt(&example.problem, PromptStyle::Terse),
                    format!("?{}=", example.problem)
                );
                assert!(example.answer.len() < 120, "{example:?}");
            }
        }
        assert!(example(0, &mut rng).is_none() && example(11, &mut rng).is_none());
    }

    #[test]
    fn problems_read_as_people_write_them() {
        for (coefficient, shape, problem, answer) in [
            (3, Shape::Power { n: 2 }, "3*x^2", "x^3"),
            (-4, Shape::Power { n: 0 }, "-4", "-4*x"),
            (1, Shape::Power { n: 3 }, "x^3", "x^4/4"),
            (2, Shape::Reciprocal { a: 0 }, "2/x", "2*log(x)"),
            (1, Shape::Reciprocal { a: -3 }, "1/(x-3)", "log(x-3)"),
            (3, Shape::Simple { f: shape::Wave::Sin, k: 2 }, "3*sin(2*x)", "-3*cos(2*x)/2"),
            (1, Shape::Simple { f: shape::Wave::Exp, k: -1 }, "exp(-x)", "-exp(-x)"),
            (1, Shape::Parts { n: 1, f: shape::Wave::Exp, k: 2 }, "x*exp(2*x)", "x*exp(2*x)/2-exp(2*x)/4"),
            (1, Shape::Shifted { a: -3, f: shape::Wave::Cos, k: 1 }, "(x-3)*cos(x)", "(x-3)*sin(x)+cos(x)"),
            (
                2,
                Shape::Parts { n: 2, f: shape::Wave::Sin, k: 1 },
                "2*x^2*sin(x)",
                "-2*x^2*cos(x)+4*x*sin(x)+4*cos(x)",
            ),
            (1, Shape::Composed { n: 2, f: shape::Wave::Exp, k: -1 }, "x*exp(-x^2)", "-exp(-x^2)/2"),
            (1, Shape::PowerQuotient { n: 4, a: 1 }, "x^3/(x^4+1)", "log(x^4+1)/4"),
            (1, Shape::QuadraticPower { a: 1, n: -2 }, "x/(x^2+1)^2", "-1/(2*(x^2+1))"),
            (1, Shape::TimesRoot { a: 4 }, "x*sqrt(x^2+4)", "(x^2+4)^(3/2)/3"),
            (
                1,
                Shape::Damped { a: -1, f: shape::Wave::Cos, b: 1 },
                "exp(-x)*cos(x)",
                "-exp(-x)*cos(x)/2+exp(-x)*sin(x)/2",
            ),
            (1, Shape::Squared { f: shape::Wave::Sin, k: 1 }, "sin(x)^2", "x/2-sin(2*x)/4"),
            (5, Shape::InverseQuadratic { a: 2 }, "5/(x^2+4)", "5*atan(x/2)/2"),
            (1, Shape::Arctangent { k: 1 }, "atan(x)", "x*atan(x)-log(x^2+1)/2"),
            (1, Shape::PartialFractions { a: 0, b: 2 }, "1/(x*(x+2))", "log(x)/2-log(x+2)/2"),
        ] {
            let Solved { integrand, antiderivative } = Term { coefficient, shape }.solve().unwrap();
            assert_eq!((integrand.to_string(), antiderivative.to_string()), (problem.into(), answer.into()));
        }
    }

    #[test]
    fn variants_are_other_valid_problems() {
        let mut rng = Pcg64Mcg::new(5);
        for &(level, _) in LEVELS {
            let mut lists = 0;
            for _ in 0..40 {
                let Some(WorkedVariants { problem, easier }) = variants(level, 5, &mut rng) else { continue };
                lists += 1;
                let forms: std::collections::BTreeSet<_> =
                    easier.iter().map(|variant| Integral.canonical(variant).unwrap()).collect();
                assert_eq!(forms.len(), easier.len());
                assert!((1..=5).contains(&easier.len()));
                for variant in easier {
                    assert!(!Integral.is_restatement(&problem, &variant), "{problem}: {variant}");
                    assert_eq!(Integral.parse_variants(&variant), [variant.as_str()]);
                }
            }
            assert!(lists >= 20, "level {level}: {lists}");
        }
    }
}
