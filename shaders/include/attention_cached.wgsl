// What the kernels of attention/decode_split.wgsl share: a workgroup goes through tiles of WG positions of a row's cache for up to
// QUERIES heads that share keys. All that has a barrier is called by the whole workgroup.
const LANES: u32 = WG / HEAD4;   // threads that share the positions of a tile for each vec4 of a sum
const SCANS: u32 = 8u;   // threads that share the scores of a query in the search for the largest
const NEVER: f32 = -3.0e38;   // below every score

var<workgroup> queries: array<vec4<f32>, QUERIES * HEAD4>;   // [QUERIES, HEAD4], scaled
var<workgroup> places: array<u32, WG>;   // where K and V of the tile's positions begin
var<workgroup> scores: array<f32, QUERIES * WG>;   // [QUERIES, WG]: scores, then e_j, at last totals of threads
var<workgroup> most: array<f32, QUERIES * SCANS>;   // [QUERIES, SCANS], at last `largest` of the queries
var<workgroup> sums: array<vec4<f32>, QUERIES * WG>;   // [QUERIES, LANES, HEAD4]
var<workgroup> row_end: u32;

// What a workgroup works on: `count` heads from `head` on, which share the keys of `kv`, of a row.
struct Work { row: u32, kv: u32, head: u32, count: u32 }

// The work of bundle `index` of all rows.
fn bundle(index: u32) -> Work {
    let sharing = p.heads / p.kv_heads;
    let bundles = (sharing + QUERIES - 1u) / QUERIES;
    let first = index % bundles * QUERIES;
    let kv = index / bundles % p.kv_heads;
    let row = index / bundles / p.kv_heads;
    return Work(row, kv, row * p.heads + kv * sharing + first, min(QUERIES, sharing - first));
}

// One past the last position of a row, 0 for a row that is to be skipped; the same for the whole workgroup.
fn end_of(row: u32, thread: u32) -> u32 {
    if thread == 0u { row_end = select(0u, position[row] + 1u, live[row] != 0u); }
    return workgroupUniformLoad(&row_end);
}

// Goes through the tiles from `first` on that lie `step` apart, and leaves parts of sums, of totals, and the largest scores in
// workgroup memory.
fn attend(work: Work, first: u32, end: u32, step: u32, thread: u32) {
    for (var i = thread; i < QUERIES * HEAD4; i += WG) {
        queries[i] = q[(work.head + min(i / HEAD4, work.count - 1u)) * HEAD4 + i % HEAD4] * p.scale;
    }
    let lane = thread / HEAD4;
    let column = thread % HEAD4;
    var largest: array<f32, QUERIES>;
    var total: array<f32, QUERIES>;
    var sum: array<vec4<f32>, QUERIES>;
    for (var g = 0u; g < QUERIES; g++) { // unroll
        largest[g] = NEVER;
    }
    for (var start = first; start < end; start += step) {
        workgroupBarrier(); // the queries are there, the tile before is done with
        let j = start + thread;
        var score = array<f32, QUERIES>();
        if j < end {
            let place = (pages[work.row * p.row_pages + j / PAGE] * PAGE + j % PAGE) * p.kv_heads + work.kv;
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
}

// Numbers c·4 .. of query g's sum, after `attend`.
fn sum_of(g: u32, c: u32) -> vec4<f32> {
    var joined = vec4<f32>();
    for (var l = 0u; l < LANES; l++) { joined += sums[g * WG + l * HEAD4 + c]; }
    return joined;
}

// The total of query g, after `attend`.
fn total_of(g: u32) -> f32 {
    var mass = 0.0;
    for (var t = 0u; t < WG; t++) { mass += scores[g * WG + t]; }
    return mass;
}
