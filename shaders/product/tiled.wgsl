// The products of direct.wgsl for many rows on a GPU: a workgroup owns BM rows and BN columns of the output and goes along the
// sum in steps, whose operands it first puts into workgroup memory. There W is decoded once for BM rows, x is read once for BN
// columns. While it computes one step, the operands of the next are on their way into registers.
//   forward     y[i,j]  = Σ_l x[i,l] · W[j,l]  + LoRA + bias  (+ what y held, if `accumulate`)
//   backward_x  dx[i,l] = Σ_j dy[i,j] · W[j,l]  + LoRA  (+ what dx held, if `accumulate`)
// In forward a thread owns TM rows and TN columns, which lie DM and DN apart, so that neighbouring threads read and write
// neighbours. In backward_x it owns TM rows and TN times 8 neighbouring columns; BN counts columns.
// The threads form SLICES equal parts. Each has threads for the whole block and sums over its share of every step of STEP
// numbers; at the end the first adds the sums of the others, in order. That gives few small blocks enough threads.
// Arithmetic as in direct.wgsl, and with one slice its order; ends of the sums as there.
// Reference: tests/reference/product/tiled.rs
//! use grid
//! use segments
@group(0) @binding(3) var<storage, read> x: array<vec4<f32>>;   // [m, k / 4]
@group(0) @binding(4) var<storage, read_write> y: array<f32>;   // what `y_at` counts in
@group(0) @binding(5) var<storage, read> dy: array<f32>;   // what `y_at` counts in
@group(0) @binding(6) var<storage, read_write> dx: array<vec4<f32>>;   // [m, k / 4]

// Threads of a slice.
const THREADS: u32 = WG / SLICES;
var<workgroup> slice_sums: array<vec4<f32>, max(1u, (SLICES - 1u) * THREADS)>;   // [SLICES - 1, THREADS]

// The sum over the slices of what each has for the same place, in the first slice.
fn over_slices(own: vec4<f32>, thread: u32) -> vec4<f32> {
    if thread >= THREADS { slice_sums[thread - THREADS] = own; }
    workgroupBarrier();
    var sum = own;
    for (var s = 0u; s < SLICES - 1u; s++) { sum += slice_sums[s * THREADS + thread % THREADS]; }
    workgroupBarrier();
    return sum;
}

// Groups of 8 along k in a step of forward.
const DEPTH: u32 = STEP / 8u;
// Groups beside each other in workgroup memory, one more than are used, against bank conflicts.
const ROWS: u32 = BM + 1u;
const COLS: u32 = BN + 1u;
var<workgroup> tile_x: array<Input8, DEPTH * ROWS>;   // [DEPTH, ROWS]
var<workgroup> tile_w: array<Weight8, DEPTH * COLS>;   // [DEPTH, COLS]

