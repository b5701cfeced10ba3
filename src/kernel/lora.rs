//! The first half of LoRA for all modules that read the same input. Shader: shaders/lora.wgsl.
//! Reference: tests/reference/lora.rs. The second half is [`super::matmul::Adapter`].

use super::matmul::Input;
use super::{GROUP, word};
use crate::gpu::{Buffer, Kernel, Recorder, Variant, groups_for};
use crate::{Error, Result};

params! {
    Params {
        m: u32, k: u32,
        rank0: u32, rank1: u32, rank2: u32,
        a0: u32, a1: u32, a2: u32,
        t0: u32, t1: u32, t2: u32,
        eps: f32,
    }
}

const DOWN: Kernel = kernel!("lora", "down", Params, ["x", "a", "t"]);
const DOWN_SHARED: Kernel = kernel!("lora", "down_shared", Params, ["x", "a", "t"]);
const DOWN_NORMED: Kernel = Kernel { bindings: &["x", "a", "t", "norm"], ..DOWN_SHARED };

/// Most modules that read the same input: queries, keys, values.
pub const MAX_SITES: usize = 3;

/// The product of one module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Site {
    /// Rows of A.
    pub rank: usize,
    /// First element of A `[rank, k]` in the adapter's buffer; a multiple of 4.
    pub a_start: usize,
    /// First element of t `[m, rank]` in its buffer.
    pub t_start: usize,
}

/// The part of the result that a thread (software) or a workgroup (GPU) owns, and the threads of a workgroup. See `matmul`
/// for what the two kinds of adapters want.
#[derive(Debug, Clone, Copy)]
struct Tile {
    kernel: Kernel,
    group: usize,
    rows: usize,
    cols: usize,
    /// Threads that share a tile.
    share: usize,
}

impl Tile {
    fn new(software: bool, normed: bool, m: usize) -> Self {
        let rows = |most: usize| 1 << m.clamp(1, most).ilog2();
        if software && !normed {
            return Self { kernel: DOWN, group: 8, rows: rows(8), cols: 4, share: 1 };
        }
        let group = GROUP as usize;
        let kernel = if normed { DOWN_NORMED } else { DOWN_SHARED };
        Self { kernel, group, rows: rows(4), cols: 4, share: group }
    }

    fn variant(self) -> Variant {
        let Self { kernel, group, rows, cols, .. } = self;
        let normed = kernel.bindings == DOWN_NORMED.bindings;
        Variant::constants(&[("WG", word(group)), ("TM", word(rows)), ("TN", word(cols))]).import(if normed {
            "input_normed"
        } else {
            "input_plain"
        })
    }
}

pub(super) fn variants() -> Vec<(Kernel, Variant)> {
    let kinds = [(true, false), (false, false), (false, true)];
    let tiles =
        [1, 2, 4, 8].into_iter().flat_map(|m| kinds.map(|(software, normed)| Tile::new(software, normed, m)));
    let mut variants: Vec<(Kernel, Variant)> = Vec::new();
    for tile in tiles {
        let variant = tile.variant();
        if !variants.iter().any(|(k, v)| k.entry == tile.kernel.entry && *v == variant) {
            variants.push((tile.kernel, variant));
        }
    }
    variants
}

/// t of every site = x `[m, k]` · Aᵀ, x normalised on the way if there is a norm.
/// `adapter` and `low` are the buffers that the sites' starts count in.
///
/// # Errors
/// [`Error::Shape`] for no site or more than [`MAX_SITES`], and where a matrix does not lie within its buffer.
pub fn down(
    rec: &mut Recorder<'_>,
    Input { x, norm }: Input<'_>,
    adapter: &Buffer,
    low: &Buffer,
    sites: &[Site],
) -> Result<()> {
    let [m, k] = x.matrix("lora", "x")?;
    let fits = |site: &Site| {
        site.a_start.is_multiple_of(4)
            && site.a_start + site.rank * k <= adapter.len()
            && site.t_start + m * site.rank <= low.len()
    };
    if sites.is_empty() || sites.len() > MAX_SITES || !k.is_multiple_of(4) || !sites.iter().all(fits) {
        return Err(Error::Shape {
            kernel: "lora",
            arg: "sites",
            expected: vec![m, k, adapter.len(), low.len()],
            got: sites.iter().flat_map(|site| [site.rank, site.a_start, site.t_start]).collect(),
        });
    }
    let site = |index: usize| sites.get(index).copied().unwrap_or_default();
    let [first, second, third] = [site(0), site(1), site(2)];
    let params = Params {
        m: word(m),
        k: word(k),
        rank0: word(first.rank),
        rank1: word(second.rank),
        rank2: word(third.rank),
        a0: word(first.a_start),
        a1: word(second.a_start),
        a2: word(third.a_start),
        t0: word(first.t_start),
        t1: word(second.t_start),
        t2: word(third.t_start),
        eps: norm.map_or(0.0, |norm| norm.eps),
    };
    if let Some(norm) = &norm {
        norm.weight.expect("lora", "norm", &[k])?;
    }
    let columns: usize = sites.iter().map(|site| site.rank).sum();
    let tile = Tile::new(rec.gpu().is_software(), norm.is_some(), m);
    let tiles = m.div_ceil(tile.rows) * columns.div_ceil(tile.cols);
    let groups = groups_for(tiles * tile.share, tile.group);
    let mut arguments = vec![x, adapter, low];
    arguments.extend(norm.map(|norm| norm.weight));
    rec.dispatch(&tile.kernel, &tile.variant(), &params, &arguments, groups)?;
    rec.flops(2 * m * columns * k);
    rec.bytes(4 * (m * k + columns * (k + m)) as u64);
    Ok(())
}
