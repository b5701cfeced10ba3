//! LoRA's second half, which joins a product. Kernels: src/kernel/product.

use super::super::product::direct;

/// scale · low `[m, rank]` · Bᵀ, B `[n, rank]`: what a module's output gets.
pub fn up(m: usize, n: usize, rank: usize, scale: f64, b: &[f64], low: &[f64]) -> Vec<f64> {
    direct::forward(m, n, rank, b, low).into_iter().map(|value| scale * value).collect()
}

/// scale · low `[m, rank]` · A, A `[rank, k]`: what the gradient of a module's input gets, low = dy·B.
pub fn up_x(m: usize, rank: usize, k: usize, scale: f64, a: &[f64], low: &[f64]) -> Vec<f64> {
    direct::backward_x(m, rank, k, a, low).into_iter().map(|value| scale * value).collect()
}
