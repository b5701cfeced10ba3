//! The same products as matmul's, of normalised rows, joined by SwiGLU. Kernel: src/kernel/matmul_few.rs.

pub use super::matmul::forward;
pub use super::rms_norm::forward as normed;
pub use super::swiglu::forward as joined;
