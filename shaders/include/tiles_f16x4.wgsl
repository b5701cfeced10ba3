// Two tiles of f16 numbers in workgroup memory, as vectors of 4, from which cooperative matrices are loaded: places and rows'
// lengths (multiples of 4) in numbers, over UNIT in `coopLoad`. Vulkan counts what a pointer points to.
enable f16;
const UNIT: u32 = 4u;
var<workgroup> tile_a: array<vec4<f16>, TILE_A / UNIT>;
var<workgroup> tile_b: array<vec4<f16>, TILE_B / UNIT>;
fn put_a(at: u32, value: vec4<f32>) { tile_a[at / UNIT] = vec4<f16>(value); }
fn put_b(at: u32, value: vec4<f32>) { tile_b[at / UNIT] = vec4<f16>(value); }
