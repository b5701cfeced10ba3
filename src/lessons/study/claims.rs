//! What would refute the way that lessons are learnt, and what the results say of it. The bounds stood before the study was run.

use super::results::{ArmResult, Job, Results};
use crate::ladder::stats::paired_difference;
use crate::lessons::gate::Decision;

/// The subject forgets less than this share of what its rival does.
const LESS: f64 = 0.5;
/// The subject's lessons are right after they were learnt to within so much of the rival's.
const BEHIND: f64 = 0.1;
/// A fall of the audit half of the earlier exams that counts as harm.
const HARM: f64 = 0.05;
/// Most of the harmful lessons that the gate may let through, and most of the harmless ones that it may stop.
const THROUGH: f64 = 0.1;
const STOPPED: f64 = 0.3;
/// Least rank correlation of drift with forgetting.
const CORRELATION: f64 = 0.4;
/// Nats a token that the held-out text may fall.
const TEXT: f64 = 0.05;

/// A statement that results can refute.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// What was said before.
    pub said: String,
    /// What was found.
    pub found: String,
    /// Whether it holds; `None` where the results cannot tell.
    pub holds: Option<bool>,
}

/// All statements.
pub fn claims(results: &Results) -> Vec<Claim> {
    let mut claims = Vec::new();
    if let Some((subject, rival)) = results.arm(&results.subject).zip(results.arm(&results.rival)) {
        let pairs: Vec<(&Job, &Job)> = subject
            .jobs
            .iter()
            .filter_map(|job| {
                let other =
                    rival.jobs.iter().find(|other| (other.seed, other.order) == (job.seed, job.order))?;
                Some((job, other))
            })
            .collect();
        claims.push(forgets_less(results, (subject, rival), &pairs));
        claims.push(learns_as_much(results, (subject, rival), &pairs));
        claims.push(keeps_text(results, subject));
    }
    claims.push(gate(results));
    claims.push(canaries(results));
    claims
}

fn forgets_less(
    results: &Results,
    (subject, rival): (&ArmResult, &ArmResult),
    pairs: &[(&Job, &Job)],
) -> Claim {
    let mut found = Vec::new();
    let mut holds = true;
    for (job, other) in pairs {
        let lost = results.lost(subject, job).zip(results.lost(rival, other));
        let means = results.metrics(subject, job).forgetting.zip(results.metrics(rival, other).forgetting);
        let Some(((ours, theirs), (less, more))) = lost.zip(means) else { continue };
        let Some((mean, [low, high])) = paired_difference(&ours, &theirs) else { continue };
        holds &= less.value < LESS * more.value && low > 0.0;
        found.push(format!(
            "{:.0} against {:.0} ({:+.0} [{:+.0}, {:+.0}])",
            100.0 * less.value,
            100.0 * more.value,
            100.0 * mean,
            100.0 * low,
            100.0 * high
        ));
    }
    Claim {
        said: format!(
            "`{}` forgets under half of what `{}` does, with every seed and order, the paired 95 % interval above 0",
            subject.label, rival.label
        ),
        holds: (!found.is_empty()).then_some(holds),
        found: format!("{} points", found.join("; ")),
    }
}

fn learns_as_much(
    results: &Results,
    (subject, rival): (&ArmResult, &ArmResult),
    pairs: &[(&Job, &Job)],
) -> Claim {
    let mut found = Vec::new();
    let mut holds = true;
    for (job, other) in pairs {
        let means = results.metrics(subject, job).learning.zip(results.metrics(rival, other).learning);
        let Some((ours, theirs)) = means else { continue };
        holds &= theirs.value - ours.value <= BEHIND;
        found.push(format!("{:.0} against {:.0}", 100.0 * ours.value, 100.0 * theirs.value));
    }
    Claim {
        said: format!(
            "right after their lesson questions are at most {:.0} points behind `{}`",
            100.0 * BEHIND,
            rival.label
        ),
        holds: (!found.is_empty()).then_some(holds),
        found: format!("{} % right", found.join("; ")),
    }
}

fn keeps_text(results: &Results, subject: &ArmResult) -> Claim {
    let falls: Vec<f64> = subject
        .jobs
        .iter()
        .filter_map(|job| Some(results.base(job.seed)?.step.text? - job.steps.last()?.text?))
        .collect();
    let worst = falls.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Claim {
        said: format!("held-out text stays within {TEXT} nats a token of the base"),
        holds: (!falls.is_empty()).then_some(worst <= TEXT),
        found: format!("falls by {worst:.3} at worst"),
    }
}

