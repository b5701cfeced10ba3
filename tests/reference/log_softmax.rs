//! Log-probabilities of chosen tokens and their gradient. Kernel: src/kernel/log_softmax.rs.

/// log softmax of one row.
pub fn row(z: &[f64]) -> Vec<f64> {
    let largest = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let lse = largest + z.iter().map(|z| (z - largest).exp()).sum::<f64>().ln();
    z.iter().map(|z| z - lse).collect()
}

/// (log-probability of each row's target, entropy of each row), z `[rows, cols]`.
pub fn forward(cols: usize, target: &[u32], z: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let rows: Vec<Vec<f64>> = z.chunks(cols).map(row).collect();
    let logprob = rows.iter().zip(target).map(|(row, &target)| row[target as usize]).collect();
    let entropy = rows.iter().map(|row| -row.iter().map(|l| l.exp() * l).sum::<f64>()).collect();
    (logprob, entropy)
}

/// dLoss/dz from coefficient = dLoss/dlogprob.
pub fn backward(cols: usize, target: &[u32], coefficient: &[f64], z: &[f64]) -> Vec<f64> {
    let mut dz = Vec::new();
    for ((z, &target), coefficient) in z.chunks(cols).zip(target).zip(coefficient) {
        let chosen = |c: usize| if c == target as usize { 1.0 } else { 0.0 };
        dz.extend(row(z).iter().enumerate().map(|(c, l)| coefficient * (chosen(c) - l.exp())));
    }
    dz
}
