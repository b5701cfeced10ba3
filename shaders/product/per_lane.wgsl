// The products of direct.wgsl for several rows on a software adapter with subgroups of LANES: it pays for each load and lane one
// by one, so each lane loads other numbers, and what all need is broadcast. A workgroup is one subgroup.
//   forward     y[i,j]  = Σ_l x[i,l] · W[j,l]  + LoRA + bias  (+ what y held, if `accumulate`)
//   backward_x  dx[i,l] = Σ_j dy[i,j] · W[j,l]  + LoRA  (+ what dx held, if `accumulate`)
// A workgroup owns TM = LANES·TB rows of the output; a lane TN columns of them (forward) or TN times 8 (backward_x).
// Arithmetic as in direct.wgsl. Reference: tests/reference/product/per_lane.rs
//! use grid
//! use segments
@group(0) @binding(3) var<storage, read> x: array<vec4<f32>>;   // [m, k / 4]
@group(0) @binding(4) var<storage, read_write> y: array<f32>;   // what `y_at` counts in
@group(0) @binding(5) var<storage, read> dy: array<f32>;   // what `y_at` counts in
@group(0) @binding(6) var<storage, read_write> dx: array<vec4<f32>>;   // [m, k / 4]
var<private> lane: u32;

@compute @workgroup_size(LANES)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) thread: u32) {
    lane = thread;
    let blocks = (p.n + LANES * TN - 1u) / (LANES * TN);
    let index = group_index(group, groups);
    let row = (index / blocks) * TM;
    let first_col = (index % blocks) * LANES * TN;
    let col = first_col + lane * TN;
    if row >= p.m { return; } // guard, the same for the whole workgroup
    let last = p.n - 1u;
    let k4 = p.k / 4u;
    var sum: array<f32, TM * TN>;
    for (var l = 0u; l < p.k / 8u; l++) {
        var weight = array<Weight8, TN>();
        for (var j = 0u; j < TN; j++) { // unroll
            weight[j] = weight8(p.first + min(col + j, last), l, p.k);
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
    adapt(&sum, row, col, first_col, first_col + LANES * TN - 1u);
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
    // Four rows of W at a time: a sum that leaves the registers is then loaded and stored once for four products.
    for (var s = 0u; s < 3u; s++) {
        let end = min(p.start[s + 1u], p.row0 + p.n);
        for (var j = max(p.start[s], p.row0); j < end; j += 4u) {
            var weight = array<mat2x4<f32>, 4 * TN>();
            for (var u = 0u; u < 4u; u++) { // unroll
                for (var c = 0u; c < TN; c++) { // unroll
                    weight[u * TN + c] = load8(p.first + min(j + u, end - 1u) - p.row0, min(col8 + c, k8 - 1u), p.k);
                }
            }
            for (var b = 0u; b < TB; b++) { // unroll
                let at = p.y_at[s] + min(row + b * LANES + lane, p.m - 1u) * segment_width(s) - p.start[s];
                var own = array<f32, 4>();
                for (var u = 0u; u < 4u; u++) { // unroll
                    own[u] = select(0.0, dy[at + min(j + u, end - 1u)], j + u < end);
                }
                for (var i = 0u; i < LANES; i++) { // unroll
                    for (var c = 0u; c < TN; c++) { // unroll
                        var low_dx = first[(b * LANES + i) * TN + c];
                        var high_dx = second[(b * LANES + i) * TN + c];
                        for (var u = 0u; u < 4u; u++) { // unroll
                            let d = subgroupBroadcast(own[u], i);
                            low_dx += d * weight[u * TN + c][0];
                            high_dx += d * weight[u * TN + c][1];
                        }
                        first[(b * LANES + i) * TN + c] = low_dx;
                        second[(b * LANES + i) * TN + c] = high_dx;
                    }
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
