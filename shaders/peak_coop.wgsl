// What cooperative matrices can do at best, as a loop that does nothing else.
//   multiply  y[g,s] = p.rounds · (Σ_u left[u]) · (Σ_v right[v]),   u < 4, v < 2
// as 8 chains of sums in f32 that do not wait for each other, each of p.rounds products of two matrices in f16.
// Grid: p.groups workgroups of SUBGROUPS subgroups; each makes the same matrix. Reference: tests/reference/peak_coop.rs
struct Params { groups: u32, rounds: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> left: array<vec4<f32>>;   // [4, SIDE, SIDE / 4]
@group(0) @binding(2) var<storage, read> right: array<vec4<f32>>;   // [2, SIDE, SIDE / 4]
@group(0) @binding(3) var<storage, read_write> y: array<f32>;   // [groups, SUBGROUPS, SIDE, SIDE]

const SUMS: u32 = SIDE * SIDE;
const TILE_A: u32 = 4u * SUMS;
const TILE_B: u32 = 2u * SUMS;
var<workgroup> stage: array<f32, (SUBGROUPS + 1u) * SUMS>;   // the last place for surplus subgroups, as in product/matrix_units.wgsl

@compute @workgroup_size(WG)
fn multiply(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
            @builtin(local_invocation_index) thread: u32, @builtin(subgroup_id) subgroup: u32) {
    let index = group.x + group.y * groups.x; // naga counts on no function to give all threads the same
    if index >= p.groups { return; } // guard, the same for the whole workgroup
    for (var u = thread; u < TILE_A / 4u; u += WG) { put_a(u * 4u, left[u]); }
    for (var u = thread; u < TILE_B / 4u; u += WG) { put_b(u * 4u, right[u]); }
    for (var u = thread; u < SUMS; u += WG) { stage[u] = 0.0; }
    workgroupBarrier();
    var a: array<Left, 4>;
    var b: array<Right, 2>;
    for (var u = 0u; u < 4u; u++) { // unroll
        a[u] = coopLoadT<Left>(&tile_a[u * SUMS / UNIT], SIDE / UNIT);
    }
    for (var v = 0u; v < 2u; v++) { // unroll
        b[v] = coopLoadT<Right>(&tile_b[v * SUMS / UNIT], SIDE / UNIT);
    }
    var sum: array<Sums, 8>;
    for (var c = 0u; c < 8u; c++) { // unroll
        sum[c] = coopLoadT<Sums>(&stage[0], SIDE);
    }
    workgroupBarrier(); // `stage` is written again
    for (var round = 0u; round < p.rounds; round++) {
        for (var u = 0u; u < 4u; u++) { // unroll
            for (var v = 0u; v < 2u; v++) { // unroll
                sum[u * 2u + v] = coopMultiplyAdd(a[u], b[v], sum[u * 2u + v]);
            }
        }
    }
    for (var c = 0u; c < 8u; c++) { // unroll
        coopStoreT(sum[c], &stage[min(subgroup, SUBGROUPS) * SUMS], SIDE);
        workgroupBarrier();
        for (var u = thread; u < SUBGROUPS * SUMS; u += WG) {
            let at = index * SUBGROUPS * SUMS + u;
            y[at] = stage[u] + select(0.0, y[at], c > 0u);
        }
        workgroupBarrier();
    }
}
