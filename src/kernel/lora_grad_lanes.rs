//! The kernels of [`super::lora_grad`] for a software adapter. Shader: shaders/lora_grad_lanes.wgsl.
//! Reference: tests/reference/lora_grad_lanes.rs.

use super::lora_grad::{PARAMS, Tile};
use super::matmul_lanes::LANES;
use super::word;
use crate::gpu::{Kernel, Variant};

const SOURCE: &str = include_str!("../../shaders/lora_grad_lanes.wgsl");

/// Threads of a workgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lanes {
    /// A subgroup, whose threads get numbers from each other.
    Subgroup(usize),
    /// Independent of each other.
    Apart(usize),
}

/// Without subgroups.
const APART: Lanes = Lanes::Apart(8);

impl Lanes {
    /// What suits an adapter with subgroups of this size, if they have one.
    pub(super) fn of(subgroup_size: Option<usize>) -> Self {
        subgroup_size.filter(|size| LANES.contains(size)).map_or(APART, Self::Subgroup)
    }

    fn count(self) -> usize {
        match self {
            Self::Subgroup(count) | Self::Apart(count) => count,
        }
    }
}

/// Groups of 4 columns of a lane.
const QUARTETS: usize = 2;

/// The tile of `kernel`, one of lora_grad.wgsl, for `m` rows and ranks up to `rank`.
pub(super) fn tile(lanes: Lanes, kernel: Kernel, m: usize, rank: usize) -> Tile {
    let count = lanes.count();
    // Wide enough for all ranks if that is not too wide: x and dy are loaded once for each tile of ranks.
    let ranks = rank.next_power_of_two().clamp(4, 16);
    // Few rows are cut into four tiles all the same: cores want workgroups.
    let blocks = 1 << (m / (4 * count)).clamp(1, 4).ilog2();
    let kernel = Kernel { stem: "lora_grad_lanes", source: SOURCE, params: PARAMS, ..kernel };
    Tile { kernel, rows: count * blocks, ranks, block4: count * QUARTETS, lanes: Some(lanes) }
}

/// Every tile of `kernel`.
pub(super) fn tiles(kernel: Kernel) -> Vec<Tile> {
    let kinds = [Lanes::Subgroup(LANES[0]), Lanes::Subgroup(LANES[1]), APART];
    let sizes =
        kinds.into_iter().flat_map(|lanes| [1, 2, 4].map(|blocks| (lanes, 4 * lanes.count() * blocks)));
    sizes.flat_map(|(lanes, m)| [4, 8, 16].map(|rank| tile(lanes, kernel, m, rank))).collect()
}

pub(super) fn variant(tile: Tile, lanes: Lanes) -> Variant {
    let count = lanes.count();
    let (loads, import) = match lanes {
        Lanes::Subgroup(_) => (1, "own_lanes"),
        Lanes::Apart(count) => (count, "own_loads"),
    };
    // What the other entry point takes does not matter.
    let [blocks, quartets] = match tile.kernel.entry {
        "back" => [tile.rows / count, 1],
        _ => [1, tile.block4 / count],
    };
    let constants = [
        ("LANES", count),
        ("QUADS", count / 4),
        ("LOADS", loads),
        ("TN", tile.ranks),
        ("TB", blocks),
        ("TC", quartets),
    ];
    Variant::constants(&constants.map(|(name, value)| (name, word(value)))).import(import)
}
