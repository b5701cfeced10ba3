//! The backward pass of LoRA for all modules that read the same input: two dispatches. Shader: shaders/lora/grad.wgsl.
//! Reference: tests/reference/lora/grad.rs.

use super::super::{AHEAD, distinct, lanes, word};
use super::grad_lanes;
use super::site::Params;
pub use super::site::{Joined, Site};
use super::tile::{Pass, Tile};
use crate::Result;
use crate::gpu::{Gpu, Kernel, Recorder, Variant};

const BACK: Kernel = kernel!("lora/grad", "back", Params, ["dy", "adapter", "d_low_out"]);
const GRADIENTS: Kernel = kernel!("lora/grad", "gradients", Params, ["x", "dy", "low", "d_low", "gradient"]);

fn tile(gpu: &Gpu, pass: Pass, joined: &Joined<'_>) -> Tile {
    let rank = joined.sites.iter().map(|site| site.rank).max().unwrap_or(1);
    match gpu.is_software() {
        true => grad_lanes::tile(lanes(gpu), pass, joined.x.shape()[0], rank),
        false => shared(pass, rank),
    }
}

/// The tile for a GPU, where a workgroup's threads share out the sums.
fn shared(pass: Pass, rank: usize) -> Tile {
    let [rows, ranks, block4] = [4, if rank > 4 { 8 } else { 4 }, 8];
    // Neighbours read neighbouring numbers: 8 vec4 are the 128 bytes that a GPU loads at once.
    let (kernel, joined) = match pass {
        Pass::Back => (BACK, 32),
        Pass::Gradients => (GRADIENTS, 128),
    };
    let variant = Variant::constants(&[
        ("WG", joined),
        ("TM", word(rows)),
        ("TN", word(ranks)),
        ("AHEAD", AHEAD),
        ("HALF", word(ranks / 2)),
        ("BLOCK4", word(block4)),
    ]);
    Tile { kernel, variant, rows, ranks, block4 }
}

/// Every variant to compile, including those of [`grad_lanes`].
pub(in crate::kernel) fn variants() -> Vec<(Kernel, Variant)> {
    let passes = [Pass::Back, Pass::Gradients];
    let shared = passes.into_iter().flat_map(|pass| [4, 8].map(|rank| shared(pass, rank)));
    let lanes = passes.into_iter().flat_map(grad_lanes::tiles);
    distinct(shared.chain(lanes).map(|tile| (tile.kernel, tile.variant)))
}

/// d_low of every module = scale·dy·B.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) for no module or more than three, and where a matrix does not lie within its buffer.
pub fn back(rec: &mut Recorder<'_>, joined: &Joined<'_>) -> Result<()> {
    let params = joined.params()?;
    let tile = tile(rec.gpu(), Pass::Back, joined);
    let m = joined.x.shape()[0];
    let groups = m.div_ceil(tile.rows) * joined.sum(|site| site.rank.div_ceil(tile.ranks));
    let arguments = [joined.dy, joined.adapter, joined.d_low];
    rec.dispatch(&tile.kernel, &tile.variant, &params, &arguments, word(groups))?;
    rec.flops(2 * m * joined.sum(|site| site.rank * site.cols));
    rec.bytes(4 * joined.sum(|site| m * site.cols + site.rank * (site.cols + m)) as u64);
    Ok(())
}

/// dA of every module += d_lowᵀ·x, dB of every module += scale·dyᵀ·low.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) where [`back`] has it.
pub fn gradients(rec: &mut Recorder<'_>, joined: &Joined<'_>) -> Result<()> {
    let params = joined.params()?;
    let tile = tile(rec.gpu(), Pass::Gradients, joined);
    let [m, k] = joined.x.matrix("lora/grad", "x")?;
    let blocks = |cols: usize| (cols / 4).div_ceil(tile.block4);
    let groups = joined.sum(|site| site.rank.div_ceil(tile.ranks) * (blocks(k) + blocks(site.cols)));
    let arguments = [joined.x, joined.dy, joined.low, joined.d_low, joined.gradient];
    rec.dispatch(&tile.kernel, &tile.variant, &params, &arguments, word(groups))?;
    rec.flops(2 * m * joined.sum(|site| site.rank * (k + site.cols)));
    let moved = joined.sum(|site| m * site.cols + 2 * site.rank * (k + site.cols + m));
    rec.bytes(4 * (m * k + moved) as u64);
    Ok(())
}
