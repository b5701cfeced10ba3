//! Bias of a linear layer. Kernel: src/kernel/add_bias.rs.

/// y + bias for every row of y `[rows, cols]`.
pub fn forward(bias: &[f64], y: &[f64]) -> Vec<f64> {
    y.iter().enumerate().map(|(index, y)| y + bias[index % bias.len()]).collect()
}
