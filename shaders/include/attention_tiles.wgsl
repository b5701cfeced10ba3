// What the kernels of attention/tiled.wgsl share: blocks of queries and keys in workgroup memory, their products, and sums weighed by
// what lies in `scores`. All that has a barrier is called by the whole workgroup.
const BLOCK: u32 = WG / ACROSS;
// A row in workgroup memory is one longer, against bank conflicts.
const STRIDE: u32 = SLICE + 1u;
var<workgroup> left: array<vec4<f32>, BLOCK * STRIDE>;   // [BLOCK, STRIDE]
var<workgroup> right: array<vec4<f32>, BLOCK * STRIDE>;   // [BLOCK, STRIDE]
var<workgroup> scores: array<f32, BLOCK * (BLOCK + 1u)>;   // [BLOCK, BLOCK + 1]
var<workgroup> partial: array<f32, BLOCK * ACROSS>;   // [BLOCK, ACROSS]

// Place in `left` and `right` of their number `u`, of BLOCK · SLICE.
fn place(u: u32) -> u32 { return u / SLICE * STRIDE + u % SLICE; }

// Where number `u` of a slice lies in a query's or a key's buffer, the slice beginning at `first`. Rows past the last are the last.
fn of_query(t0: u32, head: u32, first: u32, u: u32) -> u32 {
    return (min(t0 + u / SLICE, p.tokens - 1u) * p.heads + head) * HEAD4 + first + u % SLICE;
}
fn of_key(j0: u32, kv: u32, first: u32, u: u32) -> u32 {
    return (min(j0 + u / SLICE, p.tokens - 1u) * p.kv_heads + kv) * HEAD4 + first + u % SLICE;
}

// Whether row t of a block is a query that sees key j.
fn attends(t: u32, j: u32) -> bool { return t < p.tokens && sees(min(t, p.tokens - 1u), j); }

// sum[c] += left row · right row c, over the slice that lies in workgroup memory.
fn multiply(sum: ptr<function, array<f32, COLS>>, thread: u32) {
    for (var i = 0u; i < SLICE; i++) {
        let x = left[thread / ACROSS * STRIDE + i];
        for (var c = 0u; c < COLS; c++) { // unroll
            (*sum)[c] += dot(x, right[(thread % ACROSS + c * ACROSS) * STRIDE + i]);
        }
    }
}

// q[t]·k[j] of a block of queries and one of keys.
fn scores_of(t0: u32, head: u32, j0: u32, kv: u32, thread: u32) -> array<f32, COLS> {
    var sum = array<f32, COLS>();
    for (var first = 0u; first < HEAD4; first += SLICE) {
        workgroupBarrier();
        for (var u = thread; u < BLOCK * SLICE; u += WG) {
            left[place(u)] = q[of_query(t0, head, first, u)];
            right[place(u)] = k[of_key(j0, kv, first, u)];
        }
        workgroupBarrier();
        multiply(&sum, thread);
    }
    return sum;
}

// do[t]·v[j] of the same.
fn products_of(t0: u32, head: u32, j0: u32, kv: u32, thread: u32) -> array<f32, COLS> {
    var sum = array<f32, COLS>();
    for (var first = 0u; first < HEAD4; first += SLICE) {
        workgroupBarrier();
        for (var u = thread; u < BLOCK * SLICE; u += WG) {
            left[place(u)] = d_out[of_query(t0, head, first, u)];
            right[place(u)] = v[of_key(j0, kv, first, u)];
        }
        workgroupBarrier();
        multiply(&sum, thread);
    }
    return sum;
}

// Σ_i scores[row, i] · right[i] over `count` rows of `right`: this thread's four numbers of the slice.
fn combined(count: u32, thread: u32) -> vec4<f32> {
    workgroupBarrier();
    var sum = vec4<f32>();
    for (var i = 0u; i < count; i++) {
        sum += scores[thread / ACROSS * (BLOCK + 1u) + i] * right[i * STRIDE + thread % SLICE];
    }
    return sum;
}
