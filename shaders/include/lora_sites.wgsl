// Up to 3 LoRA modules with the same input x [m, k], in the backward pass. A [rank, k], B [cols, rank] and their gradients begin
// at elements a and b of flat buffers, low = x·Aᵀ and its gradient [m, rank] at element low, dy [m, cols] at element dy.
struct Params {
    rank: vec4<u32>, cols: vec4<u32>, a: vec4<u32>, b: vec4<u32>, low: vec4<u32>, dy: vec4<u32>, scale: vec4<f32>,
    m: u32, k: u32,
}
@group(0) @binding(0) var<uniform> p: Params;

struct Site { rank: u32, cols: u32, a: u32, b: u32, low: u32, dy: u32, scale: f32 }

fn site(s: u32) -> Site {
    return Site(p.rank[s], p.cols[s], p.a[s], p.b[s], p.low[s], p.dy[s], p.scale[s]);
}

fn tiles(count: u32, size: u32) -> u32 { return (count + size - 1u) / size; }

// Tiles of TN ranks of all sites.
fn rank_tiles() -> u32 { return tiles(p.rank.x, TN) + tiles(p.rank.y, TN) + tiles(p.rank.z, TN); }

// Site and first rank of a tile of ranks.
fn rank_tile(index: u32) -> vec2<u32> {
    let first = tiles(p.rank.x, TN);
    if index < first { return vec2<u32>(0u, index * TN); }
    let second = index - first;
    let more = tiles(p.rank.y, TN);
    if second < more { return vec2<u32>(1u, second * TN); }
    return vec2<u32>(2u, (second - more) * TN);
}

// A part of one gradient: TN ranks and BLOCK4 times 4 columns of dA, or rows of dB. There is no site 3.
struct Job { site: u32, of_b: bool, rank: u32, col4: u32 }

fn job(index: u32) -> Job {
    var rest = index;
    for (var s = 0u; s < 3u; s++) {
        let at = site(s);
        let ranks = tiles(at.rank, TN);
        let of_a = ranks * tiles(p.k / 4u, BLOCK4);
        if rest < of_a { return Job(s, false, rest % ranks * TN, rest / ranks * BLOCK4); }
        rest -= of_a;
        let of_b = ranks * tiles(at.cols / 4u, BLOCK4);
        if rest < of_b { return Job(s, true, rest % ranks * TN, rest / ranks * BLOCK4); }
        rest -= of_b;
    }
    return Job(3u, false, 0u, 0u);
}
