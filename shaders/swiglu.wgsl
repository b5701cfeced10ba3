// The gate of SwiGLU and of GeGLU (Shazeer, 2020): an import says which act (silu, gelu_tanh).
//   forward   y = act(g)·u
//   backward  dg = dy·u·act'(g),   du = dy·act(g)
// Grid: a thread owns one element. Reference: tests/reference/swiglu.rs
//! use grid
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
    y[i] = activated(g[i]) * u[i];
}

@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
            @builtin(local_invocation_index) thread: u32) {
    let i = group_index(group, groups) * WG + thread;
    if i >= p.len { return; } // guard
    dg[i] = dy[i] * u[i] * activated_slope(g[i]);
    du[i] = dy[i] * activated(g[i]);
}
