//! Embedding rows by token. Kernel: src/kernel/embed.rs.

/// The rows of W `[_, cols]` named by token.
pub fn forward(cols: usize, w: &[f64], token: &[u32]) -> Vec<f64> {
    token.iter().flat_map(|&token| w[token as usize * cols..][..cols].to_vec()).collect()
}
