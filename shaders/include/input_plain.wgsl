// An input as it is.
fn taken(x: vec4<f32>, at: u32, row: u32) -> vec4<f32> { return x; }
fn scaled(total: f32, thread: u32) -> f32 { return total; }
