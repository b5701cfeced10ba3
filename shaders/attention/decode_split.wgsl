// Attention of one new token a row over its paged cache, where there are too few rows to keep a GPU busy: the positions of a
// row are shared out over several workgroups (Dao et al., 2023, Flash-Decoding).
//   split  of the positions j of each split s:  largest_s = max_j score_j,  total_s = Σ_j e_j,  sum_s = Σ_j e_j·V[j],
//          score_j = scale·q[r,h]·K[j],  e_j = exp(score_j − largest_s),  K[j] as in decode.wgsl
//   join   o[r,h] = Σ_s w_s·sum_s / Σ_s w_s·total_s,  w_s = exp(largest_s − max_s largest_s)
// Split s has the tiles s, s + splits, ... of WG positions from the first on that the row sees, the last `window` of those that it has
// so far: they are spread evenly over its splits, and as long as there are no more tiles than splits the order of the sums does not
// depend on the number of splits.
// Rows whose `live` is 0 and splits without positions do nothing. The pages are in either format, as in decode.wgsl.
// Grid: split: a workgroup owns QUERIES heads with the same keys, in one split of a row, and reads K and V once for all of
// them. join: a workgroup owns one (row, head). Reference: tests/reference/attention/decode_split.rs
//! use grid
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
const LANES: u32 = WG / HEAD4;   // threads that share the positions of a tile for each vec4 of a sum
const SCANS: u32 = 8u;   // threads that share the scores of a query in the search for the largest
const NEVER: f32 = -3.0e38;   // below every score

var<workgroup> queries: array<vec4<f32>, QUERIES * HEAD4>;   // [QUERIES, HEAD4], scaled
var<workgroup> places: array<u32, WG>;   // where K and V of the tile's positions begin
var<workgroup> scores: array<f32, QUERIES * WG>;   // [QUERIES, WG]: scores, then e_j, at last totals of threads
var<workgroup> most: array<f32, QUERIES * SCANS>;   // [QUERIES, SCANS], at last `largest` of the queries
var<workgroup> sums: array<vec4<f32>, QUERIES * WG>;   // [QUERIES, LANES, HEAD4]
var<workgroup> row_end: u32;

@compute @workgroup_size(WG)
fn split(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
         @builtin(local_invocation_index) thread: u32) {
    let index = group_index(group, groups);
    let sharing = p.heads / p.kv_heads;
    let bundles = (sharing + QUERIES - 1u) / QUERIES;
    let part = index % p.splits;
    let bundle = index / p.splits % bundles;
    let kv = index / p.splits / bundles % p.kv_heads;
    let row = index / p.splits / bundles / p.kv_heads;
    if row >= p.rows { return; } // guard, the same for the whole workgroup
    if thread == 0u { row_end = select(0u, position[row] + 1u, live[row] != 0u); }
    let end = workgroupUniformLoad(&row_end);
    let first = end - min(end, p.window) + part * WG;
    if first >= end { return; } // guard: no positions
    let head = row * p.heads + kv * sharing + bundle * QUERIES;
    let count = min(QUERIES, sharing - bundle * QUERIES);
    for (var i = thread; i < QUERIES * HEAD4; i += WG) {
        queries[i] = q[(head + min(i / HEAD4, count - 1u)) * HEAD4 + i % HEAD4] * p.scale;
    }
    let lane = thread / HEAD4;
    let column = thread % HEAD4;
    var largest: array<f32, QUERIES>;
    var total: array<f32, QUERIES>;
    var sum: array<vec4<f32>, QUERIES>;
    for (var g = 0u; g < QUERIES; g++) { // unroll
        largest[g] = NEVER;
    }
    for (var start = first; start < end; start += p.splits * WG) {
        workgroupBarrier(); // the queries are there, the tile before is done with
        let j = start + thread;
        var score = array<f32, QUERIES>();
        if j < end {
            let place = (pages[row * p.row_pages + j / PAGE] * PAGE + j % PAGE) * p.kv_heads + kv;
            places[thread] = place * HEAD4;
            for (var i = 0u; i < HEAD4; i++) { // unroll
                let key = key4(place * HEAD4 + i);
                for (var g = 0u; g < QUERIES; g++) { // unroll
                    score[g] += dot(queries[g * HEAD4 + i], key);
                }
            }
        }
        for (var g = 0u; g < QUERIES; g++) { // unroll
            scores[g * WG + thread] = select(NEVER, score[g], j < end);
        }
        workgroupBarrier();
        if thread < QUERIES * SCANS {
            var found = NEVER;
            for (var i = thread % SCANS; i < WG; i += SCANS) { found = max(found, scores[thread / SCANS * WG + i]); }
            most[thread] = found;
        }
        workgroupBarrier();
        for (var g = 0u; g < QUERIES; g++) { // unroll
            var next = largest[g];
            for (var i = 0u; i < SCANS; i++) { next = max(next, most[g * SCANS + i]); }
            let shrink = exp(largest[g] - next);
            let weight = select(0.0, exp(score[g] - next), j < end);
            largest[g] = next;
            total[g] = total[g] * shrink + weight;
            sum[g] *= shrink;
            scores[g * WG + thread] = weight;
        }
        workgroupBarrier();
        if lane < LANES {
            for (var t = lane; t < min(WG, end - start); t += LANES) {
                let value = value4(places[t] + column);
                for (var g = 0u; g < QUERIES; g++) { // unroll
                    sum[g] += scores[g * WG + t] * value;
                }
            }
        }
    }
    workgroupBarrier();
    for (var g = 0u; g < QUERIES; g++) { // unroll
        sums[g * WG + thread] = sum[g];
        scores[g * WG + thread] = total[g];
        if thread == 0u { most[g] = largest[g]; }
    }
    workgroupBarrier();
    for (var i = thread; i < count * PART; i += WG) {
        let g = i / PART;
        let c = i % PART;
        var joined = vec4<f32>();
        if c < HEAD4 {
            for (var l = 0u; l < LANES; l++) { joined += sums[g * WG + l * HEAD4 + c]; }
        } else {
            var mass = 0.0;
            for (var t = 0u; t < WG; t++) { mass += scores[g * WG + t]; }
            joined = vec4<f32>(most[g], mass, 0.0, 0.0);
        }
        parts_out[((head + g) * p.splits + part) * PART + c] = joined;
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
    if thread == 0u { row_end = select(0u, position[row] + 1u, live[row] != 0u); }
    let end = workgroupUniformLoad(&row_end);
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
