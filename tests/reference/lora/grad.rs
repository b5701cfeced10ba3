//! The gradients of a LoRA module. Kernels: src/kernel/lora/grad.rs.

use super::super::product::direct;

/// d_low `[m, rank]` = scale · dy `[m, n]` · B `[n, rank]`.
pub fn back(m: usize, n: usize, rank: usize, scale: f64, b: &[f64], dy: &[f64]) -> Vec<f64> {
    direct::backward_x(m, n, rank, b, dy).into_iter().map(|value| scale * value).collect()
}

/// scale · leftᵀ · right, left `[m, rows]`, right `[m, cols]`: dA `[rank, k]` of d_low and x, dB `[n, rank]` of dy and low.
pub fn gradient(m: usize, rows: usize, cols: usize, scale: f64, left: &[f64], right: &[f64]) -> Vec<f64> {
    let sum = |r: usize, c: usize| (0..m).map(|i| left[i * rows + r] * right[i * cols + c]).sum::<f64>();
    (0..rows * cols).map(|at| scale * sum(at / cols, at % cols)).collect()
}
