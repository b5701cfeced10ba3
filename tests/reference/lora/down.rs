//! LoRA's first half. Kernel: src/kernel/lora/down.rs.

use super::super::product::direct;

/// t `[m, rank]` = x `[m, k]` · Aᵀ.
pub fn down(m: usize, rank: usize, k: usize, a: &[f64], x: &[f64]) -> Vec<f64> {
    direct::forward(m, rank, k, a, x)
}
