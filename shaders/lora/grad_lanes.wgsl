// The kernels of grad.wgsl on a software adapter: it pays for each load and lane one by one, so each lane loads other
// numbers, and what all need is broadcast if there are subgroups of LANES; a workgroup is then one subgroup.
//   back       d_low_s[i,r] = scale_s · Σ_j dy_s[i,j] · B_s[j,r]
//   gradients  dA_s[r,l] += Σ_i d_low_s[i,r] · x[i,l],   dB_s[j,r] += scale_s · Σ_i dy_s[i,j] · low_s[i,r]
// A workgroup owns TN ranks of one site, and LANES·TB rows (back) or 4·LANES·TC columns of dA or rows of dB (gradients). It takes
// LANES terms of the sums at a time, so that a sum that leaves the registers is loaded and stored once for all of them.
// QUADS = LANES / 4. Reference: tests/reference/lora/grad_lanes.rs
//! use grid
//! use lora_sites
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;   // [m, k / 4]
@group(0) @binding(2) var<storage, read> dy: array<vec4<f32>>;   // of each site [m, cols / 4]
@group(0) @binding(3) var<storage, read> adapter: array<f32>;
@group(0) @binding(4) var<storage, read> low: array<f32>;   // of each site [m, rank]
@group(0) @binding(5) var<storage, read> d_low: array<f32>;   // as low
@group(0) @binding(6) var<storage, read_write> d_low_out: array<f32>;   // as low
@group(0) @binding(7) var<storage, read_write> gradient: array<f32>;   // as adapter
const BLOCK4: u32 = LANES * TC;

@compute @workgroup_size(LANES)
fn back(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let index = group_index(group, groups);
    let tile = rank_tile(index % rank_tiles());
    let row = index / rank_tiles() * (LANES * TB);
    if row >= p.m { return; } // guard, the same for the whole workgroup
    let s = site(tile.x);
    let cols4 = s.cols / 4u;
    var sum: array<f32, TB * TN>;
    for (var j = 0u; j < s.cols; j += LANES) {
        var own = array<f32, LOADS * TN>();
        for (var o = 0u; o < LOADS; o++) { // unroll
            let from_b = j + row_of(o, lane);
            let first = s.b + min(from_b, s.cols - 1u) * s.rank;
            for (var r = 0u; r < TN; r++) { // unroll
                own[o * TN + r] = select(0.0, adapter[first + min(tile.y + r, s.rank - 1u)], from_b < s.cols);
            }
        }
        var d = array<vec4<f32>, TB * QUADS>();
        for (var b = 0u; b < TB; b++) { // unroll
            let from_row = s.dy / 4u + min(row + b * LANES + lane, p.m - 1u) * cols4;
            for (var v = 0u; v < QUADS; v++) { // unroll
                d[b * QUADS + v] = dy[from_row + min(j / 4u + v, cols4 - 1u)];
            }
        }
        add_inner(&sum, &own, &d);
    }
    for (var b = 0u; b < TB; b++) { // unroll
        let i = row + b * LANES + lane;
        for (var r = 0u; r < TN; r++) { // unroll
            if i < p.m && tile.y + r < s.rank {
                d_low_out[s.low + i * s.rank + tile.y + r] = s.scale * sum[b * TN + r];
            }
        }
    }
}

@compute @workgroup_size(LANES)
fn gradients(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
             @builtin(local_invocation_index) lane: u32) {
    let part = job(group_index(group, groups));
    if part.site > 2u { return; } // guard, the same for the whole workgroup
    let s = site(part.site);
    let width = select(p.k, s.cols, part.of_b) / 4u;
    var sum: array<vec4<f32>, TN * TC>;
    var own = array<f32, LOADS * TN>();
    var outer = array<vec4<f32>, LANES * TC>();
    // One of the two loops has no turn: as a branch, both loads would be carried out.
    for (var i = 0u; i < select(p.m, 0u, part.of_b); i += LANES) {
        for (var o = 0u; o < LOADS; o++) { // unroll
            let t = i + row_of(o, lane);
            let first = s.low + min(t, p.m - 1u) * s.rank;
            for (var r = 0u; r < TN; r++) { // unroll
                own[o * TN + r] = select(0.0, d_low[first + min(part.rank + r, s.rank - 1u)], t < p.m);
            }
        }
        for (var t = 0u; t < LANES; t++) { // unroll
            for (var c = 0u; c < TC; c++) { // unroll
                outer[t * TC + c] = x[min(i + t, p.m - 1u) * width + min(part.col4 + c * LANES + lane, width - 1u)];
            }
        }
        add_outer(&sum, &own, &outer);
    }
    for (var i = 0u; i < select(0u, p.m, part.of_b); i += LANES) {
        for (var o = 0u; o < LOADS; o++) { // unroll
            let t = i + row_of(o, lane);
            let first = s.low + min(t, p.m - 1u) * s.rank;
            for (var r = 0u; r < TN; r++) { // unroll
                own[o * TN + r] = select(0.0, s.scale * low[first + min(part.rank + r, s.rank - 1u)], t < p.m);
            }
        }
        let first = s.dy / 4u;
        for (var t = 0u; t < LANES; t++) { // unroll
            for (var c = 0u; c < TC; c++) { // unroll
                outer[t * TC + c] =
                    dy[first + min(i + t, p.m - 1u) * width + min(part.col4 + c * LANES + lane, width - 1u)];
            }
        }
        add_outer(&sum, &own, &outer);
    }
    let step = select(1u, s.rank, part.of_b);
    for (var r = 0u; r < TN; r++) { // unroll
        for (var c = 0u; c < TC; c++) { // unroll
            let col4 = part.col4 + c * LANES + lane;
            let rank = part.rank + r;
            if rank < s.rank && col4 < width {
                let at = select(s.a + rank * p.k + col4 * 4u, s.b + col4 * 4u * s.rank + rank, part.of_b);
                for (var u = 0u; u < 4u; u++) { // unroll
                    gradient[at + u * step] += sum[r * TC + c][u];
                }
            }
        }
    }
}
