// Causal attention over packed sequences with grouped heads, flash style: no score matrix is stored.
//   forward      o[t,h] = Σ_j softmax_j(scale·q[t,h]·k[j])·v[j],  j over what t sees: its sequence up to t
//                lse[t,h] = log Σ_j exp(scale·q[t,h]·k[j]), kept as the first of two numbers a row
//   backward_delta  delta[t,h] = do[t,h]·o[t,h], the second
//   backward_q   dq[t,h] = scale·Σ_j P(t,j)·(do·v[j] − delta)·k[j],   P(t,j) = exp(scale·q·k[j] − lse)
//   backward_kv  dk[j] = scale·Σ_h Σ_t P(t,j)·(do[t,h]·v[j] − delta)·q[t,h],   dv[j] = Σ_h Σ_t P(t,j)·do[t,h]
// after Dao, "FlashAttention-2" (2023), section 3. Scores are recomputed in backward.
// Grid: a thread owns TILE neighbouring tokens of one head, in backward_kv of one key and value head, in backward_delta
// one (token, head). Neighbouring threads take neighbouring tokens: they read the same keys. HEAD4 = head_dim / 4.
// A tile may span sequences: its keys are those of its first token and what lies from that token's own sequence on.
// What begins anew in a loop is cleared in words: Tint keeps the old values of a variable without an initialiser.
// Reference: tests/reference/attention/full.rs
//! use grid
//! use attention_span
struct Params { tokens: u32, heads: u32, kv_heads: u32, scale: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> span: array<vec4<u32>>;   // [tokens], see attention_span.wgsl
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
    let tiles = (p.tokens + TILE - 1u) / TILE;
    let index = group_index(group, groups) * WG + thread;
    if index >= tiles * p.heads { return; } // guard
    let head = index / tiles;
    let t0 = (index % tiles) * TILE;
    let end = min(t0 + TILE, p.tokens);
    let kv = head / (p.heads / p.kv_heads);
    var query: array<vec4<f32>, TILE * HEAD4>;
    var sum: array<vec4<f32>, TILE * HEAD4>;
    var largest: array<f32, TILE>;
    var total: array<f32, TILE>;
    for (var a = 0u; a < TILE; a++) { // unroll
        largest[a] = -3.0e38;
        for (var i = 0u; i < HEAD4; i++) { // unroll
            query[a * HEAD4 + i] = q[(min(t0 + a, p.tokens - 1u) * p.heads + head) * HEAD4 + i] * p.scale;
        }
    }
    let own = span[t0];
    for (var j = own.x; j < end; j = next_keys(j, 1u, own)) {
        let key = (j * p.kv_heads + kv) * HEAD4;
        var score = array<f32, TILE>();
        for (var i = 0u; i < HEAD4; i++) { // unroll
            let k_i = k[key + i];
            for (var a = 0u; a < TILE; a++) { // unroll
                score[a] += dot(query[a * HEAD4 + i], k_i);
            }
        }
        var shrink = array<f32, TILE>();
        var weight = array<f32, TILE>();
        for (var a = 0u; a < TILE; a++) { // unroll
            let t = min(t0 + a, p.tokens - 1u);
            let seen = sees(t, j);
            let next = max(largest[a], select(-3.0e38, score[a], seen));
            shrink[a] = exp(largest[a] - next);
            weight[a] = select(0.0, exp(score[a] - next), seen);
            largest[a] = next;
            total[a] = total[a] * shrink[a] + weight[a];
        }
        for (var i = 0u; i < HEAD4; i++) { // unroll
            let v_i = v[key + i];
            for (var a = 0u; a < TILE; a++) { // unroll
                sum[a * HEAD4 + i] = sum[a * HEAD4 + i] * shrink[a] + weight[a] * v_i;
            }
        }
    }
    for (var a = 0u; a < TILE; a++) { // unroll
        if t0 + a < end {
            let row = (t0 + a) * p.heads + head;
            for (var i = 0u; i < HEAD4; i++) { // unroll
                o[row * HEAD4 + i] = sum[a * HEAD4 + i] / total[a];
            }
            stats_out[row] = vec2<f32>(largest[a] + log(total[a]), 0.0);
        }
    }
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
    let tiles = (p.tokens + TILE - 1u) / TILE;
    let index = group_index(group, groups) * WG + thread;
    if index >= tiles * p.heads { return; } // guard
    let head = index / tiles;
    let t0 = (index % tiles) * TILE;
    let end = min(t0 + TILE, p.tokens);
    let kv = head / (p.heads / p.kv_heads);
    var query: array<vec4<f32>, TILE * HEAD4>;
    var grad: array<vec4<f32>, TILE * HEAD4>;
    var sum: array<vec4<f32>, TILE * HEAD4>;
    for (var a = 0u; a < TILE; a++) { // unroll
        let at = (min(t0 + a, p.tokens - 1u) * p.heads + head) * HEAD4;
        for (var i = 0u; i < HEAD4; i++) { // unroll
            query[a * HEAD4 + i] = q[at + i] * p.scale;
            grad[a * HEAD4 + i] = d_out[at + i];
        }
    }
    let own = span[t0];
    for (var j = own.x; j < end; j = next_keys(j, 1u, own)) {
        let key = (j * p.kv_heads + kv) * HEAD4;
        var score = array<f32, TILE>();
        var product = array<f32, TILE>();
        var keys = array<vec4<f32>, HEAD4>();
        for (var i = 0u; i < HEAD4; i++) { // unroll
            keys[i] = k[key + i];
            let v_i = v[key + i];
            for (var a = 0u; a < TILE; a++) { // unroll
                score[a] += dot(query[a * HEAD4 + i], keys[i]);
                product[a] += dot(grad[a * HEAD4 + i], v_i);
            }
        }
        for (var a = 0u; a < TILE; a++) { // unroll
            let t = min(t0 + a, p.tokens - 1u);
            let seen = sees(t, j);
            let row = stats[t * p.heads + head];
            let d_score = select(0.0, exp(score[a] - row.x) * (product[a] - row.y) * p.scale, seen);
            for (var i = 0u; i < HEAD4; i++) { // unroll
                sum[a * HEAD4 + i] += d_score * keys[i];
            }
        }
    }
    for (var a = 0u; a < TILE; a++) { // unroll
        if t0 + a < end {
            for (var i = 0u; i < HEAD4; i++) { // unroll
                dq[((t0 + a) * p.heads + head) * HEAD4 + i] = sum[a * HEAD4 + i];
            }
        }
    }
}

