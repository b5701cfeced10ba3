// What a gate goes through in SwiGLU: silu(x) = x·σ(x), and its derivative σ(x)·(1 + x·σ(−x)).
// The exponent is bounded because shader compilers may assume that infinity does not occur.
fn sigmoid(x: f32) -> f32 { return 1.0 / (1.0 + exp(min(-x, 80.0))); }
fn activated(x: f32) -> f32 { return x * sigmoid(x); }
// σ(−x) instead of 1 − σ(x), which has no digits left where x is large.
fn activated_slope(x: f32) -> f32 { return sigmoid(x) * (1.0 + x * sigmoid(-x)); }
