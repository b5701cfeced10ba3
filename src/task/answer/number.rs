//! Numbers as they are written: exact fractions of any size, with the digits that a decimal shows; and when two are the same.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Pow, Signed, ToPrimitive, Zero};

use super::Same;
use crate::task::expr::Jet;

/// Most bits of an exact numerator or denominator that arithmetic may make; a literal may be longer.
const MAX_BITS: u64 = 8_192;
/// Largest exponent of ten in a literal.
const MAX_EXPONENT: i32 = 2_000;
/// Significant digits from which a decimal is taken for a rounded value, as `3.14159` is and `0.5` is not.
const ROUNDED_DIGITS: u32 = 6;
/// Largest relative distance of such a decimal from what it was rounded from.
const ROUNDED: f64 = 1e-6;
/// Digits of a decimal that a machine printed, and its noise: `0.30000000000000004`.
const MACHINE_DIGITS: u32 = 12;
const MACHINE_NOISE: f64 = 1e-11;
/// How often the first-order rounding bound of a computed value may be exceeded.
const SAFETY: f64 = 8.0;
/// Agreement that is granted beyond rounding bounds, relative to the values.
const SLACK: f64 = 1e-13;
/// Relative distance from which computed values surely differ.
const APART: f64 = 1e-9;

/// What the digits of a decimal say of its precision.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Written {
    /// One unit of the last digit.
    pub(super) unit: BigRational,
    /// Significant digits.
    pub(super) digits: u32,
}

/// A number in a text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Literal {
    /// Its value.
    pub(super) value: BigRational,
    /// Present if it has a decimal point.
    pub(super) written: Option<Written>,
}

impl Literal {
    /// Reads ASCII digits with at most one point, and an exponent of ten.
    pub(super) fn new(mantissa: &str, exponent: &str) -> Option<Self> {
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits: BigInt = format!("0{whole}{fraction}").parse().ok()?;
        let exponent: i32 = if exponent.is_empty() { 0 } else { exponent.parse().ok()? };
        if exponent.abs() > MAX_EXPONENT {
            return None;
        }
        let unit = ten_to(exponent - i32::try_from(fraction.len()).ok()?);
        let significant = format!("{whole}{fraction}").trim_start_matches('0').len();
        let written = mantissa.contains('.') && !fraction.is_empty();
        Some(Self {
            value: BigRational::from_integer(digits) * &unit,
            written: written
                .then(|| Written { unit, digits: u32::try_from(significant).unwrap_or(u32::MAX) }),
        })
    }

    /// `whole.fraction` followed by `period` for ever.
    pub(super) fn repeating(start: &str, period: &str) -> Option<Self> {
        let start_value = Self::new(start, "")?.value;
        let decimals = start.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        let nines = BigRational::from_integer(period.bytes().map(|_| '9').collect::<String>().parse().ok()?);
        let period: BigInt = period.parse().ok()?;
        let tail = BigRational::from_integer(period) / nines * ten_to(-i32::try_from(decimals).ok()?);
        Some(Self { value: start_value + tail, written: None })
    }
}

/// A power of ten.
pub(super) fn ten_to(exponent: i32) -> BigRational {
    BigRational::from_integer(BigInt::from(10)).pow(exponent)
}

fn bits(value: &BigRational) -> u64 {
    value.numer().bits().max(value.denom().bits())
}

/// `value`, unless it has grown too large to go on with.
pub(super) fn bounded(value: BigRational) -> Option<BigRational> {
    (bits(&value) <= MAX_BITS).then_some(value)
}

/// `base^exponent`, if it is rational and of a bounded size.
pub(super) fn power(base: &BigRational, exponent: &BigRational) -> Option<BigRational> {
    let degree = exponent.denom().to_u32().filter(|degree| *degree <= 64)?;
    let times = exponent.numer().to_i32()?;
    let base = if degree == 1 { base.clone() } else { root(base, degree)? };
    if base.is_zero() {
        return (times >= 0).then(|| if times == 0 { BigRational::one() } else { base });
    }
    if bits(&base).saturating_mul(u64::from(times.unsigned_abs())) > MAX_BITS && bits(&base) > 1 {
        return None;
    }
    let raise = |n: &BigInt| Pow::pow(n, times.unsigned_abs());
    let (numer, denom) = if bits(&base) <= 1 {
        // One and minus one.
        let odd = times % 2 != 0;
        (if base.is_negative() && odd { -BigInt::one() } else { BigInt::one() }, BigInt::one())
    } else {
        (raise(base.numer()), raise(base.denom()))
    };
    let result = BigRational::new(numer, denom);
    Some(if times < 0 { result.recip() } else { result })
}

