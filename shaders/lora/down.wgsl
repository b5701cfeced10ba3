// The first half of LoRA (Hu et al., 2021) for up to 3 modules that read the same x. The second is part of the product with W.
//   down  t_s[i,r] = Σ_l x[i,l] · A_s[r,l],   s < 3,  r < rank_s
// A_s [rank_s, k] begins at element a_s of `a`, t_s [m, rank_s] at element t_s of `t`; the columns of all t_s are counted on.
// Grid: down: a thread owns TM rows and TN columns. down_shared: a workgroup does; its threads share out l, so that
// neighbours read neighbouring numbers, and add up in a fixed order. Imports say what down_shared reads (input_plain;
// input_normed: x's RMSNorm; input_swiglu: act(x) · up), and whether it writes that down (keep_input) or not (keep_nothing).
// Reference: tests/reference/lora/down.rs
//! use grid
//! use share
struct Params {
    m: u32, k: u32,
    rank0: u32, rank1: u32, rank2: u32,
    a0: u32, a1: u32, a2: u32,
    t0: u32, t1: u32, t2: u32,
    eps: f32,   // of an input's norm
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;   // [m, k / 4]
@group(0) @binding(2) var<storage, read> a: array<vec4<f32>>;   // the adapter
@group(0) @binding(3) var<storage, read_write> t: array<f32>;

fn columns() -> u32 { return p.rank0 + p.rank1 + p.rank2; }

// Where the row of A of a column begins (in vec4), where the column begins in t, and the step to the next row of t.
fn site(col: u32) -> vec3<u32> {
    if col < p.rank0 { return vec3<u32>((p.a0 + col * p.k) / 4u, p.t0 + col, p.rank0); }
    let second = col - p.rank0;
    if second < p.rank1 { return vec3<u32>((p.a1 + second * p.k) / 4u, p.t1 + second, p.rank1); }
    let third = second - p.rank1;
    return vec3<u32>((p.a2 + third * p.k) / 4u, p.t2 + third, p.rank2);
}

@compute @workgroup_size(WG)
fn down(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let tiles = (columns() + TN - 1u) / TN;
    let index = group_index(group, groups) * WG + thread;
    let col = (index % tiles) * TN;
    let row = (index / tiles) * TM;
    if row >= p.m { return; } // guard
    let k4 = p.k / 4u;
    var starts: array<u32, TN>;
    for (var j = 0u; j < TN; j++) { // unroll
        starts[j] = site(min(col + j, columns() - 1u)).x;
    }
    var sum: array<f32, TM * TN>;
    for (var l = 0u; l < k4; l++) {
        var input = array<vec4<f32>, TM>();
        for (var i = 0u; i < TM; i++) { // unroll
            input[i] = x[min(row + i, p.m - 1u) * k4 + l];
        }
        for (var j = 0u; j < TN; j++) { // unroll
            let weight = a[starts[j] + l];
            for (var i = 0u; i < TM; i++) { // unroll
                sum[i * TN + j] += dot(input[i], weight);
            }
        }
    }
    for (var j = 0u; j < TN; j++) { // unroll
        if col + j < columns() {
            let to = site(col + j);
            for (var i = 0u; i < TM; i++) { // unroll
                if row + i < p.m { t[to.y + (row + i) * to.z] = sum[i * TN + j]; }
            }
        }
    }
}

@compute @workgroup_size(WG)
fn down_shared(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
               @builtin(local_invocation_index) thread: u32) {
    let tiles = (columns() + TN - 1u) / TN;
    let index = group_index(group, groups);
    let col = (index % tiles) * TN;
    let row = (index / tiles) * TM;
    if row >= p.m { return; } // guard, the same for the whole workgroup
    let k4 = p.k / 4u;
    var starts: array<u32, TN>;
    for (var j = 0u; j < TN; j++) { // unroll
        starts[j] = site(min(col + j, columns() - 1u)).x;
    }
    var sum: array<f32, TM * TN>;
    for (var l = thread; l < k4; l += WG) {
        var weight = array<vec4<f32>, TN>();
        for (var j = 0u; j < TN; j++) { // unroll
            weight[j] = a[starts[j] + l];
        }
        for (var i = 0u; i < TM; i++) { // unroll
            let input = taken(min(row + i, p.m - 1u) * k4 + l, l, i);
            for (var j = 0u; j < TN; j++) { // unroll
                sum[i * TN + j] += dot(input, weight[j]);
            }
        }
    }
    for (var i = 0u; i < TM; i++) { // unroll
        for (var j = 0u; j < TN; j++) { // unroll
            parts[(i * TN + j) * WG + thread] = sum[i * TN + j];
        }
    }
    let total = scaled(shared_sum(thread), thread);
    if col == 0u { keep(row, thread); }
    let i = thread / TN;
    let j = thread % TN;
    if i >= TM || row + i >= p.m || col + j >= columns() { return; } // guard, no barrier follows
    let to = site(col + j);
    t[to.y + (row + i) * to.z] = total;
}
