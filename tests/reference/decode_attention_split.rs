//! The same attention as decode_attention's. Kernel: src/kernel/decode_attention_split.rs.

pub use super::decode_attention::forward_row;
