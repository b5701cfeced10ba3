// AdamW (Loshchilov and Hutter, 2019) over one flat buffer, with clipping by the global norm.
//   square_sum  partial[b] = Σ g² over block b
//   norm        norm = √Σ partial;  scale = min(1, clip/(norm + 1e-6));  finite = whether norm is a number
//   step        m ← β₁m + (1−β₁)ĝ;  v ← β₂v + (1−β₂)ĝ²;  w ← w − lr·(λw + (m/c₁)/(√(v/c₂) + ε)),  ĝ = scale·g
// with c₁ = 1 − β₁ᵗ, c₂ = 1 − β₂ᵗ computed on the CPU. A norm that is not finite leaves w, m and v as they were.
// clip 0 means no clipping. Grid: square_sum one workgroup a block, norm one workgroup, step a thread an element.
// Reference: tests/reference/adamw.rs
//! use grid
//! use reduce
struct Params { len: u32, blocks: u32 }
struct Hyper { learning_rate: f32, beta1: f32, beta2: f32, eps: f32, weight_decay: f32, c1: f32, c2: f32, clip: f32 }
struct Norm { norm: f32, scale: f32, finite: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> g: array<f32>;   // [len]
@group(0) @binding(2) var<storage, read_write> partial_out: array<f32>;   // [blocks]
@group(0) @binding(3) var<storage, read> partial_in: array<f32>;   // [blocks], partial_out read
@group(0) @binding(4) var<storage, read> hyper: Hyper;   // 8 numbers
@group(0) @binding(5) var<storage, read_write> norm_out: Norm;   // 4 words
@group(0) @binding(6) var<storage, read> norm_in: Norm;   // 4 words, norm_out read
@group(0) @binding(7) var<storage, read_write> w: array<f32>;   // [len]
@group(0) @binding(8) var<storage, read_write> m: array<f32>;   // [len]
@group(0) @binding(9) var<storage, read_write> v: array<f32>;   // [len]

@compute @workgroup_size(WG)
fn square_sum(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
              @builtin(local_invocation_index) thread: u32) {
    let block = group_index(group, groups);
    if block >= p.blocks { return; } // guard, the same for the whole workgroup
    let size = (p.len + p.blocks - 1u) / p.blocks;
    let end = min((block + 1u) * size, p.len);
    var sum = 0.0;
    for (var i = block * size + thread; i < end; i += WG) { sum += g[i] * g[i]; }
    sum = reduce_sum(sum, thread);
    if thread == 0u { partial_out[block] = sum; }
}

@compute @workgroup_size(WG)
fn norm(@builtin(local_invocation_index) thread: u32) {
    var sum = 0.0;
    for (var i = thread; i < p.blocks; i += WG) { sum += partial_in[i]; }
    sum = reduce_sum(sum, thread);
    if thread == 0u {
        // Shader compilers may assume that NaN and infinity do not occur; the exponent's bits do not lie.
        let finite = (bitcast<u32>(sum) & 0x7f800000u) != 0x7f800000u;
        let root = sqrt(sum);
        norm_out.norm = root;
        norm_out.scale = select(1.0, min(1.0, hyper.clip / (root + 1e-6)), hyper.clip > 0.0);
        norm_out.finite = select(0u, 1u, finite);
    }
}

@compute @workgroup_size(WG)
fn step(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let i = group_index(group, groups) * WG + thread;
    if i >= p.len || norm_in.finite == 0u { return; } // guard
    let grad = g[i] * norm_in.scale;
    m[i] = hyper.beta1 * m[i] + (1.0 - hyper.beta1) * grad;
    v[i] = hyper.beta2 * v[i] + (1.0 - hyper.beta2) * grad * grad;
    let update = (m[i] / hyper.c1) / (sqrt(v[i] / hyper.c2) + hyper.eps);
    w[i] -= hyper.learning_rate * (hyper.weight_decay * w[i] + update);
}
