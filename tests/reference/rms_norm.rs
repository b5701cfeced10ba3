//! RMSNorm. Kernel: src/kernel/rms_norm.rs.

fn rstd(row: &[f64], eps: f64) -> f64 {
    1.0 / (row.iter().map(|x| x * x).sum::<f64>() / row.len() as f64 + eps).sqrt()
}

/// y = x / rms(x) · w for every row of x `[rows, cols]`.
pub fn forward(x: &[f64], w: &[f64], eps: f64) -> Vec<f64> {
    let mut y = Vec::new();
    for row in x.chunks(w.len()) {
        let rstd = rstd(row, eps);
        y.extend(row.iter().zip(w).map(|(x, w)| x * rstd * w));
    }
    y
}

/// dx from dy.
pub fn backward_x(x: &[f64], w: &[f64], dy: &[f64], eps: f64) -> Vec<f64> {
    let mut dx = Vec::new();
    for (row, dy) in x.chunks(w.len()).zip(dy.chunks(w.len())) {
        let rstd = rstd(row, eps);
        let mean = (0..w.len()).map(|c| dy[c] * w[c] * row[c]).sum::<f64>() / w.len() as f64;
        dx.extend((0..w.len()).map(|c| rstd * (dy[c] * w[c] - row[c] * rstd * rstd * mean)));
    }
    dx
}
