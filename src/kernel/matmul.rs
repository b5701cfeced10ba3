//! Products with a stored weight matrix. Shader: shaders/matmul.wgsl. Reference: tests/reference/matmul.rs.

use super::weight::{Format, Weight};
use super::{GROUP, word};
use crate::Result;
use crate::gpu::{Buffer, Kernel, Recorder, Variant, groups_for};

params! { Params { m: u32, n: u32, k: u32, row0: u32, stride: u32, accumulate: u32 } }

const FORWARD: Kernel = kernel!("matmul", "forward", Params, ["w", "w_scale", "x", "y"]);
const BACKWARD_X: Kernel = kernel!("matmul", "backward_x", Params, ["w", "w_scale", "dy", "dx"]);

/// Rows of a thread's tile; the largest that is not larger than the matrix is used.
const TILES: [usize; 4] = [8, 4, 2, 1];

fn tile(rows: usize) -> usize {
    TILES.into_iter().find(|&tile| tile <= rows).unwrap_or(1)
}

fn variant(format: Format, tile: usize) -> Variant {
    Variant::constants(&[("WG", GROUP), ("TM", word(tile))]).import(format.import())
}

pub(super) fn variants() -> Vec<(Kernel, Variant)> {
    let formats = Format::ALL.into_iter();
    formats
        .flat_map(|format| {
            TILES
                .into_iter()
                .flat_map(move |tile| [FORWARD, BACKWARD_X].map(|kernel| (kernel, variant(format, tile))))
        })
        .collect()
}

/// y `[m, n]` = x `[m, k]` · Wᵀ, added to y if `accumulate`.
pub fn forward(rec: &mut Recorder<'_>, w: &Weight, x: &Buffer, y: &Buffer, accumulate: bool) -> Result<()> {
    let [m, k] = x.matrix("matmul", "x")?;
    x.expect("matmul", "x", &[m, w.cols])?;
    y.expect("matmul", "y", &[m, w.rows])?;
    for part in &w.parts {
        let tile = tile(m);
        let params = params(m, part.rows, k, part.row0, w.rows, accumulate);
        let groups = groups_for(part.rows.div_ceil(4) * m.div_ceil(tile), GROUP as usize);
        rec.dispatch(
            &FORWARD,
            &variant(w.format, tile),
            &params,
            &[&part.words, &part.scales, x, y],
            groups,
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
        let tile = tile(m);
        let params = params(m, part.rows, k, part.row0, w.rows, accumulate || index > 0);
        let groups = groups_for(k / 8 * m.div_ceil(tile), GROUP as usize);
        rec.dispatch(
            &BACKWARD_X,
            &variant(w.format, tile),
            &params,
            &[&part.words, &part.scales, dy, dx],
            groups,
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
