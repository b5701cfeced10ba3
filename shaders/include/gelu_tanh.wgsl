// What a gate goes through in GeGLU: GELU by its tanh formula (Hendrycks and Gimpel, 2016), and its derivative.
//   gelu(x) = x/2·(1 + tanh(z)) = x·σ(2z),   z = √(2/π)·(x + 0.044715·x³),   z' = √(2/π)·(1 + 3·0.044715·x²)
//   gelu'(x) = σ(2z)·(1 + 2z'·x·σ(−2z))
// By σ, because WGSL's tanh may overflow. z stands still where σ is long 0 or 1, and the exponent is bounded as in silu.wgsl.
const ROOT: f32 = 0.7978845608028654;   // √(2/π)
fn bounded(x: f32) -> f32 { return clamp(x, -20.0, 20.0); }
fn sigmoid(x: f32) -> f32 { return 1.0 / (1.0 + exp(min(-x, 80.0))); }
fn twice_z(x: f32) -> f32 { return 2.0 * ROOT * x * (1.0 + 0.044715 * x * x); }
fn activated(x: f32) -> f32 { return x * sigmoid(twice_z(bounded(x))); }
fn activated_slope(x: f32) -> f32 {
    let b = bounded(x);
    let z = twice_z(b);
    return sigmoid(z) * (1.0 + 2.0 * ROOT * (1.0 + 0.134145 * b * b) * b * sigmoid(-z));
}
