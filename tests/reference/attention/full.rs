//! Causal attention over packed sequences. Kernel: src/kernel/attention/full.rs.

/// Sizes and what each token sees: first token and end of the beginning that its sequence shares, first token of its own rows, and the
/// end of the tokens that may see it, which nothing here needs.
#[derive(Debug, Clone, Copy)]
pub struct Layout<'a> {
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    pub scale: f64,
    pub span: &'a [[u32; 4]],
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

impl Layout<'_> {
    fn query<'b>(&self, data: &'b [f64], token: usize, head: usize) -> &'b [f64] {
        &data[(token * self.heads + head) * self.head_dim..][..self.head_dim]
    }

    /// The key or value that a query head reads.
    fn kv<'b>(&self, data: &'b [f64], token: usize, head: usize) -> &'b [f64] {
        &data[self.kv_at(token, head)..][..self.head_dim]
    }

    fn kv_at(&self, token: usize, head: usize) -> usize {
        (token * self.kv_heads + head * self.kv_heads / self.heads) * self.head_dim
    }

    /// Tokens that `token` sees, the softmax over them, and the log of its denominator.
    fn softmax(&self, q: &[f64], k: &[f64], token: usize, head: usize) -> (Vec<usize>, Vec<f64>, f64) {
        let [shared, shared_end, first, _] = self.span[token].map(|place| place as usize);
        let seen: Vec<usize> = (shared..shared_end).chain(first..=token).collect();
        let score = |&j: &usize| self.scale * dot(self.query(q, token, head), self.kv(k, j, head));
        let scores: Vec<f64> = seen.iter().map(score).collect();
        let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let lse = largest + scores.iter().map(|s| (s - largest).exp()).sum::<f64>().ln();
        (seen, scores.iter().map(|s| (s - lse).exp()).collect(), lse)
    }
}

/// (o `[tokens, heads, head_dim]`, log of the denominators `[tokens, heads]`).
pub fn forward(layout: Layout<'_>, q: &[f64], k: &[f64], v: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let (mut o, mut lse) = (Vec::new(), Vec::new());
    for token in 0..layout.span.len() {
        for head in 0..layout.heads {
            let (seen, weights, log_total) = layout.softmax(q, k, token, head);
            let mut sum = vec![0.0; layout.head_dim];
            for (j, weight) in seen.into_iter().zip(weights) {
                for (sum, v) in sum.iter_mut().zip(layout.kv(v, j, head)) {
                    *sum += weight * v;
                }
            }
            o.extend(sum);
            lse.push(log_total);
        }
    }
    (o, lse)
}

/// (dq, dk, dv) from do: the derivative of the softmax written out, without the saved statistics.
pub fn backward(
    layout: Layout<'_>,
    q: &[f64],
    k: &[f64],
    v: &[f64],
    d_out: &[f64],
) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let (mut dq, mut dk, mut dv) = (vec![0.0; q.len()], vec![0.0; k.len()], vec![0.0; v.len()]);
    for token in 0..layout.span.len() {
        for head in 0..layout.heads {
            let (seen, weights, _) = layout.softmax(q, k, token, head);
            let grad = layout.query(d_out, token, head);
            let d_weights: Vec<f64> = seen.iter().map(|&j| dot(grad, layout.kv(v, j, head))).collect();
            let mean = dot(&weights, &d_weights);
            for (&j, (weight, d_weight)) in seen.iter().zip(weights.iter().zip(&d_weights)) {
                let d_score = weight * (d_weight - mean) * layout.scale;
                let at = layout.kv_at(j, head);
                let query = (token * layout.heads + head) * layout.head_dim;
                for i in 0..layout.head_dim {
                    dq[query + i] += d_score * k[at + i];
                    dk[at + i] += d_score * q[query + i];
                    dv[at + i] += weight * grad[i];
                }
            }
        }
    }
    (dq, dk, dv)
}
