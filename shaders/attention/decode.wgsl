// Attention of one new token a row over its paged cache.
//   forward  o[r,h] = Σ_j softmax_j(scale·q[r,h]·K[j])·V[j],  j = the last `window` of 0 ..= position[r],
//            K[j] = k_pages[pages[r, j/PAGE]·PAGE + j mod PAGE]
// Rows whose `live` is 0 are skipped. HEAD4 = head_dim / 4. The variant imports the format of the pages (cache_f32, cache_f16).
// Grid: forward: a thread owns one (row, head). forward_shared: a workgroup does; its threads share out the positions, each
// with its own softmax, and join them in a fixed order. Reference: tests/reference/attention/decode.rs
//! use grid
struct Params { rows: u32, heads: u32, kv_heads: u32, row_pages: u32, window: u32, scale: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> position: array<u32>;   // [rows]
@group(0) @binding(2) var<storage, read> live: array<u32>;   // [rows]
@group(0) @binding(3) var<storage, read> pages: array<u32>;   // [rows, row_pages]
@group(0) @binding(4) var<storage, read> q: array<vec4<f32>>;   // [rows, heads, HEAD4]
@group(0) @binding(7) var<storage, read_write> o: array<vec4<f32>>;   // [rows, heads, HEAD4]

// The first position that a row sees.
fn first_seen(row: u32) -> u32 { return position[row] - min(position[row], p.window - 1u); }

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) thread: u32) {
    let index = group_index(group, groups) * WG + thread;
    if index >= p.rows * p.heads { return; } // guard
    let row = index / p.heads;
    if live[row] == 0u { return; } // guard
    let kv = (index % p.heads) / (p.heads / p.kv_heads);
    var query: array<vec4<f32>, HEAD4>;
    var sum: array<vec4<f32>, HEAD4>;
    for (var i = 0u; i < HEAD4; i++) { // unroll
        query[i] = q[index * HEAD4 + i] * p.scale;
    }
    var largest = -3.0e38;
    var total = 0.0;
    for (var j = first_seen(row); j <= position[row]; j++) {
        let place = pages[row * p.row_pages + j / PAGE] * PAGE + j % PAGE;
        let key = (place * p.kv_heads + kv) * HEAD4;
        var score = 0.0;
        for (var i = 0u; i < HEAD4; i++) { // unroll
            score += dot(query[i], key4(key + i));
        }
        let next = max(largest, score);
        let shrink = exp(largest - next);
        let weight = exp(score - next);
        largest = next;
        total = total * shrink + weight;
        for (var i = 0u; i < HEAD4; i++) { // unroll
            sum[i] = sum[i] * shrink + weight * value4(key + i);
        }
    }
    for (var i = 0u; i < HEAD4; i++) { // unroll
        o[index * HEAD4 + i] = sum[i] / total;
    }
}

var<workgroup> largests: array<f32, WG>;
var<workgroup> totals: array<f32, WG>;
var<workgroup> sums: array<vec4<f32>, WG * HEAD4>;   // [WG, HEAD4]
var<workgroup> row_live: u32;

@compute @workgroup_size(WG)
fn forward_shared(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                  @builtin(local_invocation_index) thread: u32) {
    let index = group_index(group, groups);
    if index >= p.rows * p.heads { return; } // guard, the same for the whole workgroup
    let row = index / p.heads;
    if thread == 0u { row_live = live[row]; }
    if workgroupUniformLoad(&row_live) == 0u { return; } // guard
    let kv = (index % p.heads) / (p.heads / p.kv_heads);
    var query: array<vec4<f32>, HEAD4>;
    var sum: array<vec4<f32>, HEAD4>;
    for (var i = 0u; i < HEAD4; i++) { // unroll
        query[i] = q[index * HEAD4 + i] * p.scale;
    }
    var largest = -3.0e38;
    var total = 0.0;
    for (var j = first_seen(row) + thread; j <= position[row]; j += WG) {
        let place = pages[row * p.row_pages + j / PAGE] * PAGE + j % PAGE;
        let key = (place * p.kv_heads + kv) * HEAD4;
        var score = 0.0;
        for (var i = 0u; i < HEAD4; i++) { // unroll
            score += dot(query[i], key4(key + i));
        }
        let next = max(largest, score);
        let shrink = exp(largest - next);
        let weight = exp(score - next);
        largest = next;
        total = total * shrink + weight;
        for (var i = 0u; i < HEAD4; i++) { // unroll
            sum[i] = sum[i] * shrink + weight * value4(key + i);
        }
    }
    largests[thread] = largest;
    totals[thread] = total;
    for (var i = 0u; i < HEAD4; i++) { // unroll
        sums[thread * HEAD4 + i] = sum[i];
    }
    workgroupBarrier();
    var all = largests[0];
    for (var t = 1u; t < WG; t++) { all = max(all, largests[t]); }
    var mass = 0.0;
    for (var t = 0u; t < WG; t++) { mass += totals[t] * exp(largests[t] - all); }
    for (var i = thread; i < HEAD4; i += WG) {
        var joined = vec4<f32>();
        for (var t = 0u; t < WG; t++) { joined += sums[t * HEAD4 + i] * exp(largests[t] - all); }
        o[index * HEAD4 + i] = joined / mass;
    }
}
