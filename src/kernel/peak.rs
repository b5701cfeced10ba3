//! Micro-kernels for an adapter's peaks. Shader: shaders/peak.wgsl. Reference: tests/reference/peak.rs.

use super::{GROUP, plain, word};
use crate::Result;
use crate::gpu::{Buffer, Kernel, Recorder, Variant, groups_for};

params! { Params { len4: u32, rounds: u32, thread_step: u32, round_step: u32, a: f32, b: f32 } }

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
    dispatch(rec, &COPY, x, y, 0, [0; 2])
}

/// y `[len]` = the sum over the rows of x `[rows, len]` with a multiple of 8 rows, or, if each thread is to read on from
/// where it is, over the middle axis of x seen as `[len / 4, rows, 4]`.
pub fn stream(rec: &mut Recorder<'_>, x: &Buffer, y: &Buffer, onward: bool) -> Result<()> {
    let [rows, len] = x.matrix("peak", "x")?;
    x.expect("peak", "x", &[rows.next_multiple_of(8), len])?;
    y.expect("peak", "y", &[len])?;
    let steps = if onward { [rows, 1] } else { [1, len / 4] };
    dispatch(rec, &STREAM, x, y, rows, steps)
}

/// y from `rounds` · [`STEPS`] dependent steps on each number of x, in two chains: 4 operations a number and step.
pub fn arithmetic(rec: &mut Recorder<'_>, x: &Buffer, y: &Buffer, rounds: usize) -> Result<()> {
    y.expect("peak", "y", x.shape())?;
    dispatch(rec, &ARITHMETIC, x, y, rounds, [0; 2])?;
    rec.flops(4 * STEPS * rounds * x.len());
    Ok(())
}

fn dispatch(
    rec: &mut Recorder<'_>,
    kernel: &Kernel,
    x: &Buffer,
    y: &Buffer,
    rounds: usize,
    [thread_step, round_step]: [usize; 2],
) -> Result<()> {
    y.expect("peak", "y", &[y.len().next_multiple_of(4)])?;
    let len4 = y.len() / 4;
    let [a, b] = CHAIN;
    let params = Params {
        len4: word(len4),
        rounds: word(rounds),
        thread_step: word(thread_step),
        round_step: word(round_step),
        a,
        b,
    };
    rec.dispatch(kernel, &plain(), &params, &[x, y], groups_for(len4, GROUP as usize))
}
