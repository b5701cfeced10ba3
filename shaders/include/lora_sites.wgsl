// Up to 3 LoRA modules with the same input x [m, k], in the backward pass. A [rank, k], B [cols, rank] and their gradients begin
// at elements a and b of flat buffers, low = x·Aᵀ and its gradient [m, rank] at element low, dy [m, cols] at element dy.
struct Params {
    m: u32, k: u32,
    rank0: u32, rank1: u32, rank2: u32,
    cols0: u32, cols1: u32, cols2: u32,
    a0: u32, a1: u32, a2: u32,
    b0: u32, b1: u32, b2: u32,
    low0: u32, low1: u32, low2: u32,
    dy0: u32, dy1: u32, dy2: u32,
    scale0: f32, scale1: f32, scale2: f32,
}
@group(0) @binding(0) var<uniform> p: Params;

struct Site { rank: u32, cols: u32, a: u32, b: u32, low: u32, dy: u32, scale: f32 }

fn site(index: u32) -> Site {
    if index == 0u { return Site(p.rank0, p.cols0, p.a0, p.b0, p.low0, p.dy0, p.scale0); }
    if index == 1u { return Site(p.rank1, p.cols1, p.a1, p.b1, p.low1, p.dy1, p.scale1); }
    return Site(p.rank2, p.cols2, p.a2, p.b2, p.low2, p.dy2, p.scale2);
}

// Groups of TN ranks, or of any `size` things.
fn tiles(count: u32, size: u32) -> u32 { return (count + size - 1u) / size; }

fn rank_tiles() -> u32 { return tiles(p.rank0, TN) + tiles(p.rank1, TN) + tiles(p.rank2, TN); }

// Site and first rank of a tile of ranks.
fn rank_tile(index: u32) -> vec2<u32> {
    let first = tiles(p.rank0, TN);
    if index < first { return vec2<u32>(0u, index * TN); }
    let second = index - first;
    let more = tiles(p.rank1, TN);
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
