//! Products with a weight matrix, as `direct` has them. Kernel: src/kernel/product/tiled.rs.

pub use super::direct::{backward_x, forward};
