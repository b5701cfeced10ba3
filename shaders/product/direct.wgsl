// Products with a weight matrix W [n, k] that is stored row by row in some format (f32, f16, 8-bit, 4-bit).
//   forward     y[i,j]  = Σ_l x[i,l] · W[j,l]  + LoRA + bias  (+ what y held, if `accumulate`)
//   backward_x  dx[i,l] = Σ_j dy[i,j] · W[j,l]  + LoRA  (+ what dx held, if `accumulate`)
// W may be rows `row0 ..` of a larger matrix, and y several matrices: see segments.wgsl.
// Grid: a thread owns TM rows of the output and TN columns (forward) or TN times 8 neighbouring columns (backward_x).
// Register tiles without workgroup memory; W is decoded once for TM rows.
// Products end as an import says (adapted: with LoRA's second half; plain). The forward ones multiply as another says
// (product_f32, product_f16). backward_x is always f32: gradients span more powers of two than f16 has, and the small ones
// would be lost. Reference: tests/reference/product/direct.rs
//! use grid
//! use segments
@group(0) @binding(3) var<storage, read> x: array<vec4<f32>>;   // [m, k / 4]
@group(0) @binding(4) var<storage, read_write> y: array<f32>;   // what `y_at` counts in
@group(0) @binding(5) var<storage, read> dy: array<f32>;   // what `y_at` counts in
@group(0) @binding(6) var<storage, read_write> dx: array<vec4<f32>>;   // [m, k / 4]

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) thread: u32) {
    let tiles = (p.n + TN - 1u) / TN;
    let index = group_index(group, groups) * WG + thread;
    let col = (index % tiles) * TN;
    let row = (index / tiles) * TM;
    if row >= p.m { return; } // guard
    let last = p.n - 1u;
    let k4 = p.k / 4u;
    var sum: array<f32, TM * TN>;
    for (var l = 0u; l < p.k / 8u; l++) {
        var input = array<Input8, TM>();
        for (var i = 0u; i < TM; i++) { // unroll
            let at = min(row + i, p.m - 1u) * k4 + l * 2u;
            input[i] = input8(x[at], x[at + 1u]);
        }
        for (var j = 0u; j < TN; j++) { // unroll
            let weight = weight8(p.first + min(col + j, last), l, p.k);
            for (var i = 0u; i < TM; i++) { // unroll
                sum[i * TN + j] += product8(input[i], weight);
            }
        }
    }
    adapt(&sum, row, col, col, col + TN - 1u);
    for (var j = 0u; j < TN; j++) { // unroll
        if col + j < p.n {
            let start = y_index(row, col + j);
            let step = y_step(col + j);
            let more = bias_of(col + j);
            for (var i = 0u; i < TM; i++) { // unroll
                if row + i < p.m {
                    let at = start + i * step;
                    y[at] = sum[i * TN + j] + more + select(0.0, y[at], p.accumulate != 0u);
                }
            }
        }
    }
}

@compute @workgroup_size(WG)
fn backward_x(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
              @builtin(local_invocation_index) thread: u32) {
    let tiles = (p.k / 8u + TN - 1u) / TN;
    let index = group_index(group, groups) * WG + thread;
    let col8 = (index % tiles) * TN;
    let row = (index / tiles) * TM;
    if row >= p.m { return; } // guard
    let k4 = p.k / 4u;
    let last = p.k / 8u - 1u;
    var first: array<vec4<f32>, TM * TN>;
    var second: array<vec4<f32>, TM * TN>;
    for (var s = 0u; s < 3u; s++) {
        let width = segment_width(s);
        for (var j = max(p.start[s], p.row0); j < min(p.start[s + 1u], p.row0 + p.n); j++) {
            var weight = array<mat2x4<f32>, TN>();
            for (var c = 0u; c < TN; c++) { // unroll
                weight[c] = load8(p.first + j - p.row0, min(col8 + c, last), p.k);
            }
            for (var i = 0u; i < TM; i++) { // unroll
                let d = dy[p.y_at[s] + min(row + i, p.m - 1u) * width + j - p.start[s]];
                for (var c = 0u; c < TN; c++) { // unroll
                    first[i * TN + c] += d * weight[c][0];
                    second[i * TN + c] += d * weight[c][1];
                }
            }
        }
    }
    adapt_x(&first, &second, row, col8);
    for (var i = 0u; i < TM; i++) { // unroll
        if row + i < p.m {
            for (var c = 0u; c < TN; c++) { // unroll
                if col8 + c <= last {
                    let at = (row + i) * k4 + (col8 + c) * 2u;
                    if p.accumulate != 0u {
                        dx[at] += first[i * TN + c];
                        dx[at + 1u] += second[i * TN + c];
                    } else {
                        dx[at] = first[i * TN + c];
                        dx[at + 1u] = second[i * TN + c];
                    }
                }
            }
        }
    }
}
