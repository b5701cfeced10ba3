//! The products for several rows on a software adapter with subgroups.
//! Shader: shaders/product/per_lane.wgsl. Reference: tests/reference/product/per_lane.rs.

use super::joined::Params;
use super::tile::{Product, Strategy, Tile};
use crate::gpu::Kernel;

const FORWARD: Kernel = kernel!("product/per_lane", "forward", Params, ["w", "w_scale", "x", "y", "bias"]);
const BACKWARD_X: Kernel = kernel!("product/per_lane", "backward_x", Params, ["w", "w_scale", "dy", "dx"]);

/// The tiles for `m` rows and subgroups of `lanes`, the default first; none if there are fewer rows than lanes.
pub(super) fn candidates(product: Product, lanes: usize, m: usize) -> Vec<Tile> {
    if m < lanes {
        return Vec::new();
    }
    // Rows and columns (forward) or groups of 8 columns (backward) of a lane.
    let (kernel, sizes) = match product {
        Product::Forward => (FORWARD, [[4, 4], [2, 8], [8, 2], [1, 16]]),
        Product::BackwardX => (BACKWARD_X, [[4, 1], [2, 1], [8, 1], [1, 2]]),
    };
    let tile = |[rows, cols]: [usize; 2]| Tile {
        product,
        strategy: Strategy::PerLane,
        kernel,
        group: lanes,
        rows: lanes * rows,
        cols,
    };
    let fits = |tile: &Tile| tile.rows <= m.next_multiple_of(lanes);
    sizes.map(tile).into_iter().filter(fits).collect()
}
