//! LoRA's two halves. Kernels: src/kernel/lora.rs, src/kernel/matmul.rs.

/// t `[m, rank]` = x `[m, k]` · Aᵀ.
pub fn down(m: usize, rank: usize, k: usize, a: &[f64], x: &[f64]) -> Vec<f64> {
    super::matmul::forward(m, rank, k, a, x)
}

/// scale · low `[m, rank]` · Bᵀ, B `[n, rank]`: what a module's output gets.
pub fn up(m: usize, n: usize, rank: usize, scale: f64, b: &[f64], low: &[f64]) -> Vec<f64> {
    super::matmul::forward(m, n, rank, b, low).into_iter().map(|value| scale * value).collect()
}

/// scale · low `[m, rank]` · A, A `[rank, k]`: what the gradient of a module's input gets, low = dy·B.
pub fn up_x(m: usize, rank: usize, k: usize, scale: f64, a: &[f64], low: &[f64]) -> Vec<f64> {
    super::matmul::backward_x(m, rank, k, a, low).into_iter().map(|value| scale * value).collect()
}
