// The attention of full.wgsl on a GPU: a workgroup owns BLOCK neighbouring tokens of one head, in backward_kv BLOCK keys of one
// key and value head, and goes along the other side of the scores in blocks of as many.
//   forward      o[t,h] = Σ_j softmax_j(scale·q[t,h]·k[j])·v[j],  j from the first token of t's sequence to t
//                lse[t,h] = log Σ_j exp(scale·q[t,h]·k[j]), kept as the first of two numbers a row
//   backward_q   dq[t,h] = scale·Σ_j P(t,j)·(do·v[j] − delta)·k[j],   P(t,j) = exp(scale·q·k[j] − lse)
//   backward_kv  dk[j] = scale·Σ_h Σ_t P(t,j)·(do[t,h]·v[j] − delta)·q[t,h],   dv[j] = Σ_h Σ_t P(t,j)·do[t,h]
// after Dao, "FlashAttention-2" (2023), section 3. Rows pass through workgroup memory in slices of SLICE times four numbers, and the
// scores of two blocks lie there, so that a thread's registers hold slices of a few rows and no whole row.
// Of the scores of two blocks a thread owns ROWS rows, DOWN apart, and COLS columns, ACROSS apart; of an output of as many rows,
// one group of four numbers in each slice. HEAD4 = head_dim / 4 = SLICE · SLICES.
// A block may span sequences: first tokens never fall from one token to the next, so its keys start at its first token's.
// Reference: tests/reference/attention/tiled.rs
//! use grid
struct Params { tokens: u32, heads: u32, kv_heads: u32, scale: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> span: array<vec2<u32>>;   // [tokens] of (first, end) of the sequence
@group(0) @binding(2) var<storage, read> q: array<vec4<f32>>;   // [tokens, heads, HEAD4]
@group(0) @binding(3) var<storage, read> k: array<vec4<f32>>;   // [tokens, kv_heads, HEAD4]
@group(0) @binding(4) var<storage, read> v: array<vec4<f32>>;   // [tokens, kv_heads, HEAD4]
@group(0) @binding(5) var<storage, read> d_out: array<vec4<f32>>;   // [tokens, heads, HEAD4]
@group(0) @binding(6) var<storage, read> stats: array<vec2<f32>>;   // [tokens, heads] of (lse, delta)
@group(0) @binding(7) var<storage, read_write> o: array<vec4<f32>>;   // [tokens, heads, HEAD4]
@group(0) @binding(8) var<storage, read_write> stats_out: array<vec2<f32>>;   // [tokens, heads] of (lse, 0)
@group(0) @binding(9) var<storage, read_write> dq: array<vec4<f32>>;   // [tokens, heads, HEAD4]
@group(0) @binding(10) var<storage, read_write> dk: array<vec4<f32>>;   // [tokens, kv_heads, HEAD4]
@group(0) @binding(11) var<storage, read_write> dv: array<vec4<f32>>;   // [tokens, kv_heads, HEAD4]

const ACROSS: u32 = 8u;
const DOWN: u32 = WG / ACROSS;
const BLOCK: u32 = ROWS * DOWN;
// A row in workgroup memory is one longer, against bank conflicts.
const STRIDE: u32 = SLICE + 1u;
var<workgroup> left: array<vec4<f32>, BLOCK * STRIDE>;   // [BLOCK, STRIDE]
var<workgroup> right: array<vec4<f32>, BLOCK * STRIDE>;   // [BLOCK, STRIDE]
var<workgroup> scores: array<f32, BLOCK * (BLOCK + 1u)>;   // [BLOCK, BLOCK + 1]
var<workgroup> partial: array<f32, BLOCK * ACROSS>;   // [BLOCK, ACROSS]

// Place in `left` and `right` of their number `u`, of BLOCK · SLICE.
fn place(u: u32) -> u32 { return u / SLICE * STRIDE + u % SLICE; }

// Where the row of a token and head starts.
fn query_at(t: u32, head: u32) -> u32 { return (min(t, p.tokens - 1u) * p.heads + head) * HEAD4; }
fn key_at(j: u32, kv: u32) -> u32 { return (min(j, p.tokens - 1u) * p.kv_heads + kv) * HEAD4; }

// score[r,c] += left row · right row, over the slice that lies in workgroup memory.
fn multiply(score: ptr<function, array<f32, ROWS * COLS>>, thread: u32) {
    for (var i = 0u; i < SLICE; i++) {
        var x = array<vec4<f32>, ROWS>();
        for (var r = 0u; r < ROWS; r++) { // unroll
            x[r] = left[(thread / ACROSS + r * DOWN) * STRIDE + i];
        }
        for (var c = 0u; c < COLS; c++) { // unroll
            let y = right[(thread % ACROSS + c * ACROSS) * STRIDE + i];
            for (var r = 0u; r < ROWS; r++) { // unroll
                (*score)[r * COLS + c] += dot(x[r], y);
            }
        }
    }
}

// Σ_j scores[row, j] · right[j], this thread's four numbers of the slice, for each of its rows.
fn combined(thread: u32) -> array<vec4<f32>, ROWS> {
    var sum = array<vec4<f32>, ROWS>();
    for (var j = 0u; j < BLOCK; j++) {
        let y = right[j * STRIDE + thread % SLICE];
        for (var r = 0u; r < ROWS; r++) { // unroll
            sum[r] += scores[(thread / ACROSS + r * DOWN) * (BLOCK + 1u) + j] * y;
        }
    }
    return sum;
}

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) thread: u32) {
    let index = group_index(group, groups);
    let head = index % p.heads;
    let t0 = index / p.heads * BLOCK;
    if t0 >= p.tokens { return; } // guard, the same for the whole workgroup
    let kv = head / (p.heads / p.kv_heads);
    let my_row = thread / ACROSS;
    let my_col = thread % ACROSS;
    var sum: array<vec4<f32>, ROWS * SLICES>;
    var largest: array<f32, ROWS>;
    var total: array<f32, ROWS>;
    for (var r = 0u; r < ROWS; r++) { // unroll
        largest[r] = -3.0e38;
    }
    for (var j0 = span[t0].x; j0 < min(t0 + BLOCK, p.tokens); j0 += BLOCK) {
        var score = array<f32, ROWS * COLS>();
        for (var first = 0u; first < HEAD4; first += SLICE) {
            workgroupBarrier();
            for (var u = thread; u < BLOCK * SLICE; u += WG) {
                left[place(u)] = q[query_at(t0 + u / SLICE, head) + first + u % SLICE];
                right[place(u)] = k[key_at(j0 + u / SLICE, kv) + first + u % SLICE];
            }
            workgroupBarrier();
            multiply(&score, thread);
        }
        for (var r = 0u; r < ROWS; r++) { // unroll
            let t = min(t0 + my_row + r * DOWN, p.tokens - 1u);
            var most = -3.0e38;
            for (var c = 0u; c < COLS; c++) { // unroll
                let j = j0 + my_col + c * ACROSS;
                score[r * COLS + c] = select(-3.0e38, score[r * COLS + c] * p.scale, j >= span[t].x && j <= t);
                most = max(most, score[r * COLS + c]);
            }
            partial[(my_row + r * DOWN) * ACROSS + my_col] = most;
        }
        workgroupBarrier();
        for (var r = 0u; r < ROWS; r++) { // unroll
            let t = min(t0 + my_row + r * DOWN, p.tokens - 1u);
            var next = largest[r];
            for (var i = 0u; i < ACROSS; i++) {
                next = max(next, partial[(my_row + r * DOWN) * ACROSS + i]);
            }
            let shrink = exp(largest[r] - next);
            largest[r] = next;
            total[r] *= shrink;
            for (var s = 0u; s < SLICES; s++) { // unroll
                sum[r * SLICES + s] *= shrink;
            }
            for (var c = 0u; c < COLS; c++) { // unroll
                let j = j0 + my_col + c * ACROSS;
                let weight = select(0.0, exp(score[r * COLS + c] - next), j >= span[t].x && j <= t);
                total[r] += weight;
                scores[(my_row + r * DOWN) * (BLOCK + 1u) + my_col + c * ACROSS] = weight;
            }
        }
        for (var s = 0u; s < SLICES; s++) { // unroll
            workgroupBarrier();
            for (var u = thread; u < BLOCK * SLICE; u += WG) {
                right[place(u)] = v[key_at(j0 + u / SLICE, kv) + s * SLICE + u % SLICE];
            }
            workgroupBarrier();
            let more = combined(thread);
            for (var r = 0u; r < ROWS; r++) { // unroll
                sum[r * SLICES + s] += more[r];
            }
        }
    }
    for (var r = 0u; r < ROWS; r++) { // unroll
        partial[(my_row + r * DOWN) * ACROSS + my_col] = total[r];
    }
    workgroupBarrier();
    for (var r = 0u; r < ROWS; r++) { // unroll
        let t = t0 + my_row + r * DOWN;
        var all = 0.0;
        for (var i = 0u; i < ACROSS; i++) {
            all += partial[(my_row + r * DOWN) * ACROSS + i];
        }
        if t < p.tokens {
            if my_col < SLICE {
                for (var s = 0u; s < SLICES; s++) { // unroll
                    o[query_at(t, head) + s * SLICE + my_col] = sum[r * SLICES + s] / all;
                }
            }
            if my_col == 0u { stats_out[t * p.heads + head] = vec2<f32>(largest[r] + log(all), 0.0); }
        }
    }
}

