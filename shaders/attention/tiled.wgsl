// The attention of full.wgsl on a GPU: a workgroup owns BLOCK neighbouring tokens of one head, in backward_k and backward_v BLOCK keys
// of one key and value head, and goes along the other side of the scores in blocks of as many.
//   forward      o[t,h] = Σ_j softmax_j(scale·q[t,h]·k[j])·v[j],  j over what t sees: its sequence up to t
//                lse[t,h] = log Σ_j exp(scale·q[t,h]·k[j]), kept as the first of two numbers a row
//   backward_q   dq[t,h] = scale·Σ_j P(t,j)·(do·v[j] − delta)·k[j],   P(t,j) = exp(scale·q·k[j] − lse)
//   backward_k   dk[j] = scale·Σ_h Σ_t P(t,j)·(do[t,h]·v[j] − delta)·q[t,h]
//   backward_v   dv[j] = Σ_h Σ_t P(t,j)·do[t,h]
// after Dao, "FlashAttention-2" (2023), section 3. Rows pass through workgroup memory in slices of SLICE times four numbers, and the
// scores of two blocks lie there, so that a thread's registers hold parts of rows and no whole row.
// Of the scores of a block of queries (rows) and one of keys (columns) a thread owns COLS columns of a row, ACROSS apart; of a row
// of an output, one group of four numbers in each slice. HEAD4 = head_dim / 4 = SLICE · SLICES.
// A block may span sequences: its keys are those of its first token and what lies from that token's own sequence on.
// Reference: tests/reference/attention/tiled.rs
//! use grid
//! use attention_span
//! use attention_tiles
struct Params { tokens: u32, heads: u32, kv_heads: u32, scale: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> span: array<vec4<u32>>;   // [tokens], see attention_span.wgsl
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

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) thread: u32) {
    let index = group_index(group, groups);
    let head = index % p.heads;
    let t0 = index / p.heads * BLOCK;
    if t0 >= p.tokens { return; } // guard, the same for the whole workgroup
    let kv = head / (p.heads / p.kv_heads);
    let my_row = thread / ACROSS;
    let t = t0 + my_row;
    let my_col = thread % ACROSS;
    var sum: array<vec4<f32>, SLICES>;
    var largest = -3.0e38;
    var total = 0.0;
    let end = min(t0 + BLOCK, p.tokens);
    let own = span[t0];
    for (var j0 = own.x; j0 < end; j0 = next_keys(j0, BLOCK, own)) {
        var score = scores_of(t0, head, j0, kv, thread);
        var most = -3.0e38;
        for (var c = 0u; c < COLS; c++) { // unroll
            score[c] = select(-3.0e38, score[c] * p.scale, attends(t, j0 + my_col + c * ACROSS));
            most = max(most, score[c]);
        }
        partial[my_row * ACROSS + my_col] = most;
        workgroupBarrier();
        var next = largest;
        for (var i = 0u; i < ACROSS; i++) {
            next = max(next, partial[my_row * ACROSS + i]);
        }
        let shrink = exp(largest - next);
        largest = next;
        total *= shrink;
        for (var s = 0u; s < SLICES; s++) { // unroll
            sum[s] *= shrink;
        }
        for (var c = 0u; c < COLS; c++) { // unroll
            let weight = select(0.0, exp(score[c] - next), attends(t, j0 + my_col + c * ACROSS));
            total += weight;
            scores[my_row * (BLOCK + 1u) + my_col + c * ACROSS] = weight;
        }
        for (var s = 0u; s < SLICES; s++) { // unroll
            workgroupBarrier();
            for (var u = thread; u < BLOCK * SLICE; u += WG) {
                right[place(u)] = v[of_key(j0, kv, s * SLICE, u)];
            }
            sum[s] += combined(min(BLOCK, end - j0), thread);
        }
    }
    partial[my_row * ACROSS + my_col] = total;
    workgroupBarrier();
    var all = 0.0;
    for (var i = 0u; i < ACROSS; i++) {
        all += partial[my_row * ACROSS + i];
    }
    if t < p.tokens {
        if my_col < SLICE {
            for (var s = 0u; s < SLICES; s++) { // unroll
                o[(t * p.heads + head) * HEAD4 + s * SLICE + my_col] = sum[s] / all;
            }
        }
        if my_col == 0u { stats_out[t * p.heads + head] = vec2<f32>(largest + log(all), 0.0); }
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
    let t = t0 + my_row;
    let my_col = thread % ACROSS;
    var sum: array<vec4<f32>, SLICES>;
    let end = min(t0 + BLOCK, p.tokens);
    let own = span[t0];
    for (var j0 = own.x; j0 < end; j0 = next_keys(j0, BLOCK, own)) {
        let score = scores_of(t0, head, j0, kv, thread);
        let product = products_of(t0, head, j0, kv, thread);
        let stat = stats[min(t, p.tokens - 1u) * p.heads + head];
        for (var c = 0u; c < COLS; c++) { // unroll
            let col = my_col + c * ACROSS;
            let d_score = exp(score[c] * p.scale - stat.x) * (product[c] - stat.y) * p.scale;
            scores[my_row * (BLOCK + 1u) + col] = select(0.0, d_score, attends(t, j0 + col));
        }
        for (var s = 0u; s < SLICES; s++) { // unroll
            workgroupBarrier();
            for (var u = thread; u < BLOCK * SLICE; u += WG) {
                right[place(u)] = k[of_key(j0, kv, s * SLICE, u)];
            }
            sum[s] += combined(min(BLOCK, end - j0), thread);
        }
    }
    if t < p.tokens && my_col < SLICE {
        for (var s = 0u; s < SLICES; s++) { // unroll
            dq[(t * p.heads + head) * HEAD4 + s * SLICE + my_col] = sum[s];
        }
    }
}

// Here and in backward_v the rows of an output are keys: scores are put down with rows and columns exchanged.
@compute @workgroup_size(WG)
fn backward_k(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
              @builtin(local_invocation_index) thread: u32) {
    let index = group_index(group, groups);
    let kv = index % p.kv_heads;
    let j0 = index / p.kv_heads * BLOCK;
    if j0 >= p.tokens { return; } // guard, the same for the whole workgroup
    let share = p.heads / p.kv_heads;
    let my_row = thread / ACROSS;
    let my_col = thread % ACROSS;
    var sum: array<vec4<f32>, SLICES>;
    let end = queries_end(j0, BLOCK);
    for (var head = kv * share; head < (kv + 1u) * share; head++) {
        for (var t0 = j0; t0 < end; t0 += BLOCK) {
            let score = scores_of(t0, head, j0, kv, thread);
            let product = products_of(t0, head, j0, kv, thread);
            let t = t0 + my_row;
            let stat = stats[min(t, p.tokens - 1u) * p.heads + head];
            for (var c = 0u; c < COLS; c++) { // unroll
                let col = my_col + c * ACROSS;
                let d_score = exp(score[c] * p.scale - stat.x) * (product[c] - stat.y) * p.scale;
                scores[col * (BLOCK + 1u) + my_row] = select(0.0, d_score, attends(t, j0 + col));
            }
            for (var s = 0u; s < SLICES; s++) { // unroll
                workgroupBarrier();
                for (var u = thread; u < BLOCK * SLICE; u += WG) {
                    right[place(u)] = q[of_query(t0, head, s * SLICE, u)];
                }
                sum[s] += combined(min(BLOCK, end - t0), thread);
            }
        }
    }
    let j = j0 + my_row;
    if j < p.tokens && my_col < SLICE {
        for (var s = 0u; s < SLICES; s++) { // unroll
            dk[(j * p.kv_heads + kv) * HEAD4 + s * SLICE + my_col] = sum[s];
        }
    }
}

@compute @workgroup_size(WG)
fn backward_v(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
              @builtin(local_invocation_index) thread: u32) {
    let index = group_index(group, groups);
    let kv = index % p.kv_heads;
    let j0 = index / p.kv_heads * BLOCK;
    if j0 >= p.tokens { return; } // guard, the same for the whole workgroup
    let share = p.heads / p.kv_heads;
    let my_row = thread / ACROSS;
    let my_col = thread % ACROSS;
    var sum: array<vec4<f32>, SLICES>;
    let end = queries_end(j0, BLOCK);
    for (var head = kv * share; head < (kv + 1u) * share; head++) {
        for (var t0 = j0; t0 < end; t0 += BLOCK) {
            let score = scores_of(t0, head, j0, kv, thread);
            let t = t0 + my_row;
            let lse = stats[min(t, p.tokens - 1u) * p.heads + head].x;
            for (var c = 0u; c < COLS; c++) { // unroll
                let col = my_col + c * ACROSS;
                let weight = exp(score[c] * p.scale - lse);
                scores[col * (BLOCK + 1u) + my_row] = select(0.0, weight, attends(t, j0 + col));
            }
            for (var s = 0u; s < SLICES; s++) { // unroll
                workgroupBarrier();
                for (var u = thread; u < BLOCK * SLICE; u += WG) {
                    right[place(u)] = d_out[of_query(t0, head, s * SLICE, u)];
                }
                sum[s] += combined(min(BLOCK, end - t0), thread);
            }
        }
    }
    let j = j0 + my_row;
    if j < p.tokens && my_col < SLICE {
        for (var s = 0u; s < SLICES; s++) { // unroll
            dv[(j * p.kv_heads + kv) * HEAD4 + s * SLICE + my_col] = sum[s];
        }
    }
}
