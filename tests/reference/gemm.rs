//! Small products with any strides. Kernel: src/kernel/gemm.rs.

/// The matrix `[rows, cols]` transposed.
pub fn transpose(cols: usize, matrix: &[f64]) -> Vec<f64> {
    (0..cols).flat_map(|c| matrix.iter().skip(c).step_by(cols).copied().collect::<Vec<_>>()).collect()
}

/// alpha · a `[m, k]` · b `[k, n]` + beta · c `[m, n]`.
#[allow(clippy::too_many_arguments, reason = "the BLAS signature")]
pub fn forward(
    m: usize,
    n: usize,
    k: usize,
    a: &[f64],
    b: &[f64],
    c: &[f64],
    alpha: f64,
    beta: f64,
) -> Vec<f64> {
    let mut out = Vec::new();
    for i in 0..m {
        for j in 0..n {
            let sum: f64 = (0..k).map(|l| a[i * k + l] * b[l * n + j]).sum();
            // As in BLAS, beta 0 means that c is not read.
            out.push(alpha * sum + if beta == 0.0 { 0.0 } else { beta * c[i * n + j] });
        }
    }
    out
}
