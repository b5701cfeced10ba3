//! SwiGLU's gate. Kernel: src/kernel/swiglu.rs.

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// y = silu(g) · u.
pub fn forward(g: &[f64], u: &[f64]) -> Vec<f64> {
    g.iter().zip(u).map(|(&g, u)| g * sigmoid(g) * u).collect()
}

/// (dg, du) from dy.
pub fn backward(g: &[f64], u: &[f64], dy: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let dg = |i: usize| {
        let s = sigmoid(g[i]);
        dy[i] * u[i] * (s + g[i] * s * (1.0 - s))
    };
    let du = |i: usize| dy[i] * g[i] * sigmoid(g[i]);
    ((0..g.len()).map(dg).collect(), (0..g.len()).map(du).collect())
}
