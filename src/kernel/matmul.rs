//! Products with a stored weight matrix. Shader: shaders/matmul.wgsl. Reference: tests/reference/matmul.rs.

use super::weight::{Format, Weight};
use super::{GROUP, word};
use crate::Result;
use crate::gpu::{Buffer, Gpu, Kernel, Recorder, Variant, groups_for};

params! { Params { m: u32, n: u32, k: u32, row0: u32, stride: u32, accumulate: u32 } }

const FORWARD: Kernel = kernel!("matmul", "forward", Params, ["w", "w_scale", "x", "y"]);
const FORWARD_FEW: Kernel = kernel!("matmul", "forward_few", Params, ["w", "w_scale", "x", "y"]);
const BACKWARD_X: Kernel = kernel!("matmul", "backward_x", Params, ["w", "w_scale", "dy", "dx"]);

/// Rows that a GPU multiplies by a workgroup for each few outputs: reading W is all that counts then.
const FEW: usize = 8;

/// How a product is cut up.
///
/// A software adapter pays for every load and hardly for registers, so it gets large tiles and no barriers, in small
/// workgroups because a few cores want a few of them each. A GPU wants many threads whose tiles stay in registers.
#[derive(Debug, Clone, Copy)]
struct Tile {
    kernel: Kernel,
    /// Threads of a workgroup.
    group: usize,
    /// Rows of the output in a tile.
    rows: usize,
    /// Columns (forward) or groups of 8 columns (backward) in a tile.
    cols: usize,
    /// Threads that share a tile.
    share: usize,
}

/// Which product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    /// [`forward`]
    Forward,
    /// [`backward_x`]
    BackwardX,
}

/// Numbers of rows whose tiles are chosen apart: one, up to [`FEW`], more.
pub const ROW_CLASSES: [usize; 3] = [1, FEW, 64];

/// What [`Gpu::choice`] calls the choice of a tile.
pub fn choice_key(product: Product, format: Format, m: usize) -> String {
    let class = ROW_CLASSES.into_iter().find(|&rows| m <= rows).unwrap_or(64);
    let product = if product == Product::Forward { "forward" } else { "backward_x" };
    format!("matmul/{product}/{}/{class}", format.import())
}

/// Number of tiles to choose from.
pub fn choices(product: Product, software: bool, m: usize) -> usize {
    Tile::candidates(product, software, m).len()
}

impl Tile {
    /// The tiles for `m` rows, the default first. All of them add the products of an output in an order that does not
    /// depend on the tile, but for those of a few rows on a GPU, where it depends on the workgroup's size.
    fn candidates(product: Product, software: bool, m: usize) -> Vec<Self> {
        let wide = GROUP as usize;
        let tile = |kernel, group, rows, cols| Self { kernel, group, rows, cols, share: 1 };
        match (product, software) {
            (Product::Forward, true) => [(16, 8, 16), (16, 8, 8), (32, 8, 4), (16, 4, 16)]
                .map(|(group, most, cols)| tile(FORWARD, group, rows(m, most), cols))
                .to_vec(),
            (Product::Forward, false) if m <= FEW => [(wide, 4), (32, 4), (128, 4), (wide, 2)]
                .map(|(group, cols)| Self {
                    kernel: FORWARD_FEW,
                    group,
                    rows: m.next_power_of_two(),
                    cols,
                    share: group,
                })
                .to_vec(),
            (Product::Forward, false) => [(wide, 8, 4), (wide, 4, 4), (wide, 8, 8), (128, 4, 8)]
                .map(|(group, rows, cols)| tile(FORWARD, group, rows, cols))
                .to_vec(),
            (Product::BackwardX, true) => [(16, 16, 2), (16, 8, 4), (32, 8, 2), (32, 8, 1)]
                .map(|(group, most, cols)| tile(BACKWARD_X, group, rows(m, most), cols))
                .to_vec(),
            (Product::BackwardX, false) => [(wide, 8, 1), (wide, 4, 1), (wide, 8, 2), (128, 8, 1)]
                .map(|(group, most, cols)| tile(BACKWARD_X, group, rows(m, most), cols))
                .to_vec(),
        }
    }

