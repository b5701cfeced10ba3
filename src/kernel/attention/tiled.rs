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

/// Threads of a workgroup.
const GROUP: usize = 256;

/// How the threads of a workgroup share a block out.
struct Layout {
    /// Threads that lie across a block.
    across: usize,
    /// Groups of four numbers of a head that pass through workgroup memory at once, at most one for each of these threads: the most
    /// that divide it.
    slice: usize,
}

impl Layout {
    /// Of large heads a thread would hold too much, were there not more that share a row.
    const fn of(head_dim: usize) -> Self {
        let across = if head_dim > 128 { 16 } else { 8 };
        let mut slice = across;
        while !head_dim.is_multiple_of(4 * slice) {
            slice /= 2;
        }
        Self { across, slice }
    }

    /// Tokens of a block.
    const fn block(&self) -> usize {
        GROUP / self.across
    }
}

fn variant(head_dim: usize) -> Variant {
    let layout = Layout::of(head_dim);
    Variant::constants(&[
        ("WG", word(GROUP)),
        ("ACROSS", word(layout.across)),
        ("COLS", word(layout.block() / layout.across)),
        ("HEAD4", word(head_dim / 4)),
        ("SLICE", word(layout.slice)),
        ("SLICES", word(head_dim / 4 / layout.slice)),
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
    let groups = word((params.tokens as usize).div_ceil(Layout::of(sizes.head_dim).block()) * heads);
    rec.dispatch(kernel, &variant(sizes.head_dim), params, arguments, groups)
}