@compute @workgroup_size(WG)
fn backward_q(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
              @builtin(local_invocation_index) thread: u32) {
    let index = group_index(group, groups);
    let head = index % p.heads;
    let t0 = index / p.heads * BLOCK;
    if t0 >= p.tokens { return; } // guard, the same for the whole workgroup
    let kv = head / (p.heads / p.kv_heads);
    let my_row = thread / ACROSS;
    let my_col = thread % ACROSS;
    var sum: array<vec4<f32>, ROWS * SLICES>;
    for (var j0 = span[t0].x; j0 < min(t0 + BLOCK, p.tokens); j0 += BLOCK) {
        var score = array<f32, ROWS * COLS>();
        var product = array<f32, ROWS * COLS>();
        for (var first = 0u; first < HEAD4; first += SLICE) {
            workgroupBarrier();
            for (var u = thread; u < BLOCK * SLICE; u += WG) {
                left[place(u)] = q[query_at(t0 + u / SLICE, head) + first + u % SLICE];
                right[place(u)] = k[key_at(j0 + u / SLICE, kv) + first + u % SLICE];
            }
            workgroupBarrier();
            multiply(&score, thread);
            workgroupBarrier();
            for (var u = thread; u < BLOCK * SLICE; u += WG) {
                left[place(u)] = d_out[query_at(t0 + u / SLICE, head) + first + u % SLICE];
                right[place(u)] = v[key_at(j0 + u / SLICE, kv) + first + u % SLICE];
            }
            workgroupBarrier();
            multiply(&product, thread);
        }
        for (var r = 0u; r < ROWS; r++) { // unroll
            let t = min(t0 + my_row + r * DOWN, p.tokens - 1u);
            let stat = stats[t * p.heads + head];
            for (var c = 0u; c < COLS; c++) { // unroll
                let j = j0 + my_col + c * ACROSS;
                let d_score = exp(score[r * COLS + c] * p.scale - stat.x) * (product[r * COLS + c] - stat.y) * p.scale;
                scores[(my_row + r * DOWN) * (BLOCK + 1u) + my_col + c * ACROSS] =
                    select(0.0, d_score, j >= span[t].x && j <= t);
            }
        }
        for (var s = 0u; s < SLICES; s++) { // unroll
            workgroupBarrier();
            for (var u = thread; u < BLOCK * SLICE; u += WG) {
                right[place(u)] = k[key_at(j0 + u / SLICE, kv) + s * SLICE + u % SLICE];
            }
            workgroupBarrier();
            let more = combined(thread);
            for (var r = 0u; r < ROWS; r++) { // unroll
                sum[r * SLICES + s] += more[r];
            }
        }
    }
    for (var r = 0u; r < ROWS; r++) { // unroll
        let t = t0 + my_row + r * DOWN;
        if t < p.tokens && my_col < SLICE {
            for (var s = 0u; s < SLICES; s++) { // unroll
                dq[query_at(t, head) + s * SLICE + my_col] = sum[r * SLICES + s];
            }
        }
    }
}

