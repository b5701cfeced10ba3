// The backward pass of LoRA (Hu et al., 2021), y_s += scale_s·B_s·A_s·x, for up to 3 modules s that read the same x.
//   back       d_low_s[i,r] = scale_s · Σ_j dy_s[i,j] · B_s[j,r]
//   gradients  dA_s[r,l] += Σ_i d_low_s[i,r] · x[i,l],   dB_s[j,r] += scale_s · Σ_i dy_s[i,j] · low_s[i,r]
// What d_low adds to dx is part of the product with W. Every k and cols is a multiple of 4.
// Grid: back: a workgroup owns TM rows and TN ranks of a d_low; its threads share out j, with B in workgroup memory. gradients: a
// workgroup owns TN ranks and BLOCK4 times 4 columns of a dA, or rows of a dB; its threads share out i, with low in workgroup
// memory, and add up HALF of the ranks at a time. All sums have a fixed order. Reference: tests/reference/lora/grad.rs
//! use grid
//! use lora_sites
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;   // [m, k / 4]
@group(0) @binding(2) var<storage, read> dy: array<vec4<f32>>;   // of each site [m, cols / 4]
@group(0) @binding(3) var<storage, read> adapter: array<f32>;
@group(0) @binding(4) var<storage, read> low: array<f32>;   // of each site [m, rank]
@group(0) @binding(5) var<storage, read> d_low: array<f32>;   // as low
@group(0) @binding(6) var<storage, read_write> d_low_out: array<f32>;   // as low
@group(0) @binding(7) var<storage, read_write> gradient: array<f32>;   // as adapter

// Rows of B for a vec4 of dy in each thread: number r of row 4·t + u at u·APART + t·(TN + 1) + r, where neither neighbours that
// write nor neighbours that read meet in a bank of the memory.
const APART: u32 = WG * (TN + 1u) + TN;
var<workgroup> rows: array<f32, 4u * APART>;
var<workgroup> parts: array<f32, TM * TN * (WG + 1u)>;   // [TM, TN, WG + 1]; TM·TN is at most WG

@compute @workgroup_size(WG)
fn back(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let index = group_index(group, groups);
    let tile = rank_tile(index % rank_tiles());
    let row = index / rank_tiles() * TM;
    if row >= p.m { return; } // guard, the same for the whole workgroup
    let s = site(tile.x);
    let cols4 = s.cols / 4u;
    var sum: array<f32, TM * TN>;
    for (var start = 0u; start < cols4; start += WG) {
        workgroupBarrier(); // the rows before are done with
        // Several loads before the first of them is used: otherwise each would wait for the one before.
        for (var first = thread; first < 4u * WG * TN; first += AHEAD * WG) {
            var values = array<f32, AHEAD>();
            for (var a = 0u; a < AHEAD; a++) { // unroll
                let e = first + a * WG;
                values[a] = adapter[s.b + min(start * 4u + e / TN, s.cols - 1u) * s.rank + min(tile.y + e % TN, s.rank - 1u)];
            }
            for (var a = 0u; a < AHEAD; a++) { // unroll
                let j = (first + a * WG) / TN;
                rows[j % 4u * APART + j / 4u * (TN + 1u) + (first + a * WG) % TN] = values[a];
            }
        }
        workgroupBarrier();
        let j4 = start + thread;
        if j4 < cols4 {
            var d = array<vec4<f32>, TM>();
            for (var i = 0u; i < TM; i++) { // unroll
                d[i] = dy[s.dy / 4u + min(row + i, p.m - 1u) * cols4 + j4];
            }
            for (var r = 0u; r < TN; r++) { // unroll
                let at = thread * (TN + 1u) + r;
                let column = vec4<f32>(rows[at], rows[at + APART], rows[at + 2u * APART], rows[at + 3u * APART]);
                for (var i = 0u; i < TM; i++) { // unroll
                    sum[i * TN + r] += dot(d[i], column);
                }
            }
        }
    }
    for (var i = 0u; i < TM; i++) { // unroll
        for (var r = 0u; r < TN; r++) { // unroll
            parts[(i * TN + r) * (WG + 1u) + thread] = sum[i * TN + r];
        }
    }
    workgroupBarrier();
    let i = thread / TN;
    let rank = tile.y + thread % TN;
    if i >= TM || row + i >= p.m || rank >= s.rank { return; } // guard, no barrier follows
    var total = 0.0;
    for (var t = 0u; t < WG; t++) { total += parts[thread * (WG + 1u) + t]; }
    d_low_out[s.low + (row + i) * s.rank + rank] = s.scale * total;
}

const SHARES: u32 = WG / BLOCK4;   // threads that share out i
const ROWS: u32 = 64u;   // rows of low in workgroup memory at a time
var<workgroup> lows: array<f32, ROWS * TN>;   // [ROWS, TN]
var<workgroup> pieces: array<vec4<f32>, HALF * WG>;   // [HALF, SHARES, BLOCK4]

@compute @workgroup_size(WG)
fn gradients(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
             @builtin(local_invocation_index) thread: u32) {
    let part = job(group_index(group, groups));
    if part.site > 2u { return; } // guard, the same for the whole workgroup
    let s = site(part.site);
    let width = select(p.k, s.cols, part.of_b) / 4u;
    let read = min(part.col4 + thread % BLOCK4, width - 1u);
    let share = thread / BLOCK4;
    var sum: array<vec4<f32>, TN>;
    for (var start = 0u; start < p.m; start += ROWS) {
        workgroupBarrier(); // the rows before are done with
        for (var e = thread; e < ROWS * TN; e += WG) {
            let i = start + e / TN;
            let rank = part.rank + e % TN;
            if i < p.m && rank < s.rank {
                let at = s.low + i * s.rank + rank;
                if part.of_b { lows[e] = s.scale * low[at]; } else { lows[e] = d_low[at]; }
            }
        }
        workgroupBarrier();
        for (var i = share; i < min(ROWS, p.m - start); i += SHARES) {
            var value = vec4<f32>();
            let at = (start + i) * width + read;
            if part.of_b { value = dy[s.dy / 4u + at]; } else { value = x[at]; }
            for (var r = 0u; r < TN; r++) { // unroll
                sum[r] += lows[i * TN + r] * value;
            }
        }
    }
    for (var half = 0u; half < 2u; half++) { // unroll
        workgroupBarrier();
        for (var r = 0u; r < HALF; r++) { // unroll
            pieces[r * WG + thread] = sum[half * HALF + r];
        }
        workgroupBarrier();
        for (var e = thread; e < HALF * BLOCK4; e += WG) {
            let rank = part.rank + half * HALF + e / BLOCK4;
            let col4 = part.col4 + e % BLOCK4;
            if rank < s.rank && col4 < width {
                var total = vec4<f32>();
                let first = e / BLOCK4 * WG + e % BLOCK4;
                for (var t = 0u; t < SHARES; t++) { total += pieces[first + t * BLOCK4]; }
                let at = select(s.a + rank * p.k + col4 * 4u, s.b + col4 * 4u * s.rank + rank, part.of_b);
                let step = select(1u, s.rank, part.of_b);
                for (var u = 0u; u < 4u; u++) { // unroll
                    gradient[at + u * step] += total[u];
                }
            }
        }
    }
}
