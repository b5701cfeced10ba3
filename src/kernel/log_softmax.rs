//! Log-probabilities of chosen tokens and the gradient that starts the backward pass.
//! Shader: shaders/log_softmax.wgsl. Reference: tests/reference/log_softmax.rs.

use super::{reducing_long, word};
use crate::gpu::{Buffer, Kernel, Recorder, Variant};
use crate::{Error, Result};

params! { Params { rows: u32, cols: u32, row0: u32 } }

const FORWARD: Kernel =
    kernel!("log_softmax", "forward", Params, ["target_token", "z", "logprob", "entropy"]);
const BACKWARD: Kernel = kernel!("log_softmax", "backward", Params, ["target_token", "coefficient", "dz"]);

pub(super) fn variants() -> Vec<(Kernel, Variant)> {
    let kinds = [true, false].map(reducing_long);
    [FORWARD, BACKWARD].into_iter().flat_map(|kernel| kinds.clone().map(|kind| (kernel, kind))).collect()
}

/// Rows `row0 .. row0 + rows` must be among the targets.
fn check_rows(row0: usize, rows: usize, target: &Buffer) -> Result<()> {
    if row0 + rows <= target.len() {
        return Ok(());
    }
    Err(Error::Shape {
        kernel: "log_softmax",
        arg: "target",
        expected: vec![row0 + rows],
        got: target.shape().to_vec(),
    })
}

/// Log-probability and entropy of rows `row0 ..` from their logits z `[rows, vocab]`.
pub fn forward(
    rec: &mut Recorder<'_>,
    row0: usize,
    target: &Buffer,
    z: &Buffer,
    logprob: &Buffer,
    entropy: &Buffer,
) -> Result<()> {
    let [rows, cols] = z.matrix("log_softmax", "z")?;
    check_rows(row0, rows, target)?;
    logprob.expect("log_softmax", "logprob", target.shape())?;
    entropy.expect("log_softmax", "entropy", target.shape())?;
    let params = Params { rows: word(rows), cols: word(cols), row0: word(row0) };
    let variant = reducing_long(rec.gpu().is_software());
    rec.dispatch(&FORWARD, &variant, &params, &[target, z, logprob, entropy], word(rows))
}

/// Turns logits dz `[rows, vocab]` into dLoss/dlogits in place, given coefficient = dLoss/dlogprob.
pub fn backward(
    rec: &mut Recorder<'_>,
    row0: usize,
    target: &Buffer,
    coefficient: &Buffer,
    dz: &Buffer,
) -> Result<()> {
    let [rows, cols] = dz.matrix("log_softmax", "dz")?;
    check_rows(row0, rows, target)?;
    coefficient.expect("log_softmax", "coefficient", target.shape())?;
    let params = Params { rows: word(rows), cols: word(cols), row0: word(row0) };
    let variant = reducing_long(rec.gpu().is_software());
    rec.dispatch(&BACKWARD, &variant, &params, &[target, coefficient, dz], word(rows))
}
