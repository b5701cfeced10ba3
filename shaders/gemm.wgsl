// Small dense products of f32 matrices with any strides: LoRA's rank dimension on either side.
//   c[i,j] = alpha · Σ_l a(i,l) · b(l,j)  + beta · c[i,j]
//   a(i,l) = a[i·a_row + l·a_col],  b(l,j) = b[l·b_row + j·b_col],  c is row-major [m, n]
// Used for  t = x·Aᵀ,  y += s·t·Bᵀ,  dt = s·dy·B,  dx += dt·A,  dA += dtᵀ·x,  dB += s·dyᵀ·t.
// Grid: a thread owns a 4x4 tile of c; sums run over l in order. Reference: tests/reference/gemm.rs
//! use grid
struct Params {
    m: u32, n: u32, k: u32,
    a_row: u32, a_col: u32, b_row: u32, b_col: u32,
    alpha: f32, beta: f32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;   // [m, k] by strides
@group(0) @binding(2) var<storage, read> b: array<f32>;   // [k, n] by strides
@group(0) @binding(3) var<storage, read_write> c: array<f32>;   // [m, n]

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) thread: u32) {
    let tiles = (p.n + 3u) / 4u;
    let index = group_index(group, groups) * WG + thread;
    let col = (index % tiles) * 4u;
    let row = (index / tiles) * 4u;
    if row >= p.m { return; } // guard
    let rows = min(vec4<u32>(row, row + 1u, row + 2u, row + 3u), vec4<u32>(p.m - 1u)) * p.a_row;
    let cols = min(vec4<u32>(col, col + 1u, col + 2u, col + 3u), vec4<u32>(p.n - 1u)) * p.b_col;
    var sum: mat4x4<f32>;
    for (var l = 0u; l < p.k; l++) {
        let at = l * p.a_col;
        let bt = l * p.b_row;
        let right = vec4<f32>(b[bt + cols.x], b[bt + cols.y], b[bt + cols.z], b[bt + cols.w]);
        sum[0] += a[at + rows.x] * right;
        sum[1] += a[at + rows.y] * right;
        sum[2] += a[at + rows.z] * right;
        sum[3] += a[at + rows.w] * right;
    }
    for (var i = 0u; i < 4u; i++) {
        for (var j = 0u; j < 4u; j++) {
            if row + i < p.m && col + j < p.n {
                let to = (row + i) * p.n + col + j;
                // beta 0 must not read c: it may hold anything, NaN included.
                if p.beta == 0.0 {
                    c[to] = p.alpha * sum[i][j];
                } else {
                    c[to] = p.alpha * sum[i][j] + p.beta * c[to];
                }
            }
        }
    }
}
