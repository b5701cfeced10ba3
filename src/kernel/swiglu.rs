//! SwiGLU's gate. Shader: shaders/swiglu.wgsl. Reference: tests/reference/swiglu.rs.

use super::{GROUP, plain, word};
use crate::Result;
use crate::gpu::{Buffer, Kernel, Recorder, Variant, groups_for};

params! { Params { len: u32 } }

const FORWARD: Kernel = kernel!("swiglu", "forward", Params, ["g", "u", "y"]);
const BACKWARD: Kernel = kernel!("swiglu", "backward", Params, ["g", "u", "dy", "dg", "du"]);

pub(super) fn variants() -> Vec<(Kernel, Variant)> {
    vec![(FORWARD, plain()), (BACKWARD, plain())]
}

/// y = silu(g) · u, element by element.
pub fn forward(rec: &mut Recorder<'_>, g: &Buffer, u: &Buffer, y: &Buffer) -> Result<()> {
    u.expect("swiglu", "u", g.shape())?;
    y.expect("swiglu", "y", g.shape())?;
    let params = Params { len: word(g.len()) };
    rec.dispatch(&FORWARD, &plain(), &params, &[g, u, y], groups_for(g.len(), GROUP as usize))
}

/// dg and du from dy.
pub fn backward(
    rec: &mut Recorder<'_>,
    g: &Buffer,
    u: &Buffer,
    dy: &Buffer,
    dg: &Buffer,
    du: &Buffer,
) -> Result<()> {
    for (name, buffer) in [("u", u), ("dy", dy), ("dg", dg), ("du", du)] {
        buffer.expect("swiglu", name, g.shape())?;
    }
    let params = Params { len: word(g.len()) };
    rec.dispatch(&BACKWARD, &plain(), &params, &[g, u, dy, dg, du], groups_for(g.len(), GROUP as usize))
}
