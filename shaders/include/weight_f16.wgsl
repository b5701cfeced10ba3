// Weights as f16, two a word: `load8` gives 8 neighbours of a row of `cols` values. Needs no f16 arithmetic.
@group(0) @binding(1) var<storage, read> w: array<vec4<u32>>;   // [rows, cols / 8]
@group(0) @binding(2) var<storage, read> w_scale: array<vec2<f32>>;   // unused
fn load8(row: u32, col8: u32, cols: u32) -> mat2x4<f32> {
    let words = w[row * (cols / 8u) + col8];
    return mat2x4<f32>(
        vec4<f32>(unpack2x16float(words.x), unpack2x16float(words.y)),
        vec4<f32>(unpack2x16float(words.z), unpack2x16float(words.w)),
    );
}
