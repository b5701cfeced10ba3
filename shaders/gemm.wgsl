// Small dense products of f32 matrices with any strides: LoRA's rank dimension on either side.
//   c[i,j] = alpha · Σ_l a(i,l) · b(l,j)  + beta · c[i,j]
//   a(i,l) = a[i·a_row + l·a_col],  b(l,j) = b[l·b_row + j·b_col],  c is row-major [m, n]
// Used for  t = x·Aᵀ,  y += s·t·Bᵀ,  dt = s·dy·B,  dx += dt·A,  dA += dtᵀ·x,  dB += s·dyᵀ·t.
// Grid: forward: a thread owns a TM x TN tile of c; sums run over l in order. forward_shared: a workgroup owns such a tile; its
// threads share out l and add up in a fixed order. Reference: tests/reference/gemm.rs
//! use grid
//! use share
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
    let tiles = (p.n + TN - 1u) / TN;
    let index = group_index(group, groups) * WG + thread;
    let col = (index % tiles) * TN;
    let row = (index / tiles) * TM;
    if row >= p.m { return; } // guard
    var sum: array<f32, TM * TN>;
    for (var l = 0u; l < p.k; l++) {
        var right = array<f32, TN>();
        for (var j = 0u; j < TN; j++) { // unroll
            right[j] = b[l * p.b_row + min(col + j, p.n - 1u) * p.b_col];
        }
        for (var i = 0u; i < TM; i++) { // unroll
            let left = a[min(row + i, p.m - 1u) * p.a_row + l * p.a_col];
            for (var j = 0u; j < TN; j++) { // unroll
                sum[i * TN + j] += left * right[j];
            }
        }
    }
    for (var i = 0u; i < TM; i++) { // unroll
        for (var j = 0u; j < TN; j++) { // unroll
            if row + i < p.m && col + j < p.n {
                let to = (row + i) * p.n + col + j;
                // beta 0 must not read c: it may hold anything, NaN included.
                if p.beta == 0.0 {
                    c[to] = p.alpha * sum[i * TN + j];
                } else {
                    c[to] = p.alpha * sum[i * TN + j] + p.beta * c[to];
                }
            }
        }
    }
}

@compute @workgroup_size(WG)
fn forward_shared(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                  @builtin(local_invocation_index) thread: u32) {
    let tiles = (p.n + TN - 1u) / TN;
    let index = group_index(group, groups);
    let col = (index % tiles) * TN;
    let row = (index / tiles) * TM;
    if row >= p.m { return; } // guard, the same for the whole workgroup
    var sum: array<f32, TM * TN>;
    for (var l = thread; l < p.k; l += WG) {
        var right = array<f32, TN>();
        for (var j = 0u; j < TN; j++) { // unroll
            right[j] = b[l * p.b_row + min(col + j, p.n - 1u) * p.b_col];
        }
        for (var i = 0u; i < TM; i++) { // unroll
            let left = a[min(row + i, p.m - 1u) * p.a_row + l * p.a_col];
            for (var j = 0u; j < TN; j++) { // unroll
                sum[i * TN + j] += left * right[j];
            }
        }
    }
    for (var i = 0u; i < TM; i++) { // unroll
        for (var j = 0u; j < TN; j++) { // unroll
            parts[(i * TN + j) * WG + thread] = sum[i * TN + j];
        }
    }
    let total = shared_sum(thread);
    let i = thread / TN;
    let j = thread % TN;
    if i >= TM || row + i >= p.m || col + j >= p.n { return; } // guard, no barrier follows
    let to = (row + i) * p.n + col + j;
    // beta 0 must not read c: it may hold anything, NaN included.
    if p.beta == 0.0 {
        c[to] = p.alpha * total;
    } else {
        c[to] = p.alpha * total + p.beta * c[to];
    }
}
