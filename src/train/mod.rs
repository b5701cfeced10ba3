//! Training: losses (SFT and the GRPO family), LoRA adapters, optimizer state, data. It sees rewards, never tasks.

pub mod advantage;
#[cfg(not(target_arch = "wasm32"))]
pub mod files;
pub mod loss;
pub mod rng;
pub mod schedule;
