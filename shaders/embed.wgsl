// Rows of an embedding table, by token.
//   forward  y[i,:] = scale · W[token[i],:]
// W may be rows `row0 .. row0 + rows` of the table, stored from row `first` of its buffer on; tokens outside are left alone
// (another part has them).
// Grid: a thread owns 8 neighbouring columns of one row. Reference: tests/reference/embed.rs
//! use grid
struct Params { m: u32, cols: u32, row0: u32, rows: u32, first: u32, scale: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(3) var<storage, read> token: array<u32>;   // [m]
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;   // [m, cols / 4]

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) thread: u32) {
    let tiles = p.cols / 8u;
    let index = group_index(group, groups) * WG + thread;
    let row = index / tiles;
    let col8 = index % tiles;
    if row >= p.m { return; } // guard
    let t = token[row];
    if t < p.row0 || t >= p.row0 + p.rows { return; } // guard
    let values = load8(p.first + t - p.row0, col8, p.cols);
    let at = row * (p.cols / 4u) + col8 * 2u;
    y[at] = p.scale * values[0];
    y[at + 1u] = p.scale * values[1];
}
