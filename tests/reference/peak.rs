//! The adapter's peaks. Kernel: src/kernel/peak.rs.

/// Two chains of `steps` steps c ← c·a + b from x and x + 1, added.
pub fn arithmetic(steps: usize, [a, b]: [f64; 2], x: &[f64]) -> Vec<f64> {
    let chain = |start: f64| (0..steps).fold(start, |c, _| c * a + b);
    x.iter().map(|&x| chain(x) + chain(x + 1.0)).collect()
}

/// The sum over `rows` of x as `[rows, len]` or, if `onward`, as `[len / 4, rows, 4]`.
pub fn stream(rows: usize, onward: bool, x: &[f64]) -> Vec<f64> {
    let len = x.len() / rows;
    let at = |i: usize, row: usize| if onward { (i / 4 * rows + row) * 4 + i % 4 } else { row * len + i };
    (0..len).map(|i| (0..rows).map(|row| x[at(i, row)]).sum()).collect()
}
