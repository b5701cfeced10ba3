// Two numbers as the halves of a word, rounded to f16; the largest of those in place of what is larger.
const HALF_MAX: f32 = 65504.0;
fn halves(a: f32, b: f32) -> u32 {
    return pack2x16float(clamp(vec2<f32>(a, b), vec2<f32>(-HALF_MAX), vec2<f32>(HALF_MAX)));
}
