//! LoRA.

pub mod down;
pub mod grad;
pub mod grad_lanes;
pub mod up;
