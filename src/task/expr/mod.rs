//! Expressions of one real variable `x`: a small grammar of its own, never a general evaluator.
//!
//! Text goes through [`parse`] (bounded in length, tokens and depth) into an [`Expr`], which can be
//! evaluated together with its exact derivative and a bound on the rounding error ([`Jet`]), printed in the
//! terse notation ([`std::fmt::Display`]), differentiated symbolically ([`Expr::derivative`]) and compared by value
//! ([`fingerprint()`], [`proportional`]).

mod breakpoints;
mod differentiate;
mod error;
mod eval;
mod expand;
mod fingerprint;
mod freeze;
mod function;
mod jet;
mod lexer;
mod parser;
mod points;
mod print;
mod rewrite;
mod simplify;
mod symbols;
mod token;

pub(in crate::task) use breakpoints::{around, breakpoints};
pub use error::ParseError;
pub(in crate::task) use expand::decimal;
pub use fingerprint::{fingerprint, proportional};
pub use function::{Branch, Function};
pub use jet::Jet;
pub use parser::{Grammar, parse};
pub(in crate::task) use points::{coarse_points, dense_points, drawn_points, hash};
pub(in crate::task) use simplify::{Monomial, content, join, monomials};

/// Longest text that is parsed, in bytes.
pub const MAX_LENGTH: usize = 4096;
/// Most tokens in a text; bounds the nodes of the tree and so the work of one evaluation.
pub const MAX_TOKENS: usize = 1500;
/// Deepest nesting of parentheses, powers and functions.
pub const MAX_DEPTH: usize = 64;

/// A real expression in `x`. Sums and products are flat, so the depth of a tree is bounded by the grammar.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// A literal.
    Number(Number),
    /// The variable `x`.
    Variable,
    /// Euler's number.
    E,
    /// The circle constant.
    Pi,
    /// Terms added or subtracted.
    Sum(Vec<Term>),
    /// Factors multiplied or divided, from left to right.
    Product(Vec<Factor>),
    /// Base and exponent.
    Power(Box<Expr>, Box<Expr>),
    /// A function of one argument.
    Call(Function, Box<Expr>),
}

/// One term of a sum.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    /// Whether it is subtracted.
    pub negative: bool,
    /// The term without its sign.
    pub expr: Expr,
}

/// One factor of a product.
#[derive(Debug, Clone, PartialEq)]
pub struct Factor {
    /// Whether it divides.
    pub inverse: bool,
    /// The factor.
    pub expr: Expr,
}

/// A literal with what is known of its precision.
#[derive(Debug, Clone, PartialEq)]
pub struct Number {
    /// The nearest double.
    pub value: f64,
    /// Bound on the distance to the number that is written. Zero for integers below 2^53.
    pub error: f64,
    /// One unit of the last digit of a decimal of eight or more significant digits, which may be a rounded one
    /// ([`Expr::widened`]); zero for any other, which is meant exactly.
    pub unit: f64,
    /// The text as it was written, without spaces.
    pub text: String,
}

impl Expr {
    /// An integer literal.
    pub fn integer(value: u32) -> Self {
        Self::Number(Number { value: f64::from(value), error: 0.0, unit: 0.0, text: value.to_string() })
    }

    /// `-expr`.
    pub fn negated(expr: Self) -> Self {
        Self::Sum(vec![Term { negative: true, expr }])
    }

    /// `numerator/denominator`.
    pub fn quotient(numerator: Self, denominator: Self) -> Self {
        Self::Product(vec![
            Factor { inverse: false, expr: numerator },
            Factor { inverse: true, expr: denominator },
        ])
    }

    /// Terms, factors, base and exponent, or argument, in the order in which they are written.
    pub(in crate::task) fn parts(&self) -> impl Iterator<Item = &Self> {
        let (mut terms, mut factors, mut others) = (&[][..], &[][..], [None, None]);
        match self {
            Self::Number(_) | Self::Variable | Self::E | Self::Pi => {}
            Self::Sum(all) => terms = all,
            Self::Product(all) => factors = all,
            Self::Power(base, exponent) => others = [Some(&**base), Some(&**exponent)],
            Self::Call(_, argument) => others[0] = Some(&**argument),
        }
        let terms = terms.iter().map(|Term { expr, .. }| expr);
        let factors = factors.iter().map(|Factor { expr, .. }| expr);
        terms.chain(factors).chain(others.into_iter().flatten())
    }

    /// Whether `test` holds for it, or for a part of it however deep.
    pub(in crate::task) fn any(&self, test: &impl Fn(&Self) -> bool) -> bool {
        test(self) || self.parts().any(|part| part.any(test))
    }

    /// Whether `x` occurs.
    pub fn has_variable(&self) -> bool {
        self.any(&|part| matches!(part, Self::Variable))
    }
}
