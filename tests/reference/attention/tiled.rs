//! Attention over packed sequences, as `full` has it. Kernel: src/kernel/attention/tiled.rs.

pub use super::full::{Layout, backward, forward};
