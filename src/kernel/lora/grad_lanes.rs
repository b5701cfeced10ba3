//! The kernels of [`super::grad`] for a software adapter. Shader: shaders/lora/grad_lanes.wgsl.
//! Reference: tests/reference/lora/grad_lanes.rs.

use super::super::{LANES, power_of_two, word};
use super::site::Params;
use super::tile::{Pass, Tile};
use crate::gpu::{Kernel, Variant};

const BACK: Kernel = kernel!("lora/grad_lanes", "back", Params, ["dy", "adapter", "d_low_out"]);
const GRADIENTS: Kernel =
    kernel!("lora/grad_lanes", "gradients", Params, ["x", "dy", "low", "d_low", "gradient"]);

/// Threads of a workgroup on an adapter without subgroups of a size that the kernels know.
const APART: usize = 8;

/// Groups of 4 columns of a lane.
const QUARTETS: usize = 2;

/// The tile for `m` rows and ranks up to `rank`. `lanes`: threads of a subgroup, which is then a workgroup and whose threads
/// get numbers from each other; without it they are independent.
pub(super) fn tile(lanes: Option<usize>, pass: Pass, m: usize, rank: usize) -> Tile {
    let count = lanes.unwrap_or(APART);
    // Wide enough for all ranks if that is not too wide: x and dy are loaded once for each tile of ranks.
    let ranks = rank.next_power_of_two().clamp(4, 16);
    // Few rows are cut into four tiles all the same: cores want workgroups.
    let blocks = power_of_two(m / (4 * count), 4);
    let (loads, import) = match lanes {
        Some(_) => (1, "row_per_lane"),
        None => (count, "row_per_load"),
    };
    // What only the other entry point takes does not matter.
    let (kernel, row_blocks, quartets) = match pass {
        Pass::Back => (BACK, blocks, 1),
        Pass::Gradients => (GRADIENTS, 1, QUARTETS),
    };
    let constants = [
        ("LANES", count),
        ("QUADS", count / 4),
        ("LOADS", loads),
        ("TN", ranks),
        ("TB", row_blocks),
        ("TC", quartets),
    ];
    let variant = Variant::constants(&constants.map(|(name, value)| (name, word(value)))).import(import);
    Tile { kernel, variant, rows: count * blocks, ranks, block4: count * QUARTETS }
}

/// Every tile of a pass.
pub(super) fn tiles(pass: Pass) -> Vec<Tile> {
    let kinds = [Some(LANES[0]), Some(LANES[1]), None];
    let sizes = kinds
        .into_iter()
        .flat_map(|lanes| [1, 2, 4].map(|blocks| (lanes, 4 * lanes.unwrap_or(APART) * blocks)));
    sizes.flat_map(|(lanes, m)| [4, 8, 16].map(|rank| tile(lanes, pass, m, rank))).collect()
}
