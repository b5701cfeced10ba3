// Each lane loads one of LANES rows of a matrix with TN columns, LOADS = 1, and the others get it by broadcast.
fn row_of(load: u32, lane: u32) -> u32 { return lane; }

// sum[r, c] += Σ_t own[t, r] · outer[t, c]
fn add_outer(sum: ptr<function, array<vec4<f32>, TN * TC>>, own: ptr<function, array<f32, LOADS * TN>>,
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

// sum[b, r] += Σ_t d[b, t] · own[t, r]
fn add_inner(sum: ptr<function, array<f32, TB * TN>>, own: ptr<function, array<f32, LOADS * TN>>,
             d: ptr<function, array<vec4<f32>, TB * QUADS>>) {
    for (var r = 0u; r < TN; r++) { // unroll
        for (var v = 0u; v < QUADS; v++) { // unroll
            let column = vec4<f32>(
                subgroupBroadcast((*own)[r], v * 4u), subgroupBroadcast((*own)[r], v * 4u + 1u),
                subgroupBroadcast((*own)[r], v * 4u + 2u), subgroupBroadcast((*own)[r], v * 4u + 3u));
            for (var b = 0u; b < TB; b++) { // unroll
                (*sum)[b * TN + r] += dot((*d)[b * QUADS + v], column);
            }
        }
    }
}
