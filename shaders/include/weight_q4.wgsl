// Weights in blocks of 32 nibbles with (scale, min): value = scale·q + min, q in 0..15.
@group(0) @binding(1) var<storage, read> w: array<u32>;   // [rows, cols / 8]
@group(0) @binding(2) var<storage, read> w_scale: array<vec2<f32>>;   // [rows, cols / 32]
fn load8(row: u32, col8: u32, cols: u32) -> mat2x4<f32> {
    let word = w[row * (cols / 8u) + col8];
    let scale = w_scale[row * (cols / 32u) + col8 / 4u];
    let low = vec4<f32>((vec4<u32>(word) >> vec4<u32>(0u, 4u, 8u, 12u)) & vec4<u32>(15u));
    let high = vec4<f32>((vec4<u32>(word) >> vec4<u32>(16u, 20u, 24u, 28u)) & vec4<u32>(15u));
    return mat2x4<f32>(low * scale.x + scale.y, high * scale.x + scale.y);
}