    /// The tile that was found fastest on this adapter, or the default.
    fn chosen(gpu: &Gpu, product: Product, format: Format, m: usize) -> Self {
        let candidates = Self::candidates(product, gpu.is_software(), m);
        let index = gpu.choice(&choice_key(product, format, m));
        candidates[index.min(candidates.len() - 1)]
    }

    /// `f16`: multiply in f16; only for the forward products.
    fn variant(self, format: Format, f16: bool) -> Variant {
        let Self { group, rows, cols, .. } = self;
        Variant::constants(&[("WG", word(group)), ("TM", word(rows)), ("TN", word(cols))])
            .import(format.import())
            .import(if f16 { "product_f16" } else { "product_f32" })
    }

    /// Workgroups for `m` rows of `cols` columns or groups of columns.
    fn groups(self, m: usize, cols: usize) -> u32 {
        groups_for(m.div_ceil(self.rows) * cols.div_ceil(self.cols) * self.share, self.group)
    }
}

/// The largest power of two that is at most `m` and `most`.
fn rows(m: usize, most: usize) -> usize {
    1 << m.clamp(1, most).ilog2()
}

pub(super) fn variants() -> Vec<(Kernel, Variant)> {
    let mut variants: Vec<(Kernel, Variant)> = Vec::new();
    for (software, m) in [1, 2, 4, 8, 16].into_iter().flat_map(|m| [(true, m), (false, m)]) {
        let products = [Product::Forward, Product::BackwardX];
        for tile in products.into_iter().flat_map(|product| Tile::candidates(product, software, m)) {
            let with = |f16| Format::ALL.map(|format| tile.variant(format, f16)).to_vec();
            let f16 = if tile.kernel.entry == BACKWARD_X.entry { Vec::new() } else { with(true) };
            for variant in [with(false), f16].concat() {
                if !variants.iter().any(|(k, v)| k.entry == tile.kernel.entry && *v == variant) {
                    variants.push((tile.kernel, variant));
                }
            }
        }
    }
    variants
}

/// y `[m, n]` = x `[m, k]` · Wᵀ, added to y if `accumulate`. Multiplies in f16 if [`Gpu::has_f16`].
pub fn forward(rec: &mut Recorder<'_>, w: &Weight, x: &Buffer, y: &Buffer, accumulate: bool) -> Result<()> {
    let [m, k] = x.matrix("matmul", "x")?;
    x.expect("matmul", "x", &[m, w.cols])?;
    y.expect("matmul", "y", &[m, w.rows])?;
    for part in &w.parts {
        let tile = Tile::chosen(rec.gpu(), Product::Forward, w.format, m);
        let variant = tile.variant(w.format, rec.gpu().has_f16());
        let params = params(m, part.rows, k, part.row0, w.rows, accumulate);
        rec.dispatch(
            &tile.kernel,
            &variant,
            &params,
            &[&part.words, &part.scales, x, y],
            tile.groups(m, part.rows),
        )?;
        rec.flops(2 * m * part.rows * k);
    }
    Ok(())
}

/// dx `[m, k]` = dy `[m, n]` · W, added to dx if `accumulate`. Always in f32: small gradients would vanish in f16.
pub fn backward_x(
    rec: &mut Recorder<'_>,
    w: &Weight,
    dy: &Buffer,
    dx: &Buffer,
    accumulate: bool,
) -> Result<()> {
    let [m, k] = dx.matrix("matmul", "dx")?;
    dx.expect("matmul", "dx", &[m, w.cols])?;
    dy.expect("matmul", "dy", &[m, w.rows])?;
    for (index, part) in w.parts.iter().enumerate() {
        let tile = Tile::chosen(rec.gpu(), Product::BackwardX, w.format, m);
        let params = params(m, part.rows, k, part.row0, w.rows, accumulate || index > 0);
        rec.dispatch(
            &tile.kernel,
            &tile.variant(w.format, false),
            &params,
            &[&part.words, &part.scales, dy, dx],
            tile.groups(m, k / 8),
        )?;
        rec.flops(2 * m * part.rows * k);
    }
    Ok(())
}

fn params(m: usize, n: usize, k: usize, row0: usize, stride: usize, accumulate: bool) -> Params {
    Params {
        m: word(m),
        n: word(n),
        k: word(k),
        row0: word(row0),
        stride: word(stride),
        accumulate: accumulate.into(),
    }
}
