//! Attention over packed sequences on a GPU, in tiles that workgroups share.
//! Shader: shaders/attention/tiled.wgsl. Reference: tests/reference/attention/tiled.rs.

use super::super::word;
use super::{HEAD_DIMS, Heads, PackedParams};
use crate::Result;
use crate::gpu::{Buffer, Kernel, Recorder, Variant};

pub(super) const FORWARD: Kernel =
    kernel!("attention/tiled", "forward", PackedParams, ["span", "q", "k", "v", "o", "stats_out"]);
pub(super) const BACKWARD_Q: Kernel =
    kernel!("attention/tiled", "backward_q", PackedParams, ["span", "q", "k", "v", "d_out", "stats", "dq"]);
pub(super) const BACKWARD_K: Kernel =
    kernel!("attention/tiled", "backward_k", PackedParams, ["span", "q", "k", "v", "d_out", "stats", "dk"]);
pub(super) const BACKWARD_V: Kernel =
    kernel!("attention/tiled", "backward_v", PackedParams, ["span", "q", "k", "d_out", "stats", "dv"]);

/// Tokens of a block.
const BLOCK: usize = 32;

/// Threads that lie across a block.
const ACROSS: usize = 8;

/// Groups of four numbers of a head that pass through workgroup memory at once: the most that divide it.
fn slice(head_dim: usize) -> usize {
    [8, 4, 2].into_iter().find(|slice| head_dim.is_multiple_of(4 * slice)).unwrap_or(1)
}

fn variant(head_dim: usize) -> Variant {
    let slice = slice(head_dim);
    Variant::constants(&[
        ("WG", word(BLOCK * ACROSS)),
        ("COLS", word(BLOCK / ACROSS)),
        ("HEAD4", word(head_dim / 4)),
        ("SLICE", word(slice)),
        ("SLICES", word(head_dim / 4 / slice)),
    ])
}

/// Every variant to compile.
pub(in crate::kernel) fn variants() -> Vec<(Kernel, Variant)> {
    let kernels = [FORWARD, BACKWARD_Q, BACKWARD_K, BACKWARD_V];
    HEAD_DIMS.into_iter().flat_map(|dim| kernels.map(|kernel| (kernel, variant(dim)))).collect()
}

/// Dispatches an entry over the blocks of `tokens` tokens: a workgroup for each in each of the query heads, or of the key and
/// value heads.
pub(super) fn dispatch(
    rec: &mut Recorder<'_>,
    kernel: &Kernel,
    sizes: Heads,
    params: &PackedParams,
    arguments: &[&Buffer],
) -> Result<()> {
    let of_keys = [BACKWARD_K.entry, BACKWARD_V.entry].contains(&kernel.entry);
    let heads = if of_keys { sizes.kv_heads } else { sizes.heads };
    let groups = word((params.tokens as usize).div_ceil(BLOCK) * heads);
    rec.dispatch(kernel, &variant(sizes.head_dim), params, arguments, groups)
}
