// Sums of 8 products in f16: `product8` of 8 inputs and 8 neighbouring weights, as two sums of 4 that are added in f32.
// Inputs are brought to f16's range by a power of two, so that the largest of the 8 lies in [16, 32): large ones do not
// overflow, small ones do not vanish. Weights are clamped to what keeps 4 such products finite, 4·32·500 < 65504; models'
// weights are far below that.
enable f16;
const MOST: f32 = 500.0;
struct Input8 { low: vec4<f16>, high: vec4<f16>, unit: f32 }   // value = unit · (low, high)
struct Weight8 { low: vec4<f16>, high: vec4<f16> }
fn input8(low: vec4<f32>, high: vec4<f32>) -> Input8 {
    let size = max(abs(low), abs(high));
    let largest = max(max(size.x, size.y), max(size.z, size.w));
    // f32's biased exponent; 5 is the least for which `unit` is a normal number.
    let exponent = max((bitcast<u32>(largest) >> 23u) & 255u, 5u);
    let scale = bitcast<f32>((258u - exponent) << 23u);   // 2^(131 - exponent)
    return Input8(vec4<f16>(low * scale), vec4<f16>(high * scale), bitcast<f32>((exponent - 4u) << 23u));
}
fn weight8(row: u32, col8: u32, cols: u32) -> Weight8 {
    let w = load8(row, col8, cols);
    let most = vec4<f32>(MOST);
    return Weight8(vec4<f16>(clamp(w[0], -most, most)), vec4<f16>(clamp(w[1], -most, most)));
}
fn product8(x: Input8, w: Weight8) -> f32 { return x.unit * (f32(dot(x.low, w.low)) + f32(dot(x.high, w.high))); }
