// An input that is normalised on the way, of products whose tile of TM rows a workgroup shares (RMSNorm; Zhang and Sennrich, 2019).
//   Σ_l x[i,l]·rstd[i]·norm[l]·w[l] = rstd[i] · Σ_l x[i,l]·norm[l]·w[l],   rstd[i] = 1/√(mean_l x² + eps)
// so the threads gather the squares of a row while they read it.
@group(0) @binding(11) var<storage, read> norm: array<vec4<f32>>;   // [k / 4]
var<private> squares: array<f32, TM>;
var<workgroup> rstds: array<f32, TM>;

// Numbers 4·at .. of x, from column 4·col4 of the tile's row i on.
fn taken(at: u32, col4: u32, i: u32) -> vec4<f32> {
    let value = x[at];
    squares[i] += dot(value, value);
    return value * norm[col4];
}

// An element of the normalised input: after `scaled`, when all squares are known.
fn whole(at: u32, col4: u32, i: u32) -> vec4<f32> { return x[at] * norm[col4] * rstds[i]; }

// The total of result `thread`, where there is one. Called by all threads.
fn scaled(total: f32, thread: u32) -> f32 {
    for (var i = 0u; i < TM; i++) { // unroll
        parts[i * WG + thread] = squares[i];
    }
    let all = shared_sum(thread);
    if thread < TM { rstds[thread] = 1.0 / sqrt(all / f32(p.k) + p.eps); }
    workgroupBarrier();
    return total * rstds[min(thread / TN, TM - 1u)];
}
