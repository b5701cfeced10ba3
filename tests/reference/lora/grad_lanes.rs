//! The gradients of a LoRA module, as `grad` has them. Kernel: src/kernel/lora/grad_lanes.rs.

pub use super::grad::back;
