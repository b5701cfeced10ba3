// An input as it is.
fn taken(at: u32, col4: u32, i: u32) -> vec4<f32> { return x[at]; }
fn scaled(total: f32, thread: u32) -> f32 { return total; }
