// The exponent is bounded because shader compilers may assume that infinity does not occur.
fn sigmoid(x: f32) -> f32 { return 1.0 / (1.0 + exp(min(-x, 80.0))); }