// A thread's share of a step of forward from group `start` on. Zeros behind the end of the row are left to what puts it into
// workgroup memory: to compute with it here would be to wait for it.
fn fetch(next_x: ptr<function, array<mat2x4<f32>, LOADS>>, next_w: ptr<function, array<Weight8, LOADS_W>>,
         first_row: u32, first_col: u32, start: u32, thread: u32) {
    let last = p.k / 8u - 1u;
    for (var t = 0u; t < LOADS; t++) { // unroll
        let u = min(thread + t * WG, BM * DEPTH - 1u);
        let at = min(first_row + u / DEPTH, p.m - 1u) * (p.k / 4u) + min(start + u % DEPTH, last) * 2u;
        (*next_x)[t] = mat2x4<f32>(x[at], x[at + 1u]);
    }
    for (var t = 0u; t < LOADS_W; t++) { // unroll
        let u = min(thread + t * WG, BN * DEPTH - 1u);
        (*next_w)[t] = weight8(p.first + min(first_col + u / DEPTH, p.n - 1u), min(start + u % DEPTH, last), p.k);
    }
}

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) thread: u32) {
    let blocks = (p.n + BN - 1u) / BN;
    let index = group_index(group, groups);
    let first_col = (index % blocks) * BN;
    let first_row = (index / blocks) * BM;
    if first_row >= p.m { return; } // guard, the same for the whole workgroup
    let k8 = p.k / 8u;
    let slice = thread / THREADS % SLICES; // known to be 0 where there is one
    let my_row = (thread - slice * THREADS) / DN;
    let my_col = thread % DN;
    var sum: array<f32, TM * TN>;
    var next_x: array<mat2x4<f32>, LOADS>;
    var next_w: array<Weight8, LOADS_W>;
    fetch(&next_x, &next_w, first_row, first_col, 0u, thread);
    for (var start = 0u; start < k8; start += DEPTH) {
        for (var t = 0u; t < LOADS; t++) { // unroll
            let u = thread + t * WG;
            if u < BM * DEPTH {
                // Behind the end of the row stand zeros, so that it does not matter what stands there of W.
                let inside = start + u % DEPTH < k8;
                let low = select(vec4<f32>(), next_x[t][0], inside);
                tile_x[u % DEPTH * ROWS + u / DEPTH] = input8(low, select(vec4<f32>(), next_x[t][1], inside));
            }
        }
        for (var t = 0u; t < LOADS_W; t++) { // unroll
            let u = thread + t * WG;
            if u < BN * DEPTH { tile_w[u % DEPTH * COLS + u / DEPTH] = next_w[t]; }
        }
        workgroupBarrier();
        fetch(&next_x, &next_w, first_row, first_col, start + DEPTH, thread);
        for (var g = 0u; g < SHARE; g++) {
            let d = slice * SHARE + g;
            var input = array<Input8, TM>();
            for (var i = 0u; i < TM; i++) { // unroll
                input[i] = tile_x[d * ROWS + my_row + i * DM];
            }
            for (var j = 0u; j < TN; j++) { // unroll
                let weight = tile_w[d * COLS + my_col + j * DN];
                for (var i = 0u; i < TM; i++) { // unroll
                    sum[i * TN + j] += product8(input[i], weight);
                }
            }
        }
        workgroupBarrier();
    }
    if SLICES > 1u {
        for (var q = 0u; q < QUADS; q++) { // unroll
            let all = over_slices(vec4<f32>(sum[q * 4u], sum[q * 4u + 1u], sum[q * 4u + 2u], sum[q * 4u + 3u]), thread);
            for (var e = 0u; e < 4u; e++) { // unroll
                sum[q * 4u + e] = all[e];
            }
        }
        if slice > 0u { return; }
    }
    let row = first_row + my_row;
    let col = first_col + my_col;
    adapt(&sum, row, col, col, col + (TN - 1u) * DN);
    for (var j = 0u; j < TN; j++) { // unroll
        if col + j * DN < p.n {
            let start = y_index(row, col + j * DN);
            let step = y_step(col + j * DN) * DM;
            let more = bias_of(col + j * DN);
            for (var i = 0u; i < TM; i++) { // unroll
                if row + i * DM < p.m {
                    let at = start + i * step;
                    y[at] = sum[i * TN + j] + more + select(0.0, y[at], p.accumulate != 0u);
                }
            }
        }
    }
}

const BN8: u32 = BN / 8u;
// Rows of W in a step of backward_x, by 4 as dy is loaded.
const STEP4: u32 = STEP / 4u;
// The same by 2 as they are multiplied, which takes fewer registers, and one more, against bank conflicts.
const PITCH: u32 = STEP / 2u + 1u;
var<workgroup> tile_dy: array<vec2<f32>, BM * PITCH>;   // [TM, BM / TM, PITCH]: first the first row of every thread
var<workgroup> tile_rows: array<vec4<f32>, 2u * STEP * BN8>;   // [2, STEP, BN / 8]: the halves of 8 columns apart

// A thread's share of a step of backward_x from column `start` of the whole matrix on, within segment `s` and before `end`.
// Zeros behind the end are left to what puts it into workgroup memory, as in `fetch`.
fn fetch_rows(next_dy: ptr<function, array<vec4<f32>, LOADS>>, next_w: ptr<function, array<mat2x4<f32>, LOADS_W>>,
              first_row: u32, first_col8: u32, s: u32, start: u32, end: u32, thread: u32) {
    for (var t = 0u; t < LOADS; t++) { // unroll
        let u = min(thread + t * WG, BM * STEP4 - 1u);
        let at = p.y_at[s] + min(first_row + u / STEP4, p.m - 1u) * segment_width(s);
        let j = min(vec4<u32>(start + u % STEP4 * 4u) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(end - 1u)) - p.start[s];
        (*next_dy)[t] = vec4<f32>(dy[at + j.x], dy[at + j.y], dy[at + j.z], dy[at + j.w]);
    }
    for (var t = 0u; t < LOADS_W; t++) { // unroll
        let u = min(thread + t * WG, STEP * BN8 - 1u);
        let row = p.first + min(start + u / BN8, end - 1u) - p.row0;
        (*next_w)[t] = load8(row, min(first_col8 + u % BN8, p.k / 8u - 1u), p.k);
    }
}

