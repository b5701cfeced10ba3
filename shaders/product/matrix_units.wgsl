// The products of direct.wgsl for many rows by cooperative matrices: factors in f16, sums in f32. A workgroup owns BM rows and BN
// columns of the output and goes along the sum in steps, whose factors it first puts into workgroup memory as f16; a subgroup
// owns FM by FN matrices of SIDE by SIDE sums, MATRICES in all.
//   forward     y[i,j]  = Σ_l x[i,l] · W[j,l]  + LoRA + bias  (+ what y held, if `accumulate`)
//   backward_x  dx[i,l] = Σ_j dy[i,j] · W[j,l]  + LoRA  (+ what dx held, if `accumulate`)
// Each row of x or dy is multiplied by a power of two that brings its largest number to [2^14, 2^15), and its sums are divided by
// it: so nothing overflows f16, and numbers down to 2^-28 of the row's largest keep all of f16's digits, whatever their size.
// A row with a number that is not finite gives NaN. The host sees to it that the weights lie in f16's range.
// Grid: a workgroup for each block. Reads x or dy twice for each block of columns, once for the largest numbers, and W once for
// each block of rows.
// Reference: tests/reference/product/matrix_units.rs
//! use segments
@group(0) @binding(3) var<storage, read> x: array<vec4<f32>>;   // [m, k / 4]
@group(0) @binding(4) var<storage, read_write> y: array<f32>;   // what `y_at` counts in
@group(0) @binding(5) var<storage, read> dy: array<f32>;   // what `y_at` counts in
@group(0) @binding(6) var<storage, read_write> dx: array<vec4<f32>>;   // [m, k / 4]

const DEPTH: u32 = 32u;   // numbers along the sum in a step
const PIECES: u32 = DEPTH / SIDE;
const ROW: u32 = DEPTH + 8u;   // a row of a tile along the sum: longer, against bank conflicts
const ROW_B: u32 = BN + 8u;   // a row of a tile across it
const TILE_A: u32 = BM * ROW;   // [BM, ROW] of x or dy
const TILE_B: u32 = max(BN * ROW, DEPTH * ROW_B);   // [BN, ROW] of W in forward, [DEPTH, ROW_B] in backward_x

const ACROSS: u32 = BN / (FN * SIDE);   // subgroups beside each other
const SUBGROUPS: u32 = BM / (FM * SIDE) * ACROSS;
const SUMS: u32 = SIDE * SIDE;
// Where a device makes smaller subgroups than it might, there are more than SUBGROUPS of them. The others, which must take part
// because all threads must reach the same operations, repeat what the first ones do and leave it in the last place.
var<workgroup> stage: array<f32, (SUBGROUPS + 1u) * SUMS>;   // [SUBGROUPS + 1, SIDE, SIDE]
var<workgroup> most: array<u32, BM>;   // biased exponent of each row's largest number, 15 or more

fn size(value: f32) -> u32 { return bitcast<u32>(value) & 0x7fffffffu; }
fn largest(v: vec4<f32>) -> u32 { return max(max(size(v.x), size(v.y)), max(size(v.z), size(v.w))); }
// Sizes of numbers, read as integers, have the order of the numbers, with infinity and what is no number above all. Below 15 the
// divisor would be no normal number.
fn exponent(largest: u32) -> u32 { return max(largest >> 23u, 15u); }
fn factor(row: u32) -> f32 { return bitcast<f32>((268u - most[row]) << 23u); }   // 2^(141 - exponent)
fn divisor(row: u32) -> f32 {
    let exponent = most[row];
    return bitcast<f32>(select((exponent - 14u) << 23u, 0x7fc00000u, exponent == 255u));
}

