//! The functions of the grammar: their names, and their values with first and second derivatives.

use super::Jet;

/// How far a function is followed beyond its real domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Branch {
    /// Real values only.
    Real,
    /// The real part of `log` and `atanh`: off the real domain they differ from a real antiderivative by a constant.
    RealPart,
    /// Real values, and bounds in place of a value where rounding errors leave open on which side of a kink or step an argument lies.
    Enclosed,
}

/// A function of one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the standard names of elementary functions")]
pub enum Function {
    Sin,
    Cos,
    Tan,
    Sec,
    Csc,
    Cot,
    Asin,
    Acos,
    Atan,
    Asec,
    Acsc,
    Acot,
    Sinh,
    Cosh,
    Tanh,
    Sech,
    Csch,
    Coth,
    Asinh,
    Acosh,
    Atanh,
    Asech,
    Acsch,
    Acoth,
    Exp,
    Log,
    Sqrt,
    Cbrt,
    Abs,
    Sign,
    Erf,
}

use Function::{
    Abs, Acos, Acosh, Acot, Acoth, Acsc, Acsch, Asec, Asech, Asin, Asinh, Atan, Atanh, Cbrt, Cos, Cosh, Cot,
    Coth, Csc, Csch, Erf, Exp, Log, Sec, Sech, Sign, Sin, Sinh, Sqrt, Tan, Tanh,
};

/// Every accepted name in lower case. The first one listed for a function is the one that is printed.
const NAMES: &[(&str, Function)] = &[
    ("sin", Sin),
    ("cos", Cos),
    ("tan", Tan),
    ("tg", Tan),
    ("sec", Sec),
    ("csc", Csc),
    ("cosec", Csc),
    ("cot", Cot),
    ("ctg", Cot),
    ("asin", Asin),
    ("arcsin", Asin),
    ("acos", Acos),
    ("arccos", Acos),
    ("atan", Atan),
    ("arctan", Atan),
    ("arctg", Atan),
    ("asec", Asec),
    ("arcsec", Asec),
    ("acsc", Acsc),
    ("arccsc", Acsc),
    ("acot", Acot),
    ("arccot", Acot),
    ("sinh", Sinh),
    ("sh", Sinh),
    ("cosh", Cosh),
    ("ch", Cosh),
    ("tanh", Tanh),
    ("th", Tanh),
    ("sech", Sech),
    ("csch", Csch),
    ("coth", Coth),
    ("cth", Coth),
    ("asinh", Asinh),
    ("arcsinh", Asinh),
    ("arsinh", Asinh),
    ("arsh", Asinh),
    ("acosh", Acosh),
    ("arccosh", Acosh),
    ("arcosh", Acosh),
    ("arch", Acosh),
    ("atanh", Atanh),
    ("arctanh", Atanh),
    ("artanh", Atanh),
    ("arth", Atanh),
    ("asech", Asech),
    ("arcsech", Asech),
    ("arsech", Asech),
    ("acsch", Acsch),
    ("arccsch", Acsch),
    ("arcsch", Acsch),
    ("acoth", Acoth),
    ("arccoth", Acoth),
    ("arcoth", Acoth),
    ("exp", Exp),
    ("log", Log),
    ("ln", Log),
    ("sqrt", Sqrt),
    ("cbrt", Cbrt),
    ("abs", Abs),
    ("sign", Sign),
    ("sgn", Sign),
    ("erf", Erf),
];

