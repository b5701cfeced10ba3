//! The kernels of [`super::lora_grad`] for a software adapter with subgroups. Shader: shaders/lora_grad_lanes.wgsl.
//! Reference: tests/reference/lora_grad_lanes.rs.

use super::lora_grad::{PARAMS, Tile};
use super::word;
use crate::gpu::{Kernel, Variant};

const SOURCE: &str = include_str!("../../shaders/lora_grad_lanes.wgsl");

/// The sizes of a subgroup that there are variants for: SwiftShader's and llvmpipe's.
pub(super) const LANES: [usize; 2] = [4, 8];

/// Groups of 4 columns of a lane.
const QUARTETS: usize = 2;

/// The tile of `kernel`, one of lora_grad.wgsl, for `m` rows and ranks up to `rank`.
pub(super) fn tile(lanes: usize, kernel: Kernel, m: usize, rank: usize) -> Tile {
    // Wide enough for all ranks if that is not too wide: x and dy are loaded once for each tile of ranks.
    let ranks = rank.next_power_of_two().clamp(4, 16);
    // Few rows are cut into four tiles all the same: cores want workgroups.
    let blocks = 1 << (m / (4 * lanes)).clamp(1, 4).ilog2();
    let kernel = Kernel { stem: "lora_grad_lanes", source: SOURCE, params: PARAMS, ..kernel };
    Tile { kernel, rows: lanes * blocks, ranks, block4: lanes * QUARTETS, lanes: Some(lanes) }
}

/// Every tile of `kernel`.
pub(super) fn tiles(kernel: Kernel) -> Vec<Tile> {
    let sizes = LANES.into_iter().flat_map(|lanes| [1, 2, 4].map(|blocks| (lanes, 4 * lanes * blocks)));
    sizes.flat_map(|(lanes, m)| [4, 8, 16].map(|rank| tile(lanes, kernel, m, rank))).collect()
}

pub(super) fn variant(tile: Tile, lanes: usize) -> Variant {
    let mut constants = vec![("LANES", word(lanes)), ("QUADS", word(lanes / 4)), ("TN", word(tile.ranks))];
    // What the other entry point takes does not matter.
    let backward = tile.kernel.entry == "back";
    constants.push(("TB", if backward { word(tile.rows / lanes) } else { 1 }));
    constants.push(("TC", if backward { 1 } else { word(tile.block4 / lanes) }));
    Variant::constants(&constants)
}