@compute @workgroup_size(WG)
fn backward_kv(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
               @builtin(local_invocation_index) thread: u32) {
    let tiles = (p.tokens + TILE - 1u) / TILE;
    let index = group_index(group, groups) * WG + thread;
    if index >= tiles * p.kv_heads { return; } // guard
    let kv = index / tiles;
    let j0 = (index % tiles) * TILE;
    let last = min(j0 + TILE, p.tokens) - 1u;
    let share = p.heads / p.kv_heads;
    var key: array<vec4<f32>, TILE * HEAD4>;
    var value: array<vec4<f32>, TILE * HEAD4>;
    var sum_k: array<vec4<f32>, TILE * HEAD4>;
    var sum_v: array<vec4<f32>, TILE * HEAD4>;
    for (var a = 0u; a < TILE; a++) { // unroll
        let at = (min(j0 + a, last) * p.kv_heads + kv) * HEAD4;
        for (var i = 0u; i < HEAD4; i++) { // unroll
            key[a * HEAD4 + i] = k[at + i] * p.scale;
            value[a * HEAD4 + i] = v[at + i];
        }
    }
    let end = queries_end(j0, TILE);
    for (var t = j0; t < end; t++) {
        for (var head = kv * share; head < (kv + 1u) * share; head++) {
            let row = t * p.heads + head;
            var query = array<vec4<f32>, HEAD4>();
            var grad = array<vec4<f32>, HEAD4>();
            var score = array<f32, TILE>();
            var product = array<f32, TILE>();
            for (var i = 0u; i < HEAD4; i++) { // unroll
                query[i] = q[row * HEAD4 + i];
                grad[i] = d_out[row * HEAD4 + i];
                for (var a = 0u; a < TILE; a++) { // unroll
                    score[a] += dot(query[i], key[a * HEAD4 + i]);
                    product[a] += dot(grad[i], value[a * HEAD4 + i]);
                }
            }
            let stat = stats[row];
            for (var a = 0u; a < TILE; a++) { // unroll
                let seen = sees(t, j0 + a);
                let weight = select(0.0, exp(score[a] - stat.x), seen);
                let d_score = weight * (product[a] - stat.y) * p.scale;
                for (var i = 0u; i < HEAD4; i++) { // unroll
                    sum_k[a * HEAD4 + i] += d_score * query[i];
                    sum_v[a * HEAD4 + i] += weight * grad[i];
                }
            }
        }
    }
    for (var a = 0u; a < TILE; a++) { // unroll
        if j0 + a <= last {
            let at = ((j0 + a) * p.kv_heads + kv) * HEAD4;
            for (var i = 0u; i < HEAD4; i++) { // unroll
                dk[at + i] = sum_k[a * HEAD4 + i];
                dv[at + i] = sum_v[a * HEAD4 + i];
            }
        }
    }
}
