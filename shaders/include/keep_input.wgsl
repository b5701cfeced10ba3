// Store the transformed input; a later kernel reads it. The workgroup of the first tile of each row does so.
@group(0) @binding(13) var<storage, read_write> kept: array<vec4<f32>>;   // [m, k / 4]

fn keep(row: u32, thread: u32) {
    let k4 = p.k / 4u;
    for (var i = 0u; i < min(TM, p.m - row); i++) {
        for (var l = thread; l < k4; l += WG) {
            let at = (row + i) * k4 + l;
            kept[at] = whole(at, l, i);
        }
    }
}
