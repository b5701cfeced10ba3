//! The backward pass of LoRA for all modules that read the same input: two dispatches. Shader: shaders/lora_grad.wgsl.
//! Reference: tests/reference/lora_grad.rs.

use bytemuck::Zeroable;

use super::lora::MAX_SITES;
use super::lora_grad_lanes::Lanes;
use super::{F32x4, U32x4, lora_grad_lanes, word};
use crate::gpu::{Buffer, Gpu, Kernel, Recorder, Variant};
use crate::{Error, Result};

params! {
    /// Of each site in turn, but for the input's sizes.
    Params { rank: U32x4, cols: U32x4, a: U32x4, b: U32x4, low: U32x4, dy: U32x4, scale: F32x4, m: u32, k: u32 }
}

/// The fields of the parameters that both files have.
pub(super) const PARAMS: &[(&str, &str)] = Params::FIELDS;

const BACK: Kernel = kernel!("lora_grad", "back", Params, ["dy", "adapter", "d_low_out"]);
const GRADIENTS: Kernel = kernel!("lora_grad", "gradients", Params, ["x", "dy", "low", "d_low", "gradient"]);

/// The matrices of one module. Starts are elements of the buffers of a [`Group`].
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Site {
    /// Rows of A, columns of B.
    pub rank: usize,
    /// Factor of B·A·x.
    pub scale: f32,
    /// Where A `[rank, k]` begins in the adapter, and its gradient in the gradient.
    pub a_start: usize,
    /// Where B `[cols, rank]` begins, likewise.
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
pub struct Group<'a> {
    /// What they read `[m, k]`, k a multiple of 4.
    pub x: &'a Buffer,
    /// The gradients of what they wrote, flat.
    pub dy: &'a Buffer,
    /// All A and B.
    pub adapter: &'a Buffer,
    /// x·Aᵀ of all modules, from [`super::lora::down`].
    pub low: &'a Buffer,
    /// The gradient of `low`: scale·dy·B. [`back`] writes it, [`gradients`] reads it.
    pub d_low: &'a Buffer,
    /// What the gradients of A and B are added to.
    pub gradient: &'a Buffer,
    /// One to [`MAX_SITES`] modules.
    pub sites: &'a [Site],
}

/// How the work is cut up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tile {
    pub(super) kernel: Kernel,
    /// Rows of d_low of a workgroup ([`back`]).
    pub(super) rows: usize,
    /// Ranks of a workgroup.
    pub(super) ranks: usize,
    /// Groups of 4 columns of dA, or rows of dB, of a workgroup ([`gradients`]).
    pub(super) block4: usize,
    /// Threads of a workgroup, where the kernel is one for software adapters.
    pub(super) lanes: Option<Lanes>,
}

impl Tile {
    fn new(gpu: &Gpu, kernel: Kernel, group: &Group<'_>) -> Self {
        let rank = group.sites.iter().map(|site| site.rank).max().unwrap_or(1);
        match gpu.is_software() {
            true => lora_grad_lanes::tile(Lanes::of(gpu.subgroup_size()), kernel, group.x.shape()[0], rank),
            false => Self::shared(kernel, rank),
        }
    }

    /// For a GPU, where a workgroup's threads share out the sums.
    fn shared(kernel: Kernel, rank: usize) -> Self {
        Self { kernel, rows: 4, ranks: if rank > 4 { 8 } else { 4 }, block4: 8, lanes: None }
    }

    fn variant(self) -> Variant {
        if let Some(lanes) = self.lanes {
            return lora_grad_lanes::variant(self, lanes);
        }
        // Neighbours read neighbouring numbers: 8 vec4 are the 128 bytes that a GPU loads at once.
        let group = if self.kernel.entry == BACK.entry { 32 } else { 128 };
        Variant::constants(&[
            ("WG", group),
            ("TM", word(self.rows)),
            ("TN", word(self.ranks)),
            ("HALF", word(self.ranks / 2)),
            ("BLOCK4", word(self.block4)),
        ])
    }
}

/// Those of lora_grad_lanes.wgsl too.
pub(super) fn variants() -> Vec<(Kernel, Variant)> {
    let kernels = [BACK, GRADIENTS];
    let shared = kernels.into_iter().flat_map(|kernel| [4, 8].map(|rank| Tile::shared(kernel, rank)));
    let lanes = kernels.into_iter().flat_map(lora_grad_lanes::tiles);
    let mut variants: Vec<(Kernel, Variant)> = Vec::new();
    for tile in shared.chain(lanes) {
        let variant = tile.variant();
        let same = |k: &Kernel| (k.stem, k.entry) == (tile.kernel.stem, tile.kernel.entry);
        if !variants.iter().any(|(k, v)| same(k) && *v == variant) {
            variants.push((tile.kernel, variant));
        }
    }
    variants
}

impl Group<'_> {
    /// The parameters, if every matrix lies within its buffer.
    fn params(&self) -> Result<Params> {
        let [m, k] = self.x.matrix("lora_grad", "x")?;
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
        if !(1..=MAX_SITES).contains(&count) || !k.is_multiple_of(4) || !alike || !self.sites.iter().all(fits)
        {
            return Err(Error::Shape {
                kernel: "lora_grad",
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

    fn sum(&self, of: impl Fn(&Site) -> usize) -> usize {
        self.sites.iter().map(of).sum()
    }
}

/// d_low of every site = scale·dy·B.
///
/// # Errors
/// [`Error::Shape`] for no site or more than [`MAX_SITES`], and where a matrix does not lie within its buffer.
pub fn back(rec: &mut Recorder<'_>, group: &Group<'_>) -> Result<()> {
    let params = group.params()?;
    let tile = Tile::new(rec.gpu(), BACK, group);
    let m = group.x.shape()[0];
    let groups = m.div_ceil(tile.rows) * group.sum(|site| site.rank.div_ceil(tile.ranks));
    let arguments = [group.dy, group.adapter, group.d_low];
    rec.dispatch(&tile.kernel, &tile.variant(), &params, &arguments, word(groups))?;
    rec.flops(2 * m * group.sum(|site| site.rank * site.cols));
    rec.bytes(4 * group.sum(|site| m * site.cols + site.rank * (site.cols + m)) as u64);
    Ok(())
}

/// dA of every site += d_lowᵀ·x, dB of every site += scale·dyᵀ·low.
///
/// # Errors
/// As [`back`].
pub fn gradients(rec: &mut Recorder<'_>, group: &Group<'_>) -> Result<()> {
    let params = group.params()?;
    let tile = Tile::new(rec.gpu(), GRADIENTS, group);
    let [m, k] = group.x.matrix("lora_grad", "x")?;
    let blocks = |cols: usize| (cols / 4).div_ceil(tile.block4);
    let groups = group.sum(|site| site.rank.div_ceil(tile.ranks) * (blocks(k) + blocks(site.cols)));
    let arguments = [group.x, group.dy, group.low, group.d_low, group.gradient];
    rec.dispatch(&tile.kernel, &tile.variant(), &params, &arguments, word(groups))?;
    rec.flops(2 * m * group.sum(|site| site.rank * (k + site.cols)));
    let moved = group.sum(|site| m * site.cols + 2 * site.rank * (k + site.cols + m));
    rec.bytes(4 * (m * k + moved) as u64);
    Ok(())
}
