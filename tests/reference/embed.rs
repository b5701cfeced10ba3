//! Embedding rows by token. Kernel: src/kernel/embed.rs.

/// The rows of W `[_, cols]` named by token, times `scale`.
pub fn forward(cols: usize, w: &[f64], token: &[u32], scale: f64) -> Vec<f64> {
    token.iter().flat_map(|&token| w[token as usize * cols..][..cols].iter().map(|w| scale * w)).collect()
}
