// Keys and values of a cache as f16, two a word: `key4` and `value4` give 4 neighbours. Needs no f16 arithmetic.
@group(0) @binding(5) var<storage, read> k_pages: array<vec2<u32>>;   // [places, kv_heads, HEAD4]
@group(0) @binding(6) var<storage, read> v_pages: array<vec2<u32>>;   // [places, kv_heads, HEAD4]
fn unpacked(words: vec2<u32>) -> vec4<f32> {
    return vec4<f32>(unpack2x16float(words.x), unpack2x16float(words.y));
}
fn key4(at: u32) -> vec4<f32> { return unpacked(k_pages[at]); }
fn value4(at: u32) -> vec4<f32> { return unpacked(v_pages[at]); }
