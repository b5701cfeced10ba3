// SwiGLU's gate (Shazeer, 2020).
//   forward   y = silu(g)·u,   silu(g) = g·σ(g)
//   backward  dg = dy·u·σ(g)·(1 + g·σ(−g)),   du = dy·silu(g)
// Grid: a thread owns one element. Reference: tests/reference/swiglu.rs
//! use grid
//! use sigmoid
struct Params { len: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> g: array<f32>;   // [len]
@group(0) @binding(2) var<storage, read> u: array<f32>;   // [len]
@group(0) @binding(3) var<storage, read_write> y: array<f32>;   // [len]
@group(0) @binding(4) var<storage, read> dy: array<f32>;   // [len]
@group(0) @binding(5) var<storage, read_write> dg: array<f32>;   // [len]
@group(0) @binding(6) var<storage, read_write> du: array<f32>;   // [len]

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) thread: u32) {
    let i = group_index(group, groups) * WG + thread;
    if i >= p.len { return; } // guard
    y[i] = g[i] * sigmoid(g[i]) * u[i];
}

@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
            @builtin(local_invocation_index) thread: u32) {
    let i = group_index(group, groups) * WG + thread;
    if i >= p.len { return; } // guard
    let sigma = sigmoid(g[i]);
    // σ(−g) instead of 1 − σ(g), which has no digits left where g is large.
    dg[i] = dy[i] * u[i] * sigma * (1.0 + g[i] * sigmoid(-g[i]));
    du[i] = dy[i] * g[i] * sigma;
}
