//! First-order jets with running error analysis: a value, its exact derivative, and bounds on the rounding errors of both.
//!
//! Forward-mode differentiation (Griewank and Walther, *Evaluating Derivatives*, ch. 3) with the running error
//! analysis of Higham, *Accuracy and Stability of Numerical Algorithms*, sec. 3.3. The bounds are of first order,
//! which is enough where they are small, and only such points are used to judge anything.

use std::ops::{Add, Mul, Neg};

/// Relative rounding error granted to one elementary operation; a library function gets [`CALL_ROUNDING`].
const ROUNDING: f64 = f64::EPSILON;
/// Relative rounding error granted to one library function (real ones stay below 2 units in the last place).
const CALL_ROUNDING: f64 = 4.0 * f64::EPSILON;
/// Absolute error floor of products and functions, so that a result that underflowed is not taken for an exact zero.
const UNDERFLOW: f64 = 1e-290;

/// A value and its derivative with respect to `x`, with error bounds. Anything out of the real domain, or too
/// large for a double, is NaN in all four fields and stays so through every operation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Jet {
    /// The value.
    pub value: f64,
    /// The derivative with respect to `x`.
    pub slope: f64,
    /// Bound on the rounding error of `value`.
    pub value_error: f64,
    /// Bound on the rounding error of `slope`.
    pub slope_error: f64,
}

impl Jet {
    /// Out of the domain.
    pub const UNDEFINED: Self =
        Self { value: f64::NAN, slope: f64::NAN, value_error: f64::NAN, slope_error: f64::NAN };

    /// A constant known to within `error`.
    pub fn constant(value: f64, error: f64) -> Self {
        Self { value, slope: 0.0, value_error: error, slope_error: 0.0 }.or_undefined()
    }

    /// The variable itself, at `x`.
    pub fn variable(x: f64) -> Self {
        Self { value: x, slope: 1.0, value_error: 0.0, slope_error: 0.0 }
    }

    /// Whether value and derivative are real and finite.
    pub fn is_defined(&self) -> bool {
        self.value.is_finite()
            && self.slope.is_finite()
            && self.value_error.is_finite()
            && self.slope_error.is_finite()
    }

    fn or_undefined(self) -> Self {
        if self.is_defined() { self } else { Self::UNDEFINED }
    }

    fn is_constant(&self) -> bool {
        self.slope == 0.0 && self.slope_error == 0.0
    }

    /// `1 / self`; undefined at zero.
    pub fn recip(self) -> Self {
        let value = self.value.recip();
        self.chain(value, -value * value, 2.0 * value * value * value)
    }

    /// `f(self)`, given `f`, `f'` and `f''` at `self.value`.
    pub fn chain(self, f: f64, first: f64, second: f64) -> Self {
        // An exact argument has no error to pass on, whatever the derivative: asin(1) is a fine constant.
        let passed_on = if self.value_error == 0.0 { 0.0 } else { first.abs() * self.value_error };
        let value_error = passed_on + CALL_ROUNDING * f.abs() + UNDERFLOW;
        if self.is_constant() {
            return Self { value: f, slope: 0.0, value_error, slope_error: 0.0 }.or_undefined();
        }
        let slope = first * self.slope;
        let slope_error = first.abs() * self.slope_error
            + (second * self.slope).abs() * self.value_error
            + CALL_ROUNDING * slope.abs()
            + UNDERFLOW;
        Self { value: f, slope, value_error, slope_error }.or_undefined()
    }

    /// The same with a further relative error of its value, for functions less accurate than the library's.
    pub(super) fn with_error(mut self, relative: f64) -> Self {
        self.value_error += relative * (self.value.abs() + 1.0);
        self
    }

    /// The exponential.
    pub fn exp(self) -> Self {
        let value = self.value.exp();
        self.chain(value, value, value)
    }

    /// The natural logarithm; undefined where the argument is not positive.
    pub fn ln(self) -> Self {
        if self.value > 0.0 { self.ln_abs() } else { Self::UNDEFINED }
    }

    /// `ln|self|`: the real part of the complex logarithm.
    pub fn ln_abs(self) -> Self {
        let recip = self.value.recip();
        self.chain(self.value.abs().ln(), recip, -recip * recip)
    }

