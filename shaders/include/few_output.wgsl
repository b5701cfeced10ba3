// The sums of product/few_rows.wgsl become results: TN neighbouring columns a tile.
fn tiles() -> u32 { return (p.n + TN - 1u) / TN; }
fn column(tile: u32, j: u32) -> u32 { return min(tile * TN + j, p.n - 1u); }

fn put(sum: f32, tile: u32, row: u32, thread: u32) {
    let i = row + thread / TN;
    let col = tile * TN + thread % TN;
    if thread >= TM * TN || i >= p.m || col >= p.n { return; } // guard
    let at = y_index(i, col);
    y[at] = sum + adapted(i, col) + bias_of(col) + select(0.0, y[at], p.accumulate != 0u);
}
