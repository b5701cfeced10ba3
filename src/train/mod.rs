//! Training: losses (SFT and the GRPO family), LoRA adapters, optimizer state, data. It sees rewards, never tasks.

pub mod adapter;
pub mod advantage;
mod backward;
pub mod checkpoint;
pub mod data;
#[cfg(not(target_arch = "wasm32"))]
pub mod files;
pub mod fingerprint;
pub mod fit;
#[cfg(not(target_arch = "wasm32"))]
pub mod gguf_export;
pub mod guard;
pub mod headers;
#[cfg(not(target_arch = "wasm32"))]
pub mod lock;
pub mod lora_config;
pub mod loss;
pub mod merge;
#[cfg(not(target_arch = "wasm32"))]
pub mod merge_gguf;
#[cfg(not(target_arch = "wasm32"))]
pub mod output;
pub mod peft;
pub mod resume;
pub mod schedule;
pub mod sft;
#[cfg(not(target_arch = "wasm32"))]
pub mod staged;
pub mod tensor_file;
pub mod text;
pub mod trainer;
