//! The same products as matmul's. Kernel: src/kernel/matmul_coop.rs.

pub use super::matmul::{backward_x, forward};
