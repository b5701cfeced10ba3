// Weights in blocks of 32 nibbles with one scale for each half: value = scale·T[q], where T are 16 singles (bitsandbytes' nf4).
@group(0) @binding(1) var<storage, read> w: array<u32>;   // [rows, cols / 8]
@group(0) @binding(2) var<storage, read> w_scale: array<vec2<f32>>;   // [rows, cols / 32]
// The table is constants to choose from by the bits of q, since an array that is indexed becomes memory.
fn one_of_two(a: f32, b: f32, odd: vec4<bool>) -> vec4<f32> {
    return select(vec4<f32>(a), vec4<f32>(b), odd);
}
fn of_table(q: vec4<u32>) -> vec4<f32> {
    let b0 = (q & vec4<u32>(1u)) != vec4<u32>(0u);
    let b1 = (q & vec4<u32>(2u)) != vec4<u32>(0u);
    let b2 = (q & vec4<u32>(4u)) != vec4<u32>(0u);
    let b3 = (q & vec4<u32>(8u)) != vec4<u32>(0u);
    let t0 = select(
        one_of_two(-1.0, -0.6961928, b0), one_of_two(-0.52507305, -0.3949175, b0), b1);
    let t4 = select(
        one_of_two(-0.28444138, -0.18477343, b0), one_of_two(-0.091050036, 0.0, b0), b1);
    let t8 = select(
        one_of_two(0.0795803, 0.1609302, b0), one_of_two(0.2461123, 0.33791524, b0), b1);
    let t12 = select(
        one_of_two(0.44070983, 0.562617, b0), one_of_two(0.72295684, 1.0, b0), b1);
    return select(select(t0, t4, b2), select(t8, t12, b2), b3);
}
fn load8(row: u32, col8: u32, cols: u32) -> mat2x4<f32> {
    let word = w[row * (cols / 8u) + col8];
    let scales = w_scale[row * (cols / 32u) + col8 / 4u];
    let scale = select(scales.x, scales.y, (col8 & 2u) != 0u);
    let low = (vec4<u32>(word) >> vec4<u32>(0u, 4u, 8u, 12u)) & vec4<u32>(15u);
    let high = (vec4<u32>(word) >> vec4<u32>(16u, 20u, 24u, 28u)) & vec4<u32>(15u);
    return mat2x4<f32>(of_table(low) * scale, of_table(high) * scale);
}
