//! The products of [`super::matmul`] for many rows on a GPU, with operands that a workgroup shares.
//! Shader: shaders/matmul_tiled.wgsl. Reference: tests/reference/matmul_tiled.rs.

use super::matmul::{Input, Product, Tile, backward_x_with, forward_with};
use super::segment::{Params, Segment};
use super::weight::Weight;
use crate::Result;
use crate::gpu::{Buffer, Kernel, Recorder};

const FORWARD: Kernel = kernel!("matmul_tiled", "forward", Params, ["w", "w_scale", "x", "y", "bias"]);
const BACKWARD_X: Kernel = Kernel { entry: "backward_x", bindings: &["w", "w_scale", "dy", "dx"], ..FORWARD };

/// The tiles for `m` rows, the default first.
pub(super) fn candidates(product: Product, m: usize) -> Vec<Tile> {
    // Rows and columns of a workgroup, then of a thread.
    let blocks = match (product, m > 32) {
        (Product::Forward, true) => [[64, 64, 4, 4], [64, 64, 8, 4], [32, 64, 4, 4]],
        (Product::Forward, false) => [[32, 64, 4, 4], [16, 64, 2, 4], [32, 32, 4, 2]],
        (Product::BackwardX, true) => [[64, 64, 4, 1], [64, 64, 8, 1], [64, 128, 4, 1]],
        (Product::BackwardX, false) => [[32, 64, 2, 1], [32, 64, 4, 1], [16, 128, 2, 1]],
    };
    let tile = |[block_rows, block_cols, rows, cols]: [usize; 4]| {
        let (kernel, across) = match product {
            Product::Forward => (FORWARD, block_cols / cols),
            Product::BackwardX => (BACKWARD_X, block_cols / 8 / cols),
        };
        Tile {
            kernel,
            group: block_rows / rows * across,
            rows,
            cols,
            share: 1,
            block: Some([block_rows, block_cols]),
            lanes: None,
            imports: &[],
            coop: None,
        }
    };
    blocks.map(tile).to_vec()
}

/// [`super::matmul::forward_joined`] by this kernel on any adapter.
pub fn forward(
    rec: &mut Recorder<'_>,
    w: &Weight,
    x: &Buffer,
    segments: &[Segment],
    accumulate: bool,
) -> Result<()> {
    let [m, _] = x.matrix("matmul_tiled", "x")?;
    forward_with(rec, candidates(Product::Forward, m)[0], w, Input::plain(x), segments, accumulate)
}

/// [`super::matmul::backward_x_joined`] by this kernel on any adapter.
pub fn backward_x(
    rec: &mut Recorder<'_>,
    w: &Weight,
    segments: &[Segment],
    dx: &Buffer,
    accumulate: bool,
) -> Result<()> {
    let [m, _] = dx.matrix("matmul_tiled", "dx")?;
    backward_x_with(rec, candidates(Product::BackwardX, m)[0], w, segments, dx, accumulate)
}
