// An input that SwiGLU makes on the way (Shazeer, 2020): silu(x) · up.
@group(0) @binding(12) var<storage, read> up: array<vec4<f32>>;   // [m, k / 4]

fn taken(at: u32, col4: u32, i: u32) -> vec4<f32> {
    let gate = x[at];
    return gate * vec4<f32>(sigmoid(gate.x), sigmoid(gate.y), sigmoid(gate.z), sigmoid(gate.w)) * up[at];
}
fn whole(at: u32, col4: u32, i: u32) -> vec4<f32> { return taken(at, col4, i); }
fn scaled(total: f32, thread: u32) -> f32 { return total; }
