// Adds a row vector to every row, in place.
//   forward  y[r,c] += bias[c]
// Grid: a thread owns one element. Reference: tests/reference/add_bias.rs
//! use grid
struct Params { rows: u32, cols: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> bias: array<f32>;   // [cols]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;   // [rows, cols]

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) thread: u32) {
    let index = group_index(group, groups) * WG + thread;
    if index >= p.rows * p.cols { return; } // guard
    y[index] += bias[index % p.cols];
}
