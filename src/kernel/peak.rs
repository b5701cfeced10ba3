//! Micro-kernels for an adapter's peaks. Shader: shaders/peak.wgsl. Reference: tests/reference/peak.rs.

use super::{GROUP, plain, word};
use crate::Result;
use crate::gpu::{Buffer, Kernel, Recorder, Variant, groups_for};

params! { Params { len4: u32, rounds: u32, a: f32, b: f32 } }

const COPY: Kernel = kernel!("peak", "copy", Params, ["x", "y"]);
const STREAM: Kernel = kernel!("peak", "stream", Params, ["x", "y"]);
const ARITHMETIC: Kernel = kernel!("peak", "arithmetic", Params, ["x", "y"]);

/// Steps of a chain in one round.
pub const STEPS: usize = 8;

/// c ← c·a + b, which stays near 1 for any number of steps.
pub const CHAIN: [f32; 2] = [0.75, 0.25];

pub(super) fn variants() -> Vec<(Kernel, Variant)> {
    vec![(COPY, plain()), (STREAM, plain()), (ARITHMETIC, plain())]
}

/// y = x, `[len]` with a multiple of 4 elements.
pub fn copy(rec: &mut Recorder<'_>, x: &Buffer, y: &Buffer) -> Result<()> {
    y.expect("peak", "y", x.shape())?;
    dispatch(rec, &COPY, x, y, 0)
}

/// y `[len]` = the sum over the rows of x `[rows, len]`, `len` a multiple of 4.
pub fn stream(rec: &mut Recorder<'_>, x: &Buffer, y: &Buffer) -> Result<()> {
    let [rows, len] = x.matrix("peak", "x")?;
    y.expect("peak", "y", &[len])?;
    dispatch(rec, &STREAM, x, y, rows)
}

/// y from `rounds` · [`STEPS`] dependent steps on each number of x, in two chains: 4 operations a number and step.
pub fn arithmetic(rec: &mut Recorder<'_>, x: &Buffer, y: &Buffer, rounds: usize) -> Result<()> {
    y.expect("peak", "y", x.shape())?;
    dispatch(rec, &ARITHMETIC, x, y, rounds)?;
    rec.flops(4 * STEPS * rounds * x.len());
    Ok(())
}

fn dispatch(rec: &mut Recorder<'_>, kernel: &Kernel, x: &Buffer, y: &Buffer, rounds: usize) -> Result<()> {
    y.expect("peak", "y", &[y.len().next_multiple_of(4)])?;
    let len4 = y.len() / 4;
    let [a, b] = CHAIN;
    let params = Params { len4: word(len4), rounds: word(rounds), a, b };
    rec.dispatch(kernel, &plain(), &params, &[x, y], groups_for(len4, GROUP as usize))
}
