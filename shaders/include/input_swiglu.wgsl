// An input that a gate makes on the way (Shazeer, 2020): act(x) · up, act an import of its own (silu, gelu_tanh).
@group(0) @binding(12) var<storage, read> up: array<vec4<f32>>;   // [m, k / 4]

fn taken(at: u32, col4: u32, i: u32) -> vec4<f32> {
    let gate = x[at];
    return vec4<f32>(activated(gate.x), activated(gate.y), activated(gate.z), activated(gate.w)) * up[at];
}
fn whole(at: u32, col4: u32, i: u32) -> vec4<f32> { return taken(at, col4, i); }
fn scaled(total: f32, thread: u32) -> f32 { return total; }
