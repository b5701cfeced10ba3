//! The forward product of [`super::matmul`] for a few rows on a GPU, with what stands before and after it in a transformer block.
//! Shader: shaders/matmul_few.wgsl. Reference: tests/reference/matmul_few.rs.

use super::matmul::{Input, Product, Tile, forward_with, rows_of_tile};
use super::segment::{Joined, Params, Segment, Side};
use super::weight::Weight;
use super::{GROUP, SHARED_NUMBERS, swiglu};
use crate::gpu::{Buffer, Gpu, Kernel, Recorder};
use crate::{Error, Result};

const FORWARD: Kernel = kernel!("matmul_few", "forward", Params, ["w", "w_scale", "x", "y", "bias"]);

/// The most rows: reading W is all that counts then.
pub const MOST_ROWS: usize = 8;

/// Imports for the input as it is or normalised, and for sums that are written or joined by SwiGLU.
const FORMS: [[&[&str]; 2]; 2] = [
    [&["input_plain", "few_output"], &["input_plain", "few_swiglu", "sigmoid"]],
    [&["input_normed", "few_output"], &["input_normed", "few_swiglu", "sigmoid"]],
];

/// Whether products of `m` rows are made by this kernel.
pub fn suits(gpu: &Gpu, m: usize) -> bool {
    !gpu.is_software() && m <= MOST_ROWS
}

/// The tiles for `m` rows, the default first.
pub(super) fn candidates(m: usize) -> Vec<Tile> {
    let wide = GROUP as usize;
    let tile = |(group, most): (usize, usize)| {
        let rows = m.next_power_of_two();
        // In the end a thread takes each result; the parts of all lie in workgroup memory, one more for each thread.
        let room = (group / rows).min((SHARED_NUMBERS - group) / (group * rows));
        Tile {
            imports: FORMS[0][0],
            share: group,
            ..Tile::new(FORWARD, group, rows, rows_of_tile(room, most))
        }
    };
    [(wide, 4), (32, 4), (128, 4), (32, 8)].map(tile).to_vec()
}

/// A tile in every form that it may be asked for.
pub(super) fn forms(tile: Tile) -> Vec<Tile> {
    match tile.kernel.stem == FORWARD.stem {
        true => FORMS.concat().into_iter().map(|imports| Tile { imports, ..tile }).collect(),
        false => vec![tile],
    }
}

/// The rows of x, if there are no more than [`MOST_ROWS`].
fn rows(x: &Buffer) -> Result<usize> {
    let [m, k] = x.matrix("matmul_few", "x")?;
    match m <= MOST_ROWS {
        true => Ok(m),
        false => {
            let (expected, got) = (vec![MOST_ROWS, k], vec![m, k]);
            Err(Error::Shape { kernel: "matmul_few", arg: "x", expected, got })
        }
    }
}

fn tile(gpu: &Gpu, w: &Weight, m: usize, normed: bool, joined: bool) -> Tile {
    let tile = match suits(gpu, m) {
        true => Tile::chosen(gpu, Product::Forward, w, m),
        false => candidates(m)[0],
    };
    Tile { imports: FORMS[usize::from(normed)][usize::from(joined)], ..tile }
}

/// [`super::matmul::forward_joined`] by this kernel, on any adapter, of up to [`MOST_ROWS`] rows that are normalised on the way
/// if there is a norm.
pub fn forward(
    rec: &mut Recorder<'_>,
    w: &Weight,
    input: Input<'_>,
    segments: &[Segment],
    accumulate: bool,
) -> Result<()> {
    let m = rows(input.x)?;
    let tile = tile(rec.gpu(), w, m, input.norm.is_some(), false);
    forward_with(rec, tile, w, input, segments, accumulate)
}

/// y `[m, n / 2]` = silu(gate)·up of the two segments, in one dispatch where W lies in one memory and what the segments add in
/// another; their own matrices are left in any state.
pub fn forward_swiglu(
    rec: &mut Recorder<'_>,
    w: &Weight,
    input: Input<'_>,
    [gate, up]: [Segment; 2],
    y: &Buffer,
) -> Result<()> {
    let m = rows(input.x)?;
    gate.y.expect("matmul_few", "gate", &[m, w.rows / 2])?;
    up.y.expect("matmul_few", "up", &[m, w.rows / 2])?;
    let apart = [gate, up];
    if w.parts.len() > 1 || Joined::new(&apart, Side::Forward, m, w.rows)?.is_none() {
        forward(rec, w, input, &apart, false)?;
        return swiglu::forward(rec, &apart[0].y, &apart[1].y, y);
    }
    let tile = tile(rec.gpu(), w, m, input.norm.is_some(), true);
    let segments = apart.map(|segment| Segment { y: y.clone(), ..segment });
    forward_with(rec, tile, w, input, &segments, false)
}
