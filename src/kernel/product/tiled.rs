//! The products for many rows on a GPU, with operands that a workgroup shares.
//! Shader: shaders/product/tiled.wgsl. Reference: tests/reference/product/tiled.rs.

use super::joined::Params;
use super::tile::{Product, Strategy, Tile};
use crate::gpu::Kernel;

const FORWARD: Kernel = kernel!("product/tiled", "forward", Params, ["w", "w_scale", "x", "y", "bias"]);
const BACKWARD_X: Kernel = kernel!("product/tiled", "backward_x", Params, ["w", "w_scale", "dy", "dx"]);

/// The tiles for `m` rows, the default first.
pub(super) fn candidates(product: Product, m: usize) -> Vec<Tile> {
    // Rows and columns of a workgroup, then of a thread.
    let (kernel, sizes) = match (product, m > 32) {
        (Product::Forward, true) => (FORWARD, [[64, 64, 4, 4], [64, 64, 8, 4], [32, 64, 4, 4]]),
        (Product::Forward, false) => (FORWARD, [[32, 64, 4, 4], [16, 64, 2, 4], [32, 32, 4, 2]]),
        (Product::BackwardX, true) => (BACKWARD_X, [[64, 64, 4, 1], [64, 64, 8, 1], [64, 128, 4, 1]]),
        (Product::BackwardX, false) => (BACKWARD_X, [[32, 64, 2, 1], [32, 64, 4, 1], [16, 128, 2, 1]]),
    };
    let tile = |[block_rows, block_cols, rows, cols]: [usize; 4]| Tile {
        product,
        strategy: Strategy::Tiled { block: [block_rows, block_cols] },
        kernel,
        group: block_rows / rows * (block_cols / product.unit() / cols),
        rows,
        cols,
    };
    sizes.map(tile).to_vec()
}
