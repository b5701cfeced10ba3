//! Where the matrices of modules with one input lie.
//! No shader of its own: those of the gradients import shaders/include/lora_sites.wgsl.

use bytemuck::Zeroable;

use super::super::{F32x4, MAX_JOINED, U32x4, word};
use crate::gpu::Buffer;
use crate::{Error, Result};

/// The matrices of one module. Starts are elements of the buffers of a [`Joined`].
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Site {
    /// Rows of A, columns of B.
    pub rank: usize,
    /// Factor of B·A·x.
    pub scale: f32,
    /// Where A `[rank, k]` begins in the adapter, and its gradient in the gradient.
    pub a_start: usize,
    /// Where B `[cols, rank]` begins in the adapter, and its gradient in the gradient.
    pub b_start: usize,
    /// Where x·Aᵀ `[m, rank]` begins in `low`, and its gradient in `d_low`.
    pub low_start: usize,
    /// Columns of dy, rows of B; a multiple of 4.
    pub cols: usize,
    /// Where dy `[m, cols]` begins; a multiple of 4.
    pub dy_start: usize,
}

/// Modules that read the same x, in the backward pass.
#[derive(Debug, Clone, Copy)]
pub struct Joined<'a> {
    /// What they read `[m, k]`, k a multiple of 4.
    pub x: &'a Buffer,
    /// The gradients of what they wrote, flat.
    pub dy: &'a Buffer,
    /// All A and B.
    pub adapter: &'a Buffer,
    /// x·Aᵀ of all modules, from [`down`](super::down::down).
    pub low: &'a Buffer,
    /// The gradient of `low`: scale·dy·B. [`back`](super::grad::back) writes it, [`gradients`](super::grad::gradients) reads it.
    pub d_low: &'a Buffer,
    /// What the gradients of A and B are added to.
    pub gradient: &'a Buffer,
    /// One to three modules.
    pub sites: &'a [Site],
}

params! {
    /// One component per module; `m` and `k` are common to all.
    pub(super) Params { rank: U32x4, cols: U32x4, a: U32x4, b: U32x4, low: U32x4, dy: U32x4, scale: F32x4, m: u32, k: u32 }
}

impl Joined<'_> {
    /// The parameters, if every matrix lies within its buffer.
    pub(super) fn params(&self) -> Result<Params> {
        let [m, k] = self.x.matrix("lora/grad", "x")?;
        let fits = |site: &Site| {
            site.cols.is_multiple_of(4)
                && site.dy_start.is_multiple_of(4)
                && site.dy_start + m * site.cols <= self.dy.len()
                && site.a_start + site.rank * k <= self.adapter.len()
                && site.b_start + site.rank * site.cols <= self.adapter.len()
                && site.low_start + m * site.rank <= self.low.len()
        };
        let alike = self.gradient.len() == self.adapter.len() && self.d_low.len() == self.low.len();
        let count = self.sites.len();
        if !(1..=MAX_JOINED).contains(&count)
            || !k.is_multiple_of(4)
            || !alike
            || !self.sites.iter().all(fits)
        {
            return Err(Error::Shape {
                kernel: "lora/grad",
                arg: "sites",
                expected: vec![m, k, self.dy.len(), self.adapter.len(), self.low.len()],
                got: self
                    .sites
                    .iter()
                    .flat_map(|site| [site.rank, site.cols, site.a_start, site.b_start])
                    .collect(),
            });
        }
        let mut params = Params { m: word(m), k: word(k), ..Params::zeroed() };
        for (index, site) in self.sites.iter().enumerate() {
            params.rank[index] = word(site.rank);
            params.cols[index] = word(site.cols);
            params.a[index] = word(site.a_start);
            params.b[index] = word(site.b_start);
            params.low[index] = word(site.low_start);
            params.dy[index] = word(site.dy_start);
            params.scale[index] = site.scale;
        }
        Ok(params)
    }

    /// The sum of a number of each module.
    pub(super) fn sum(&self, of: impl Fn(&Site) -> usize) -> usize {
        self.sites.iter().map(of).sum()
    }
}
