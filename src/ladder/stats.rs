//! Statistics of pass rates: pass@k and confidence intervals.

use crate::train::advantage::mean;

/// z of a two-sided 95 % interval.
pub(crate) const Z95: f64 = 1.959_963_984_540_054;

/// Unbiased estimate of pass@k from `correct` of `samples` (Chen et al. 2021, equation 1): the chance that at
/// least one of `k` samples drawn without replacement is correct, 1 - C(n-c, k) / C(n, k).
/// `None` if there are fewer than `k` samples.
pub fn pass_at_k(samples: usize, correct: usize, k: usize) -> Option<f64> {
    if k == 0 || samples < k || correct > samples {
        return None;
    }
    let wrong = samples - correct;
    if wrong < k {
        return Some(1.0);
    }
    let none = (0..k).map(|i| (wrong - i) as f64 / (samples - i) as f64).product::<f64>();
    Some(1.0 - none)
}

/// Wilson's 95 % score interval for a rate `p` measured on `n` independent trials; `[0, 1]` for none.
pub fn wilson(p: f64, n: f64) -> [f64; 2] {
    if n <= 0.0 {
        return [0.0, 1.0];
    }
    let z2 = Z95 * Z95;
    let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z95 / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    [(centre - half).clamp(0.0, p), (centre + half).clamp(p, 1.0)]
}

/// Mean of per-problem pass rates and its 95 % interval over problems.
///
/// Several samples of one problem are not independent, so Wilson's interval takes the effective number of trials
/// p(1-p) / Var(mean), with the variance estimated between problems (Korn and Graubard 1998), at least the number
/// of problems and at most the number of samples.
pub fn mean_with_ci(rates: &[f64], samples_each: usize) -> (f64, [f64; 2]) {
    let n = rates.len() as f64;
    if rates.is_empty() {
        return (0.0, [0.0, 1.0]);
    }
    let mean = (rates.iter().sum::<f64>() / n).clamp(0.0, 1.0);
    let effective = if rates.len() > 1 && samples_each > 1 {
        let variance = rates.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / (n - 1.0);
        if variance > 0.0 {
            (mean * (1.0 - mean) * n / variance).clamp(n, n * samples_each as f64)
        } else {
            n
        }
    } else {
        n
    };
    (mean, wilson(mean, effective))
}

/// The mean of some numbers and its 95 % interval by the normal approximation; `None` of fewer than two.
pub fn mean_with_interval(values: &[f64]) -> (f64, Option<[f64; 2]>) {
    let n = values.len() as f64;
    let mean = mean(values);
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let half = Z95 * (variance / n).sqrt();
    (mean, (values.len() > 1).then_some([mean - half, mean + half]))
}

/// Mean of the differences `after[i] - before[i]` and its 95 % interval by the normal approximation. The same
/// problems in the same order; `None` if the lengths differ or there are fewer than two.
pub fn paired_difference(before: &[f64], after: &[f64]) -> Option<(f64, [f64; 2])> {
    if before.len() != after.len() || before.len() < 2 {
        return None;
    }
    let differences: Vec<f64> = before.iter().zip(after).map(|(b, a)| a - b).collect();
    let (mean, interval) = mean_with_interval(&differences);
    Some((mean, interval?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pass_at_k_counts_subsets() {
        // 2 correct of 5, k = 3: C(3,3)/C(5,3) = 1/10 of the subsets hold none.
        assert!((pass_at_k(5, 2, 3).expect("enough samples") - 0.9).abs() < 1e-12);
        assert_eq!(pass_at_k(5, 0, 5), Some(0.0));
        assert_eq!(pass_at_k(5, 1, 5), Some(1.0));
        assert_eq!(pass_at_k(4, 1, 5), None);
        assert!((pass_at_k(8, 3, 1).expect("enough samples") - 0.375).abs() < 1e-12);
    }

    #[test]
    fn wilson_matches_published_values() {
        // Newcombe 1998, table I: 81/263 gives 0.2553 to 0.3662; 0/20 gives 0 to 0.1611.
        let [low, high] = wilson(81.0 / 263.0, 263.0);
        assert!((low - 0.2553).abs() < 1e-4 && (high - 0.3662).abs() < 1e-4, "{low} {high}");
        let [low, high] = wilson(0.0, 20.0);
        assert!(low == 0.0 && (high - 0.1611).abs() < 1e-4, "{high}");
    }

    #[test]
    fn repeated_samples_of_one_problem_are_not_independent() {
        // Every problem all right or all wrong: 8 samples tell no more than 1.
        let all_or_none = [1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0];
        let (mean, once) = mean_with_ci(&all_or_none, 1);
        assert_eq!(mean, 0.5);
        assert_eq!(mean_with_ci(&all_or_none, 8).1, once);
        // Equal rates everywhere: the variance between problems is sampling noise only.
        let even = [0.5, 0.25, 0.75, 0.5, 0.5, 0.25, 0.75, 0.5];
        let narrow = mean_with_ci(&even, 8).1;
        assert!(narrow[1] - narrow[0] < once[1] - once[0]);
    }

    #[test]
    fn means_have_intervals_from_two_numbers_on() {
        // Standard deviation sqrt(2), standard error 1.
        let (mean, ci) = mean_with_interval(&[-1.0, 1.0]);
        assert!(mean == 0.0 && (ci.expect("two numbers")[1] - Z95).abs() < 1e-12, "{ci:?}");
        assert_eq!(mean_with_interval(&[0.5]), (0.5, None));
    }

    #[test]
    fn differences_are_paired() {
        // Each problem gains exactly a quarter: no spread, however much the problems differ.
        let (mean, ci) = paired_difference(&[0.0, 0.25, 0.75], &[0.25, 0.5, 1.0]).expect("three pairs");
        assert_eq!((mean, ci), (0.25, [0.25, 0.25]));
        // Differences 1 and 0: standard error 1/2.
        let (mean, ci) = paired_difference(&[0.0, 0.0], &[1.0, 0.0]).expect("two pairs");
        assert!(mean == 0.5 && (ci[1] - (0.5 + Z95 * 0.5)).abs() < 1e-12, "{ci:?}");
        assert_eq!(paired_difference(&[1.0], &[1.0, 0.0]), None);
    }
}
