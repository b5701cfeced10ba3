//! Which tile a product gets: the strategies that suit the adapter and the number of rows, and among their tiles the one that
//! tuning found fastest.
//! No shader of its own: the strategies have them.

use super::super::rms_norm::Input;
use super::super::weight::{Format, Weight};
use super::super::{FEW_ROWS, LANES, distinct, lanes};
use super::tile::{Form, Product, Tile};
use super::{direct, few_rows, matrix_units, per_lane, tiled};
use crate::gpu::{Buffer, Coop, Gpu, Kernel, Variant};
use crate::{Error, Result};

/// Properties of an adapter that influence the choice of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A GPU, with its cooperative matrices if it has such.
    Gpu(Option<Coop>),
    /// The CPU, with subgroups of so many threads if the kernels know such.
    Software(Option<usize>),
}

impl Kind {
    fn of(gpu: &Gpu) -> Self {
        match gpu.is_software() {
            true => Self::Software(lanes(gpu)),
            false => Self::Gpu(gpu.coop()),
        }
    }

    /// The tiles for `m` rows of `n` columns of the output, the default first; how many there are, and all but the default, is
    /// the same for every `n`. The order in which they add the products of an output depends on the tile only on a GPU: for a
    /// few rows on the workgroup's size, for more on the number of slices.
    fn candidates(self, product: Product, m: usize, n: usize) -> Vec<Tile> {
        let software = matches!(self, Self::Software(_));
        match (self, product) {
            (Self::Software(Some(lanes)), _) => {
                [per_lane::candidates(product, lanes, m), direct::candidates(product, software, m)].concat()
            }
            (Self::Gpu(coop), _) if m > FEW_ROWS => [
                tiled::candidates(product, m, n),
                direct::candidates(product, software, m),
                matrix_units::candidates(product, coop, m),
            ]
            .concat(),
            (Self::Gpu(_), Product::Forward) => few_rows::candidates(m),
            _ => direct::candidates(product, software, m),
        }
    }
}

/// Numbers of rows whose tiles are chosen apart: one, up to [`FEW_ROWS`], a batch, more.
pub const ROW_CLASSES: [usize; 4] = [1, FEW_ROWS, 32, MANY];

/// The most rows that tuning tries.
const MANY: usize = 128;

/// What [`Gpu::choice`] calls the choice of a tile. The number of tiles is part of it: a choice that was kept from a version
/// with others means nothing. The names are those of files that users keep.
pub fn choice_key(gpu: &Gpu, product: Product, format: Format, m: usize) -> String {
    let class = ROW_CLASSES.into_iter().find(|&rows| m <= rows).unwrap_or(MANY);
    let name = if product == Product::Forward { "forward" } else { "backward_x" };
    format!("matmul/{name}/{}/{class}/{}", format.import(), choices(gpu, product, m))
}

/// Number of tiles to choose from.
pub fn choices(gpu: &Gpu, product: Product, m: usize) -> usize {
    // The number is the same for every number of columns.
    Kind::of(gpu).candidates(product, m, MANY).len()
}

/// Whether products of `m` rows on this adapter should normalise their input, and a gate join their sums.
pub fn fuses(gpu: &Gpu, m: usize) -> bool {
    !gpu.is_software() && m <= FEW_ROWS
}

/// Columns of the output.
fn outputs(product: Product, w: &Weight) -> usize {
    match product {
        Product::Forward => w.rows,
        Product::BackwardX => w.cols,
    }
}

/// The tile that was found fastest on this adapter, or the default; the default too where the weights do not suit it.
pub(super) fn tile(gpu: &Gpu, product: Product, w: &Weight, m: usize) -> Tile {
    let candidates = Kind::of(gpu).candidates(product, m, outputs(product, w));
    let index = gpu.choice(&choice_key(gpu, product, w.format, m));
    let tile = candidates[index.min(candidates.len() - 1)];
    if tile.takes_f16() && !w.suits_f16() { candidates[0] } else { tile }
}

/// The tile of a product of a few rows in this form, on any adapter.
///
/// # Errors
/// [`Error::Shape`] for more than [`FEW_ROWS`] rows.
pub(super) fn few_rows_tile(gpu: &Gpu, w: &Weight, x: &Buffer, form: Form) -> Result<Tile> {
    let [m, k] = x.matrix("product/few_rows", "x")?;
    if m > FEW_ROWS {
        let (expected, got) = (vec![FEW_ROWS, k], vec![m, k]);
        return Err(Error::Shape { kernel: "product/few_rows", arg: "x", expected, got });
    }
    let tile = match fuses(gpu, m) {
        true => tile(gpu, Product::Forward, w, m),
        false => few_rows::candidates(m)[0],
    };
    Ok(tile.in_form(form))
}

/// The tile of a forward product: one that normalises a few rows on the way if there is a norm, or the fastest for any.
///
/// # Errors
/// [`Error::Shape`] for more than [`FEW_ROWS`] rows with a norm.
pub(super) fn forward_tile(gpu: &Gpu, w: &Weight, input: Input<'_>) -> Result<Tile> {
    match input.norm {
        Some(_) => few_rows_tile(gpu, w, input.x, Form { normed: true, gated: None }),
        None => Ok(tile(gpu, Product::Forward, w, input.x.matrix("product", "x")?[0])),
    }
}

/// Strategies that tests and benchmarks may ask for, whatever is fastest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Where the adapter has subgroups of a size that the kernels know, and for enough rows.
    PerLane,
    /// On any adapter.
    Tiled,
    /// Where there are cooperative matrices and the weights suit them.
    MatrixUnits,
}

/// The default tile of a strategy, or [`tile`] where that does not work.
pub(super) fn tile_by(gpu: &Gpu, by: By, product: Product, w: &Weight, m: usize) -> Tile {
    let candidates = match by {
        By::PerLane => lanes(gpu).map_or(Vec::new(), |lanes| per_lane::candidates(product, lanes, m)),
        By::Tiled => tiled::candidates(product, m, outputs(product, w)),
        By::MatrixUnits => matrix_units::candidates(product, gpu.coop().filter(|_| w.suits_f16()), m),
    };
    candidates.first().copied().unwrap_or_else(|| tile(gpu, product, w, m))
}

/// Every variant to compile but those with cooperative matrices, which [`matrix_units::variants`] has.
pub(in crate::kernel) fn variants() -> Vec<(Kernel, Variant)> {
    let software = LANES.map(|lanes| Kind::Software(Some(lanes)));
    let kinds = [&software[..], &[Kind::Gpu(None)]].concat();
    let mut tiles = Vec::new();
    for (kind, m) in kinds.into_iter().flat_map(|kind| [1, 2, 4, 8, 16, 64].map(|m| (kind, m))) {
        for product in [Product::Forward, Product::BackwardX] {
            tiles.extend(kind.candidates(product, m, MANY).into_iter().flat_map(Tile::forms));
        }
    }
    let variants = |(tile, format): (Tile, Format)| {
        let kinds = [(false, false), (false, true), (true, false), (true, true)];
        let count = if tile.product == Product::BackwardX { 2 } else { 4 };
        kinds.into_iter().take(count).map(move |(f16, adapted)| {
            (tile.kernel(adapted, tile.normed()), tile.variant(format, f16, adapted))
        })
    };
    let all = tiles.into_iter().flat_map(|tile| Format::ALL.map(|format| (tile, format)));
    distinct(all.flat_map(variants))
}
