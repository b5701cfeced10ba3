// The end of a product with LoRA adapters (Hu et al., 2021), one for each segment of y.
//   forward     y[i,j]  += scale · Σ_r low[i,r] · b[j,r],   low = x·Aᵀ
//   backward_x  dx[i,l] += scale · Σ_r low[i,r] · a[r,l],   low = dy·B
// Ranks come a few at a time, so that their loads are under way together; those past the last count nothing.
@group(0) @binding(8) var<storage, read> low: array<f32>;   // what `low_at` counts in
@group(0) @binding(9) var<storage, read> b: array<f32>;   // what `matrix_at` counts in
@group(0) @binding(10) var<storage, read> a: array<vec4<f32>>;   // the same

// A thread's tile of TM rows and TN columns of y, DM and DN apart, those past the last included. Only segments from that of
// column `low_col` to that of `high_col` are looked at.
fn adapt(sum: ptr<function, array<f32, TM * TN>>, row: u32, col: u32, low_col: u32, high_col: u32) {
    for (var s = segment_of(p.row0 + low_col); s <= segment_of(p.row0 + min(high_col, p.n - 1u)); s++) {
        let rank = p.rank[s];
        for (var first = 0u; first < rank; first += 2u) {
            for (var u = 0u; u < 2u; u++) { // unroll
                let r = min(first + u, rank - 1u);
                let scale = select(0.0, p.scale[s], first + u < rank);
                var left = array<f32, TM>();
                for (var i = 0u; i < TM; i++) { // unroll
                    left[i] = scale * low[p.low_at[s] + min(row + i * DM, p.m - 1u) * rank + r];
                }
                for (var j = 0u; j < TN; j++) { // unroll
                    let at = p.row0 + min(col + j * DN, p.n - 1u);
                    let right = select(0.0, b[p.matrix_at[s] + (at - p.start[s]) * rank + r], segment_of(at) == s);
                    for (var i = 0u; i < TM; i++) { // unroll
                        (*sum)[i * TN + j] += left[i] * right;
                    }
                }
            }
        }
    }
}

// One number of y.
fn adapted(row: u32, col: u32) -> f32 {
    let s = segment_of(p.row0 + col);
    let rank = p.rank[s];
    let left = p.low_at[s] + row * rank;
    let right = p.matrix_at[s] + (p.row0 + col - p.start[s]) * rank;
    var sum = 0.0;
    for (var first = 0u; first < rank; first += 8u) {
        var product = array<f32, 8>();
        for (var u = 0u; u < 8u; u++) { // unroll
            let r = min(first + u, rank - 1u);
            product[u] = low[left + r] * b[right + r];
        }
        for (var u = 0u; u < 8u; u++) { // unroll
            sum += select(0.0, product[u], first + u < rank);
        }
    }
    return p.scale[s] * sum;
}

// A thread's tile of TM rows and TN times 8 columns of dx, in halves of 4.
fn adapt_x(first: ptr<function, array<vec4<f32>, TM * TN>>, second: ptr<function, array<vec4<f32>, TM * TN>>,
           row: u32, col8: u32) {
    for (var s = 0u; s < 3u; s++) {
        let rank = p.rank[s];
        for (var start = 0u; start < rank; start += 2u) {
            for (var u = 0u; u < 2u; u++) { // unroll
                let r = min(start + u, rank - 1u);
                let scale = select(0.0, p.scale[s], start + u < rank);
                var left = array<f32, TM>();
                for (var i = 0u; i < TM; i++) { // unroll
                    left[i] = scale * low[p.low_at[s] + min(row + i, p.m - 1u) * rank + r];
                }
                for (var c = 0u; c < TN; c++) { // unroll
                    let at = p.matrix_at[s] / 4u + r * (p.k / 4u) + min(col8 + c, p.k / 8u - 1u) * 2u;
                    for (var i = 0u; i < TM; i++) { // unroll
                        (*first)[i * TN + c] += left[i] * a[at];
                        (*second)[i * TN + c] += left[i] * a[at + 1u];
                    }
                }
            }
        }
    }
}

// 4 neighbouring numbers of dx.
fn adapted_x(row: u32, col4: u32) -> vec4<f32> {
    var all = vec4<f32>();
    for (var s = 0u; s < 3u; s++) {
        let rank = p.rank[s];
        var sum = vec4<f32>();
        for (var r = 0u; r < rank; r++) {
            sum += low[p.low_at[s] + row * rank + r] * a[p.matrix_at[s] / 4u + r * (p.k / 4u) + col4];
        }
        all += p.scale[s] * sum;
    }
    return all;
}
