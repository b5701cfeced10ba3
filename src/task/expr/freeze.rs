//! Which parts of an expression are seen to vary: a part that is held still without any effect on the derivative has not been
//! tested there, however well the derivative agrees with something. `exp(-(x-5)^2*1e12)` is such a part almost everywhere.

use super::{Branch, Expr, Function, Jet};

impl Expr {
    /// The number of parts that could be frozen: all but constants, steps and the variable itself.
    pub fn moving_parts(&self) -> usize {
        // What is in a step varies without any effect.
        if !self.varies() {
            return 0;
        }
        usize::from(*self != Self::Variable) + self.parts().map(Self::moving_parts).sum::<usize>()
    }

    /// Nodes of the tree.
    pub fn size(&self) -> usize {
        1 + self.parts().map(Self::size).sum::<usize>()
    }

    /// [`Expr::eval`] with the derivative of the part of that number (from 0 below [`Expr::moving_parts`], outer ones first) taken
    /// for zero; also the part.
    pub fn eval_frozen(&self, x: f64, part: usize) -> (Jet, Option<&Self>) {
        let mut walk = Walk { x, part, next: 0, found: None };
        let jet = walk.eval(self);
        (jet, walk.found)
    }

    /// Whether its derivative is other than zero by its form alone.
    fn varies(&self) -> bool {
        match self {
            Self::Call(Function::Sign, _) => false,
            Self::Variable => true,
            _ => self.parts().any(Self::varies),
        }
    }
}

struct Walk<'a> {
    x: f64,
    part: usize,
    next: usize,
    found: Option<&'a Expr>,
}

impl<'a> Walk<'a> {
    fn eval(&mut self, expr: &'a Expr) -> Jet {
        if self.found.is_some() || *expr == Expr::Variable || !expr.varies() {
            return expr.eval(self.x, Branch::Real);
        }
        self.next += 1;
        if self.next > self.part {
            self.found = Some(expr);
            let jet = expr.eval(self.x, Branch::Real);
            return Jet::constant(jet.value, jet.value_error);
        }
        match expr {
            Expr::Number(_) | Expr::Variable | Expr::E | Expr::Pi => expr.eval(self.x, Branch::Real),
            Expr::Sum(terms) => terms.iter().fold(Jet::constant(0.0, 0.0), |sum, term| {
                let value = self.eval(&term.expr);
                sum + if term.negative { -value } else { value }
            }),
            Expr::Product(factors) => factors.iter().fold(Jet::constant(1.0, 0.0), |product, factor| {
                let value = self.eval(&factor.expr);
                product * if factor.inverse { value.recip() } else { value }
            }),
            Expr::Power(base, exponent) if **base == Expr::E => self.eval(exponent).exp(),
            Expr::Power(base, exponent) => {
                let base = self.eval(base);
                base.pow(self.eval(exponent))
            }
            Expr::Call(function, argument) => {
                let argument = self.eval(argument);
                if argument.is_defined() { function.eval(argument, Branch::Real) } else { Jet::UNDEFINED }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use crate::task::expr::{Branch, Grammar, parse};

    #[test]
    fn a_frozen_part_takes_its_share_of_the_derivative_away() {
        let expr = parse("x^2+sin(3*x)+sign(x)*2", Grammar::Expression).unwrap();
        let names: Vec<_> =
            (0..expr.moving_parts()).map(|part| expr.eval_frozen(1.0, part).1.unwrap().to_string()).collect();
        assert_eq!(names, ["x^2+sin(3*x)+sign(x)*2", "x^2", "sin(3*x)", "3*x"]);
        let slope = |part| expr.eval_frozen(1.0, part).0.slope;
        let inner = 3.0 * 3f64.cos();
        assert_eq!([slope(0), slope(1), slope(2), slope(3)], [0.0, inner, 2.0, 2.0]);
        let whole = expr.eval(1.0, Branch::Real);
        assert_eq!(expr.eval_frozen(1.0, 99), (whole, None));
        // A bump that no double near 1 sees.
        let bump = parse("x^2+exp(-(1000000*(x-2))^2)", Grammar::Expression).unwrap();
        assert_eq!(bump.eval_frozen(1.0, 2).0.slope, bump.eval(1.0, Branch::Real).slope);
    }
}
