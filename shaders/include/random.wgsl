// Counter-based random numbers: the same (seed, counter, lane) gives the same number in any order of work.
// PCG3D of Jarzynski and Olano, "Hash Functions for GPU Rendering" (JCGT 9(3), 2020).
fn pcg3d(input: vec3<u32>) -> vec3<u32> {
    var v = input * 1664525u + 1013904223u;
    v.x += v.y * v.z;
    v.y += v.z * v.x;
    v.z += v.x * v.y;
    v ^= v >> vec3<u32>(16u);
    v.x += v.y * v.z;
    v.y += v.z * v.x;
    v.z += v.x * v.y;
    return v;
}
// Uniform in (0, 1), never an end: 23 bits and a half step.
fn uniform01(seed: u32, counter: u32, lane: u32) -> f32 {
    return (f32(pcg3d(vec3<u32>(seed, counter, lane)).x >> 9u) + 0.5) / 8388608.0;
}
// Exponential with mean 1: −log(1 − v) of a uniform v. Where v is small the series keeps the digits that 1 − v drops
// and that WGSL's log, with an absolute error of up to 2⁻²¹ near 1, may get wrong altogether.
fn exponential(seed: u32, counter: u32, lane: u32) -> f32 {
    let v = uniform01(seed, counter, lane);
    return select(-log(1.0 - v), v + v * v * (0.5 + v * (1.0 / 3.0 + v * 0.25)), v < 0.03125);
}
