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
        Self::of_pairs(before.iter().zip(after).map(|(before, after)| (before.right, after.right)))
    }

    /// Of questions that were right (before, after).
    pub fn of_pairs(pairs: impl Iterator<Item = (bool, bool)>) -> Self {
        let mut counts = Self::default();
        for (before, after) in pairs {
            counts.all += 1;
            counts.both += usize::from(before && after);
            counts.gained += usize::from(!before && after);
            counts.lost += usize::from(before && !after);
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

    /// Lower bound of the change of the share that is right, at `z` standard errors: the score bound of Tango (Statistics in
    /// Medicine 17, 1998, 891-908). It stays wide where few questions were asked, even if none of them changed: without a change
    /// it is -z^2 / (n + z^2). -1 without questions.
    pub fn lower_bound(self, z: f64) -> f64 {
        let (mut low, mut high) = (-1.0, self.change());
        if self.all == 0 {
            return low;
        }
        // The score falls from below to the measured change, where it is 0.
        for _ in 0..BISECTIONS {
            let middle = f64::midpoint(low, high);
            if self.score(middle) > z {
                low = middle;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Standard errors by which the measured change is above `change`, were that the true one.
    fn score(self, change: f64) -> f64 {
        let (gained, lost, n) = (self.gained as f64, self.lost as f64, self.all as f64);
        // The likeliest share of losses if the shares of gains and losses differ by `change`.
        let a = 2.0 * n;
        let b = (2.0 * n - gained + lost) * change - gained - lost;
        let c = -lost * change * (1.0 - change);
        let losses = ((b * b - 4.0 * a * c).max(0.0).sqrt() - b) / (2.0 * a);
        let variance = n * (2.0 * losses + change * (1.0 - change));
        let above = gained - lost - n * change;
        if variance > 0.0 { above / variance.sqrt() } else { f64::INFINITY }
    }
}

/// Halvings of an interval of length up to 2, after which it is as narrow as an f64 allows.
const BISECTIONS: usize = 60;

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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Case {
        gained: usize,
        lost: usize,
        all: usize,
        sign_test: f64,
        lower_bound: f64,
    }

    #[derive(serde::Deserialize)]
    struct Fixture {
        paired: Vec<Case>,
    }

    /// Against SciPy: `tests/fixtures/make_statistics.py`.
    #[test]
    fn the_test_and_the_bound_are_those_of_scipy() {
        let fixture: Fixture =
            serde_json::from_str(include_str!("../../tests/fixtures/statistics.json")).unwrap();
        assert!(fixture.paired.len() > 20);
        for case in fixture.paired {
            let Case { gained, lost, all, .. } = case;
            let counts = Counts { both: 0, gained, lost, all };
            let chance = sign_test(gained, lost);
            let bound = counts.lower_bound(1.644_853_626_951_472_7);
            let near = |a: f64, b: f64| (a - b).abs() <= 1e-6 * b.abs().max(1e-3);
            assert!(near(chance, case.sign_test), "{counts:?}: {chance}, not {}", case.sign_test);
            assert!(near(bound, case.lower_bound), "{counts:?}: {bound}, not {}", case.lower_bound);
        }
    }

    #[test]
    fn nothing_is_known_without_questions() {
        assert_eq!(Counts::default().lower_bound(1.6), -1.0);
        assert_eq!(sign_test(0, 0), 1.0);
    }
}
