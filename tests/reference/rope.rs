//! Rotary position embedding. Kernel: src/kernel/rope.rs.

/// x `[rows, heads, head_dim]` rotated by position, the first `turned` values of each head; table `[positions, head_dim / 2]` of (cos, sin).
/// `sign` −1 rotates back.
pub fn rotate(
    [head_dim, turned]: [usize; 2],
    sign: f64,
    position: &[u32],
    table: &[f64],
    x: &[f64],
) -> Vec<f64> {
    let mut y = x.to_vec();
    let half = head_dim / 2;
    let cols = x.len() / position.len();
    for (row, &position) in y.chunks_mut(cols).zip(position) {
        for head in row.chunks_mut(head_dim) {
            let r = turned / 2;
            for i in 0..r {
                let at = (position as usize * half + i) * 2;
                let (cos, sin) = (table[at], table[at + 1] * sign);
                let (a, b) = (head[i], head[i + r]);
                head[i] = a * cos - b * sin;
                head[i + r] = b * cos + a * sin;
            }
        }
    }
    y
}
