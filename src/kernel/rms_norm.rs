//! RMSNorm. Shader: shaders/rms_norm.wgsl. Reference: tests/reference/rms_norm.rs.

use super::{reducing_ahead, word};
use crate::Result;
use crate::gpu::{Buffer, Kernel, Recorder, Variant};

params! { Params { rows: u32, cols: u32, eps: f32, accumulate: u32 } }

const FORWARD: Kernel = kernel!("rms_norm", "forward", Params, ["x", "w", "y"]);
const BACKWARD_X: Kernel = kernel!("rms_norm", "backward_x", Params, ["x", "w", "dy", "dx"]);

pub(super) fn variants() -> Vec<(Kernel, Variant)> {
    let kinds = [true, false].map(reducing_ahead);
    [FORWARD, BACKWARD_X].into_iter().flat_map(|kernel| kinds.clone().map(|kind| (kernel, kind))).collect()
}

/// What normalises a row.
#[derive(Debug, Clone, Copy)]
pub struct Norm<'a> {
    /// `[cols]`
    pub weight: &'a Buffer,
    /// Added to the mean of squares.
    pub eps: f32,
}

/// What a product or LoRA's first half reads.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// `[m, k]`
    pub x: &'a Buffer,
    /// Applied to x on the way.
    pub norm: Option<Norm<'a>>,
}

impl<'a> Input<'a> {
    /// x as it is.
    pub fn plain(x: &'a Buffer) -> Self {
        Self { x, norm: None }
    }
}

/// y = x / rms(x) · w, row by row. The last axis has `w`'s length; all axes before it count as rows.
pub fn forward(rec: &mut Recorder<'_>, x: &Buffer, w: &Buffer, y: &Buffer, eps: f32) -> Result<()> {
    record(rec, x, w, y, eps, false)
}

/// [`forward`], added to what y holds: of norms that stand behind a sublayer.
pub fn forward_add(rec: &mut Recorder<'_>, x: &Buffer, w: &Buffer, y: &Buffer, eps: f32) -> Result<()> {
    record(rec, x, w, y, eps, true)
}

fn record(
    rec: &mut Recorder<'_>,
    x: &Buffer,
    w: &Buffer,
    y: &Buffer,
    eps: f32,
    accumulate: bool,
) -> Result<()> {
    let cols = w.len();
    let rows = x.len() / cols.max(1);
    y.expect("rms_norm", "y", x.shape())?;
    w.expect("rms_norm", "w", &[cols])?;
    let params = Params { rows: word(rows), cols: word(cols), eps, accumulate: accumulate.into() };
    let variant = reducing_ahead(rec.gpu().is_software());
    rec.dispatch(&FORWARD, &variant, &params, &[x, w, y], word(rows))
}

/// dx from dy, added to dx if `accumulate` (the residual stream's gradient).
pub fn backward_x(
    rec: &mut Recorder<'_>,
    x: &Buffer,
    w: &Buffer,
    dy: &Buffer,
    dx: &Buffer,
    eps: f32,
    accumulate: bool,
) -> Result<()> {
    let cols = w.len();
    let rows = x.len() / cols.max(1);
    dy.expect("rms_norm", "dy", x.shape())?;
    dx.expect("rms_norm", "dx", x.shape())?;
    let params = Params { rows: word(rows), cols: word(cols), eps, accumulate: accumulate.into() };
    let variant = reducing_ahead(rec.gpu().is_software());
    rec.dispatch(&BACKWARD_X, &variant, &params, &[x, w, dy, dx], word(rows))
}
