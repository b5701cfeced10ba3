//! The products for many rows on a GPU, with operands that a workgroup shares.
//! Shader: shaders/product/tiled.wgsl. Reference: tests/reference/product/tiled.rs.

use super::joined::Params;
use super::tile::{Product, Strategy, Tile};
use crate::gpu::Kernel;

const FORWARD: Kernel = kernel!("product/tiled", "forward", Params, ["w", "w_scale", "x", "y", "bias"]);
const BACKWARD_X: Kernel = kernel!("product/tiled", "backward_x", Params, ["w", "w_scale", "dy", "dx"]);

/// Workgroups that a large GPU wants at least, about one for each of its cores.
const ENOUGH: u32 = 128;

/// The tiles for `m` rows of `n` columns of the output. The first is the default: the one of the others, which are the same
/// for every `n`, that has the largest block of those that give enough workgroups, or the smallest block if none does.
pub(super) fn candidates(product: Product, m: usize, n: usize) -> Vec<Tile> {
    // Rows and columns of a workgroup, then of a thread; slices, step.
    let (kernel, sizes) = match (product, m > 32) {
        (Product::Forward, true) => (
            FORWARD,
            [[64, 64, 4, 8, 1, 16], [32, 64, 4, 4, 2, 32], [32, 32, 4, 4, 2, 32], [16, 32, 2, 4, 4, 64]],
        ),
        (Product::Forward, false) => (
            FORWARD,
            [[32, 64, 4, 4, 2, 32], [16, 64, 2, 8, 2, 32], [32, 32, 4, 4, 2, 32], [16, 32, 2, 4, 4, 64]],
        ),
        (Product::BackwardX, true) => (
            BACKWARD_X,
            [[64, 64, 4, 1, 1, 16], [32, 64, 4, 1, 4, 32], [32, 32, 4, 1, 8, 32], [16, 32, 2, 1, 8, 64]],
        ),
        (Product::BackwardX, false) => (
            BACKWARD_X,
            [[32, 64, 4, 1, 4, 32], [16, 64, 2, 1, 4, 32], [32, 32, 4, 1, 8, 32], [16, 32, 2, 1, 8, 64]],
        ),
    };
    let tile = |[block_rows, block_cols, rows, cols, slices, step]: [usize; 6]| Tile {
        product,
        strategy: Strategy::Tiled { block: [block_rows, block_cols], slices, step },
        kernel,
        group: slices * (block_rows / rows) * (block_cols / product.unit() / cols),
        rows,
        cols,
    };
    let tiles = sizes.map(tile);
    // Of a block for twice the rows half would lie idle.
    let suits =
        |(size, tile): &(&[usize; 6], &Tile)| size[0] < 2 * m && tile.groups(m, n / product.unit()) >= ENOUGH;
    let default = sizes.iter().zip(&tiles).find(suits).map_or(tiles[tiles.len() - 1], |(_, tile)| *tile);
    [&[default][..], &tiles].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn default_block(product: Product, m: usize, n: usize) -> Option<[usize; 2]> {
        candidates(product, m, n)[0].block()
    }

    #[test]
    fn the_default_is_the_largest_block_that_gives_enough_workgroups() {
        use Product::{BackwardX, Forward};
        for (product, m, n, block) in [
            (Forward, 4_096, 4_096, [64, 64]),
            (Forward, 512, 576, [32, 64]),
            (Forward, 128, 1_536, [32, 32]),
            (BackwardX, 512, 576, [32, 64]),
            // Even the smallest gives few.
            (BackwardX, 64, 576, [16, 32]),
            // 32 rows do not fill blocks of 64, whatever the columns.
            (Forward, 32, 49_152, [32, 64]),
            (Forward, 9, 49_152, [16, 64]),
        ] {
            assert_eq!(default_block(product, m, n), Some(block), "{product:?} {m} x {n}");
        }
    }

    #[test]
    fn tiles_but_the_default_are_the_same_for_every_width() {
        for m in [9, 32, 33, 512] {
            let blocks = |n| {
                candidates(Product::Forward, m, n)[1..].iter().map(|tile| tile.block()).collect::<Vec<_>>()
            };
            assert_eq!(blocks(8), blocks(49_152));
        }
    }
}
