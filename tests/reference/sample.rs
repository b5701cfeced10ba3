//! Sampling. Kernel: src/kernel/sample.rs.

use stepladder::kernel::sample::Settings;

use super::log_softmax;

/// How clearly a token is in or out of the kept set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    Yes,
    No,
    /// So near to a threshold that rounding decides.
    Either,
}

/// Probabilities at the row's temperature.
fn probabilities(z: &[f64], temperature: f64) -> Vec<f64> {
    log_softmax::row(&z.iter().map(|z| z / temperature).collect::<Vec<_>>()).iter().map(|l| l.exp()).collect()
}

/// Which tokens may be chosen: the `top_k` largest with ties, of these the fewest whose mass reaches `top_p` of
/// theirs, of these the ones with at least `min_p` of the largest probability. `slack` is the relative
/// distance from a threshold up to which rounding may decide.
pub fn kept(z: &[f64], settings: &Settings, slack: f64) -> Vec<Kept> {
    let p = probabilities(z, f64::from(settings.temperature));
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[b].total_cmp(&p[a]));
    let largest = p[order[0]];
    let mut state = vec![Kept::Yes; p.len()];
    if settings.top_k > 0 && (settings.top_k as usize) < p.len() {
        let least = z[order[settings.top_k as usize - 1]];
        (0..p.len()).filter(|&i| z[i] < least).for_each(|i| state[i] = Kept::No);
    }
    if settings.top_p < 1.0 {
        let total: f64 = (0..p.len()).filter(|&i| state[i] == Kept::Yes).map(|i| p[i]).sum();
        let goal = total * f64::from(settings.top_p);
        for i in 0..p.len() {
            // A token is out once the tokens before it reach the goal.
            let before: f64 = p.iter().filter(|other| **other > p[i]).sum();
            let distance = before - goal;
            if state[i] == Kept::Yes && distance.abs() <= slack * total {
                state[i] = Kept::Either;
            } else if distance >= 0.0 {
                state[i] = Kept::No;
            }
        }
    }
    for i in 0..p.len() {
        let least = f64::from(settings.min_p) * largest;
        if p[i] < least * (1.0 - slack) {
            state[i] = Kept::No;
        } else if settings.min_p > 0.0
            && p[i] < least * (1.0 + slack)
            && state[i] == Kept::Yes
            && p[i] < largest
        {
            state[i] = Kept::Either;
        }
    }
    state
}

/// Probability of choosing each token: those at the row's temperature, renormalised over the kept ones.
pub fn distribution(z: &[f64], settings: &Settings, kept: &[Kept]) -> Vec<f64> {
    let mut p = probabilities(z, f64::from(settings.temperature));
    p.iter_mut().zip(kept).filter(|(_, kept)| **kept == Kept::No).for_each(|(p, _)| *p = 0.0);
    let total: f64 = p.iter().sum();
    p.iter().map(|p| p / total).collect()
}
