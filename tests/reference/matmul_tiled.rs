//! The same products as matmul's. Kernel: src/kernel/matmul_tiled.rs.

pub use super::matmul::{backward_x, forward};
