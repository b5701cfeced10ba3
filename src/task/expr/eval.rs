//! Evaluation of an expression with its derivative.

use super::{Branch, Expr, Jet};

impl Expr {
    /// Value and exact derivative at `x`. The work is proportional to the size of the expression.
    pub fn eval(&self, x: f64, branch: Branch) -> Jet {
        match self {
            Self::Number(number) => Jet::constant(number.value, number.error),
            Self::Variable => Jet::variable(x),
            Self::E => Jet::constant(std::f64::consts::E, f64::EPSILON),
            Self::Pi => Jet::constant(std::f64::consts::PI, f64::EPSILON),
            Self::Sum(terms) => terms.iter().fold(Jet::constant(0.0, 0.0), |sum, term| {
                let value = term.expr.eval(x, branch);
                sum + if term.negative { -value } else { value }
            }),
            Self::Product(factors) => factors.iter().fold(Jet::constant(1.0, 0.0), |product, factor| {
                let value = factor.expr.eval(x, branch);
                product * if factor.inverse { value.recip() } else { value }
            }),
            Self::Power(base, exponent) if **base == Self::E => exponent.eval(x, branch).exp(),
            Self::Power(base, exponent) => base.eval(x, branch).pow(exponent.eval(x, branch)),
            Self::Call(function, argument) => {
                let argument = argument.eval(x, branch);
                if argument.is_defined() { function.eval(argument, branch) } else { Jet::UNDEFINED }
            }
        }
    }

    /// The first constant subexpression, if any, that has no finite real value, such as `1/0`, `log(-1)` or `98^44^35`.
    pub fn undefined_constant(&self) -> Option<&Self> {
        if !self.has_variable() {
            return (!self.eval(0.0, Branch::Real).is_defined()).then_some(self);
        }
        match self {
            Self::Number(_) | Self::Variable | Self::E | Self::Pi => None,
            Self::Sum(terms) => terms.iter().find_map(|term| term.expr.undefined_constant()),
            Self::Product(factors) => factors.iter().find_map(|factor| {
                let zero = factor.inverse
                    && !factor.expr.has_variable()
                    && factor.expr.eval(0.0, Branch::Real).value == 0.0;
                if zero { Some(&factor.expr) } else { factor.expr.undefined_constant() }
            }),
            Self::Power(base, exponent) => {
                base.undefined_constant().or_else(|| exponent.undefined_constant())
            }
            Self::Call(_, argument) => argument.undefined_constant(),
        }
    }
}