    /// `self` to the power of `exponent`. A negative base needs an exponent that is a constant integer: `(-8)^(1/3)` is not real
    /// here, as in every computer algebra system that takes principal values.
    pub fn pow(self, exponent: Self) -> Self {
        if !self.is_defined() || !exponent.is_defined() {
            return Self::UNDEFINED;
        }
        if !exponent.is_constant() {
            return (exponent * self.ln()).exp();
        }
        let n = exponent.value;
        let integer = n == n.trunc();
        if !integer && self.value <= 0.0 {
            return Self::UNDEFINED;
        }
        let falling = |coefficient: f64, power: f64| {
            if coefficient == 0.0 { 0.0 } else { coefficient * self.value.powf(power) }
        };
        let mut result = self.chain(self.value.powf(n), falling(n, n - 1.0), falling(n * (n - 1.0), n - 2.0));
        if exponent.value_error > 0.0 && self.value != 0.0 {
            // The exponent's own error, such as that of 1/3: d(a^n)/dn = a^n ln a, and likewise for the derivative.
            let log = self.value.abs().ln().abs();
            result.value_error += result.value.abs() * log * exponent.value_error;
            result.slope_error += result.slope.abs() * (log + n.recip().abs()) * exponent.value_error;
        }
        if integer && n >= 0.0 && is_small_integer(self) && result.value.abs() < EXACT_INTEGERS {
            result.value_error = 0.0;
        }
        result.or_undefined()
    }
}

impl Add for Jet {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let (value, slope) = (self.value + other.value, self.slope + other.slope);
        Self {
            value,
            slope,
            value_error: self.value_error + other.value_error + ROUNDING * value.abs(),
            slope_error: self.slope_error + other.slope_error + ROUNDING * slope.abs(),
        }
        .or_undefined()
    }
}

impl Neg for Jet {
    type Output = Self;

    fn neg(self) -> Self {
        Self { value: -self.value, slope: -self.slope, ..self }
    }
}

impl Mul for Jet {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        let value = self.value * other.value;
        let (left, right) = (self.slope * other.value, self.value * other.slope);
        let slope_error = if self.is_constant() && other.is_constant() {
            0.0
        } else {
            self.slope.abs() * other.value_error
                + other.value.abs() * self.slope_error
                + self.value.abs() * other.slope_error
                + other.slope.abs() * self.value_error
                + 2.0 * ROUNDING * (left.abs() + right.abs())
                + UNDERFLOW
        };
        let exact = is_small_integer(self) && is_small_integer(other);
        let rounding = if exact { 0.0 } else { ROUNDING * value.abs() + UNDERFLOW };
        Self {
            value,
            slope: left + right,
            value_error: self.value.abs() * other.value_error
                + other.value.abs() * self.value_error
                + self.value_error * other.value_error
                + rounding,
            slope_error,
        }
        .or_undefined()
    }
}

/// Doubles below 2^53 hold integers exactly.
const EXACT_INTEGERS: f64 = 9_007_199_254_740_992.0;

fn is_small_integer(jet: Jet) -> bool {
    jet.is_constant()
        && jet.value_error == 0.0
        && jet.value == jet.value.trunc()
        && jet.value.abs() < 67_108_864.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cancellation_shows_in_the_bounds() {
        // sinh(x) + cosh(x) = exp(x) loses all its digits at -30.
        for (x, lost) in [(-1.0, false), (-30.0, true)] {
            let at = Jet::variable(x);
            let sinh = at.chain(x.sinh(), x.cosh(), x.sinh());
            let cosh = at.chain(x.cosh(), x.sinh(), x.cosh());
            let sum = sinh + cosh;
            assert!((sum.value - x.exp()).abs() <= sum.value_error, "{sum:?}");
            assert!((sum.slope - x.exp()).abs() <= sum.slope_error, "{sum:?}");
            assert_eq!(sum.value_error > x.exp(), lost, "{sum:?}");
            assert!(!sum.ln().is_defined() || sum.ln().slope_error > 1e-3 || !lost);
        }
    }

    #[test]
    fn powers_are_real_and_exact_where_they_can_be() {
        let constant = |value| Jet::constant(value, 0.0);
        assert_eq!(constant(-2.0).pow(constant(3.0)), constant(-8.0));
        assert_eq!(constant(0.0).pow(constant(0.0)).value, 1.0);
        assert!(!constant(-8.0).pow(constant(1.0) * constant(3.0).recip()).is_defined());
        assert!(!constant(0.0).pow(constant(-1.0)).is_defined());
        assert!(!constant(98.0).pow(constant(44.0).pow(constant(35.0))).is_defined());
        let cube = Jet::variable(-1.5).pow(constant(3.0));
        assert_eq!((cube.value, cube.slope), (-3.375, 6.75));
        let line = Jet::variable(0.0).pow(constant(1.0));
        assert_eq!((line.value, line.slope), (0.0, 1.0));
    }

    #[test]
    fn what_is_undefined_stays_so() {
        let infinite = Jet::variable(800.0).exp();
        assert!(!infinite.is_defined());
        assert!(!infinite.recip().is_defined(), "1/exp(800) must not pass for a computed zero");
        assert!(!(infinite * Jet::constant(0.0, 0.0)).is_defined());
    }
}
