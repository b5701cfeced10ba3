//! Writing keys and values into cache pages. Kernel: src/kernel/kv_write.rs.

/// The pages with the rows of `values` `[_, cols]` written to their places, for every (row, place) but place `none`.
pub fn forward(cols: usize, none: u32, pair: &[[u32; 2]], values: &[f64], pages: &[f64]) -> Vec<f64> {
    let mut pages = pages.to_vec();
    for [row, place] in pair.iter().filter(|pair| pair[1] != none) {
        pages[*place as usize * cols..][..cols].copy_from_slice(&values[*row as usize * cols..][..cols]);
    }
    pages
}
