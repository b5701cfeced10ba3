// Weights as f32: `load8` gives 8 neighbours of a row of `cols` values.
@group(0) @binding(1) var<storage, read> w: array<vec4<f32>>;   // [rows, cols / 4]
@group(0) @binding(2) var<storage, read> w_scale: array<vec2<f32>>;   // unused
fn load8(row: u32, col8: u32, cols: u32) -> mat2x4<f32> {
    let at = row * (cols / 4u) + col8 * 2u;
    return mat2x4<f32>(w[at], w[at + 1u]);
}
