//! The gate of SwiGLU and of GeGLU. Shader: shaders/swiglu.wgsl. Reference: tests/reference/swiglu.rs.

use super::{GROUP, plain, word};
use crate::Result;
use crate::gpu::{Buffer, Kernel, Recorder, Variant, groups_for};

params! { Params { len: u32 } }

const FORWARD: Kernel = kernel!("swiglu", "forward", Params, ["g", "u", "y"]);
const BACKWARD: Kernel = kernel!("swiglu", "backward", Params, ["g", "u", "dy", "dg", "du"]);

/// What a gate goes through before it is multiplied with what the MLP's other half says (Shazeer, 2020).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// silu(x) = x·σ(x): SwiGLU.
    Silu,
    /// gelu(x) = x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³))) (Hendrycks and Gimpel, 2016): GeGLU.
    GeluTanh,
}

impl Activation {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Silu, Self::GeluTanh];

    /// The file of `shaders/include/` with the function and its derivative.
    pub(super) const fn import(self) -> &'static str {
        match self {
            Self::Silu => "silu",
            Self::GeluTanh => "gelu_tanh",
        }
    }
}

fn variant(act: Activation) -> Variant {
    plain().import(act.import())
}

pub(super) fn variants() -> Vec<(Kernel, Variant)> {
    [FORWARD, BACKWARD]
        .into_iter()
        .flat_map(|kernel| Activation::ALL.map(|act| (kernel, variant(act))))
        .collect()
}

/// y = act(g) · u, element by element.
pub fn forward(rec: &mut Recorder<'_>, act: Activation, g: &Buffer, u: &Buffer, y: &Buffer) -> Result<()> {
    u.expect("swiglu", "u", g.shape())?;
    y.expect("swiglu", "y", g.shape())?;
    let params = Params { len: word(g.len()) };
    rec.dispatch(&FORWARD, &variant(act), &params, &[g, u, y], groups_for(g.len(), GROUP as usize))
}

/// dg and du from dy.
pub fn backward(
    rec: &mut Recorder<'_>,
    act: Activation,
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
    rec.dispatch(&BACKWARD, &variant(act), &params, &[g, u, dy, dg, du], groups_for(g.len(), GROUP as usize))
}
