// Weights in blocks of 32 signed bytes with one scale for each half: value = scale·q.
@group(0) @binding(1) var<storage, read> w: array<vec2<u32>>;   // [rows, cols / 8]
@group(0) @binding(2) var<storage, read> w_scale: array<vec2<f32>>;   // [rows, cols / 32]
fn bytes4(word: u32) -> vec4<f32> {
    let q = bitcast<i32>(word);
    return vec4<f32>(vec4<i32>((q << 24u) >> 24u, (q << 16u) >> 24u, (q << 8u) >> 24u, q >> 24u));
}
fn load8(row: u32, col8: u32, cols: u32) -> mat2x4<f32> {
    let words = w[row * (cols / 8u) + col8];
    let scales = w_scale[row * (cols / 32u) + col8 / 4u];
    let scale = select(scales.x, scales.y, (col8 & 2u) != 0u);
    return mat2x4<f32>(bytes4(words.x) * scale, bytes4(words.y) * scale);
}
