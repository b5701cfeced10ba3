// The end of a product with no adapter: nothing is added.
fn adapt(sum: ptr<function, array<f32, TM * TN>>, row: u32, col: u32, low_col: u32, high_col: u32) { }
fn adapted(row: u32, col: u32) -> f32 { return 0.0; }
fn adapted_x(row: u32, col4: u32) -> vec4<f32> { return vec4<f32>(); }
fn adapt_x(first: ptr<function, array<vec4<f32>, TM * TN>>, second: ptr<function, array<vec4<f32>, TM * TN>>,
           row: u32, col8: u32) { }
