//! The kinds of terms that worked examples are made of, each with an antiderivative in closed form.

/// A function whose antiderivative, taken twice, leads back to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wave {
    Sin,
    Cos,
    Exp,
    Sinh,
    Cosh,
}

use Wave::{Cos, Cosh, Exp, Sin, Sinh};

impl Wave {
    pub(super) fn name(self) -> &'static str {
        match self {
            Sin => "sin",
            Cos => "cos",
            Exp => "exp",
            Sinh => "sinh",
            Cosh => "cosh",
        }
    }

    /// The antiderivative: a sign and a function.
    fn integral(self) -> (i64, Self) {
        match self {
            Sin => (-1, Cos),
            Cos => (1, Sin),
            Exp => (1, Exp),
            Sinh => (1, Cosh),
            Cosh => (1, Sinh),
        }
    }
}

/// One term of an integrand without its coefficient. Numbers named `k` and `n` are not zero, and rates may be negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// `x^n`, n from 0
    Power { n: i64 },
    /// `1/(x+a)`
    Reciprocal { a: i64 },
    /// `f(k*x)`
    Simple { f: Wave, k: i64 },
    /// `x^n*f(k*x)`
    Parts { n: i64, f: Wave, k: i64 },
    /// `(x+a)*f(k*x)`
    Shifted { a: i64, f: Wave, k: i64 },
    /// `x^(n-1)*f(k*x^n)`
    Composed { n: i64, f: Wave, k: i64 },
    /// `(k*x+a)^n`
    LinearPower { k: i64, a: i64, n: i64 },
    /// `x*(x^2+a)^n`, n other than -1
    QuadraticPower { a: i64, n: i64 },
    /// `x^(n-1)/(x^n+a)`
    PowerQuotient { n: i64, a: i64 },
    /// `x/sqrt(x^2+a)`
    OverRoot { a: i64 },
    /// `x*sqrt(x^2+a)`
    TimesRoot { a: i64 },
    /// `sin(k*x)^n*cos(k*x)` or `cos(k*x)^n*sin(k*x)`, by the function that has the power
    TrigonometricPower { f: Wave, n: i64, k: i64 },
    /// `log(x)^n/x`
    LogarithmPower { n: i64 },
    /// `exp(k*x)/(exp(k*x)+a)`
    ExponentialQuotient { k: i64, a: i64 },
    /// `cos(k*x)*exp(sin(k*x))` or `sin(k*x)*exp(cos(k*x))`, by the function inside
    ExponentialOf { f: Wave, k: i64 },
    /// `x^n*log(x)`, n from 0
    TimesLogarithm { n: i64 },
    /// `exp(a*x)*f(b*x)`, f the sine or the cosine
    Damped { a: i64, f: Wave, b: i64 },
    /// `1/(x^2+a^2)`
    InverseQuadratic { a: i64 },
    /// `1/sqrt(a^2-x^2)`
    InverseCircle { a: i64 },
    /// `1/sqrt(x^2+a^2)`
    InverseRoot { a: i64 },
    /// `f(k*x)^2`, f no exponential
    Squared { f: Wave, k: i64 },
    /// `tan(k*x)^2`
    TangentSquared { k: i64 },
    /// `atan(k*x)`
    Arctangent { k: i64 },
    /// `(x+b)/(x^2+a^2)`
    LinearQuotient { b: i64, a: i64 },
    /// `x^2/(x^2+a^2)`
    LongDivision { a: i64 },
    /// `1/((x+a)*(x+b))`, a other than b
    PartialFractions { a: i64, b: i64 },
    /// `sin(a*x)*cos(b*x)`, a other than b and -b
    TwoWaves { a: i64, b: i64 },
}

use Shape::*;

impl Shape {
    /// An antiderivative, up to a constant factor unless there is an [`Self::integrand`]. Its derivative is the term as people write it.
    pub(super) fn antiderivative(self) -> String {
        match self {
            Power { n } => format!("x^{}", n + 1),
            Reciprocal { a } => format!("log(x+({a}))"),
            Simple { f, k } => by_parts("x", 0, f, k),
            Parts { n, f, k } => by_parts("x", n, f, k),
            Shifted { a, f, k } => by_parts(&format!("(x{a:+})"), 1, f, k),
            Composed { n, f, k } => format!("{}({k}*x^{n})", f.integral().1.name()),
            LinearPower { k, a, n } => format!("({k}*x{a:+})^{}", n + 1),
            QuadraticPower { a, n } => format!("(x^2{a:+})^({})", n + 1),
            PowerQuotient { n, a } => format!("log(x^{n}{a:+})"),
            OverRoot { a } => format!("sqrt(x^2{a:+})"),
            TimesRoot { a } => format!("(x^2{a:+})^(3/2)"),
            TrigonometricPower { f, n, k } => format!("{}({k}*x)^{}", f.name(), n + 1),
            LogarithmPower { n } => format!("log(x)^{}", n + 1),
            ExponentialQuotient { k, a } => format!("log(exp({k}*x){a:+})"),
            ExponentialOf { f, k } => format!("exp({}({k}*x))", f.name()),
            TimesLogarithm { n } => format!("x^{m}*log(x)-x^{m}/{m}", m = n + 1),
            Damped { a, f, b } => {
                let (sign, g) = f.integral();
                let (f, g) = (f.name(), g.name());
                // The sign of the second term is that of the integral of f.
                format!("{a}*exp({a}*x)*{f}({b}*x)+({})*exp({a}*x)*{g}({b}*x)", sign * b)
            }
            InverseQuadratic { a } => format!("atan(x/{a})"),
            InverseCircle { a } => format!("asin(x/{a})"),
            InverseRoot { a } => format!("asinh(x/{a})"),
            Squared { f: Sin, k } => format!("x/2-sin({}*x)/({})", 2 * k, 4 * k),
            Squared { f: Sinh, k } => format!("sinh({}*x)/({})-x/2", 2 * k, 4 * k),
            Squared { f: Cos, k } => format!("x/2+sin({}*x)/({})", 2 * k, 4 * k),
            Squared { f: Cosh | Exp, k } => format!("x/2+sinh({}*x)/({})", 2 * k, 4 * k),
            TangentSquared { k } => format!("tan({k}*x)/({k})-x"),
            Arctangent { k } => format!("x*atan({k}*x)-log(({k}*x)^2+1)/(2*({k}))"),
            LinearQuotient { b, a } => format!("log(x^2+{})/2+({b})*atan(x/{a})/{a}", a * a),
            LongDivision { a } => format!("x-{a}*atan(x/{a})"),
            PartialFractions { a, b } => format!("log(x{a:+})/({d})-log(x{b:+})/({d})", d = b - a),
            TwoWaves { a, b } => {
                let (sum, difference) = (a + b, a - b);
                format!("-cos({sum}*x)/(2*({sum}))-cos({difference}*x)/(2*({difference}))")
            }
        }
    }

