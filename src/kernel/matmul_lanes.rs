//! The products of [`super::matmul`] for several rows on a software adapter with subgroups.
//! Shader: shaders/matmul_lanes.wgsl. Reference: tests/reference/matmul_lanes.rs.

use super::matmul::{self, Input, Product, Tile, backward_x_with, forward_with};
use super::segment::{Params, Segment};
use super::weight::Weight;
use crate::Result;
use crate::gpu::{Buffer, Kernel, Recorder};

const FORWARD: Kernel = kernel!("matmul_lanes", "forward", Params, ["w", "w_scale", "x", "y", "bias"]);
const BACKWARD_X: Kernel = Kernel { entry: "backward_x", bindings: &["w", "w_scale", "dy", "dx"], ..FORWARD };

/// The sizes of a subgroup that there are variants for: SwiftShader's and llvmpipe's.
pub(super) const LANES: [usize; 2] = [4, 8];

/// The tiles for `m` rows and subgroups of `lanes`, the default first; none if there are fewer rows than lanes.
pub(super) fn candidates(product: Product, lanes: usize, m: usize) -> Vec<Tile> {
    if m < lanes {
        return Vec::new();
    }
    // Rows and columns (forward) or groups of 8 columns (backward) of a lane.
    let tiles = match product {
        Product::Forward => [[4, 4], [2, 8], [8, 2], [1, 16]],
        Product::BackwardX => [[4, 1], [2, 1], [8, 1], [1, 2]],
    };
    let tile = |[blocks, cols]: [usize; 2]| {
        let (kernel, unit) = match product {
            Product::Forward => (FORWARD, 1),
            Product::BackwardX => (BACKWARD_X, 8),
        };
        let rows = lanes * blocks;
        Tile {
            kernel,
            group: lanes,
            rows,
            cols,
            share: 1,
            block: Some([rows, lanes * cols * unit]),
            lanes: Some(lanes),
            imports: &[],
            coop: None,
        }
    };
    let fits = |tile: &Tile| tile.rows <= m.next_multiple_of(lanes);
    tiles.map(tile).into_iter().filter(fits).collect()
}

/// [`super::matmul::forward_joined`] by this kernel, on an adapter that has such subgroups and for enough rows.
pub fn forward(
    rec: &mut Recorder<'_>,
    w: &Weight,
    x: &Buffer,
    segments: &[Segment],
    accumulate: bool,
) -> Result<()> {
    let [m, _] = x.matrix("matmul_lanes", "x")?;
    match first(rec, Product::Forward, m) {
        Some(tile) => forward_with(rec, tile, w, Input::plain(x), segments, accumulate),
        None => matmul::forward_joined(rec, w, x, segments, accumulate),
    }
}

/// [`super::matmul::backward_x_joined`] likewise.
pub fn backward_x(
    rec: &mut Recorder<'_>,
    w: &Weight,
    segments: &[Segment],
    dx: &Buffer,
    accumulate: bool,
) -> Result<()> {
    let [m, _] = dx.matrix("matmul_lanes", "dx")?;
    match first(rec, Product::BackwardX, m) {
        Some(tile) => backward_x_with(rec, tile, w, segments, dx, accumulate),
        None => matmul::backward_x_joined(rec, w, segments, dx, accumulate),
    }
}

fn first(rec: &Recorder<'_>, product: Product, m: usize) -> Option<Tile> {
    let lanes = rec.gpu().subgroup_size().filter(|lanes| LANES.contains(lanes))?;
    candidates(product, lanes, m).into_iter().next()
}