fn gate(results: &Results) -> Claim {
    let (mut harmful, mut through, mut harmless, mut stopped) = (0, 0, 0, 0);
    for arm in results.arms.iter().filter(|arm| arm.sequence && !arm.gated) {
        for job in &arm.jobs {
            for place in 1..job.steps.len() {
                let Some(judged) = results.judged(arm, job, place) else { continue };
                // One that was not learnt is stopped for that, whatever it did to the others.
                let Some(fell) = judged.fell.filter(|_| judged.verdict.did_learn()) else { continue };
                let rejected = judged.verdict.decision == Decision::Rejected;
                if fell > HARM {
                    harmful += 1;
                    through += usize::from(!rejected);
                } else {
                    harmless += 1;
                    stopped += usize::from(rejected);
                }
            }
        }
    }
    let within = |part: usize, of: usize, most: f64| of == 0 || part as f64 <= most * of as f64;
    Claim {
        said: format!(
            "of lessons after which the audit half of the earlier exams fell by more than {:.0} points the gate lets at most {:.0} % through, and it stops at most {:.0} % of the others",
            100.0 * HARM,
            100.0 * THROUGH,
            100.0 * STOPPED
        ),
        holds: (harmful + harmless > 0)
            .then_some(within(through, harmful, THROUGH) && within(stopped, harmless, STOPPED)),
        found: format!("{through} of {harmful} through; {stopped} of {harmless} stopped"),
    }
}

fn canaries(results: &Results) -> Claim {
    let mut points: Vec<(f64, f64)> = Vec::new();
    for arm in results.arms.iter().filter(|arm| arm.sequence) {
        for job in &arm.jobs {
            let last = job.steps.iter().rev().find(|step| step.counts);
            if let (Some(forgetting), Some(step)) = (results.metrics(arm, job).forgetting, last) {
                points.push((step.drift.0, forgetting.value));
            }
        }
    }
    let found = spearman(&points);
    Claim {
        said: format!(
            "drift from the base on general answers ranks forgetting (Spearman at least {CORRELATION})"
        ),
        holds: found.map(|rho| rho >= CORRELATION),
        found: found.map_or_else(
            || "too few heads".into(),
            |rho| format!("{rho:.2} over {} courses of lessons", points.len()),
        ),
    }
}

/// The rank correlation of pairs, ties with their mean rank; `None` of fewer than three pairs, or where one side never changes.
fn spearman(pairs: &[(f64, f64)]) -> Option<f64> {
    let ranks = |values: Vec<f64>| -> Vec<f64> {
        values
            .iter()
            .map(|value| {
                let below = values.iter().filter(|other| *other < value).count();
                let same = values.iter().filter(|other| *other == value).count();
                below as f64 + (same as f64 + 1.0) / 2.0
            })
            .collect()
    };
    let (x, y): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let (x, y) = (ranks(x), ranks(y));
    let middle = (pairs.len() as f64 + 1.0) / 2.0;
    let product =
        |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - middle) * (b - middle)).sum::<f64>();
    let spread = (product(&x, &x) * product(&y, &y)).sqrt();
    (pairs.len() > 2 && spread > 0.0).then(|| product(&x, &y) / spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: 1 - 6 sum d^2 / (n (n^2 - 1)) without ties.
    #[test]
    fn rank_correlation_by_hand() {
        let pairs = [(1.0, 10.0), (2.0, 30.0), (3.0, 20.0), (4.0, 40.0)];
        assert!((spearman(&pairs).unwrap_or(0.0) - 0.8).abs() < 1e-12);
        let falling = [(1.0, 3.0), (2.0, 2.0), (3.0, 1.0)];
        assert!((spearman(&falling).unwrap_or(0.0) + 1.0).abs() < 1e-12);
        // scipy.stats.spearmanr([1, 2, 2, 3], [1, 3, 2, 4]).
        let tied = [(1.0, 1.0), (2.0, 3.0), (2.0, 2.0), (3.0, 4.0)];
        assert!((spearman(&tied).unwrap_or(0.0) - 0.948_683_298_050_513_7).abs() < 1e-12);
        assert_eq!(spearman(&[(1.0, 1.0), (1.0, 2.0), (1.0, 3.0)]), None);
        assert_eq!(spearman(&pairs[..2]), None);
    }
}