@compute @workgroup_size(WG)
fn backward_x(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
              @builtin(local_invocation_index) thread: u32) {
    let k8 = p.k / 8u;
    let blocks = (k8 + BN8 - 1u) / BN8;
    let index = group_index(group, groups);
    let first_col8 = (index % blocks) * BN8;
    let first_row = (index / blocks) * BM;
    if first_row >= p.m { return; } // guard, the same for the whole workgroup
    let slice = thread / THREADS % SLICES; // known to be 0 where there is one
    let my_rows = (thread - slice * THREADS) / (BN8 / TN);
    let my_col8 = thread % (BN8 / TN) * TN;
    var first: array<vec4<f32>, TM * TN>;
    var second: array<vec4<f32>, TM * TN>;
    var next_dy: array<vec4<f32>, LOADS>;
    var next_w: array<mat2x4<f32>, LOADS_W>;
    // Steps end with their segment, so that dy lies there in one row.
    for (var s = 0u; s < 3u; s++) {
        let begin = max(p.start[s], p.row0);
        let end = min(p.start[s + 1u], p.row0 + p.n);
        if begin < end { fetch_rows(&next_dy, &next_w, first_row, first_col8, s, begin, end, thread); }
        for (var start = begin; start < end; start += STEP) {
            for (var t = 0u; t < LOADS; t++) { // unroll
                let u = thread + t * WG;
                if u < BM * STEP4 {
                    let i = u / STEP4;
                    let inside = vec4<u32>(start + u % STEP4 * 4u) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(end);
                    let value = select(vec4<f32>(), next_dy[t], inside);
                    let at = (i % TM * (BM / TM) + i / TM) * PITCH + u % STEP4 * 2u;
                    tile_dy[at] = value.xy;
                    tile_dy[at + 1u] = value.zw;
                }
            }
            for (var t = 0u; t < LOADS_W; t++) { // unroll
                let u = thread + t * WG;
                if u < STEP * BN8 {
                    tile_rows[u] = next_w[t][0];
                    tile_rows[STEP * BN8 + u] = next_w[t][1];
                }
            }
            workgroupBarrier();
            fetch_rows(&next_dy, &next_w, first_row, first_col8, s, start + STEP, end, thread);
            for (var g = 0u; g < SHARE; g++) {
                let pair = slice * SHARE + g;
                var d = array<vec2<f32>, TM>();
                for (var i = 0u; i < TM; i++) { // unroll
                    d[i] = tile_dy[(i * (BM / TM) + my_rows) * PITCH + pair];
                }
                for (var j = 0u; j < 2u; j++) { // unroll
                    for (var c = 0u; c < TN; c++) { // unroll
                        let at = (pair * 2u + j) * BN8 + my_col8 + c;
                        let low = tile_rows[at];
                        let high = tile_rows[STEP * BN8 + at];
                        for (var i = 0u; i < TM; i++) { // unroll
                            first[i * TN + c] += d[i][j] * low;
                            second[i * TN + c] += d[i][j] * high;
                        }
                    }
                }
            }
            workgroupBarrier();
        }
    }
    if SLICES > 1u {
        for (var i = 0u; i < TM; i++) { // unroll
            for (var c = 0u; c < TN; c++) { // unroll
                first[i * TN + c] = over_slices(first[i * TN + c], thread);
                second[i * TN + c] = over_slices(second[i * TN + c], thread);
            }
        }
        if slice > 0u { return; }
    }
    let row = first_row + my_rows * TM;
    let col8 = first_col8 + my_col8;
    adapt_x(&first, &second, row, col8);
    for (var i = 0u; i < TM; i++) { // unroll
        if row + i < p.m {
            for (var c = 0u; c < TN; c++) { // unroll
                if col8 + c < k8 {
                    let at = (row + i) * (p.k / 4u) + (col8 + c) * 2u;
                    if p.accumulate != 0u {
                        dx[at] += first[i * TN + c];
                        dx[at + 1u] += second[i * TN + c];
                    } else {
                        dx[at] = first[i * TN + c];
                        dx[at + 1u] = second[i * TN + c];
                    }
                }
            }
        }
    }
}
