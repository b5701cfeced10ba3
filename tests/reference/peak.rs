//! The adapter's peaks. Kernel: src/kernel/peak.rs.

/// Two chains of `steps` steps c ← c·a + b from x and x + 1, added.
pub fn arithmetic(steps: usize, [a, b]: [f64; 2], x: &[f64]) -> Vec<f64> {
    let chain = |start: f64| (0..steps).fold(start, |c, _| c * a + b);
    x.iter().map(|&x| chain(x) + chain(x + 1.0)).collect()
}

/// The sum over rows of `len` numbers.
pub fn stream(len: usize, x: &[f64]) -> Vec<f64> {
    (0..len).map(|i| x.iter().skip(i).step_by(len).sum()).collect()
}
