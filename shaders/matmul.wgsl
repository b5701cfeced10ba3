// Products with a weight matrix W [n, k] that is stored row by row in some format (f32, f16, 8-bit, 4-bit).
//   forward     y[i,j]  = Σ_l x[i,l] · W[j,l]          (+ what y held, if `accumulate`)
//   backward_x  dx[i,l] = Σ_j dy[i,j] · W[j,l]         (+ what dx held, if `accumulate`)
// W may be rows `row0 ..` of a larger matrix: y and dy have `stride` columns and W's first row is column `row0`.
// Grid: a thread owns TM rows of the output, and 4 columns (forward) or 8 neighbouring columns (backward_x).
// Register tiles without workgroup memory; W is decoded once for TM rows. Reference: tests/reference/matmul.rs
//! use grid
struct Params { m: u32, n: u32, k: u32, row0: u32, stride: u32, accumulate: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(3) var<storage, read> x: array<vec4<f32>>;   // [m, k / 4]
@group(0) @binding(4) var<storage, read_write> y: array<f32>;   // [m, stride]
@group(0) @binding(5) var<storage, read> dy: array<f32>;   // [m, stride]
@group(0) @binding(6) var<storage, read_write> dx: array<vec4<f32>>;   // [m, k / 4]

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) thread: u32) {
    let tiles = (p.n + 3u) / 4u;
    let index = group_index(group, groups) * WG + thread;
    let col = (index % tiles) * 4u;
    let row = (index / tiles) * TM;
    if row >= p.m { return; } // guard
    let last = p.n - 1u;
    let k4 = p.k / 4u;
    var sum: array<vec4<f32>, TM>;
    for (var l = 0u; l < p.k / 8u; l++) {
        let w0 = load8(col, l, p.k);
        let w1 = load8(min(col + 1u, last), l, p.k);
        let w2 = load8(min(col + 2u, last), l, p.k);
        let w3 = load8(min(col + 3u, last), l, p.k);
        for (var i = 0u; i < TM; i++) {
            let at = min(row + i, p.m - 1u) * k4 + l * 2u;
            let a = x[at];
            let b = x[at + 1u];
            sum[i] += vec4<f32>(dot(a, w0[0]) + dot(b, w0[1]), dot(a, w1[0]) + dot(b, w1[1]),
                                dot(a, w2[0]) + dot(b, w2[1]), dot(a, w3[0]) + dot(b, w3[1]));
        }
    }
    for (var i = 0u; i < TM; i++) {
        if row + i < p.m {
            let at = (row + i) * p.stride + p.row0 + col;
            for (var j = 0u; j < 4u; j++) {
                if col + j < p.n {
                    y[at + j] = sum[i][j] + select(0.0, y[at + j], p.accumulate != 0u);
                }
            }
        }
    }
}

@compute @workgroup_size(WG)
fn backward_x(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
              @builtin(local_invocation_index) thread: u32) {
    let tiles = p.k / 8u;
    let index = group_index(group, groups) * WG + thread;
    let col8 = index % tiles;
    let row = (index / tiles) * TM;
    if row >= p.m { return; } // guard
    let k4 = p.k / 4u;
    var low: array<vec4<f32>, TM>;
    var high: array<vec4<f32>, TM>;
    for (var j = 0u; j < p.n; j++) {
        let weight = load8(j, col8, p.k);
        for (var i = 0u; i < TM; i++) {
            let d = dy[min(row + i, p.m - 1u) * p.stride + p.row0 + j];
            low[i] += d * weight[0];
            high[i] += d * weight[1];
        }
    }
    for (var i = 0u; i < TM; i++) {
        if row + i < p.m {
            let at = (row + i) * k4 + col8 * 2u;
            if p.accumulate != 0u {
                dx[at] += low[i];
                dx[at + 1u] += high[i];
            } else {
                dx[at] = low[i];
                dx[at + 1u] = high[i];
            }
        }
    }
}