@compute @workgroup_size(WG)
fn backward_kv(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
               @builtin(local_invocation_index) thread: u32) {
    let index = group_index(group, groups);
    let kv = index % p.kv_heads;
    let j0 = index / p.kv_heads * BLOCK;
    if j0 >= p.tokens { return; } // guard, the same for the whole workgroup
    let share = p.heads / p.kv_heads;
    let my_row = thread / ACROSS;
    let my_col = thread % ACROSS;
    var sum_k: array<vec4<f32>, ROWS * SLICES>;
    var sum_v: array<vec4<f32>, ROWS * SLICES>;
    let end = span[min(j0 + BLOCK, p.tokens) - 1u].y;
    for (var head = kv * share; head < (kv + 1u) * share; head++) {
        for (var t0 = j0; t0 < end; t0 += BLOCK) {
            var score = array<f32, ROWS * COLS>();
            var product = array<f32, ROWS * COLS>();
            for (var first = 0u; first < HEAD4; first += SLICE) {
                workgroupBarrier();
                for (var u = thread; u < BLOCK * SLICE; u += WG) {
                    left[place(u)] = k[key_at(j0 + u / SLICE, kv) + first + u % SLICE];
                    right[place(u)] = q[query_at(t0 + u / SLICE, head) + first + u % SLICE];
                }
                workgroupBarrier();
                multiply(&score, thread);
                workgroupBarrier();
                for (var u = thread; u < BLOCK * SLICE; u += WG) {
                    left[place(u)] = v[key_at(j0 + u / SLICE, kv) + first + u % SLICE];
                    right[place(u)] = d_out[query_at(t0 + u / SLICE, head) + first + u % SLICE];
                }
                workgroupBarrier();
                multiply(&product, thread);
            }
            for (var c = 0u; c < COLS; c++) { // unroll
                let t = t0 + my_col + c * ACROSS;
                let stat = stats[min(t, p.tokens - 1u) * p.heads + head];
                let first = span[min(t, p.tokens - 1u)].x;
                for (var r = 0u; r < ROWS; r++) { // unroll
                    let j = j0 + my_row + r * DOWN;
                    let seen = t < p.tokens && j >= first && j <= t;
                    let weight = select(0.0, exp(score[r * COLS + c] * p.scale - stat.x), seen);
                    scores[(my_row + r * DOWN) * (BLOCK + 1u) + my_col + c * ACROSS] = weight;
                    product[r * COLS + c] = select(0.0, weight * (product[r * COLS + c] - stat.y) * p.scale, seen);
                }
            }
            for (var s = 0u; s < SLICES; s++) { // unroll
                workgroupBarrier();
                for (var u = thread; u < BLOCK * SLICE; u += WG) {
                    right[place(u)] = d_out[query_at(t0 + u / SLICE, head) + s * SLICE + u % SLICE];
                }
                workgroupBarrier();
                let more = combined(thread);
                for (var r = 0u; r < ROWS; r++) { // unroll
                    sum_v[r * SLICES + s] += more[r];
                }
            }
            workgroupBarrier();
            for (var r = 0u; r < ROWS; r++) { // unroll
                for (var c = 0u; c < COLS; c++) { // unroll
                    scores[(my_row + r * DOWN) * (BLOCK + 1u) + my_col + c * ACROSS] = product[r * COLS + c];
                }
            }
            for (var s = 0u; s < SLICES; s++) { // unroll
                workgroupBarrier();
                for (var u = thread; u < BLOCK * SLICE; u += WG) {
                    right[place(u)] = q[query_at(t0 + u / SLICE, head) + s * SLICE + u % SLICE];
                }
                workgroupBarrier();
                let more = combined(thread);
                for (var r = 0u; r < ROWS; r++) { // unroll
                    sum_k[r * SLICES + s] += more[r];
                }
            }
        }
    }
    for (var r = 0u; r < ROWS; r++) { // unroll
        let j = j0 + my_row + r * DOWN;
        if j < p.tokens && my_col < SLICE {
            for (var s = 0u; s < SLICES; s++) { // unroll
                dk[key_at(j, kv) + s * SLICE + my_col] = sum_k[r * SLICES + s];
                dv[key_at(j, kv) + s * SLICE + my_col] = sum_v[r * SLICES + s];
            }
        }
    }
}
