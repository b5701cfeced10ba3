//! Products with a stored weight matrix. Shader: shaders/matmul.wgsl. Reference: tests/reference/matmul.rs.

use super::weight::{Format, Weight};
use super::{GROUP, word};
use crate::Result;
use crate::gpu::{Buffer, Kernel, Recorder, Variant, groups_for};

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

impl Tile {
    fn forward(software: bool, m: usize) -> Self {
        let group = GROUP as usize;
        match software {
            true => Self { kernel: FORWARD, group: 16, rows: rows(m, 8), cols: 16, share: 1 },
            false if m <= FEW => {
                Self { kernel: FORWARD_FEW, group, rows: m.next_power_of_two(), cols: 4, share: group }
            }
            false => Self { kernel: FORWARD, group, rows: 8, cols: 4, share: 1 },
        }
    }

    fn backward_x(software: bool, m: usize) -> Self {
        match software {
            true => Self { kernel: BACKWARD_X, group: 16, rows: rows(m, 16), cols: 2, share: 1 },
            false => Self { kernel: BACKWARD_X, group: GROUP as usize, rows: rows(m, 8), cols: 1, share: 1 },
        }
    }

    fn variant(self, format: Format) -> Variant {
        let Self { group, rows, cols, .. } = self;
        Variant::constants(&[("WG", word(group)), ("TM", word(rows)), ("TN", word(cols))])
            .import(format.import())
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
        for tile in [Tile::forward(software, m), Tile::backward_x(software, m)] {
            for variant in Format::ALL.map(|format| tile.variant(format)) {
                if !variants.iter().any(|(k, v)| k.entry == tile.kernel.entry && *v == variant) {
                    variants.push((tile.kernel, variant));
                }
            }
        }
    }
    variants
}

/// y `[m, n]` = x `[m, k]` · Wᵀ, added to y if `accumulate`.
pub fn forward(rec: &mut Recorder<'_>, w: &Weight, x: &Buffer, y: &Buffer, accumulate: bool) -> Result<()> {
    let [m, k] = x.matrix("matmul", "x")?;
    x.expect("matmul", "x", &[m, w.cols])?;
    y.expect("matmul", "y", &[m, w.rows])?;
    for part in &w.parts {
        let tile = Tile::forward(rec.gpu().is_software(), m);
        let params = params(m, part.rows, k, part.row0, w.rows, accumulate);
        rec.dispatch(
            &tile.kernel,
            &tile.variant(w.format),
            &params,
            &[&part.words, &part.scales, x, y],
            tile.groups(m, part.rows),
        )?;
        rec.flops(2 * m * part.rows * k);
    }
    Ok(())
}

/// dx `[m, k]` = dy `[m, n]` · W, added to dx if `accumulate`.
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
        let tile = Tile::backward_x(rec.gpu().is_software(), m);
        let params = params(m, part.rows, k, part.row0, w.rows, accumulate || index > 0);
        rec.dispatch(
            &tile.kernel,
            &tile.variant(w.format),
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