// Row and column, in the workgroup's block, of number `u` of `stage` while it holds each subgroup's matrix (i, j).
fn staged_row(u: u32, i: u32) -> u32 { return (u / SUMS / ACROSS * FM + i) * SIDE + u % SUMS / SIDE; }
fn staged_col(u: u32, j: u32) -> u32 { return (u / SUMS % ACROSS * FN + j) * SIDE + u % SIDE; }

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) thread: u32, @builtin(subgroup_id) subgroup: u32,
           @builtin(num_subgroups) subgroups: u32, @builtin(subgroup_invocation_id) lane: u32,
           @builtin(subgroup_size) lanes: u32) {
    let blocks = (p.n + BN - 1u) / BN;
    let index = group.x + group.y * groups.x; // naga counts on no function to give all threads the same
    let first_col = (index % blocks) * BN;
    let first_row = (index / blocks) * BM;
    if first_row >= p.m { return; } // guard, the same for the whole workgroup
    let k4 = p.k / 4u;
    let k8 = p.k / 8u;
    // TOGETHER rows at a time, so that as many loads are under way.
    for (var i = subgroup * TOGETHER; i < BM; i += subgroups * TOGETHER) {
        var own = array<u32, TOGETHER>();
        for (var l = lane; l < k4; l += lanes) {
            for (var t = 0u; t < TOGETHER; t++) { // unroll
                own[t] = max(own[t], largest(x[min(first_row + i + t, p.m - 1u) * k4 + l]));
            }
        }
        for (var t = 0u; t < TOGETHER; t++) { // unroll
            let all = subgroupMax(own[t]);
            if lane == 0u { most[i + t] = exponent(all); }
        }
    }
    for (var u = thread; u < SUMS; u += WG) { stage[u] = 0.0; }
    workgroupBarrier();
    let my_row = subgroup % SUBGROUPS / ACROSS * FM * SIDE;
    let my_col = subgroup % ACROSS * FN * SIDE;
    var sum: array<Sums, MATRICES>;
    // Loaded zeros: Metal promises nothing of matrices that were only declared.
    for (var f = 0u; f < MATRICES; f++) { // unroll
        sum[f] = coopLoadT<Sums>(&stage[0], SIDE);
    }
    for (var start = 0u; start < p.k; start += DEPTH) {
        for (var u = thread; u < BM * (DEPTH / 4u); u += WG) {
            let i = u / (DEPTH / 4u);
            let l = start / 4u + u % (DEPTH / 4u);
            let value = x[min(first_row + i, p.m - 1u) * k4 + min(l, k4 - 1u)];
            // Behind the end of the row stand zeros, so that it does not matter what stands there of W.
            put_a(i * ROW + u % (DEPTH / 4u) * 4u, select(vec4<f32>(), value * factor(i), l < k4));
        }
        for (var u = thread; u < BN * (DEPTH / 8u); u += WG) {
            let j = u / (DEPTH / 8u);
            let weight = load8(p.first + min(first_col + j, p.n - 1u), min(start / 8u + u % (DEPTH / 8u), k8 - 1u), p.k);
            let at = j * ROW + u % (DEPTH / 8u) * 8u;
            put_b(at, weight[0]);
            put_b(at + 4u, weight[1]);
        }
        workgroupBarrier();
        for (var d = 0u; d < PIECES; d++) {
            var right = array<Right, FN>();
            for (var j = 0u; j < FN; j++) { // unroll
                right[j] = coopLoad<Right>(&tile_b[((my_col + j * SIDE) * ROW + d * SIDE) / UNIT], ROW / UNIT);
            }
            for (var i = 0u; i < FM; i++) { // unroll
                let left = coopLoadT<Left>(&tile_a[((my_row + i * SIDE) * ROW + d * SIDE) / UNIT], ROW / UNIT);
                for (var j = 0u; j < FN; j++) { // unroll
                    sum[i * FN + j] = coopMultiplyAdd(left, right[j], sum[i * FN + j]);
                }
            }
        }
        workgroupBarrier();
    }
    for (var i = 0u; i < FM; i++) { // unroll
        for (var j = 0u; j < FN; j++) { // unroll
            coopStoreT(sum[i * FN + j], &stage[min(subgroup, SUBGROUPS) * SUMS], SIDE);
            workgroupBarrier();
            for (var u = thread; u < SUBGROUPS * SUMS; u += WG) {
                let block_row = staged_row(u, i);
                let row = first_row + block_row;
                let col = first_col + staged_col(u, j);
                if row < p.m && col < p.n {
                    let at = y_index(row, col);
                    let more = adapted(row, col) + bias_of(col) + select(0.0, y[at], p.accumulate != 0u);
                    y[at] = stage[u] * divisor(block_row) + more;
                }
            }
            workgroupBarrier();
        }
    }
}

