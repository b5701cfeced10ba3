//! The same gradients as lora_grad's. Kernel: src/kernel/lora_grad_lanes.rs.

pub use super::lora_grad::back;
