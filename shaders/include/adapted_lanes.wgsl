// adapted.wgsl's ends of products for matmul_lanes.wgsl: each lane loads one row of `low`, the others get it by broadcast.
@group(0) @binding(7) var<storage, read> low: array<f32>;   // [m, rank]
@group(0) @binding(8) var<storage, read> b: array<f32>;   // [stride, rank]
@group(0) @binding(9) var<storage, read> a: array<vec4<f32>>;   // [rank, k / 4]

fn adapt(sum: ptr<function, array<f32, TM * TN>>, row: u32, col: u32) {
    for (var r = 0u; r < p.rank; r++) {
        var right = array<f32, TN>();
        for (var j = 0u; j < TN; j++) { // unroll
            right[j] = p.scale * b[(p.row0 + min(col + j, p.n - 1u)) * p.rank + r];
        }
        for (var block = 0u; block < TB; block++) { // unroll
            let own = low[min(row + block * LANES + lane, p.m - 1u) * p.rank + r];
            for (var i = 0u; i < LANES; i++) { // unroll
                let left = subgroupBroadcast(own, i);
                for (var j = 0u; j < TN; j++) { // unroll
                    (*sum)[(block * LANES + i) * TN + j] += left * right[j];
                }
            }
        }
    }
}

fn adapt_x(first: ptr<function, array<vec4<f32>, TM * TN>>, second: ptr<function, array<vec4<f32>, TM * TN>>,
           row: u32, col8: u32) {
    for (var r = 0u; r < p.rank; r++) {
        for (var c = 0u; c < TN; c++) { // unroll
            let at = r * (p.k / 4u) + min(col8 + c, p.k / 8u - 1u) * 2u;
            let low_a = p.scale * a[at];
            let high_a = p.scale * a[at + 1u];
            for (var block = 0u; block < TB; block++) { // unroll
                let own = low[min(row + block * LANES + lane, p.m - 1u) * p.rank + r];
                for (var i = 0u; i < LANES; i++) { // unroll
                    let left = subgroupBroadcast(own, i);
                    (*first)[(block * LANES + i) * TN + c] += left * low_a;
                    (*second)[(block * LANES + i) * TN + c] += left * high_a;
                }
            }
        }
    }
}
