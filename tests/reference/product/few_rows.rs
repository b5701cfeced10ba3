//! Products of normalised rows, joined by a gate. Kernel: src/kernel/product/few_rows.rs.

pub use super::super::rms_norm::forward as normed;
pub use super::super::swiglu::forward as joined;
pub use super::direct::forward;
