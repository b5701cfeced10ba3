// adapted.wgsl's ends of products for product/per_lane.wgsl: each lane loads one row of `low`, the others get it by broadcast.
@group(0) @binding(8) var<storage, read> low: array<f32>;   // what `low_at` counts in
@group(0) @binding(9) var<storage, read> b: array<f32>;   // what `matrix_at` counts in
@group(0) @binding(10) var<storage, read> a: array<vec4<f32>>;   // the same

// `low_col` and `high_col` are the same for the whole subgroup, as broadcasts want it.
fn adapt(sum: ptr<function, array<f32, TM * TN>>, row: u32, col: u32, low_col: u32, high_col: u32) {
    for (var s = segment_of(p.row0 + low_col); s <= segment_of(p.row0 + min(high_col, p.n - 1u)); s++) {
        let rank = p.rank[s];
        for (var r = 0u; r < rank; r++) {
            var right = array<f32, TN>();
            for (var j = 0u; j < TN; j++) { // unroll
                let at = p.row0 + min(col + j, p.n - 1u);
                let value = b[p.matrix_at[s] + (at - p.start[s]) * rank + r];
                right[j] = p.scale[s] * select(0.0, value, segment_of(at) == s);
            }
            for (var block = 0u; block < TB; block++) { // unroll
                let own = low[p.low_at[s] + min(row + block * LANES + lane, p.m - 1u) * rank + r];
                for (var i = 0u; i < LANES; i++) { // unroll
                    let left = subgroupBroadcast(own, i);
                    for (var j = 0u; j < TN; j++) { // unroll
                        (*sum)[(block * LANES + i) * TN + j] += left * right[j];
                    }
                }
            }
        }
    }
}

fn adapt_x(first: ptr<function, array<vec4<f32>, TM * TN>>, second: ptr<function, array<vec4<f32>, TM * TN>>,
           row: u32, col8: u32) {
    for (var s = 0u; s < 3u; s++) {
        let rank = p.rank[s];
        for (var r = 0u; r < rank; r++) {
            for (var c = 0u; c < TN; c++) { // unroll
                let at = p.matrix_at[s] / 4u + r * (p.k / 4u) + min(col8 + c, p.k / 8u - 1u) * 2u;
                let low_a = p.scale[s] * a[at];
                let high_a = p.scale[s] * a[at + 1u];
                for (var block = 0u; block < TB; block++) { // unroll
                    let own = low[p.low_at[s] + min(row + block * LANES + lane, p.m - 1u) * rank + r];
                    for (var i = 0u; i < LANES; i++) { // unroll
                        let left = subgroupBroadcast(own, i);
                        (*first)[(block * LANES + i) * TN + c] += left * low_a;
                        (*second)[(block * LANES + i) * TN + c] += left * high_a;
                    }
                }
            }
        }
    }
}
