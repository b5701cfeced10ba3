// The products of matmul.wgsl for several rows on a software adapter with subgroups of LANES: it pays for each load and lane one
// by one, so each lane loads other numbers, and what all need is broadcast. A workgroup is one subgroup.
//   forward     y[i,j]  = Σ_l x[i,l] · W[j,l]  + LoRA  (+ what y held, if `accumulate`)
//   backward_x  dx[i,l] = Σ_j dy[i,j] · W[j,l]  + LoRA  (+ what dx held, if `accumulate`)
// A workgroup owns TM = LANES·TB rows of the output; a lane TN columns of them (forward) or TN times 8 (backward_x).
// Arithmetic as in matmul.wgsl. Reference: tests/reference/matmul_lanes.rs
//! use grid
struct Params { m: u32, n: u32, k: u32, row0: u32, stride: u32, accumulate: u32, rank: u32, scale: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(3) var<storage, read> x: array<vec4<f32>>;   // [m, k / 4]
@group(0) @binding(4) var<storage, read_write> y: array<f32>;   // [m, stride]
@group(0) @binding(5) var<storage, read> dy: array<f32>;   // [m, stride]
@group(0) @binding(6) var<storage, read_write> dx: array<vec4<f32>>;   // [m, k / 4]
var<private> lane: u32;

@compute @workgroup_size(LANES)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) thread: u32) {
    lane = thread;
    let blocks = (p.n + LANES * TN - 1u) / (LANES * TN);
    let index = group_index(group, groups);
    let row = (index / blocks) * TM;
    let col = ((index % blocks) * LANES + lane) * TN;
    if row >= p.m { return; } // guard, the same for the whole workgroup
    let last = p.n - 1u;
    let k4 = p.k / 4u;
    var sum: array<f32, TM * TN>;
    for (var l = 0u; l < p.k / 8u; l++) {
        var weight = array<Weight8, TN>();
        for (var j = 0u; j < TN; j++) { // unroll
            weight[j] = weight8(min(col + j, last), l, p.k);
        }
        for (var b = 0u; b < TB; b++) { // unroll
            let at = min(row + b * LANES + lane, p.m - 1u) * k4 + l * 2u;
            let low_x = x[at];
            let high_x = x[at + 1u];
            for (var i = 0u; i < LANES; i++) { // unroll
                let input = input8(subgroupBroadcast(low_x, i), subgroupBroadcast(high_x, i));
                for (var j = 0u; j < TN; j++) { // unroll
                    sum[(b * LANES + i) * TN + j] += product8(input, weight[j]);
                }
            }
        }
    }
    adapt(&sum, row, col);
    for (var i = 0u; i < TM; i++) { // unroll
        if row + i < p.m {
            let at = (row + i) * p.stride + p.row0 + col;
            for (var j = 0u; j < TN; j++) { // unroll
                if col + j < p.n {
                    y[at + j] = sum[i * TN + j] + select(0.0, y[at + j], p.accumulate != 0u);
                }
            }
        }
    }
}

@compute @workgroup_size(LANES)
fn backward_x(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
              @builtin(local_invocation_index) thread: u32) {
    lane = thread;
    let k8 = p.k / 8u;
    let blocks = (k8 + LANES * TN - 1u) / (LANES * TN);
    let index = group_index(group, groups);
    let row = (index / blocks) * TM;
    let col8 = ((index % blocks) * LANES + lane) * TN;
    if row >= p.m { return; } // guard, the same for the whole workgroup
    var first: array<vec4<f32>, TM * TN>;
    var second: array<vec4<f32>, TM * TN>;
    for (var j = 0u; j < p.n; j++) {
        var weight = array<mat2x4<f32>, TN>();
        for (var c = 0u; c < TN; c++) { // unroll
            weight[c] = load8(j, min(col8 + c, k8 - 1u), p.k);
        }
        for (var b = 0u; b < TB; b++) { // unroll
            let own = dy[min(row + b * LANES + lane, p.m - 1u) * p.stride + p.row0 + j];
            for (var i = 0u; i < LANES; i++) { // unroll
                let d = subgroupBroadcast(own, i);
                for (var c = 0u; c < TN; c++) { // unroll
                    first[(b * LANES + i) * TN + c] += d * weight[c][0];
                    second[(b * LANES + i) * TN + c] += d * weight[c][1];
                }
            }
        }
    }
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
