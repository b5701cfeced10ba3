//! Rows by index, and back. Kernel: src/kernel/gather.rs.

/// The rows of x `[_, cols]` named by index; zeros where the index is `none`.
pub fn forward(cols: usize, none: u32, index: &[u32], x: &[f64]) -> Vec<f64> {
    let row =
        |&row: &u32| if row == none { vec![0.0; cols] } else { x[row as usize * cols..][..cols].to_vec() };
    index.iter().flat_map(row).collect()
}

/// dx, where the rows named by index are the sums of their rows of dy.
pub fn backward(cols: usize, none: u32, index: &[u32], dy: &[f64], dx: &[f64]) -> Vec<f64> {
    let mut dx = dx.to_vec();
    for &row in index.iter().filter(|row| **row != none) {
        for col in 0..cols {
            let terms = index.iter().zip(dy.chunks(cols)).filter(|(other, _)| **other == row);
            dx[row as usize * cols + col] = terms.map(|(_, dy)| dy[col]).sum();
        }
    }
    dx
}
