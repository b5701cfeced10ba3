// The forward product of direct.wgsl for a few rows on a GPU, where reading W is all that counts.
//   forward  sum[i,j] = Σ_l x[i,l] · W[j,l]
// An import says what x is (input_plain; input_normed: the RMSNorm of what is bound), another what becomes of the sums with
// LoRA's part and the bias (few_output: y, as direct.wgsl writes it; few_swiglu: act(gate) · up).
// Grid: a workgroup owns TM rows and TN columns. Its threads share out k, so that neighbours read neighbouring weights, and add
// up in a fixed order. Arithmetic as in direct.wgsl. Reference: tests/reference/product/few_rows.rs
//! use grid
//! use segments
//! use share
@group(0) @binding(3) var<storage, read> x: array<vec4<f32>>;   // [m, k / 4]
@group(0) @binding(4) var<storage, read_write> y: array<f32>;   // what `y_at` counts in

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) thread: u32) {
    let index = group_index(group, groups);
    let tile = index % tiles();
    let row = (index / tiles()) * TM;
    if row >= p.m { return; } // guard, the same for the whole workgroup
    let k4 = p.k / 4u;
    var sum: array<f32, TM * TN>;
    for (var l = thread; l < p.k / 8u; l += WG) {
        var weight = array<Weight8, TN>();
        for (var j = 0u; j < TN; j++) { // unroll
            weight[j] = weight8(p.first + column(tile, j), l, p.k);
        }
        for (var i = 0u; i < TM; i++) { // unroll
            let at = min(row + i, p.m - 1u) * k4;
            let input = input8(taken(at + l * 2u, l * 2u, i), taken(at + l * 2u + 1u, l * 2u + 1u, i));
            for (var j = 0u; j < TN; j++) { // unroll
                sum[i * TN + j] += product8(input, weight[j]);
            }
        }
    }
    for (var i = 0u; i < TM; i++) { // unroll
        for (var j = 0u; j < TN; j++) { // unroll
            parts[(i * TN + j) * WG + thread] = sum[i * TN + j];
        }
    }
    put(scaled(shared_sum(thread), thread), tile, row, thread);
}