    /// The term where the derivative of its antiderivative would not look like it, such as `sin(x)^2`.
    pub(super) fn integrand(self) -> Option<String> {
        Some(match self {
            Squared { f, k } => format!("{}({k}*x)^2", f.name()),
            TangentSquared { k } => format!("tan({k}*x)^2"),
            LinearQuotient { b, a } => format!("(x{b:+})/(x^2+{})", a * a),
            LongDivision { a } => format!("x^2/(x^2+{})", a * a),
            PartialFractions { a, b } => format!("1/((x{a:+})*(x{b:+}))"),
            TwoWaves { a, b } => format!("sin({a}*x)*cos({b}*x)"),
            _ => return None,
        })
    }

    /// How the term is integrated, in words.
    pub(super) fn rule(self) -> String {
        match self {
            Power { .. } => "by the power rule".into(),
            Reciprocal { a: 0 } => "the integral of 1/x is log(x)".into(),
            Reciprocal { a } => format!("with u = x{a:+} the integral of 1/u is log(u)"),
            Simple { f, .. } => {
                let (sign, g) = f.integral();
                let sign = if sign < 0 { "-" } else { "" };
                format!(
                    "the integral of {} is {sign}{}, divided by the factor of x inside",
                    f.name(),
                    g.name()
                )
            }
            Parts { n: 1, .. } => "by parts with u = x".into(),
            Parts { n, .. } => format!("by parts with u = x^{n}, {n} times"),
            Shifted { a, .. } => format!("by parts with u = x{a:+}"),
            Composed { n, k, .. } => match k {
                1 => format!("substitute u = x^{n}"),
                -1 => format!("substitute u = -x^{n}"),
                _ => format!("substitute u = {k}*x^{n}"),
            },
            LinearPower { k: 1, a, .. } => format!("substitute u = x{a:+}"),
            LinearPower { k, a, .. } => format!("substitute u = {k}*x{a:+}"),
            QuadraticPower { a, .. } | OverRoot { a } | TimesRoot { a } => {
                format!("substitute u = x^2{a:+}")
            }
            PowerQuotient { n, a } => format!("substitute u = x^{n}{a:+}"),
            TrigonometricPower { f, k: 1, .. } | ExponentialOf { f, k: 1 } => {
                format!("substitute u = {}(x)", f.name())
            }
            TrigonometricPower { f, k, .. } | ExponentialOf { f, k } => {
                format!("substitute u = {}({k}*x)", f.name())
            }
            LogarithmPower { .. } => "substitute u = log(x)".into(),
            ExponentialQuotient { .. } => {
                "the numerator is the derivative of the denominator, up to a factor".into()
            }
            TimesLogarithm { .. } => "by parts with u = log(x)".into(),
            Damped { .. } => "by parts twice, and solve for the integral".into(),
            InverseQuadratic { .. } => "an inverse tangent, from the table".into(),
            InverseCircle { .. } => "an inverse sine, from the table".into(),
            InverseRoot { .. } => "an inverse hyperbolic sine, from the table".into(),
            Squared { f: Sin | Cos, .. } => "with the formula for half the angle".into(),
            Squared { .. } => "with the hyperbolic formula for half the argument".into(),
            TangentSquared { .. } => "tan^2 is the derivative of tan less 1".into(),
            Arctangent { .. } => "by parts with u = atan and dv = dx".into(),
            LinearQuotient { .. } => {
                "a logarithm for the x above and an inverse tangent for the constant".into()
            }
            LongDivision { .. } => "divide first: 1 less a constant over the denominator".into(),
            PartialFractions { .. } => "by partial fractions".into(),
            TwoWaves { .. } => "write the product as a sum of sines".into(),
        }
    }
}

/// The integral of `base^n*f(k*x)`, where the derivative of `base` is 1: each integration by parts gives a term
/// `c*base^j*g(k*x)` and leaves `j` times the integral of a lower power.
fn by_parts(base: &str, n: i64, mut f: Wave, k: i64) -> String {
    let (mut numerator, mut denominator) = (1, 1);
    let mut terms = Vec::new();
    for j in (0..=n).rev() {
        let (sign, g) = f.integral();
        (numerator, denominator) = (numerator * sign, denominator * k);
        terms.push(format!("({numerator})/({denominator})*{base}^{j}*{}({k}*x)", g.name()));
        numerator *= -j;
        f = g;
    }
    terms.join("+")
}