/// The real root of that degree, if it is rational: of a negative number only where `degree` is one.
fn root(value: &BigRational, degree: u32) -> Option<BigRational> {
    if value.is_negative() || bits(value) > MAX_BITS {
        return None;
    }
    let (numer, denom) = (value.numer().nth_root(degree), value.denom().nth_root(degree));
    let exact = Pow::pow(&numer, degree) == *value.numer() && Pow::pow(&denom, degree) == *value.denom();
    exact.then(|| BigRational::new(numer, denom))
}

/// A constant: exact where it is rational, with its real and imaginary part as doubles with error bounds.
#[derive(Debug, Clone)]
pub(super) struct Number {
    pub(super) exact: Option<BigRational>,
    pub(super) real: Jet,
    pub(super) imaginary: Jet,
    /// The digits, if it is a decimal as written and nothing else.
    pub(super) written: Option<Written>,
}

impl Number {
    /// An exact number.
    pub(super) fn exact(value: BigRational) -> Self {
        let real = value.to_f64().unwrap_or(f64::NAN);
        let error = if value.is_integer() && real.abs() < 9e15 { 0.0 } else { f64::EPSILON * real.abs() };
        Self {
            exact: Some(value),
            real: Jet::constant(real, error),
            imaginary: Jet::constant(0.0, 0.0),
            written: None,
        }
    }

    /// The same times an exact factor.
    pub(super) fn times(&self, factor: &BigRational) -> Self {
        let by = Self::exact(factor.clone());
        Self {
            exact: self.exact.as_ref().and_then(|value| bounded(value * factor)),
            real: self.real * by.real,
            imaginary: self.imaginary * by.real,
            written: self
                .written
                .as_ref()
                .map(|written| Written { unit: &written.unit * factor.abs(), digits: written.digits }),
        }
    }

    /// Whether it has a finite value.
    pub(super) fn is_defined(&self) -> bool {
        self.exact.is_some() || self.real.is_defined() && self.imaginary.is_defined()
    }
}

/// Whether two numbers are the same. With a `tolerance` above zero, that relative error is granted. Without, exact numbers must be
/// equal; a decimal stands for what it was rounded from only if it has many digits and is as close as they say; where it has few,
/// nobody can tell what was meant.
pub(super) fn same(known: &Number, answer: &Number, tolerance: f64) -> Same {
    if !known.is_defined() || !answer.is_defined() {
        return Same::Unknown;
    }
    if let (Some(a), Some(b)) = (&known.exact, &answer.exact) {
        let difference = (a - b).abs();
        if difference.is_zero() {
            return Same::Yes;
        }
        if tolerance > 0.0 {
            let granted = BigRational::from_float(tolerance).map(|tolerance| tolerance * a.abs());
            return Same::from(granted.is_some_and(|granted| difference <= granted));
        }
        return rounded(known, answer, a, b);
    }
    let scale = norm(known).max(norm(answer));
    let error = SAFETY * (noise(known) + noise(answer));
    let distance =
        (known.real.value - answer.real.value).hypot(known.imaginary.value - answer.imaginary.value);
    if !distance.is_finite() || error > APART * scale {
        return Same::Unknown;
    }
    if distance <= (error + SLACK * scale).max(tolerance * norm(known)) {
        return Same::Yes;
    }
    let float = |number: &Number| {
        number.exact.clone().or_else(|| {
            (number.imaginary.value == 0.0).then(|| BigRational::from_float(number.real.value)).flatten()
        })
    };
    match (float(known), float(answer)) {
        (Some(a), Some(b)) if tolerance == 0.0 => match rounded(known, answer, &a, &b) {
            Same::No if distance <= APART * scale => Same::Unknown,
            verdict => verdict,
        },
        _ => Same::from(false),
    }
}

