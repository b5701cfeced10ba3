//! The same questions before and after: counts, a test and a bound.

use std::ops::Add;

use super::outcome::Outcome;

/// How often questions went which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Right both times.
    pub both: usize,
    /// Wrong before and right after.
    pub gained: usize,
    /// Right before and wrong after.
    pub lost: usize,
    /// All questions.
    pub all: usize,
}

impl Counts {
    /// Of the same questions in the same order.
    pub fn of(before: &[Outcome], after: &[Outcome]) -> Self {
        let mut counts = Self::default();
        for (before, after) in before.iter().zip(after) {
            counts.all += 1;
            counts.both += usize::from(before.right && after.right);
            counts.gained += usize::from(!before.right && after.right);
            counts.lost += usize::from(before.right && !after.right);
        }
        counts
    }

    /// Right before.
    pub fn before(self) -> usize {
        self.both + self.lost
    }

    /// Right after.
    pub fn after(self) -> usize {
        self.both + self.gained
    }

    /// Change of the share that is right.
    pub fn change(self) -> f64 {
        (self.gained as f64 - self.lost as f64) / self.all.max(1) as f64
    }

    /// Lower bound of the change at `z` standard errors, by the normal approximation of the difference of two paired
    /// proportions: its variance is (g + l - (g - l)^2 / n) / n^2 (Fleiss, Statistical Methods for Rates and Proportions, 8.1).
    pub fn lower_bound(self, z: f64) -> f64 {
        let (gained, lost, n) = (self.gained as f64, self.lost as f64, self.all.max(1) as f64);
        let variance = (gained + lost - (gained - lost).powi(2) / n).max(0.0);
        self.change() - z * variance.sqrt() / n
    }
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            both: self.both + other.both,
            gained: self.gained + other.gained,
            lost: self.lost + other.lost,
            all: self.all + other.all,
        }
    }
}

/// The chance that of so many changes at least `these` go this way if both ways are as likely (the exact one-sided McNemar test):
/// sum over k from `these` to n of C(n, k) / 2^n, n = `these` + `others`. 1 without changes.
pub fn sign_test(these: usize, others: usize) -> f64 {
    let n = these + others;
    let mut term = -(n as f64) * std::f64::consts::LN_2;
    let mut sum = 0.0;
    // ln C(n, k) from k = n down.
    for k in (these..=n).rev() {
        sum += term.exp();
        term += (k.max(1) as f64).ln() - ((n - k + 1) as f64).ln();
    }
    sum.min(1.0)
}
