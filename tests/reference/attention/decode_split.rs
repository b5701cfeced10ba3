//! Attention of one new token a row, as `decode` has it. Kernel: src/kernel/attention/decode_split.rs.

pub use super::decode::forward_row;
