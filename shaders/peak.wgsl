// What an adapter can do at best, as loops that do nothing else.
//   copy        y[i] = x[i]
//   stream      y[i] = Σ_j x[i·thread_step + j·round_step],  j < p.rounds, a multiple of 8
//   arithmetic  y[i] = c₀ + c₁ after p.rounds · 8 steps of c ← c·a + b,  from c₀ = x[i], c₁ = x[i] + 1
// Grid: a thread owns one element of y (4 numbers). Arithmetic: 16 operations a step in 8 chains that do not wait for each
// other, written as product and sum because kernels are: whether the two become one instruction is up to the driver.
// Reference: tests/reference/peak.rs
//! use grid
struct Params { len4: u32, rounds: u32, thread_step: u32, round_step: u32, a: f32, b: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;   // [len4], in stream [rounds * len4]
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;   // [len4]

@compute @workgroup_size(WG)
fn copy(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let i = group_index(group, groups) * WG + thread;
    if i >= p.len4 { return; } // guard
    y[i] = x[i];
}

@compute @workgroup_size(WG)
fn stream(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let i = group_index(group, groups) * WG + thread;
    if i >= p.len4 { return; } // guard
    var sum = vec4<f32>();
    for (var j = 0u; j < p.rounds; j += 8u) {
        for (var u = 0u; u < 8u; u++) { // unroll
            sum += x[i * p.thread_step + (j + u) * p.round_step];
        }
    }
    y[i] = sum;
}

fn advance(c: mat2x4<f32>) -> mat2x4<f32> {
    return mat2x4<f32>(c[0] * p.a + p.b, c[1] * p.a + p.b);
}

@compute @workgroup_size(WG)
fn arithmetic(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
              @builtin(local_invocation_index) thread: u32) {
    let i = group_index(group, groups) * WG + thread;
    if i >= p.len4 { return; } // guard
    var c = mat2x4<f32>(x[i], x[i] + 1.0);
    for (var round = 0u; round < p.rounds; round++) {
        c = advance(advance(advance(advance(advance(advance(advance(advance(c))))))));
    }
    y[i] = c[0] + c[1];
}
