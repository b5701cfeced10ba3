// The sums of product/few_rows.wgsl are joined by a gate (Shazeer, 2020), act an import of its own (silu, gelu_tanh): W holds the rows of gate before those of up, y is [m, n / 2].
//   y[i,j] = act(gate[i,j]) · up[i,j]
// A tile has TN / 2 columns of either.
const HALF: u32 = TN / 2u;
var<workgroup> halves: array<f32, TM * TN>;   // [TM, TN]

fn tiles() -> u32 { return (p.n / 2u + HALF - 1u) / HALF; }
fn column(tile: u32, j: u32) -> u32 { return j / HALF * (p.n / 2u) + min(tile * HALF + j % HALF, p.n / 2u - 1u); }

fn put(sum: f32, tile: u32, row: u32, thread: u32) {
    let i = row + thread / TN;
    let j = thread % TN;
    let inside = thread < TM * TN && i < p.m;
    if inside { halves[thread] = sum + adapted(i, column(tile, j)) + bias_of(column(tile, j)); }
    workgroupBarrier();
    let col = tile * HALF + j;
    if !inside || j >= HALF || col >= p.n / 2u { return; } // guard
    y[i * (p.n / 2u) + col] = activated(halves[thread]) * halves[thread + HALF];
}
