//! Products with a stored weight matrix W `[n, k]`: y = x·Wᵀ forward and dx = dy·W backward, with LoRA's second half and a
//! bias at their end.
//!
//! Each shader's file knows the tiles of one strategy: `direct`, `few_rows`, `per_lane`, `tiled`, [`matrix_units`]. `tile`
//! says what a tile is, `joined` what the several outputs of one product are, `record` records a product by a tile, `choose`
//! takes the tile. A new strategy is a variant of `tile::Strategy` with its constants and imports, its file, and an arm in
//! `choose`.

pub(super) mod choose;
mod direct;
mod few_rows;
mod joined;
pub mod matrix_units;
mod per_lane;
mod record;
mod tile;
mod tiled;

pub use choose::{By, ROW_CLASSES, choice_key, choices, fuses};
pub use joined::Segment;
pub use tile::Product;

use super::lora::up::Adapter;
use super::rms_norm::Input;
use super::swiglu::{self, Activation};
use super::weight::Weight;
use crate::Result;
use crate::gpu::{Buffer, Recorder};
use joined::{Joined, Side};
use tile::Form;

/// y `[m, n]` = x `[m, k]` · Wᵀ, with the adapter's part where there is one, added to y if `accumulate`. Multiplies in f16 if
/// [`Gpu::has_f16`](crate::gpu::Gpu::has_f16); the adapter always in f32.
pub fn forward(
    rec: &mut Recorder<'_>,
    w: &Weight,
    x: &Buffer,
    y: &Buffer,
    adapter: Option<Adapter>,
    accumulate: bool,
) -> Result<()> {
    forward_joined(rec, w, Input::plain(x), &[Segment::new(y, adapter)], accumulate)
}

/// [`forward`] of a W that holds the matrices of several outputs, one behind the other: one dispatch where their memory
/// allows. Rows may be normalised on the way if they are no more than [`FEW_ROWS`](super::FEW_ROWS).
pub fn forward_joined(
    rec: &mut Recorder<'_>,
    w: &Weight,
    input: Input<'_>,
    segments: &[Segment],
    accumulate: bool,
) -> Result<()> {
    let tile = choose::forward_tile(rec.gpu(), w, input)?;
    record::forward(rec, tile, w, input, segments, accumulate)
}

/// y `[m, n / 2]` = act(gate)·up of the two segments, of up to [`FEW_ROWS`](super::FEW_ROWS) rows: one dispatch where W lies
/// in one memory and what the segments add in another. The contents of the segments' own matrices are undefined afterwards.
pub fn forward_gated(
    rec: &mut Recorder<'_>,
    act: Activation,
    w: &Weight,
    input: Input<'_>,
    segments: [Segment; 2],
    y: &Buffer,
) -> Result<()> {
    let form = Form { normed: input.norm.is_some(), gated: Some(act) };
    let tile = choose::few_rows_tile(rec.gpu(), w, input.x, form)?;
    let [m, _] = input.x.matrix("product", "x")?;
    let [gate, up] = &segments;
    gate.y.expect("product", "gate", &[m, w.rows / 2])?;
    up.y.expect("product", "up", &[m, w.rows / 2])?;
    if w.parts.len() > 1 || Joined::new(&segments, Side::Forward, m, w.rows)?.is_none() {
        let tile = tile.in_form(Form { gated: None, ..form });
        record::forward(rec, tile, w, input, &segments, false)?;
        return swiglu::forward(rec, act, &gate.y, &up.y, y);
    }
    let segments = segments.map(|segment| Segment { y: y.clone(), ..segment });
    record::forward(rec, tile, w, input, &segments, false)
}

/// dx `[m, k]` = dy `[m, n]` · W, with the adapter's part where there is one, added to dx if `accumulate`. In f32: small
/// gradients would vanish in f16. [`matrix_units`] is exempt: it scales each row first.
pub fn backward_x(
    rec: &mut Recorder<'_>,
    w: &Weight,
    dy: &Buffer,
    dx: &Buffer,
    adapter: Option<Adapter>,
    accumulate: bool,
) -> Result<()> {
    backward_x_joined(rec, w, &[Segment::new(dy, adapter)], dx, accumulate)
}

/// [`backward_x`] of a W that holds the matrices of several outputs: the sum of their gradients, in one dispatch where their
/// memory allows.
pub fn backward_x_joined(
    rec: &mut Recorder<'_>,
    w: &Weight,
    segments: &[Segment],
    dx: &Buffer,
    accumulate: bool,
) -> Result<()> {
    let [m, _] = dx.matrix("product", "dx")?;
    let tile = choose::tile(rec.gpu(), Product::BackwardX, w, m);
    record::backward_x(rec, tile, w, segments, dx, accumulate)
}

/// [`forward_joined`] by a strategy that is not chosen for its speed.
pub fn forward_by(
    rec: &mut Recorder<'_>,
    by: By,
    w: &Weight,
    x: &Buffer,
    segments: &[Segment],
    accumulate: bool,
) -> Result<()> {
    let [m, _] = x.matrix("product", "x")?;
    let tile = choose::tile_by(rec.gpu(), by, Product::Forward, w, m);
    record::forward(rec, tile, w, Input::plain(x), segments, accumulate)
}

/// [`backward_x_joined`] by a strategy that is not chosen for its speed.
pub fn backward_x_by(
    rec: &mut Recorder<'_>,
    by: By,
    w: &Weight,
    segments: &[Segment],
    dx: &Buffer,
    accumulate: bool,
) -> Result<()> {
    let [m, _] = dx.matrix("product", "dx")?;
    let tile = choose::tile_by(rec.gpu(), by, Product::BackwardX, w, m);
    record::backward_x(rec, tile, w, segments, dx, accumulate)
}
