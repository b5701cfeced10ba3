//! The derivative of an expression as an expression, by the rules of every textbook.

use super::{Expr, Factor, Function, Term};
use Function::{
    Abs, Acos, Acosh, Acot, Acoth, Acsc, Acsch, Asec, Asech, Asin, Asinh, Atan, Atanh, Cbrt, Cos, Cosh, Cot,
    Coth, Csc, Csch, Erf, Exp, Log, Sec, Sech, Sign, Sin, Sinh, Sqrt, Tan, Tanh,
};

impl Expr {
    /// The exact derivative with respect to `x`, lightly simplified: `sin(2*x)+2*x*cos(2*x)` for `x*sin(2*x)`. It equals the slope
    /// of [`Expr::eval`] wherever that is defined. Its size is at most quadratic in that of the expression.
    pub fn derivative(&self) -> Self {
        slope(self).simplified()
    }
}

fn slope(expr: &Expr) -> Expr {
    if !expr.has_variable() {
        return Expr::integer(0);
    }
    match expr {
        Expr::Number(_) | Expr::E | Expr::Pi => Expr::integer(0),
        Expr::Variable => Expr::integer(1),
        Expr::Sum(terms) => Expr::Sum(
            terms.iter().map(|term| Term { negative: term.negative, expr: slope(&term.expr) }).collect(),
        ),
        Expr::Product(factors) => product_rule(factors),
        Expr::Power(base, exponent) if **base == Expr::E => times([slope(exponent), call(Exp, exponent)]),
        Expr::Power(base, exponent) if !exponent.has_variable() => {
            let less = Expr::Sum(vec![plus((**exponent).clone()), minus(Expr::integer(1))]);
            times([(**exponent).clone(), power((**base).clone(), less), slope(base)])
        }
        // (u^v)' = u^v (v' log u + v u'/u)
        Expr::Power(base, exponent) => {
            let by_exponent = times([slope(exponent), call(Log, base)]);
            let by_base = times([(**exponent).clone(), slope(base), power((**base).clone(), whole(-1))]);
            times([expr.clone(), Expr::Sum(vec![plus(by_exponent), plus(by_base)])])
        }
        Expr::Call(function, argument) => chain_rule(*function, argument),
    }
}

/// One term for each factor with `x` in it.
fn product_rule(factors: &[Factor]) -> Expr {
    let mut terms = Vec::new();
    for (place, factor) in factors.iter().enumerate().filter(|(_, factor)| factor.expr.has_variable()) {
        let mut parts = factors.to_vec();
        if factor.inverse {
            // (1/u)' = -u'/u^2
            parts[place].expr = power(factor.expr.clone(), whole(2));
            parts.insert(place, Factor { inverse: false, expr: slope(&factor.expr) });
        } else {
            parts[place].expr = slope(&factor.expr);
        }
        terms.push(Term { negative: factor.inverse, expr: Expr::Product(parts) });
    }
    Expr::Sum(terms)
}

