//! Attention of one new token a row over its paged cache. Kernel: src/kernel/attention/decode.rs.

/// Sizes of the heads and of the pages.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    pub scale: f64,
    pub page: usize,
    /// Positions that a row sees.
    pub window: usize,
}

/// o of one row from its query `[heads, head_dim]`: softmax over the last `window` of positions 0 ..= position.
pub fn forward_row(
    layout: Layout,
    position: usize,
    pages: &[u32],
    q: &[f64],
    k_pages: &[f64],
    v_pages: &[f64],
) -> Vec<f64> {
    let mut o = vec![0.0; layout.heads * layout.head_dim];
    for head in 0..layout.heads {
        let query = &q[head * layout.head_dim..][..layout.head_dim];
        let at = |j: usize| {
            let place = pages[j / layout.page] as usize * layout.page + j % layout.page;
            (place * layout.kv_heads + head * layout.kv_heads / layout.heads) * layout.head_dim
        };
        let score =
            |j: usize| layout.scale * query.iter().zip(&k_pages[at(j)..]).map(|(q, k)| q * k).sum::<f64>();
        let seen = (position + 1).saturating_sub(layout.window)..=position;
        let scores: Vec<f64> = seen.clone().map(score).collect();
        let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = scores.iter().map(|s| (s - largest).exp()).sum();
        for (j, s) in seen.zip(&scores) {
            for i in 0..layout.head_dim {
                o[head * layout.head_dim + i] += (s - largest).exp() / total * v_pages[at(j) + i];
            }
        }
    }
    o
}
