// The products of direct.wgsl for many rows on a GPU: a workgroup owns BM rows and BN columns of the output and goes along the
// sum in steps, whose operands it first puts into workgroup memory. There W is decoded once for BM rows, x is read once for BN
// columns.
//   forward     y[i,j]  = Σ_l x[i,l] · W[j,l]  + LoRA + bias  (+ what y held, if `accumulate`)
//   backward_x  dx[i,l] = Σ_j dy[i,j] · W[j,l]  + LoRA  (+ what dx held, if `accumulate`)
// In forward a thread owns TM rows and TN columns, which lie DM and DN apart, so that neighbouring threads read and write
// neighbours. In backward_x it owns TM rows and TN times 8 neighbouring columns; BN counts columns.
// Arithmetic and ends of the sums as in direct.wgsl. Reference: tests/reference/product/tiled.rs
//! use grid
//! use segments
@group(0) @binding(3) var<storage, read> x: array<vec4<f32>>;   // [m, k / 4]
@group(0) @binding(4) var<storage, read_write> y: array<f32>;   // what `y_at` counts in
@group(0) @binding(5) var<storage, read> dy: array<f32>;   // what `y_at` counts in
@group(0) @binding(6) var<storage, read_write> dx: array<vec4<f32>>;   // [m, k / 4]

// Groups of 8 along k in a step of forward. A row in workgroup memory is one longer, against bank conflicts.
const DEPTH: u32 = 2u;
const ROW: u32 = DEPTH + 1u;
var<workgroup> tile_x: array<Input8, BM * ROW>;
var<workgroup> tile_w: array<Weight8, BN * ROW>;

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) thread: u32) {
    let blocks = (p.n + BN - 1u) / BN;
    let index = group_index(group, groups);
    let first_col = (index % blocks) * BN;
    let first_row = (index / blocks) * BM;
    if first_row >= p.m { return; } // guard, the same for the whole workgroup
    let k8 = p.k / 8u;
    let my_row = thread / DN;
    let my_col = thread % DN;
    var sum: array<f32, TM * TN>;
    for (var start = 0u; start < k8; start += DEPTH) {
        for (var u = thread; u < (BM + BN) * DEPTH; u += WG) {
            let l = start + u % DEPTH;
            if u < BM * DEPTH {
                let i = u / DEPTH;
                let at = min(first_row + i, p.m - 1u) * (p.k / 4u) + min(l, k8 - 1u) * 2u;
                // Behind the end of the row stand zeros, so that it does not matter what stands there of W.
                let inside = l < k8;
                tile_x[i * ROW + u % DEPTH] = input8(select(vec4<f32>(), x[at], inside), select(vec4<f32>(), x[at + 1u], inside));
            } else {
                let j = u / DEPTH - BM;
                tile_w[j * ROW + u % DEPTH] = weight8(p.first + min(first_col + j, p.n - 1u), min(l, k8 - 1u), p.k);
            }
        }
        workgroupBarrier();
        for (var d = 0u; d < DEPTH; d++) {
            var input = array<Input8, TM>();
            for (var i = 0u; i < TM; i++) { // unroll
                input[i] = tile_x[(my_row + i * DM) * ROW + d];
            }
            for (var j = 0u; j < TN; j++) { // unroll
                let weight = tile_w[(my_col + j * DN) * ROW + d];
                for (var i = 0u; i < TM; i++) { // unroll
                    sum[i * TN + j] += product8(input[i], weight);
                }
            }
        }
        workgroupBarrier();
    }
    let row = first_row + my_row;
    let col = first_col + my_col;
    adapt(&sum, row, col, col, col + (TN - 1u) * DN);
    for (var j = 0u; j < TN; j++) { // unroll
        if col + j * DN < p.n {
            let start = y_index(row, col + j * DN);
            let step = y_step(col + j * DN) * DM;
            let more = bias_of(col + j * DN);
            for (var i = 0u; i < TM; i++) { // unroll
                if row + i * DM < p.m {
                    let at = start + i * step;
                    y[at] = sum[i * TN + j] + more + select(0.0, y[at], p.accumulate != 0u);
                }
            }
        }
    }
}

// Rows of W in a step of backward_x.
const STEP: u32 = 16u;
const BN8: u32 = BN / 8u;
var<workgroup> tile_dy: array<f32, BM * (STEP + 1u)>;   // [BM, STEP + 1]
var<workgroup> tile_rows: array<mat2x4<f32>, STEP * BN8>;   // [STEP, BN / 8]

@compute @workgroup_size(WG)
fn backward_x(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
              @builtin(local_invocation_index) thread: u32) {
    let k8 = p.k / 8u;
    let blocks = (k8 + BN8 - 1u) / BN8;
    let index = group_index(group, groups);
    let first_col8 = (index % blocks) * BN8;
    let first_row = (index / blocks) * BM;
    if first_row >= p.m { return; } // guard, the same for the whole workgroup
    let my_row = thread / (BN8 / TN) * TM;
    let my_col8 = thread % (BN8 / TN) * TN;
    var first: array<vec4<f32>, TM * TN>;
    var second: array<vec4<f32>, TM * TN>;
    for (var start = 0u; start < p.n; start += STEP) {
        for (var u = thread; u < BM * STEP; u += WG) {
            let j = start + u % STEP;
            let at = y_index(min(first_row + u / STEP, p.m - 1u), min(j, p.n - 1u));
            tile_dy[u / STEP * (STEP + 1u) + u % STEP] = select(0.0, dy[at], j < p.n);
        }
        for (var u = thread; u < STEP * BN8; u += WG) {
            tile_rows[u] = load8(p.first + min(start + u / BN8, p.n - 1u), min(first_col8 + u % BN8, k8 - 1u), p.k);
        }
        workgroupBarrier();
        for (var j = 0u; j < STEP; j++) {
            var d = array<f32, TM>();
            for (var i = 0u; i < TM; i++) { // unroll
                d[i] = tile_dy[(my_row + i) * (STEP + 1u) + j];
            }
            for (var c = 0u; c < TN; c++) { // unroll
                let weight = tile_rows[j * BN8 + my_col8 + c];
                for (var i = 0u; i < TM; i++) { // unroll
                    first[i * TN + c] += d[i] * weight[0];
                    second[i * TN + c] += d[i] * weight[1];
                }
            }
        }
        workgroupBarrier();
    }
    let row = first_row + my_row;
    let col8 = first_col8 + my_col8;
    adapt_x(&first, &second, row, col8);
    for (var i = 0u; i < TM; i++) { // unroll
        if row + i < p.m {
            for (var c = 0u; c < TN; c++) { // unroll
                if col8 + c < k8 {
                    let at = (row + i) * (p.k / 4u) + (col8 + c) * 2u;
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
