// Rotary position embedding (Su et al., 2021) in the half-split order of Hugging Face checkpoints, in place.
//   forward  (x[i], x[i+h]) → (x[i]·cos − x[i+h]·sin, x[i+h]·cos + x[i]·sin),   h = head_dim/2, i < h
// cos and sin come from a table by position; `sign` −1 rotates back, which is the gradient.
// Grid: a thread owns one pair. Reference: tests/reference/rope.rs
//! use grid
struct Params { rows: u32, heads: u32, head_dim: u32, sign: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> position: array<u32>;   // [rows]
@group(0) @binding(2) var<storage, read> table: array<vec2<f32>>;   // [positions, head_dim / 2] of (cos, sin)
@group(0) @binding(3) var<storage, read_write> x: array<f32>;   // [rows, heads, head_dim]

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) thread: u32) {
    let h = p.head_dim / 2u;
    let index = group_index(group, groups) * WG + thread;
    if index >= p.rows * p.heads * h { return; } // guard
    let i = index % h;
    let head = index / h;
    let turn = table[position[head / p.heads] * h + i];
    let s = turn.y * p.sign;
    let at = head * p.head_dim + i;
    let a = x[at];
    let b = x[at + h];
    x[at] = a * turn.x - b * s;
    x[at + h] = b * turn.x + a * s;
}