impl Function {
    /// The function of that name, in any case (`Abs`, `LN`).
    pub fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|&(_, function)| function)
    }

    /// Every function, each once.
    #[cfg(test)]
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let repeated = |(place, &(_, function)): (usize, &(&str, Self))| {
            NAMES[..place].iter().any(|&(_, other)| other == function)
        };
        NAMES.iter().enumerate().filter(move |&entry| !repeated(entry)).map(|(_, &(_, function))| function)
    }

    /// The name that is printed.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|&&(_, function)| function == self).map_or("", |&(name, _)| name)
    }

    /// What `f^-1` means in mathematical notation, for the functions where it has that meaning.
    pub(super) fn inverse(self) -> Option<Self> {
        Some(match self {
            Sin => Asin,
            Cos => Acos,
            Tan => Atan,
            Sec => Asec,
            Csc => Acsc,
            Cot => Acot,
            Sinh => Asinh,
            Cosh => Acosh,
            Tanh => Atanh,
            Sech => Asech,
            Csch => Acsch,
            Coth => Acoth,
            _ => return None,
        })
    }

    /// The value at `argument` with its derivative.
    pub fn eval(self, argument: Jet, branch: Branch) -> Jet {
        let a = argument.value;
        match self {
            Sin => argument.chain(a.sin(), a.cos(), -a.sin()),
            Cos => argument.chain(a.cos(), -a.sin(), -a.cos()),
            Tan => {
                let (t, square) = (a.tan(), a.cos().powi(-2));
                argument.chain(t, square, 2.0 * t * square)
            }
            Sec => Cos.eval(argument, branch).recip(),
            Csc => Sin.eval(argument, branch).recip(),
            Cot => Tan.eval(argument, branch).recip(),
            Asin => {
                let root = ((1.0 - a) * (1.0 + a)).sqrt();
                argument.chain(a.asin(), root.recip(), a / (root * root * root))
            }
            Acos => {
                let root = ((1.0 - a) * (1.0 + a)).sqrt();
                argument.chain(a.acos(), -root.recip(), -a / (root * root * root))
            }
            Atan => {
                let first = (1.0 + a * a).recip();
                argument.chain(a.atan(), first, -2.0 * a * first * first)
            }
            Asec => Acos.eval(argument.recip(), branch),
            Acsc => Asin.eval(argument.recip(), branch),
            Acot => Atan.eval(argument.recip(), branch),
            Sinh => argument.chain(a.sinh(), a.cosh(), a.sinh()),
            Cosh => argument.chain(a.cosh(), a.sinh(), a.cosh()),
            Tanh => {
                let (t, square) = (a.tanh(), a.cosh().powi(-2));
                argument.chain(t, square, -2.0 * t * square)
            }
            Sech => Cosh.eval(argument, branch).recip(),
            Csch => Sinh.eval(argument, branch).recip(),
            Coth => Tanh.eval(argument, branch).recip(),
            Asinh => {
                let first = a.hypot(1.0).recip();
                argument.chain(asinh(a), first, -a * first * first * first)
            }
            Acosh if a >= 1.0 => {
                let root = ((a - 1.0) * (a + 1.0)).sqrt();
                argument.chain(((a - 1.0) + root).ln_1p(), root.recip(), -a / (root * root * root))
            }
            Acosh => Jet::UNDEFINED,
            Atanh if branch == Branch::RealPart || a.abs() < 1.0 => {
                let first = ((1.0 - a) * (1.0 + a)).recip();
                argument
                    .chain(0.5 * ((1.0 + a) / (1.0 - a)).abs().ln(), first, 2.0 * a * first * first)
                    .with_error(f64::EPSILON)
            }
            Atanh => Jet::UNDEFINED,
            Asech => Acosh.eval(argument.recip(), branch),
            Acsch => Asinh.eval(argument.recip(), branch),
            Acoth => Atanh.eval(argument.recip(), branch),
            Exp => argument.exp(),
            Log if branch == Branch::RealPart => argument.ln_abs(),
            Log => argument.ln(),
            Sqrt if a >= 0.0 => {
                let root = a.sqrt();
                argument.chain(root, 0.5 / root, -0.25 / (root * a))
            }
            Sqrt => Jet::UNDEFINED,
            Cbrt => {
                let root = a.cbrt();
                let first = (3.0 * root * root).recip();
                argument.chain(root, first, -2.0 * first / (3.0 * a))
            }
            Abs if a.abs() > argument.value_error || argument == Jet::constant(0.0, 0.0) => {
                argument.chain(a.abs(), a.signum(), 0.0)
            }
            Abs if branch == Branch::Enclosed && argument.is_defined() => Jet {
                value: a.abs(),
                slope: 0.0,
                slope_error: argument.slope.abs() + argument.slope_error,
                ..argument
            },
            Abs => Jet::UNDEFINED,
            Sign if a.abs() > argument.value_error => argument.chain(a.signum(), 0.0, 0.0),
            Sign if branch == Branch::Enclosed && argument.is_defined() => Jet::constant(0.0, 1.0),
            Sign => Jet::UNDEFINED,
            Erf => {
                let first = std::f64::consts::FRAC_2_SQRT_PI * (-a * a).exp();
                argument.chain(erf(a), first, -2.0 * a * first).with_error(8.0 * f64::EPSILON)
            }
        }
    }
}

