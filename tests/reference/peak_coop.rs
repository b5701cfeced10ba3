//! The micro-kernel for the peak of cooperative matrices. Kernel: src/kernel/peak_coop.rs.

/// `rounds` times the product of the sum of some matrices `[_, side, side]` with the sum of others.
pub fn multiply(side: usize, rounds: usize, left: &[f64], right: &[f64]) -> Vec<f64> {
    let mut y = vec![0.0; side * side];
    for a in left.chunks(side * side) {
        for b in right.chunks(side * side) {
            for (at, y) in y.iter_mut().enumerate() {
                for l in 0..side {
                    *y += rounds as f64 * a[at / side * side + l] * b[l * side + at % side];
                }
            }
        }
    }
    y
}
