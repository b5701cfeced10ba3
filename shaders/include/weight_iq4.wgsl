// Weights in blocks of 32 nibbles with one scale for each half: value = scale·T[q], where T are 16 signed bytes.
@group(0) @binding(1) var<storage, read> w: array<u32>;   // [rows, cols / 8]
@group(0) @binding(2) var<storage, read> w_scale: array<vec2<f32>>;   // [rows, cols / 32]
fn of_table(q: vec4<u32>) -> vec4<f32> {
    // Four bytes are a word: the upper bits of q choose it, the lower ones the byte, which is moved to the top for its sign.
    let odd = (q & vec4<u32>(4u)) != vec4<u32>(0u);
    let negative = select(vec4<u32>(0xbfad9881u), vec4<u32>(0xf6eaddcfu), odd);
    let positive = select(vec4<u32>(0x26190d01u), vec4<u32>(0x71594535u), odd);
    let bytes = select(negative, positive, (q & vec4<u32>(8u)) != vec4<u32>(0u));
    let top = bytes << (vec4<u32>(24u) - ((q & vec4<u32>(3u)) << vec4<u32>(3u)));
    return vec4<f32>(bitcast<vec4<i32>>(top) >> vec4<u32>(24u));
}
fn load8(row: u32, col8: u32, cols: u32) -> mat2x4<f32> {
    let word = w[row * (cols / 8u) + col8];
    let scales = w_scale[row * (cols / 32u) + col8 / 4u];
    let scale = select(scales.x, scales.y, (col8 & 2u) != 0u);
    let low = (vec4<u32>(word) >> vec4<u32>(0u, 4u, 8u, 12u)) & vec4<u32>(15u);
    let high = (vec4<u32>(word) >> vec4<u32>(16u, 20u, 24u, 28u)) & vec4<u32>(15u);
    return mat2x4<f32>(of_table(low) * scale, of_table(high) * scale);
}