fn norm(number: &Number) -> f64 {
    number.real.value.hypot(number.imaginary.value)
}

fn noise(number: &Number) -> f64 {
    number.real.value_error + number.imaginary.value_error
}

/// Whether one of two different numbers is the other one rounded.
fn rounded(known: &Number, answer: &Number, a: &BigRational, b: &BigRational) -> Same {
    let relative = ((a - b).abs() / a.abs().max(b.abs())).to_f64().unwrap_or(1.0);
    let fits = |short: &BigRational, written: &Written, long: &BigRational| {
        let nearest = (short - long).abs() * BigRational::from_integer(2.into()) <= written.unit;
        let cut = short.is_negative() == long.is_negative()
            && long.abs() >= short.abs()
            && (long.abs() - short.abs()) < written.unit;
        nearest || cut
    };
    let views = [(&known.written, a, b, answer), (&answer.written, b, a, known)];
    for (written, short, long, _) in &views {
        let Some(written) = written else { continue };
        let machine = written.digits >= MACHINE_DIGITS && relative <= MACHINE_NOISE;
        if machine || written.digits >= ROUNDED_DIGITS && relative <= ROUNDED && fits(short, written, long) {
            return Same::Yes;
        }
    }
    // Few digits: what they were rounded from may be anything. An answer that drops digits of a short known decimal is wrong.
    let digits = |number: &Number| number.written.as_ref().map(|written| written.digits);
    for (place, (written, short, long, other)) in views.iter().enumerate() {
        let Some(written) = written else { continue };
        let enough = if digits(other).is_some() { 3 } else { 2 };
        let drops = place == 1 && digits(other).is_some_and(|digits| digits < ROUNDED_DIGITS);
        if written.digits >= enough && !drops && fits(short, written, long) {
            return Same::Unknown;
        }
    }
    Same::No
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        let literal = Literal::new(text, "").unwrap();
        Number { written: literal.written, ..Number::exact(literal.value) }
    }

    #[test]
    fn digits_decide_what_a_decimal_stands_for() {
        for (known, answer, expected) in [
            ("12345678", "12345679", Same::No),
            ("3.14159", "3.14159265", Same::Yes),
            ("3.14159", "3.1416", Same::Unknown),
            ("0.5", "0.50", Same::Yes),
            ("0.5", "0.50000004", Same::No),
            ("1000000.5", "1000001", Same::No),
            ("1000001", "1000000.9", Same::No),
            ("123456.78", "123456.79", Same::No),
            ("0.3", "0.30000000000000004", Same::Yes),
            ("12.48", "12.5", Same::No),
            ("3.14", "3.14159", Same::Unknown),
        ] {
            assert_eq!(same(&number(known), &number(answer), 0.0), expected, "{known} {answer}");
        }
        assert_eq!(same(&number("100"), &number("109"), 0.1), Same::Yes);
        assert_eq!(same(&number("100"), &number("111"), 0.1), Same::No);
        let third = Number::exact(BigRational::new(1.into(), 3.into()));
        assert_eq!(same(&third, &number("0.333333"), 0.0), Same::Yes);
        assert_eq!(same(&number("0.333"), &third, 0.0), Same::Unknown);
        assert_eq!(Literal::repeating("0.1", "6").unwrap().value, BigRational::new(1.into(), 6.into()));
    }

    #[test]
    fn powers_are_exact_or_refused() {
        let rational = |a: i64, b: i64| BigRational::new(a.into(), b.into());
        assert_eq!(power(&rational(8, 27), &rational(-2, 3)), Some(rational(9, 4)));
        assert_eq!(power(&rational(2, 1), &rational(1, 2)), None);
        assert_eq!(power(&rational(10, 1), &rational(10_000_000_000, 1)), None);
        assert_eq!(power(&rational(-1, 1), &rational(2_000_000_001, 1)), Some(rational(-1, 1)));
        assert_eq!(power(&rational(0, 1), &rational(-1, 1)), None);
    }
}
