// Rows by index, and back.
//   forward   y[i,:] = x[index[i],:]        (zero where index[i] is NONE)
//   backward  dx[row,:] = Σ_i dy[i,:] over the i with index[i] = row   (they lie side by side; rows that none names keep what they held)
// Grid: a thread owns one element, in backward of dy. Reference: tests/reference/gather.rs
//! use grid
struct Params { m: u32, cols: u32 }
const NONE: u32 = 0xffffffffu;
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> index: array<u32>;   // [m]
@group(0) @binding(2) var<storage, read> x: array<f32>;   // [rows, cols]
@group(0) @binding(3) var<storage, read_write> y: array<f32>;   // [m, cols]
@group(0) @binding(4) var<storage, read> dy: array<f32>;   // [m, cols]
@group(0) @binding(5) var<storage, read_write> dx: array<f32>;   // [rows, cols]

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) thread: u32) {
    let at = group_index(group, groups) * WG + thread;
    if at >= p.m * p.cols { return; } // guard
    let row = index[at / p.cols];
    var value = 0.0;
    if row != NONE { value = x[row * p.cols + at % p.cols]; }
    y[at] = value;
}

@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
            @builtin(local_invocation_index) thread: u32) {
    let at = group_index(group, groups) * WG + thread;
    if at >= p.m * p.cols { return; } // guard
    let i = at / p.cols;
    let row = index[i];
    if row == NONE { return; } // guard
    if i > 0u && index[max(i, 1u) - 1u] == row { return; } // guard, the first of a row adds up
    var sum = dy[at];
    for (var next = i + 1u; next < p.m; next++) {
        if index[next] != row { break; }
        sum += dy[next * p.cols + at % p.cols];
    }
    dx[row * p.cols + at % p.cols] = sum;
}
