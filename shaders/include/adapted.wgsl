// The end of a product with a LoRA adapter (Hu et al., 2021).
//   forward     y[i,j]  += scale · Σ_r low[i,r] · b[j,r],   low = x·Aᵀ
//   backward_x  dx[i,l] += scale · Σ_r low[i,r] · a[r,l],   low = dy·B
// `b` has all rows of the whole matrix, so W's first row is its row `row0`.
@group(0) @binding(7) var<storage, read> low: array<f32>;   // [m, rank]
@group(0) @binding(8) var<storage, read> b: array<f32>;   // [stride, rank]
@group(0) @binding(9) var<storage, read> a: array<vec4<f32>>;   // [rank, k / 4]

// A thread's tile of TM rows and TN columns of y, DM and DN apart, those past the last included.
fn adapt(sum: ptr<function, array<f32, TM * TN>>, row: u32, col: u32) {
    for (var r = 0u; r < p.rank; r++) {
        var left = array<f32, TM>();
        for (var i = 0u; i < TM; i++) { // unroll
            left[i] = p.scale * low[min(row + i * DM, p.m - 1u) * p.rank + r];
        }
        for (var j = 0u; j < TN; j++) { // unroll
            let right = b[(p.row0 + min(col + j * DN, p.n - 1u)) * p.rank + r];
            for (var i = 0u; i < TM; i++) { // unroll
                (*sum)[i * TN + j] += left[i] * right;
            }
        }
    }
}

// One number of y.
fn adapted(row: u32, col: u32) -> f32 {
    var sum = 0.0;
    for (var r = 0u; r < p.rank; r++) { sum += low[row * p.rank + r] * b[(p.row0 + col) * p.rank + r]; }
    return p.scale * sum;
}

// A thread's tile of TM rows and TN times 8 columns of dx, in halves of 4.
fn adapt_x(first: ptr<function, array<vec4<f32>, TM * TN>>, second: ptr<function, array<vec4<f32>, TM * TN>>,
           row: u32, col8: u32) {
    for (var r = 0u; r < p.rank; r++) {
        var left = array<f32, TM>();
        for (var i = 0u; i < TM; i++) { // unroll
            left[i] = p.scale * low[min(row + i, p.m - 1u) * p.rank + r];
        }
        for (var c = 0u; c < TN; c++) { // unroll
            let at = r * (p.k / 4u) + min(col8 + c, p.k / 8u - 1u) * 2u;
            for (var i = 0u; i < TM; i++) { // unroll
                (*first)[i * TN + c] += left[i] * a[at];
                (*second)[i * TN + c] += left[i] * a[at + 1u];
            }
        }
    }
}

// 4 neighbouring numbers of dx.
fn adapted_x(row: u32, col4: u32) -> vec4<f32> {
    var sum = vec4<f32>();
    for (var r = 0u; r < p.rank; r++) { sum += low[row * p.rank + r] * a[r * (p.k / 4u) + col4]; }
    return p.scale * sum;
}