fn chain_rule(function: Function, u: &Expr) -> Expr {
    let of = |function| call(function, u);
    let root = |radicand| power(Expr::Call(Sqrt, Box::new(radicand)), whole(-1));
    let inverse = |expr| power(expr, whole(-1));
    // A linear argument such as x/3 gives 3/(x^2+9) instead of (1/3)/(1+(x/3)^2).
    let (p, q) = over_common_denominator(u);
    let square = |expr: &Expr| power(expr.clone(), whole(2));
    let sum = |a: &Expr, b: &Expr| Expr::Sum(vec![plus(square(a)), plus(square(b))]);
    let difference = |a: &Expr, b: &Expr| Expr::Sum(vec![plus(square(a)), minus(square(b))]);
    let outer = match function {
        Sin => of(Cos),
        Cos => negative(of(Sin)),
        Tan => power(of(Sec), whole(2)),
        Sec => times([of(Sec), of(Tan)]),
        Csc => negative(times([of(Csc), of(Cot)])),
        Cot => negative(power(of(Csc), whole(2))),
        Asin => times([q.clone(), root(difference(&q, &p))]),
        Acos => negative(times([q.clone(), root(difference(&q, &p))])),
        Atan => times([square(&q), inverse(sum(&p, &q))]),
        Acot => negative(times([square(&q), inverse(sum(&p, &q))])),
        Asec => times([inverse(of(Abs)), root(difference(u, &whole(1)))]),
        Acsc => negative(times([inverse(of(Abs)), root(difference(u, &whole(1)))])),
        Sinh => of(Cosh),
        Cosh => of(Sinh),
        Tanh => power(of(Cosh), whole(-2)),
        Sech => negative(times([of(Sech), of(Tanh)])),
        Csch => negative(times([of(Csch), of(Coth)])),
        Coth => negative(power(of(Sinh), whole(-2))),
        Asinh => times([q.clone(), root(sum(&p, &q))]),
        Acosh => times([q.clone(), root(difference(&p, &q))]),
        Atanh | Acoth => times([square(&q), inverse(difference(&q, &p))]),
        Asech => negative(times([inverse(u.clone()), root(difference(&whole(1), u))])),
        Acsch => negative(times([inverse(of(Abs)), root(sum(u, &whole(1)))])),
        Exp => of(Exp),
        Log => inverse(u.clone()),
        Sqrt => times([inverse(whole(2)), root(u.clone())]),
        Cbrt => times([inverse(whole(3)), power(of(Cbrt), whole(-2))]),
        Abs => of(Sign),
        Sign => return Expr::integer(0),
        Erf => {
            let bell = Expr::Call(Exp, Box::new(negative(square(u))));
            times([whole(2), bell, root(Expr::Pi)])
        }
    };
    times([outer, slope(u)])
}

/// `p` and a whole number `q` above zero with `u = p/q`: `x` and 3 for `x/3`.
fn over_common_denominator(u: &Expr) -> (Expr, Expr) {
    use super::simplify::{join, monomials};
    let mut parts = monomials(u);
    if let [part] = parts.as_mut_slice()
        && let Some(numerator) = part.take_denominator()
    {
        return (join(&parts), numerator);
    }
    (u.clone(), whole(1))
}

fn whole(value: i32) -> Expr {
    let size = Expr::integer(value.unsigned_abs());
    if value < 0 { Expr::negated(size) } else { size }
}

fn plus(expr: Expr) -> Term {
    Term { negative: false, expr }
}

fn minus(expr: Expr) -> Term {
    Term { negative: true, expr }
}

fn negative(expr: Expr) -> Expr {
    Expr::negated(expr)
}

fn call(function: Function, argument: &Expr) -> Expr {
    Expr::Call(function, Box::new(argument.clone()))
}

fn power(base: Expr, exponent: Expr) -> Expr {
    Expr::Power(Box::new(base), Box::new(exponent))
}

