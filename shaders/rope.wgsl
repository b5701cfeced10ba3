// Rotary position embedding (Su et al., 2021) of queries and keys in the half-split order of Hugging Face checkpoints, in place.
//   forward  (x[i], x[i+h]) → (x[i]·cos − x[i+h]·sin, x[i+h]·cos + x[i]·sin),   h = head_dim/2, i < h
// cos and sin come from a table by position; `sign` −1 rotates back, which is the gradient.
// Grid: a thread owns one pair; a row's queries come before its keys. Reference: tests/reference/rope.rs
//! use grid
struct Params { rows: u32, heads: u32, kv_heads: u32, head_dim: u32, sign: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> position: array<u32>;   // [rows]
@group(0) @binding(2) var<storage, read> table: array<vec2<f32>>;   // [positions, head_dim / 2] of (cos, sin)
@group(0) @binding(3) var<storage, read_write> q: array<f32>;   // [rows, heads, head_dim]
@group(0) @binding(4) var<storage, read_write> k: array<f32>;   // [rows, kv_heads, head_dim]

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) thread: u32) {
    let h = p.head_dim / 2u;
    let index = group_index(group, groups) * WG + thread;
    let all = p.heads + p.kv_heads;
    if index >= p.rows * all * h { return; } // guard
    let i = index % h;
    let head = index / h % all;
    let row = index / h / all;
    let turn = table[position[row] * h + i];
    let s = turn.y * p.sign;
    if head < p.heads {
        let at = (row * p.heads + head) * p.head_dim + i;
        let a = q[at];
        let b = q[at + h];
        q[at] = a * turn.x - b * s;
        q[at + h] = b * turn.x + a * s;
    } else {
        let at = (row * p.kv_heads + head - p.heads) * p.head_dim + i;
        let a = k[at];
        let b = k[at + h];
        k[at] = a * turn.x - b * s;
        k[at + h] = b * turn.x + a * s;
    }
}