@compute @workgroup_size(WG)
fn backward_x(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
              @builtin(local_invocation_index) thread: u32, @builtin(subgroup_id) subgroup: u32,
              @builtin(num_subgroups) subgroups: u32, @builtin(subgroup_invocation_id) lane: u32,
              @builtin(subgroup_size) lanes: u32) {
    let blocks = (p.k + BN - 1u) / BN;
    let index = group.x + group.y * groups.x; // naga counts on no function to give all threads the same
    let first_col = (index % blocks) * BN;
    let first_row = (index / blocks) * BM;
    if first_row >= p.m { return; } // guard, the same for the whole workgroup
    for (var i = subgroup * TOGETHER; i < BM; i += subgroups * TOGETHER) {
        var own = array<u32, TOGETHER>();
        for (var j = lane; j < p.n; j += lanes) {
            for (var t = 0u; t < TOGETHER; t++) { // unroll
                own[t] = max(own[t], size(dy[y_index(min(first_row + i + t, p.m - 1u), j)]));
            }
        }
        for (var t = 0u; t < TOGETHER; t++) { // unroll
            let all = subgroupMax(own[t]);
            if lane == 0u { most[i + t] = exponent(all); }
        }
    }
    for (var u = thread; u < SUMS; u += WG) { stage[u] = 0.0; }
    workgroupBarrier();
    let my_row = subgroup % SUBGROUPS / ACROSS * FM * SIDE;
    let my_col = subgroup % ACROSS * FN * SIDE;
    var sum: array<Sums, MATRICES>;
    // Loaded zeros: Metal promises nothing of matrices that were only declared.
    for (var f = 0u; f < MATRICES; f++) { // unroll
        sum[f] = coopLoadT<Sums>(&stage[0], SIDE);
    }
    for (var start = 0u; start < p.n; start += DEPTH) {
        for (var u = thread; u < BM * (DEPTH / 4u); u += WG) {
            let i = u / (DEPTH / 4u);
            let row = min(first_row + i, p.m - 1u);
            let at = u % (DEPTH / 4u) * 4u;
            let j = vec4<u32>(start + at) + vec4<u32>(0u, 1u, 2u, 3u);
            let col = min(j, vec4<u32>(p.n - 1u));
            let value = vec4<f32>(
                dy[y_index(row, col.x)],
                dy[y_index(row, col.y)],
                dy[y_index(row, col.z)],
                dy[y_index(row, col.w)],
            );
            put_a(i * ROW + at, select(vec4<f32>(), value * factor(i), j < vec4<u32>(p.n)));
        }
        for (var u = thread; u < DEPTH * (BN / 8u); u += WG) {
            let j = u / (BN / 8u);
            let weight = load8(p.first + min(start + j, p.n - 1u), min(first_col / 8u + u % (BN / 8u), p.k / 8u - 1u), p.k);
            let at = j * ROW_B + u % (BN / 8u) * 8u;
            put_b(at, weight[0]);
            put_b(at + 4u, weight[1]);
        }
        workgroupBarrier();
        for (var d = 0u; d < PIECES; d++) {
            var right = array<Right, FN>();
            for (var j = 0u; j < FN; j++) { // unroll
                right[j] = coopLoadT<Right>(&tile_b[(d * SIDE * ROW_B + my_col + j * SIDE) / UNIT], ROW_B / UNIT);
            }
            for (var i = 0u; i < FM; i++) { // unroll
                let left = coopLoadT<Left>(&tile_a[((my_row + i * SIDE) * ROW + d * SIDE) / UNIT], ROW / UNIT);
                for (var j = 0u; j < FN; j++) { // unroll
                    sum[i * FN + j] = coopMultiplyAdd(left, right[j], sum[i * FN + j]);
                }
            }
        }
        workgroupBarrier();
    }
    for (var i = 0u; i < FM; i++) { // unroll
        for (var j = 0u; j < FN; j++) { // unroll
            coopStoreT(sum[i * FN + j], &stage[min(subgroup, SUBGROUPS) * SUMS], SIDE);
            workgroupBarrier();
            for (var u = thread * 4u; u < SUBGROUPS * SUMS; u += WG * 4u) {
                let block_row = staged_row(u, i);
                let row = first_row + block_row;
                let col4 = (first_col + staged_col(u, j)) / 4u;
                if row < p.m && col4 < p.k / 4u {
                    let at = row * (p.k / 4u) + col4;
                    let value = vec4<f32>(stage[u], stage[u + 1u], stage[u + 2u], stage[u + 3u]) * divisor(block_row);
                    dx[at] = value + adapted_x(row, col4) + select(vec4<f32>(), dx[at], p.accumulate != 0u);
                }
            }
            workgroupBarrier();
        }
    }
}
