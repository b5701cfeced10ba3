//! Lexical units of an expression.

use super::{Function, Number};

/// A lexical unit.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Number(Number),
    Variable,
    E,
    Pi,
    Function(Function),
    /// A function of two arguments, or of one that is rewritten: see [`Special`].
    Special(Special),
    /// The constant of integration.
    Constant,
    Plus,
    Minus,
    Times,
    Divide,
    Power,
    Open(Bracket),
    Close(Bracket),
    Bar,
    Comma,
    /// The fraction of `{a \over b}`.
    Over,
}

/// Brackets that must match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bracket {
    Round,
    Square,
    Curly,
}

/// Names that the parser rewrites into the plain grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Special {
    /// `log2`, `log10`.
    LogBase(u32),
    /// `\frac{a}{b}`.
    Fraction,
    /// `erfc`.
    Erfc,
    /// `log1p(u)`, the logarithm of `1+u`.
    LogOnePlus,
    /// `expm1(u)`, which is `exp(u)-1`.
    ExpMinusOne,
    /// `Pow(a,b)`.
    Pow,
    /// `root(a,n)`.
    Root,
    /// `Rational(p,q)`.
    Rational,
}

/// A token and whether a line break stands before it: a product must not be implied across lines.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spanned {
    pub(super) token: Token,
    pub(super) after_break: bool,
}
