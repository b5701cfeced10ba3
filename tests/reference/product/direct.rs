//! Products with a weight matrix W `[n, k]`. Kernel: src/kernel/product/direct.rs.

/// y `[m, n]` = x `[m, k]` · Wᵀ.
pub fn forward(m: usize, n: usize, k: usize, w: &[f64], x: &[f64]) -> Vec<f64> {
    let mut y = vec![0.0; m * n];
    for i in 0..m {
        for j in 0..n {
            for l in 0..k {
                y[i * n + j] += x[i * k + l] * w[j * k + l];
            }
        }
    }
    y
}

/// dx `[m, k]` = dy `[m, n]` · W.
pub fn backward_x(m: usize, n: usize, k: usize, w: &[f64], dy: &[f64]) -> Vec<f64> {
    let mut dx = vec![0.0; m * k];
    for i in 0..m {
        for j in 0..n {
            for l in 0..k {
                dx[i * k + l] += dy[i * n + j] * w[j * k + l];
            }
        }
    }
    dx
}
