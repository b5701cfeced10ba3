//! Products with a stored weight matrix. Shader: shaders/matmul.wgsl. Reference: tests/reference/matmul.rs.

use super::weight::{Format, Weight};
use super::{GROUP, word};
use crate::Result;
use crate::gpu::{Buffer, Kernel, Recorder, Variant, groups_for};

params! { Params { m: u32, n: u32, k: u32, row0: u32, stride: u32, accumulate: u32 } }

const FORWARD: Kernel = kernel!("matmul", "forward", Params, ["w", "w_scale", "x", "y"]);
const BACKWARD_X: Kernel = kernel!("matmul", "backward_x", Params, ["w", "w_scale", "dy", "dx"]);

/// Which adapters a tile is for.
///
/// A software adapter pays for every load and hardly for registers, so it gets large tiles, in small workgroups because
/// a few cores want a few of them each. A GPU wants many threads whose tiles stay in registers.
#[derive(Debug, Clone, Copy)]
struct Tile {
    /// Threads of a workgroup.
    group: usize,
    /// Rows of the output that a thread owns.
    rows: usize,
    /// Columns (forward) or groups of 8 columns (backward) that it owns.
    cols: usize,
}

/// Rows that a tile may have; the largest that is not larger than the matrix is used.
const ROWS: [usize; 5] = [16, 8, 4, 2, 1];

impl Tile {
    /// The tile for `m` rows.
    fn new(kernel: &Kernel, software: bool, m: usize) -> Self {
        let forward = kernel.entry == FORWARD.entry;
        let (group, most, cols) = match (software, forward) {
            (true, true) => (16, 8, 16),
            (true, false) => (16, 16, 2),
            (false, true) => (GROUP as usize, 8, 4),
            (false, false) => (GROUP as usize, 8, 1),
        };
        let rows = ROWS.into_iter().find(|&rows| rows <= m.min(most)).unwrap_or(1);
        Self { group, rows, cols }
    }

    fn variant(self, format: Format) -> Variant {
        let Self { group, rows, cols } = self;
        Variant::constants(&[("WG", word(group)), ("TM", word(rows)), ("TN", word(cols))])
            .import(format.import())
    }

    /// Workgroups for `m` rows of `cols` columns or groups of columns.
    fn groups(self, m: usize, cols: usize) -> u32 {
        groups_for(m.div_ceil(self.rows) * cols.div_ceil(self.cols), self.group)
    }
}

pub(super) fn variants() -> Vec<(Kernel, Variant)> {
    let mut variants: Vec<(Kernel, Variant)> = Vec::new();
    for (format, kernel) in Format::ALL.into_iter().flat_map(|f| [(f, FORWARD), (f, BACKWARD_X)]) {
        for (software, m) in ROWS.into_iter().flat_map(|m| [(true, m), (false, m)]) {
            let variant = Tile::new(&kernel, software, m).variant(format);
            if !variants.iter().any(|(k, v)| k.entry == kernel.entry && *v == variant) {
                variants.push((kernel, variant));
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
        let tile = Tile::new(&FORWARD, rec.gpu().is_software(), m);
        let params = params(m, part.rows, k, part.row0, w.rows, accumulate);
        rec.dispatch(
            &FORWARD,
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
        let tile = Tile::new(&BACKWARD_X, rec.gpu().is_software(), m);
        let params = params(m, part.rows, k, part.row0, w.rows, accumulate || index > 0);
        rec.dispatch(
            &BACKWARD_X,
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
