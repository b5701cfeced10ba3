//! Products with a weight matrix, as `direct` has them. Kernel: src/kernel/product/per_lane.rs.

pub use super::direct::{backward_x, forward};
