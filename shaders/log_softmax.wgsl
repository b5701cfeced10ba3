// Log-probability of one chosen token a row, and the gradient that starts the backward pass.
//   forward   logprob[r] = z[r,target[r]] − lse[r],   lse[r] = log Σ_j exp z[r,j]
//             entropy[r] = lse[r] − Σ_j softmax_j·z[r,j]
//   backward  z[r,j] ← coefficient[r]·(1[j = target[r]] − exp(z[r,j] − lse[r])), in place
// coefficient[r] = dLoss/dlogprob[r]. Rows are `row0 ..` of the per-row arrays: logits come in chunks.
// Grid: one workgroup per row, whose threads take AHEAD of its numbers at a time. Reads z twice. Reference: tests/reference/log_softmax.rs
//! use grid
//! use reduce
struct Params { rows: u32, cols: u32, row0: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> target_token: array<u32>;   // [all rows]
@group(0) @binding(2) var<storage, read> z: array<f32>;   // [rows, cols]
@group(0) @binding(3) var<storage, read_write> logprob: array<f32>;   // [all rows]
@group(0) @binding(4) var<storage, read_write> entropy: array<f32>;   // [all rows]
@group(0) @binding(5) var<storage, read> coefficient: array<f32>;   // [all rows]
@group(0) @binding(6) var<storage, read_write> dz: array<f32>;   // [rows, cols], z on entry

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) thread: u32) {
    let row = group_index(group, groups);
    if row >= p.rows { return; } // guard, the same for the whole workgroup
    let base = row * p.cols;
    var largest = -3.0e38;
    for (var c = thread; c < p.cols; c += AHEAD * WG) {
        for (var a = 0u; a < AHEAD; a++) { // unroll
            largest = max(largest, z[base + min(c + a * WG, p.cols - 1u)]);
        }
    }
    largest = reduce_max(largest, thread);
    var total = 0.0;
    var weighted = 0.0;
    for (var c = thread; c < p.cols; c += AHEAD * WG) {
        var s = array<f32, AHEAD>();
        for (var a = 0u; a < AHEAD; a++) { // unroll
            s[a] = z[base + min(c + a * WG, p.cols - 1u)] - largest;
        }
        for (var a = 0u; a < AHEAD; a++) { // unroll
            let e = select(0.0, exp(s[a]), c + a * WG < p.cols);
            total += e;
            weighted += e * s[a];
        }
    }
    total = reduce_sum(total, thread);
    weighted = reduce_sum(weighted, thread);
    if thread == 0u {
        let log_total = log(total);
        logprob[p.row0 + row] = z[base + min(target_token[p.row0 + row], p.cols - 1u)] - largest - log_total;
        entropy[p.row0 + row] = log_total - weighted / total;
    }
}

@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
            @builtin(local_invocation_index) thread: u32) {
    let row = group_index(group, groups);
    if row >= p.rows { return; } // guard, the same for the whole workgroup
    let base = row * p.cols;
    var largest = -3.0e38;
    for (var c = thread; c < p.cols; c += AHEAD * WG) {
        for (var a = 0u; a < AHEAD; a++) { // unroll
            largest = max(largest, dz[base + min(c + a * WG, p.cols - 1u)]);
        }
    }
    largest = reduce_max(largest, thread);
    var total = 0.0;
    for (var c = thread; c < p.cols; c += AHEAD * WG) {
        var s = array<f32, AHEAD>();
        for (var a = 0u; a < AHEAD; a++) { // unroll
            s[a] = dz[base + min(c + a * WG, p.cols - 1u)] - largest;
        }
        for (var a = 0u; a < AHEAD; a++) { // unroll
            total += select(0.0, exp(s[a]), c + a * WG < p.cols);
        }
    }
    total = reduce_sum(total, thread);
    let c0 = coefficient[p.row0 + row];
    let chosen = target_token[p.row0 + row];
    for (var c = thread; c < p.cols; c += WG) {
        let probability = exp(dz[base + c] - largest) / total;
        dz[base + c] = c0 * (select(0.0, 1.0, c == chosen) - probability);
    }
}
