//! Evaluation of an expression with its derivative.

use super::{Branch, Expr, Function, Jet};

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

    /// Whether it is undefined at `x` because a part is too large for a double, rather than not real.
    pub fn overflows(&self, x: f64) -> bool {
        if self.eval(x, Branch::Real).is_defined() {
            return false;
        }
        let value = |expr: &Self| expr.eval(x, Branch::Real);
        let undefined: Vec<_> = self.parts().filter(|part| !value(part).is_defined()).collect();
        if !undefined.is_empty() {
            return undefined.iter().any(|part| part.overflows(x));
        }
        match self {
            Self::Power(base, exponent) => {
                value(base).value.powf(exponent.eval(x, Branch::Real).value).is_infinite()
            }
            Self::Call(function, argument) => {
                let size = value(argument).value.abs();
                matches!(
                    function,
                    Function::Exp
                        | Function::Sinh
                        | Function::Cosh
                        | Function::Sech
                        | Function::Csch
                        | Function::Tanh
                        | Function::Coth
                ) && size > 300.0
            }
            // Sums and products of finite parts are undefined only where they are too large, or at a division by zero.
            Self::Product(factors) => {
                !factors.iter().any(|factor| factor.inverse && value(&factor.expr).value == 0.0)
            }
            _ => true,
        }
    }

    /// The first constant subexpression, if any, that has no finite real value, such as `1/0`, `log(-1)` or `98^44^35`.
    pub fn undefined_constant(&self) -> Option<&Self> {
        if !self.has_variable() {
            return (!self.eval(0.0, Branch::Real).is_defined()).then_some(self);
        }
        match self {
            Self::Product(factors) => factors.iter().find_map(|factor| {
                let zero = factor.inverse
                    && !factor.expr.has_variable()
                    && factor.expr.eval(0.0, Branch::Real).value == 0.0;
                if zero { Some(&factor.expr) } else { factor.expr.undefined_constant() }
            }),
            _ => self.parts().find_map(Self::undefined_constant),
        }
    }
}
