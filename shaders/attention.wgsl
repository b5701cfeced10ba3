// Causal attention over packed sequences with grouped heads, flash style: no score matrix is stored.
//   forward      o[t,h] = Σ_j softmax_j(scale·q[t,h]·k[j])·v[j],  j from the first token of t's sequence to t
//                lse[t,h] = log Σ_j exp(scale·q[t,h]·k[j]), kept as the first of two numbers a row
//   backward_delta  delta[t,h] = do[t,h]·o[t,h], the second
//   backward_q   dq[t,h] = scale·Σ_j P(t,j)·(do·v[j] − delta)·k[j],   P(t,j) = exp(scale·q·k[j] − lse)
//   backward_kv  dk[j] = scale·Σ_h Σ_t P(t,j)·(do[t,h]·v[j] − delta)·q[t,h],   dv[j] = Σ_h Σ_t P(t,j)·do[t,h]
// after Dao, "FlashAttention-2" (2023), section 3. Scores are recomputed in backward.
// Grid: a thread owns one (token, head), in backward_kv one (token, kv head). HEAD4 = head_dim / 4.
// Reference: tests/reference/attention.rs
//! use grid
struct Params { tokens: u32, heads: u32, kv_heads: u32, scale: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> span: array<vec2<u32>>;   // [tokens] of (first, end) of the sequence
@group(0) @binding(2) var<storage, read> q: array<vec4<f32>>;   // [tokens, heads, HEAD4]
@group(0) @binding(3) var<storage, read> k: array<vec4<f32>>;   // [tokens, kv_heads, HEAD4]
@group(0) @binding(4) var<storage, read> v: array<vec4<f32>>;   // [tokens, kv_heads, HEAD4]
@group(0) @binding(5) var<storage, read> out: array<vec4<f32>>;   // [tokens, heads, HEAD4], o read
@group(0) @binding(6) var<storage, read> d_out: array<vec4<f32>>;   // [tokens, heads, HEAD4]
@group(0) @binding(7) var<storage, read> stats: array<vec2<f32>>;   // [tokens, heads] of (lse, delta), stats_out read
@group(0) @binding(8) var<storage, read_write> o: array<vec4<f32>>;   // [tokens, heads, HEAD4]
@group(0) @binding(9) var<storage, read_write> stats_out: array<vec2<f32>>;   // [tokens, heads] of (lse, delta)
@group(0) @binding(10) var<storage, read_write> dq: array<vec4<f32>>;   // [tokens, heads, HEAD4]
@group(0) @binding(11) var<storage, read_write> dk: array<vec4<f32>>;   // [tokens, kv_heads, HEAD4]
@group(0) @binding(12) var<storage, read_write> dv: array<vec4<f32>>;   // [tokens, kv_heads, HEAD4]

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) thread: u32) {
    let index = group_index(group, groups) * WG + thread;
    if index >= p.tokens * p.heads { return; } // guard
    // Neighbouring threads take neighbouring tokens of one head: they read the same keys.
    let head = index / p.tokens;
    let t = index % p.tokens;
    let kv = head / (p.heads / p.kv_heads);
    let at = (t * p.heads + head) * HEAD4;
    var query: array<vec4<f32>, HEAD4>;
    var sum: array<vec4<f32>, HEAD4>;
    for (var i = 0u; i < HEAD4; i++) { query[i] = q[at + i] * p.scale; }
    var largest = -3.0e38;
    var total = 0.0;
    for (var j = span[t].x; j <= t; j++) {
        let key = (j * p.kv_heads + kv) * HEAD4;
        var score = 0.0;
        for (var i = 0u; i < HEAD4; i++) { score += dot(query[i], k[key + i]); }
        let next = max(largest, score);
        let shrink = exp(largest - next);
        let weight = exp(score - next);
        largest = next;
        total = total * shrink + weight;
        for (var i = 0u; i < HEAD4; i++) { sum[i] = sum[i] * shrink + weight * v[key + i]; }
    }
    for (var i = 0u; i < HEAD4; i++) { o[at + i] = sum[i] / total; }
    stats_out[t * p.heads + head] = vec2<f32>(largest + log(total), 0.0);
}

@compute @workgroup_size(WG)
fn backward_delta(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
         @builtin(local_invocation_index) thread: u32) {
    let index = group_index(group, groups) * WG + thread;
    if index >= p.tokens * p.heads { return; } // guard
    var sum = 0.0;
    for (var i = 0u; i < HEAD4; i++) { sum += dot(out[index * HEAD4 + i], d_out[index * HEAD4 + i]); }
    stats_out[index].y = sum;
}

@compute @workgroup_size(WG)
fn backward_q(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
              @builtin(local_invocation_index) thread: u32) {
    let index = group_index(group, groups) * WG + thread;
    if index >= p.tokens * p.heads { return; } // guard
    let head = index / p.tokens;
    let t = index % p.tokens;
    let kv = head / (p.heads / p.kv_heads);
    let row = t * p.heads + head;
    let at = row * HEAD4;
    var query: array<vec4<f32>, HEAD4>;
    var grad: array<vec4<f32>, HEAD4>;
    var sum: array<vec4<f32>, HEAD4>;
    for (var i = 0u; i < HEAD4; i++) {
        query[i] = q[at + i] * p.scale;
        grad[i] = d_out[at + i];
    }
    for (var j = span[t].x; j <= t; j++) {
        let key = (j * p.kv_heads + kv) * HEAD4;
        var score = 0.0;
        var product = 0.0;
        for (var i = 0u; i < HEAD4; i++) {
            score += dot(query[i], k[key + i]);
            product += dot(grad[i], v[key + i]);
        }
        let d_score = exp(score - stats[row].x) * (product - stats[row].y) * p.scale;
        for (var i = 0u; i < HEAD4; i++) { sum[i] += d_score * k[key + i]; }
    }
    for (var i = 0u; i < HEAD4; i++) { dq[at + i] = sum[i]; }
}

@compute @workgroup_size(WG)
fn backward_kv(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
               @builtin(local_invocation_index) thread: u32) {
    let index = group_index(group, groups) * WG + thread;
    if index >= p.tokens * p.kv_heads { return; } // guard
    let kv = index / p.tokens;
    let j = index % p.tokens;
    let share = p.heads / p.kv_heads;
    let at = (j * p.kv_heads + kv) * HEAD4;
    var key: array<vec4<f32>, HEAD4>;
    var value: array<vec4<f32>, HEAD4>;
    var sum_k: array<vec4<f32>, HEAD4>;
    var sum_v: array<vec4<f32>, HEAD4>;
    for (var i = 0u; i < HEAD4; i++) {
        key[i] = k[at + i] * p.scale;
        value[i] = v[at + i];
    }
    for (var t = j; t < span[j].y; t++) {
        for (var head = kv * share; head < (kv + 1u) * share; head++) {
            let row = t * p.heads + head;
            var score = 0.0;
            var product = 0.0;
            for (var i = 0u; i < HEAD4; i++) {
                score += dot(q[row * HEAD4 + i], key[i]);
                product += dot(d_out[row * HEAD4 + i], value[i]);
            }
            let weight = exp(score - stats[row].x);
            let d_score = weight * (product - stats[row].y) * p.scale;
            for (var i = 0u; i < HEAD4; i++) {
                sum_k[i] += d_score * q[row * HEAD4 + i];
                sum_v[i] += weight * d_out[row * HEAD4 + i];
            }
        }
    }
    for (var i = 0u; i < HEAD4; i++) {
        dk[at + i] = sum_k[i];
        dv[at + i] = sum_v[i];
    }
}
