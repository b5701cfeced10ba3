//! A LoRA adapter on the GPU: all A and B in one flat buffer, so that one optimizer dispatch updates them all and
//! another adapter is a copy away.
//!
//! y += scale · B · A · x for each adapted module (Hu et al., 2021), never merged into the weights.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::config::ModelConfig;
use super::module::Module;
use crate::gpu::{Buffer, Gpu, VIEW_ALIGNMENT};
use crate::{Error, Result};

/// One adapted module.
#[derive(Debug, Clone, PartialEq)]
pub struct Site {
    /// Block.
    pub layer: usize,
    /// Module of the block.
    pub module: Module,
    /// Rank r.
    pub rank: usize,
    /// Factor of B·A·x.
    pub scale: f32,
    /// Output features, rows of B.
    pub outputs: usize,
    /// Input features, columns of A.
    pub inputs: usize,
    /// First element of A `[rank, inputs]` in the flat buffer.
    pub a_start: usize,
    /// First element of B `[outputs, rank]`.
    pub b_start: usize,
    /// The parts of the module in the forward pass, with their rows of B. All have the same A.
    pub parts: Vec<(Module, usize)>,
}

/// Where each adapted module's matrices lie. Two adapters of one layout can be swapped by copying the flat buffer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Layout {
    sites: Vec<Site>,
    len: usize,
}

impl Layout {
    /// Lays out `(layer, module, rank, scale)` in order.
    pub fn new(
        config: &ModelConfig,
        modules: impl IntoIterator<Item = (usize, Module, usize, f32)>,
    ) -> Result<Self> {
        let mut layout = Self::default();
        for (layer, module, rank, scale) in modules {
            let shape = config.module_shape(module).filter(|_| layer < config.num_layers && rank > 0);
            let Some([outputs, inputs]) = shape else {
                return Err(Error::usage(
                    "adapter",
                    format!("{} with rank {rank} does not exist in this model", module.path(layer)),
                    "use an adapter that was made for this model",
                ));
            };
            let a_start = layout.len;
            let b_start = a_start + (rank * inputs).next_multiple_of(VIEW_ALIGNMENT);
            layout.len = b_start + (outputs * rank).next_multiple_of(VIEW_ALIGNMENT);
            let parts = module.parts().iter().map(|&part| (part, config.part_rows(part))).collect();
            layout.sites.push(Site { layer, module, rank, scale, outputs, inputs, a_start, b_start, parts });
        }
        Ok(layout)
    }

    /// The adapted modules.
    pub fn sites(&self) -> &[Site] {
        &self.sites
    }

    /// Elements of the flat buffer, padding included.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is adapted.
    pub fn is_empty(&self) -> bool {
        self.sites.is_empty()
    }

    /// Trainable parameters, padding excluded.
    pub fn parameters(&self) -> usize {
        self.sites.iter().map(|site| site.rank * (site.inputs + site.outputs)).sum()
    }

    /// The largest rank.
    pub fn max_rank(&self) -> usize {
        self.sites.iter().map(|site| site.rank).max().unwrap_or(0)
    }
}

/// A and B of one part of the forward pass, as views of a flat buffer.
#[derive(Debug, Clone)]
pub struct Pair {
    /// `[rank, inputs]`
    pub a: Buffer,
    /// First element of A in the flat buffer.
    pub a_start: usize,
    /// `[outputs, rank]`, of all parts of the module
    pub b: Buffer,
    /// First row of B that is this part's.
    pub b_row: usize,
    /// First element of this part's rows of B in the flat buffer.
    pub b_start: usize,
    /// The module's first part, whose A·x is that of all.
    pub first: Module,
    /// Factor of B·A·x.
    pub scale: f32,
    /// Rank r.
    pub rank: usize,
}

/// A flat buffer of adapter values (or their gradients) seen as matrices.
#[derive(Debug, Clone)]
pub struct Lora {
    layout: Layout,
    flat: Buffer,
    /// `[layer][part]`
    pairs: Vec<[Option<Pair>; Module::PARTS.len()]>,
    changes: Arc<AtomicU64>,
}

impl Lora {
    /// A zeroed buffer of this layout.
    pub fn new(gpu: &Gpu, label: &str, num_layers: usize, layout: &Layout) -> Result<Self> {
        let flat = gpu.buffer(label, &[layout.len])?;
        let mut pairs: Vec<[Option<Pair>; Module::PARTS.len()]> =
            vec![const { [const { None }; Module::PARTS.len()] }; num_layers];
        for site in &layout.sites {
            let mut b_row = 0;
            for &(part, rows) in &site.parts {
                pairs[site.layer][part as usize] = Some(Pair {
                    a: flat.view(site.a_start, &[site.rank, site.inputs])?,
                    a_start: site.a_start,
                    b: flat.view(site.b_start, &[site.outputs, site.rank])?,
                    b_row,
                    b_start: site.b_start + b_row * site.rank,
                    first: site.parts[0].0,
                    scale: site.scale,
                    rank: site.rank,
                });
                b_row += rows;
            }
        }
        Ok(Self { layout: layout.clone(), flat, pairs, changes: Arc::default() })
    }

    /// The layout.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The flat buffer.
    pub fn flat(&self) -> &Buffer {
        &self.flat
    }

    /// How often [`Lora::changed`] was said, of any clone: what was computed with the values counts only as long as
    /// this stays.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// Says that the values have become others.
    pub fn changed(&self) {
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    /// The matrices of one part of the forward pass, if it is adapted.
    pub fn pair(&self, layer: usize, module: Module) -> Option<&Pair> {
        self.pairs[layer][module as usize].as_ref()
    }
}
