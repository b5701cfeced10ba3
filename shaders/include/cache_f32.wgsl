// Keys and values of a cache as f32: `key4` and `value4` give 4 neighbours.
@group(0) @binding(5) var<storage, read> k_pages: array<vec4<f32>>;   // [places, kv_heads, HEAD4]
@group(0) @binding(6) var<storage, read> v_pages: array<vec4<f32>>;   // [places, kv_heads, HEAD4]
fn key4(at: u32) -> vec4<f32> { return k_pages[at]; }
fn value4(at: u32) -> vec4<f32> { return v_pages[at]; }
