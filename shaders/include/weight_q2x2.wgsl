// Weights in blocks of 32 integers of 2 bits with (scale, min) for each half: value = scale·q + min, q in 0..3. A word has 8
// integers in its lower half; the upper halves of the two words of 16 values are their min.
@group(0) @binding(1) var<storage, read> w: array<vec2<u32>>;   // [rows, cols / 16]
@group(0) @binding(2) var<storage, read> w_scale: array<vec2<f32>>;   // [rows, cols / 32]
fn load8(row: u32, col8: u32, cols: u32) -> mat2x4<f32> {
    let words = w[row * (cols / 16u) + col8 / 2u];
    let scales = w_scale[row * (cols / 32u) + col8 / 4u];
    let scale = select(scales.x, scales.y, (col8 & 2u) != 0u);
    let min = bitcast<f32>((words.x >> 16u) | (words.y & 0xffff0000u));
    let word = select(words.x, words.y, (col8 & 1u) != 0u);
    let low = vec4<f32>((vec4<u32>(word) >> vec4<u32>(0u, 2u, 4u, 6u)) & vec4<u32>(3u));
    let high = vec4<f32>((vec4<u32>(word) >> vec4<u32>(8u, 10u, 12u, 14u)) & vec4<u32>(3u));
    return mat2x4<f32>(low * scale + min, high * scale + min);
}
