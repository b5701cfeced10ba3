// RMSNorm over the last axis (Zhang and Sennrich, 2019).
//   forward     y[r,c]   = x[r,c] · rstd[r] · w[c],   rstd[r] = 1/√(mean_c x² + eps)     (+ what y held, if `accumulate`)
//   backward_x  dx[r,c]  = rstd·(dy·w − x·rstd²·mean_c(dy·w·x))     (+ what dx held, if `accumulate`)
// w is frozen and has no gradient.
// Grid: one workgroup per row, whose threads take AHEAD of its numbers at a time. Reads x twice. Reference: tests/reference/rms_norm.rs
//! use grid
//! use reduce
struct Params { rows: u32, cols: u32, eps: f32, accumulate: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;   // [rows, cols]
@group(0) @binding(2) var<storage, read> w: array<f32>;   // [cols]
@group(0) @binding(3) var<storage, read_write> y: array<f32>;   // [rows, cols]
@group(0) @binding(4) var<storage, read> dy: array<f32>;   // [rows, cols]
@group(0) @binding(5) var<storage, read_write> dx: array<f32>;   // [rows, cols]

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) thread: u32) {
    let row = group_index(group, groups);
    if row >= p.rows { return; } // guard, the same for the whole workgroup
    let base = row * p.cols;
    var squares = 0.0;
    for (var c = thread; c < p.cols; c += AHEAD * WG) {
        var value = array<f32, AHEAD>();
        for (var a = 0u; a < AHEAD; a++) { // unroll
            value[a] = x[base + min(c + a * WG, p.cols - 1u)];
        }
        for (var a = 0u; a < AHEAD; a++) { // unroll
            squares += select(0.0, value[a] * value[a], c + a * WG < p.cols);
        }
    }
    let rstd = 1.0 / sqrt(reduce_sum(squares, thread) / f32(p.cols) + p.eps);
    for (var c = thread; c < p.cols; c += WG) {
        let value = x[base + c] * rstd * w[c];
        if p.accumulate != 0u { y[base + c] += value; } else { y[base + c] = value; }
    }
}

@compute @workgroup_size(WG)
fn backward_x(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
              @builtin(local_invocation_index) thread: u32) {
    let row = group_index(group, groups);
    if row >= p.rows { return; } // guard, the same for the whole workgroup
    let base = row * p.cols;
    var squares = 0.0;
    var products = 0.0;
    for (var c = thread; c < p.cols; c += AHEAD * WG) {
        var value = array<f32, AHEAD>();
        var product = array<f32, AHEAD>();
        for (var a = 0u; a < AHEAD; a++) { // unroll
            let at = min(c + a * WG, p.cols - 1u);
            value[a] = x[base + at];
            product[a] = dy[base + at] * w[at];
        }
        for (var a = 0u; a < AHEAD; a++) { // unroll
            let inside = c + a * WG < p.cols;
            squares += select(0.0, value[a] * value[a], inside);
            products += select(0.0, value[a] * product[a], inside);
        }
    }
    let rstd = 1.0 / sqrt(reduce_sum(squares, thread) / f32(p.cols) + p.eps);
    let mean = reduce_sum(products, thread) / f32(p.cols);
    for (var c = thread; c < p.cols; c += WG) {
        let value = rstd * (dy[base + c] * w[c] - x[base + c] * rstd * rstd * mean);
        if p.accumulate != 0u { dx[base + c] += value; } else { dx[base + c] = value; }
    }
}