/// `asinh`, accurate near zero and for negative arguments.
fn asinh(a: f64) -> f64 {
    let b = a.abs();
    // ln(b + sqrt(b^2 + 1)) with the part that cancels near zero written out.
    (b + b * b / (1.0 + b.hypot(1.0))).ln_1p().copysign(a)
}

/// The error function by its series with positive terms, `erf(a) = 2/sqrt(pi) exp(-a^2) sum 2^n a^(2n+1) / (2n+1)!!`
/// (Abramowitz and Stegun 7.1.6); within a few units in the last place up to 6, where it is 1 in double precision.
fn erf(a: f64) -> f64 {
    if a.abs() >= 6.0 {
        return a.signum();
    }
    let (mut term, mut sum) = (a, a);
    for n in 1..200 {
        term *= 2.0 * a * a / f64::from(2 * n + 1);
        sum += term;
        if term.abs() < 1e-17 * sum.abs() {
            break;
        }
    }
    std::f64::consts::FRAC_2_SQRT_PI * (-a * a).exp() * sum
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn every_function_has_the_derivative_it_claims() {
        // Inside the domain of each function or of its mirror image; central differences of second order.
        for &(name, function) in NAMES {
            let mut checked = 0;
            for a in [-2.7, -1.3, -0.6, 0.35, 0.8, 1.7, 3.1] {
                let h = 1e-5;
                let at = |x: f64| function.eval(Jet::variable(x), Branch::Real);
                let (below, here, above) = (at(a - h), at(a), at(a + h));
                if !(below.is_defined() && here.is_defined() && above.is_defined()) {
                    continue;
                }
                let slope = (above.value - below.value) / (2.0 * h);
                assert!(
                    (slope - here.slope).abs() <= 1e-7 * (1.0 + slope.abs()),
                    "{name} at {a}: {slope} {here:?}"
                );
                assert!(here.value_error < 1e-13 * (1.0 + here.value.abs()), "{name} at {a}: {here:?}");
                checked += 1;
            }
            assert!(checked >= 2, "{name}: {checked}");
        }
    }

    #[test]
    fn second_derivatives_match_differences_of_first_ones() {
        // A jet with a known error in its value shows |f''| in the error of its slope.
        for &(name, function) in NAMES {
            if matches!(function, Sign | Abs) {
                continue;
            }
            for a in [0.35, 0.8, 1.7] {
                let error = 1e-9;
                let at = |x: f64| function.eval(Jet::variable(x), Branch::Real);
                let jet = function.eval(Jet { value_error: error, ..Jet::variable(a) }, Branch::Real);
                let (below, above) = (at(a - 1e-5), at(a + 1e-5));
                if !(jet.is_defined() && below.is_defined() && above.is_defined()) {
                    continue;
                }
                let second = (above.slope - below.slope) / 2e-5;
                // Composite functions (sec, asech, ...) bound it from above.
                let shown = jet.slope_error / error;
                assert!(shown >= second.abs() * 0.999 - 1e-5, "{name} at {a}: {shown} {second}");
                assert!(
                    shown <= 20.0 * (second.abs() + jet.slope.abs() + 1.0),
                    "{name} at {a}: {shown} {second}"
                );
            }
        }
    }

    #[test]
    fn error_function_has_its_tabulated_values() {
        for (a, value) in
            [(0.5, 0.520_499_877_813_046_5), (1.0, 0.842_700_792_949_714_9), (3.0, 0.999_977_909_503_001_4)]
        {
            assert!((erf(a) - value).abs() < 4e-16, "{a}");
            assert!((erf(-a) + value).abs() < 4e-16, "-{a}");
        }
    }
}
