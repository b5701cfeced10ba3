// The tiles of tiles_f16x4.wgsl as single numbers.
enable f16;
const UNIT: u32 = 1u;
var<workgroup> tile_a: array<f16, TILE_A>;
var<workgroup> tile_b: array<f16, TILE_B>;
fn put_a(at: u32, value: vec4<f32>) {
    tile_a[at] = f16(value.x);
    tile_a[at + 1u] = f16(value.y);
    tile_a[at + 2u] = f16(value.z);
    tile_a[at + 3u] = f16(value.w);
}
fn put_b(at: u32, value: vec4<f32>) {
    tile_b[at] = f16(value.x);
    tile_b[at + 1u] = f16(value.y);
    tile_b[at + 2u] = f16(value.z);
    tile_b[at + 3u] = f16(value.w);
}
