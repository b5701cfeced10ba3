//! What one token contributes: value and derivative of the ratio terms and of the KL estimators, in f64.

use super::config::{Clip, KlEstimator, RatioCap};

/// Largest |log ratio| that enters an exponential (the value of veRL); beyond it the derivative is 0.
const LOG_RATIO_MAX: f64 = 20.0;

/// A value with its derivative.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Term {
    pub(super) value: f64,
    /// With respect to the log ratio or the log-probability; the function says which.
    pub(super) slope: f64,
}

/// Which bound of the ratio took effect, so that the token or sequence has no gradient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    /// 1 - low with A < 0.
    Low,
    /// 1 + high with A > 0 (in CISPO: `ratio_max`, which keeps the gradient).
    High,
    /// The cap with A < 0.
    Cap,
}

/// r = e^l and dr/dl.
pub(super) fn ratio(log_ratio: f64) -> Term {
    let value = log_ratio.clamp(-LOG_RATIO_MAX, LOG_RATIO_MAX).exp();
    Term { value, slope: if log_ratio.abs() > LOG_RATIO_MAX { 0.0 } else { value } }
}

/// -min(r A, clip(r) A) with the cap; the slope is with respect to the log ratio.
pub(super) fn clipped(ratio: Term, advantage: f64, clip: &Clip) -> (Term, Option<Bound>) {
    let bounded = ratio.value.clamp(1.0 - clip.low, 1.0 + clip.high);
    // The value and slope of the unclipped term, which a two-sided bound flattens.
    let free = match clip.cap {
        RatioCap::TwoSided(delta) if ratio.value > delta => Term { value: delta, slope: 0.0 },
        _ => ratio,
    };
    if free.value * advantage > bounded * advantage {
        let bound = if advantage > 0.0 { Bound::High } else { Bound::Low };
        return (Term { value: -bounded * advantage, slope: 0.0 }, Some(bound));
    }
    match clip.cap {
        RatioCap::TwoSided(delta) if ratio.value > delta && advantage < 0.0 => {
            (Term { value: -delta * advantage, slope: 0.0 }, Some(Bound::Cap))
        }
        RatioCap::Dual(c) if ratio.value > c && advantage < 0.0 => {
            (Term { value: -c * advantage, slope: 0.0 }, Some(Bound::Cap))
        }
        _ => (Term { value: -free.value * advantage, slope: -free.slope * advantage }, None),
    }
}

/// The estimate of KL(pi || ref) with its derivative with respect to log pi; `d` = log ref - log pi.
pub(super) fn kl(estimator: KlEstimator, d: f64) -> Term {
    match estimator {
        KlEstimator::K1 => Term { value: -d, slope: 1.0 },
        KlEstimator::K2 => Term { value: d * d / 2.0, slope: -d },
        KlEstimator::K3 if d > LOG_RATIO_MAX => {
            Term { value: LOG_RATIO_MAX.exp() - LOG_RATIO_MAX - 1.0, slope: 0.0 }
        }
        // exp_m1 keeps the digits that e^d - 1 loses near d = 0.
        KlEstimator::K3 => Term { value: d.exp_m1() - d, slope: -d.exp_m1() },
    }
}

/// The product of two functions of one variable.
pub(super) fn product(a: Term, b: Term) -> Term {
    Term { value: a.value * b.value, slope: a.slope * b.value + a.value * b.slope }
}
