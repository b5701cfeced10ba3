// Attention of one new token a row over its paged cache, on a GPU. Where there are too few rows to keep it busy, the positions of a
// row are shared out over several workgroups (Dao et al., 2023, Flash-Decoding).
//   whole  o[r,h] as in decode.wgsl
//   split  of the positions j of each split s:  largest_s = max_j score_j,  total_s = Σ_j e_j,  sum_s = Σ_j e_j·V[j],
//          score_j = scale·q[r,h]·K[j],  e_j = exp(score_j − largest_s),  K[j] as in decode.wgsl
//   join   o[r,h] = Σ_s w_s·sum_s / Σ_s w_s·total_s,  w_s = exp(largest_s − max_s largest_s)
// Split s has the tiles s, s + splits, ... of WG positions from the first on that the row sees, the last `window` of those that it has
// so far: they are spread evenly over its splits, and as long as there are no more tiles than splits the order of the sums does not
// depend on the number of splits.
// Rows whose `live` is 0 and splits without positions do nothing. The pages are in either format, as in decode.wgsl.
// Grid: whole: a workgroup owns QUERIES heads with the same keys of a row, and reads K and V once for all of them; split: the same in
// one split. join: a workgroup owns one (row, head). Reference: tests/reference/attention/decode_split.rs
//! use grid
//! use attention_cached
struct Params { rows: u32, heads: u32, kv_heads: u32, row_pages: u32, splits: u32, window: u32, scale: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> position: array<u32>;   // [rows]
@group(0) @binding(2) var<storage, read> live: array<u32>;   // [rows]
@group(0) @binding(3) var<storage, read> pages: array<u32>;   // [rows, row_pages]
@group(0) @binding(4) var<storage, read> q: array<vec4<f32>>;   // [rows, heads, HEAD4]
@group(0) @binding(7) var<storage, read> parts: array<vec4<f32>>;   // [rows, heads, splits, PART]: sum; (largest, total, -, -)
@group(0) @binding(8) var<storage, read_write> o: array<vec4<f32>>;   // [rows, heads, HEAD4]
@group(0) @binding(9) var<storage, read_write> parts_out: array<vec4<f32>>;   // as parts

const PART: u32 = HEAD4 + 1u;

@compute @workgroup_size(WG)
fn split(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
         @builtin(local_invocation_index) thread: u32) {
    let index = group_index(group, groups);
    let part = index % p.splits;
    let work = bundle(index / p.splits);
    if work.row >= p.rows { return; } // guard, the same for the whole workgroup
    let end = end_of(work.row, thread);
    let first = end - min(end, p.window) + part * WG;
    if first >= end { return; } // guard: no positions
    attend(work, first, end, p.splits * WG, thread);
    for (var i = thread; i < work.count * PART; i += WG) {
        let g = i / PART;
        let c = i % PART;
        var joined = vec4<f32>();
        if c < HEAD4 {
            joined = sum_of(g, c);
        } else {
            joined = vec4<f32>(most[g], total_of(g), 0.0, 0.0);
        }
        parts_out[((work.head + g) * p.splits + part) * PART + c] = joined;
    }
}

@compute @workgroup_size(WG)
fn whole(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
         @builtin(local_invocation_index) thread: u32) {
    let work = bundle(group_index(group, groups));
    if work.row >= p.rows { return; } // guard, the same for the whole workgroup
    let end = end_of(work.row, thread);
    if end == 0u { return; } // guard
    attend(work, end - min(end, p.window), end, WG, thread);
    for (var i = thread; i < work.count * HEAD4; i += WG) {
        o[work.head * HEAD4 + i] = sum_of(i / HEAD4, i % HEAD4) / total_of(i / HEAD4);
    }
}

var<workgroup> peaks: array<f32, WG>;   // largest_s
var<workgroup> factors: array<f32, WG>;   // w_s
var<workgroup> masses: array<f32, WG>;   // w_s·total_s
var<workgroup> columns: array<vec4<f32>, WG>;   // [LANES, HEAD4]

// There are at most WG splits.
@compute @workgroup_size(WG)
fn join(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let index = group_index(group, groups);
    if index >= p.rows * p.heads { return; } // guard, the same for the whole workgroup
    let row = index / p.heads;
    let end = end_of(row, thread);
    if end == 0u { return; } // guard
    let first = index * p.splits * PART;
    let count = min(p.splits, (min(end, p.window) + WG - 1u) / WG); // splits that have positions; what the others hold is old
    var largest = NEVER;
    var mass = 0.0;
    if thread < count {
        let state = parts[first + thread * PART + HEAD4];
        largest = state.x;
        mass = state.y;
    }
    peaks[thread] = largest;
    workgroupBarrier();
    var all = NEVER;
    for (var s = 0u; s < count; s++) { all = max(all, peaks[s]); }
    let factor = exp(largest - all);
    factors[thread] = factor;
    masses[thread] = factor * mass;
    workgroupBarrier();
    var sum = vec4<f32>();
    if thread < LANES * HEAD4 {
        for (var s = thread / HEAD4; s < count; s += LANES) {
            sum += factors[s] * parts[first + s * PART + thread % HEAD4];
        }
    }
    columns[thread] = sum;
    workgroupBarrier();
    if thread < HEAD4 {
        var joined = vec4<f32>();
        for (var l = 0u; l < LANES; l++) { joined += columns[l * HEAD4 + thread]; }
        var total = 0.0;
        for (var s = 0u; s < count; s++) { total += masses[s]; }
        o[index * HEAD4 + thread] = joined / total;
    }
}
