//! How the backward pass of LoRA is cut up.
//! No shader of its own: the files beside this one that make tiles have them.

use crate::gpu::{Kernel, Variant};

/// The work of one workgroup, and the kernel that does it.
#[derive(Debug, Clone)]
pub(super) struct Tile {
    pub(super) kernel: Kernel,
    pub(super) variant: Variant,
    /// Rows of d_low ([`super::grad::back`]).
    pub(super) rows: usize,
    /// Ranks.
    pub(super) ranks: usize,
    /// Groups of 4 columns of dA, or rows of dB ([`super::grad::gradients`]).
    pub(super) block4: usize,
}

/// Which of the two dispatches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// [`super::grad::back`]
    Back,
    /// [`super::grad::gradients`]
    Gradients,
}
