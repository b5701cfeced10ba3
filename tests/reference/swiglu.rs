//! The gate of SwiGLU and of GeGLU. Kernel: src/kernel/swiglu.rs.

use stepladder::kernel::swiglu::Activation;

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// √(2/π)·(x + 0.044715·x³), and its derivative.
fn inner(x: f64) -> [f64; 2] {
    let root = (2.0 / std::f64::consts::PI).sqrt();
    [root * (x + 0.044_715 * x.powi(3)), root * (1.0 + 3.0 * 0.044_715 * x * x)]
}

/// What the gate goes through.
fn act(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Silu => x * sigmoid(x),
        Activation::GeluTanh => 0.5 * x * (1.0 + inner(x)[0].tanh()),
    }
}

/// Its derivative.
fn slope(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Silu => sigmoid(x) + x * sigmoid(x) * (1.0 - sigmoid(x)),
        Activation::GeluTanh => {
            let [z, dz] = inner(x);
            0.5 * (1.0 + z.tanh()) + 0.5 * x * (1.0 - z.tanh().powi(2)) * dz
        }
    }
}

/// y = act(g) · u.
pub fn forward(activation: Activation, g: &[f64], u: &[f64]) -> Vec<f64> {
    g.iter().zip(u).map(|(&g, u)| act(activation, g) * u).collect()
}

/// (dg, du) from dy.
pub fn backward(activation: Activation, g: &[f64], u: &[f64], dy: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let dg = |i: usize| dy[i] * u[i] * slope(activation, g[i]);
    let du = |i: usize| dy[i] * act(activation, g[i]);
    ((0..g.len()).map(dg).collect(), (0..g.len()).map(du).collect())
}
