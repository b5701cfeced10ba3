//! The second half of LoRA, which joins the product with W.
//! No shader of its own: the products' import shaders/include/adapted.wgsl or adapted_lanes.wgsl.

use crate::gpu::Buffer;

/// LoRA's second half, which joins a product as it ends (Hu et al., 2021): y += scale·low·Bᵀ with low = x·Aᵀ forward,
/// dx += scale·low·A with low = dy·B backward.
#[derive(Debug, Clone)]
pub struct Adapter {
    /// The first half `[m, rank]`; [`super::down::down`] makes the forward one, [`super::grad::back`] the backward one.
    pub low: Buffer,
    /// B `[n, rank]` or A `[rank, k]`.
    pub matrix: Buffer,
    /// The row of B that is the first of the output's, where B is of several outputs, else 0.
    pub row: usize,
    /// Factor.
    pub scale: f32,
}
