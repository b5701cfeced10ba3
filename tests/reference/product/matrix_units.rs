//! Products with a weight matrix, as `direct` has them. Kernel: src/kernel/product/matrix_units.rs.

pub use super::direct::{backward_x, forward};