fn times<const N: usize>(factors: [Expr; N]) -> Expr {
    Expr::Product(factors.into_iter().map(|expr| Factor { inverse: false, expr }).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::task::expr::{Branch, Grammar, Jet, coarse_points, dense_points, parse};
    use proptest::prelude::*;

    fn expr(text: &str) -> Expr {
        parse(text, Grammar::Expression).unwrap()
    }

    #[test]
    fn derivatives_as_people_write_them() {
        for (text, expected) in [
            ("7", "0"),
            ("x", "1"),
            ("x^3", "3*x^2"),
            ("x*sin(2*x)", "sin(2*x)+2*x*cos(2*x)"),
            ("x*exp(2*x)/2-exp(2*x)/4", "x*exp(2*x)"),
            ("(x-3)*sin(x)+cos(x)", "(x-3)*cos(x)"),
            ("-cos(3*x)/3", "sin(3*x)"),
            ("exp(x^2)/2", "x*exp(x^2)"),
            ("log(x^2+1)/2", "x/(x^2+1)"),
            ("log(x)", "1/x"),
            ("x*log(x)-x", "log(x)"),
            ("sqrt(x^2+4)", "x/sqrt(x^2+4)"),
            ("(x^2+1)^(3/2)/3", "x*sqrt(x^2+1)"),
            ("(2*x+1)^3", "6*(2*x+1)^2"),
            ("sin(x)^3/3", "sin(x)^2*cos(x)"),
            ("tan(x)-x", "sec(x)^2-1"),
            ("atan(x/3)/3", "1/(x^2+9)"),
            ("atan(2*x)", "2/(4*x^2+1)"),
            ("asin(x/2)", "1/sqrt(4-x^2)"),
            ("1/(x^2+1)", "-2*x/(x^2+1)^2"),
            ("2^x", "log(2)*2^x"),
            ("erf(x)", "2*exp(-x^2)/sqrt(pi)"),
            (
                "exp(2*x)*(2*sin(3*x)-3*cos(3*x))/13",
                "2*(2*sin(3*x)-3*cos(3*x))*exp(2*x)/13+(6*cos(3*x)+9*sin(3*x))*exp(2*x)/13",
            ),
        ] {
            assert_eq!(expr(text).derivative().to_string(), expected, "{text}");
        }
    }

    /// Compares with the dual numbers at `points`; the number of points that both could be evaluated at.
    fn agreement(text: &str, points: impl Iterator<Item = f64>) -> Result<usize, String> {
        let (function, derivative) = (expr(text), expr(text).derivative());
        // What is printed must be read as the same.
        let read =
            parse(&derivative.to_string(), Grammar::Expression).map_err(|e| format!("{derivative}: {e}"))?;
        let mut common = 0;
        for x in points {
            let Jet { slope, slope_error, .. } = function.eval(x, Branch::Real);
            let value = read.eval(x, Branch::Real);
            let bound = 16.0 * (slope_error + value.value_error) + 1e-11 * slope.abs();
            // Near the smallest double the dual numbers lose digits that their bounds do not know of.
            let lost = slope.abs().max(value.value.abs()) < 1e-100 && (slope, value.value) != (0.0, 0.0);
            if lost || !slope.is_finite() || !value.is_defined() || bound > 1e-6 * (1.0 + slope.abs()) {
                continue;
            }
            if (slope - value.value).abs() > bound {
                return Err(format!("{text}: {read} is {} at {x}, not {slope}", value.value));
            }
            common += 1;
        }
        Ok(common)
    }

    #[test]
    fn every_function_agrees_with_the_dual_numbers() {
        for function in Function::all() {
            let name = function.name();
            for argument in ["x", "x/3", "2*x+1", "x^2-3", "-x/5", "exp(x)"] {
                for text in [
                    format!("{name}({argument})"),
                    format!("x*{name}({argument})^2"),
                    format!("x^2/(3+{name}({argument}))"),
                ] {
                    let common = agreement(&text, coarse_points().chain(dense_points())).unwrap();
                    assert!(common > 20, "{text}: {common} points");
                }
            }
        }
        for text in
            ["x^x", "x^sin(x)", "2^(x^2)", "x^pi", "e^(x/2)", "sin(x)^(1/3)", "(x^2+1)^(-3/2)", "pi*x^e"]
        {
            assert!(agreement(text, coarse_points()).unwrap() > 10, "{text}");
        }
    }

    /// Texts of expressions over sums, products, quotients, powers and functions.
    fn expressions() -> impl Strategy<Value = String> {
        let leaf =
            prop_oneof![Just("x".to_owned()), (1..9u32).prop_map(|n| n.to_string()), Just("pi".to_owned())];
        leaf.prop_recursive(4, 24, 3, |inner| {
            let function = prop::sample::select(vec!["sin", "cos", "exp", "log", "sqrt", "atan", "tanh"]);
            prop_oneof![
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}+{b})")),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}-{b})")),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a})*({b})")),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(({a})/({b}))")),
                (inner.clone(), -2..4i32).prop_map(|(a, n)| format!("(({a})^({n}))")),
                (function, inner).prop_map(|(f, a)| format!("{f}({a})")),
            ]
        })
    }

    proptest! {
        #[test]
        fn derivatives_agree_with_the_dual_numbers(text in expressions(), x in prop_oneof![-3.0..-0.1, 0.1..3.0f64]) {
            prop_assert!(agreement(&text, [x].into_iter()).is_ok(), "{:?}", agreement(&text, [x].into_iter()));
        }
    }
}
