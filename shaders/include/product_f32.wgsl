// Sums of 8 products in f32: `product8` of 8 inputs and 8 neighbouring weights.
alias Input8 = mat2x4<f32>;
alias Weight8 = mat2x4<f32>;
fn input8(low: vec4<f32>, high: vec4<f32>) -> Input8 { return Input8(low, high); }
fn weight8(row: u32, col8: u32, cols: u32) -> Weight8 { return load8(row, col8, cols); }
fn product8(x: Input8, w: Weight8) -> f32 { return dot(x[0], w[0]) + dot(x[1], w[1]); }
