//! A micro-kernel for the peak of an adapter's cooperative matrices. Shader: shaders/peak_coop.wgsl.
//! Reference: tests/reference/peak_coop.rs.

use super::product::matrix_units::KINDS;
use super::word;
use crate::gpu::{Buffer, Coop, Gpu, Kernel, Recorder, Variant};
use crate::{Error, Result};

params! { Params { groups: u32, rounds: u32 } }

const MULTIPLY: Kernel = kernel!("peak_coop", "multiply", Params, ["left", "right", "y"]);

/// Matrices on either side of the products: each of the first with each of the second.
pub const FACTORS: [usize; 2] = [4, 2];

/// Subgroups of a workgroup.
pub const SUBGROUPS: usize = 4;

/// The most threads of a workgroup.
const MOST_THREADS: usize = 256;

fn variant(coop: Coop) -> Variant {
    let group = word(SUBGROUPS * coop.lanes);
    let constants = Variant::constants(&[("WG", group), ("SUBGROUPS", word(SUBGROUPS))]);
    coop.imports().into_iter().fold(constants, |variant, import| variant.import(import))
}

pub(super) fn variants() -> Vec<(Kernel, Variant)> {
    KINDS.map(|coop| (MULTIPLY, variant(coop))).to_vec()
}

/// The device's cooperative matrices, if [`SUBGROUPS`] of its subgroups are not too many threads.
pub fn usable(gpu: &Gpu) -> Option<Coop> {
    gpu.coop().filter(|coop| SUBGROUPS * coop.lanes <= MOST_THREADS)
}

/// The device's cooperative matrices, or an error.
fn coop(gpu: &Gpu) -> Result<Coop> {
    usable(gpu).ok_or_else(|| Error::Gpu {
        what: MULTIPLY.label(),
        problem: "the device has no cooperative matrices".into(),
    })
}

/// y `[groups, SUBGROUPS, side, side]`: in each place `rounds` · (the sum of left `[4, side, side]`) · (the sum of right
/// `[2, side, side]`), in `rounds` products of each pair.
///
/// # Errors
/// [`Error::Gpu`] without [`usable`] matrices.
pub fn multiply(
    rec: &mut Recorder<'_>,
    left: &Buffer,
    right: &Buffer,
    y: &Buffer,
    rounds: usize,
) -> Result<()> {
    let coop = coop(rec.gpu())?;
    let side = coop.side;
    left.expect("peak_coop", "left", &[FACTORS[0], side, side])?;
    right.expect("peak_coop", "right", &[FACTORS[1], side, side])?;
    let groups = y.len() / (SUBGROUPS * side * side);
    y.expect("peak_coop", "y", &[groups, SUBGROUPS, side, side])?;
    let params = Params { groups: word(groups), rounds: word(rounds) };
    rec.dispatch(&MULTIPLY, &variant(coop), &params, &[left, right, y], word(groups))?;
    rec.flops(groups * SUBGROUPS * rounds * FACTORS[0] * FACTORS[1] * 2 * side.pow(3));
    Ok(())
}
