// The kernels of lora_grad.wgsl on a software adapter with subgroups of LANES: it pays for each load and lane one by one, so each
// lane loads other numbers, and what all need is broadcast. A workgroup is one subgroup.
//   back       d_low_s[i,r] = scale_s · Σ_j dy_s[i,j] · B_s[j,r]
//   gradients  dA_s[r,l] += Σ_i d_low_s[i,r] · x[i,l],   dB_s[j,r] += scale_s · Σ_i dy_s[i,j] · low_s[i,r]
// A workgroup owns TN ranks of one site, and LANES·TB rows (back; LANES apart for a lane) or 4·LANES·TC columns of dA or rows of dB
// (gradients); it takes LANES terms of the sums at a time, so that a sum that leaves the registers is loaded and stored once for
// all of them. QUADS = LANES / 4. Reference: tests/reference/lora_grad_lanes.rs
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
        // Of LANES rows of B each lane has one.
        let own_row = s.b + min(j + lane, s.cols - 1u) * s.rank;
        var own = array<f32, TN>();
        for (var r = 0u; r < TN; r++) { // unroll
            own[r] = select(0.0, adapter[own_row + min(tile.y + r, s.rank - 1u)], j + lane < s.cols);
        }
        var d = array<vec4<f32>, TB * QUADS>();
        for (var b = 0u; b < TB; b++) { // unroll
            let from_row = s.dy / 4u + min(row + b * LANES + lane, p.m - 1u) * cols4;
            for (var v = 0u; v < QUADS; v++) { // unroll
                d[b * QUADS + v] = dy[from_row + min(j / 4u + v, cols4 - 1u)];
            }
        }
        for (var r = 0u; r < TN; r++) { // unroll
            for (var v = 0u; v < QUADS; v++) { // unroll
                let column = vec4<f32>(
                    subgroupBroadcast(own[r], v * 4u), subgroupBroadcast(own[r], v * 4u + 1u),
                    subgroupBroadcast(own[r], v * 4u + 2u), subgroupBroadcast(own[r], v * 4u + 3u));
                for (var b = 0u; b < TB; b++) { // unroll
                    sum[b * TN + r] += dot(d[b * QUADS + v], column);
                }
            }
        }
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

// sum[r, c] += Σ_t low[t, r] · outer[t, c] over LANES rows t, of whose low each lane has one row.
fn add(sum: ptr<function, array<vec4<f32>, TN * TC>>, own: ptr<function, array<f32, TN>>,
       outer: ptr<function, array<vec4<f32>, LANES * TC>>) {
    for (var r = 0u; r < TN; r++) { // unroll
        for (var c = 0u; c < TC; c++) { // unroll
            var total = (*sum)[r * TC + c];
            for (var t = 0u; t < LANES; t++) { // unroll
                total += subgroupBroadcast((*own)[r], t) * (*outer)[t * TC + c];
            }
            (*sum)[r * TC + c] = total;
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
    var own = array<f32, TN>();
    var outer = array<vec4<f32>, LANES * TC>();
    // One of the two loops has no turn: as a branch, both loads would be carried out.
    for (var i = 0u; i < select(p.m, 0u, part.of_b); i += LANES) {
        let own_row = s.low + min(i + lane, p.m - 1u) * s.rank;
        for (var r = 0u; r < TN; r++) { // unroll
            own[r] = select(0.0, d_low[own_row + min(part.rank + r, s.rank - 1u)], i + lane < p.m);
        }
        for (var t = 0u; t < LANES; t++) { // unroll
            for (var c = 0u; c < TC; c++) { // unroll
                outer[t * TC + c] = x[min(i + t, p.m - 1u) * width + min(part.col4 + c * LANES + lane, width - 1u)];
            }
        }
        add(&sum, &own, &outer);
    }
    for (var i = 0u; i < select(0u, p.m, part.of_b); i += LANES) {
        let own_row = s.low + min(i + lane, p.m - 1u) * s.rank;
        for (var r = 0u; r < TN; r++) { // unroll
            own[r] = select(0.0, s.scale * low[own_row + min(part.rank + r, s.rank - 1u)], i + lane < p.m);
        }
        let first = s.dy / 4u;
        for (var t = 0u; t < LANES; t++) { // unroll
            for (var c = 0u; c < TC; c++) { // unroll
                outer[t * TC + c] =
                    dy[first + min(i + t, p.m - 1u) * width + min(part.col4 + c * LANES + lane, width - 1u)];
            }
        }
        add(&sum, &own, &outer);
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
