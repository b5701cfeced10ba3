//! Products with a stored weight matrix, each thread for itself. Shader: shaders/product/direct.wgsl.
//! Reference: tests/reference/product/direct.rs.

use super::super::{GROUP, power_of_two};
use super::joined::Params;
use super::tile::{Product, Strategy, Tile};
use crate::gpu::Kernel;

const FORWARD: Kernel = kernel!("product/direct", "forward", Params, ["w", "w_scale", "x", "y", "bias"]);
const BACKWARD_X: Kernel = kernel!("product/direct", "backward_x", Params, ["w", "w_scale", "dy", "dx"]);

/// The tiles for `m` rows, the default first.
///
/// A software adapter pays for every load and hardly for registers, so large tiles are quick once they are there, in small
/// workgroups because a few cores want a few of them each. But it takes seconds to compile them, so the default is smaller. A GPU
/// wants many threads whose tiles stay in registers.
pub(super) fn candidates(product: Product, software: bool, m: usize) -> Vec<Tile> {
    let wide = GROUP as usize;
    // Threads of a workgroup, then the most rows and the columns (forward) or groups of 8 columns (backward) of a thread.
    let sizes: &[[usize; 3]] = match (product, software) {
        (Product::Forward, true) => &[[32, 8, 4], [16, 8, 8], [16, 8, 16], [16, 4, 16]],
        (Product::Forward, false) => &[[wide, 8, 4], [wide, 4, 4], [128, 4, 8]],
        (Product::BackwardX, true) => &[[32, 8, 1], [32, 8, 2], [16, 16, 2], [16, 8, 4]],
        (Product::BackwardX, false) => &[[wide, 8, 1], [wide, 4, 1], [128, 8, 1]],
    };
    let kernel = if product == Product::Forward { FORWARD } else { BACKWARD_X };
    let tile = |&[group, most, cols]: &[usize; 3]| Tile {
        product,
        strategy: Strategy::Direct,
        kernel,
        group,
        rows: power_of_two(m, most),
        cols,
    };
    sizes.iter().map(tile).collect()
}
