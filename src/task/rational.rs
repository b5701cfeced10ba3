//! Exact rational numbers of 128 bits.

use std::fmt::{Display, Formatter};

/// A fraction in lowest terms with a positive denominator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Rational {
    numerator: i128,
    denominator: i128,
}

impl Rational {
    pub(super) const ZERO: Self = Self { numerator: 0, denominator: 1 };
    pub(super) const ONE: Self = Self { numerator: 1, denominator: 1 };

    pub(super) fn integer(value: impl Into<i128>) -> Self {
        Self { numerator: value.into(), denominator: 1 }
    }

    /// `None` for a denominator of zero.
    pub(super) fn reduced(numerator: i128, denominator: i128) -> Option<Self> {
        if denominator == 0 {
            return None;
        }
        let divisor = gcd(numerator.unsigned_abs(), denominator.unsigned_abs());
        let divisor = i128::try_from(divisor).ok()? * denominator.signum();
        Some(Self { numerator: numerator / divisor, denominator: denominator / divisor })
    }

    /// Carries the sign.
    pub(super) fn numerator(self) -> i128 {
        self.numerator
    }

    /// Positive.
    pub(super) fn denominator(self) -> i128 {
        self.denominator
    }

    /// The nearest double, or one beside it.
    pub(super) fn to_f64(self) -> f64 {
        self.numerator as f64 / self.denominator as f64
    }

    pub(super) fn is_integer(self) -> bool {
        self.denominator == 1
    }

    /// `self operator other`; `None` for a division by zero or a result beyond 128 bits.
    pub(super) fn apply(self, operator: char, other: Self) -> Option<Self> {
        let (a, b, c, d) = (self.numerator, self.denominator, other.numerator, other.denominator);
        match operator {
            '+' => Self::reduced(a.checked_mul(d)?.checked_add(c.checked_mul(b)?)?, b.checked_mul(d)?),
            '-' => Self::reduced(a.checked_mul(d)?.checked_sub(c.checked_mul(b)?)?, b.checked_mul(d)?),
            '*' => Self::reduced(a.checked_mul(c)?, b.checked_mul(d)?),
            _ => Self::reduced(a.checked_mul(d)?, b.checked_mul(c)?),
        }
    }

    /// `self` to a whole power; `None` for a power of zero below zero or a result beyond 128 bits.
    pub(super) fn power(self, exponent: i128) -> Option<Self> {
        let n = u32::try_from(exponent.unsigned_abs()).ok()?;
        let (a, b) = (self.numerator.checked_pow(n)?, self.denominator.checked_pow(n)?);
        if exponent < 0 { Self::reduced(b, a) } else { Self::reduced(a, b) }
    }
}

pub(super) fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

impl Display for Rational {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self.denominator {
            1 => write!(f, "{}", self.numerator),
            _ => write!(f, "{}/{}", self.numerator, self.denominator),
        }
    }
}
