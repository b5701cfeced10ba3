// Copies keys and values of tokens into pages of the cache.
//   forward      k_pages[place,:] = k[row,:],  v_pages[place,:] = v[row,:]   for every (row, place) pair
//   forward_f16  the same into pages of 16-bit floats, two a word
// A place is page·PAGE + offset; a pair whose place is NONE is skipped. Two pairs never share a place.
// Grid: a thread owns one element, in forward_f16 two neighbours. Reference: tests/reference/kv_write.rs
//! use grid
//! use halves
struct Params { pairs: u32, cols: u32 }
const NONE: u32 = 0xffffffffu;
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> pair: array<vec2<u32>>;   // [pairs] of (row, place)
@group(0) @binding(2) var<storage, read> k: array<f32>;   // [rows, cols]
@group(0) @binding(3) var<storage, read> v: array<f32>;   // [rows, cols]
@group(0) @binding(4) var<storage, read_write> k_pages: array<f32>;   // [places, cols]
@group(0) @binding(5) var<storage, read_write> v_pages: array<f32>;   // [places, cols]
@group(0) @binding(6) var<storage, read_write> k_words: array<u32>;   // [places, cols / 2]
@group(0) @binding(7) var<storage, read_write> v_words: array<u32>;   // [places, cols / 2]

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) thread: u32) {
    let index = group_index(group, groups) * WG + thread;
    if index >= p.pairs * p.cols { return; } // guard
    let link = pair[index / p.cols];
    if link.y == NONE { return; } // guard
    let col = index % p.cols;
    k_pages[link.y * p.cols + col] = k[link.x * p.cols + col];
    v_pages[link.y * p.cols + col] = v[link.x * p.cols + col];
}

@compute @workgroup_size(WG)
fn forward_f16(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
               @builtin(local_invocation_index) thread: u32) {
    let words = p.cols / 2u;
    let index = group_index(group, groups) * WG + thread;
    if index >= p.pairs * words { return; } // guard
    let link = pair[index / words];
    if link.y == NONE { return; } // guard
    let word = index % words;
    let at = link.x * p.cols + word * 2u;
    k_words[link.y * words + word] = halves(k[at], k[at + 1u]);
    v_words[link.y * words + word] = halves(v[at], v[at + 1u]);
}
