//! Printing in the terse notation: `^` for powers, `*` written out, no spaces, no more parentheses than needed.

use std::fmt::{Display, Formatter, Result};

use super::Expr;

/// Binding strength, weakest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Sum,
    Product,
    Power,
    Atom,
}

impl Expr {
    fn level(&self) -> Level {
        match self {
            Self::Sum(_) => Level::Sum,
            Self::Product(_) => Level::Product,
            Self::Power(..) => Level::Power,
            Self::Number(number) if number.text.contains(['e', 'E']) => Level::Product,
            Self::Number(_) | Self::Variable | Self::E | Self::Pi | Self::Call(..) => Level::Atom,
        }
    }

    fn write_at(&self, f: &mut Formatter<'_>, level: Level) -> Result {
        if self.level() < level { write!(f, "({self})") } else { write!(f, "{self}") }
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Number(number) => f.write_str(&number.text),
            Self::Variable => f.write_str("x"),
            Self::E => f.write_str("e"),
            Self::Pi => f.write_str("pi"),
            Self::Sum(terms) => {
                for (i, term) in terms.iter().enumerate() {
                    match (i, term.negative) {
                        (0, false) => {}
                        (_, false) => f.write_str("+")?,
                        (_, true) => f.write_str("-")?,
                    }
                    term.expr.write_at(f, Level::Product)?;
                }
                Ok(())
            }
            Self::Product(factors) => {
                for (i, factor) in factors.iter().enumerate() {
                    match (i, factor.inverse) {
                        (0, false) => {}
                        (0, true) => f.write_str("1/")?,
                        (_, false) => f.write_str("*")?,
                        (_, true) => f.write_str("/")?,
                    }
                    factor.expr.write_at(f, Level::Power)?;
                }
                Ok(())
            }
            Self::Power(base, exponent) => {
                base.write_at(f, Level::Atom)?;
                f.write_str("^")?;
                exponent.write_at(f, Level::Atom)
            }
            Self::Call(function, argument) => write!(f, "{}({argument})", function.name()),
        }
    }
}
