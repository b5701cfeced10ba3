//! AdamW with clipping by the global norm. Shader: shaders/adamw.wgsl. Reference: tests/reference/adamw.rs.

use super::{GROUP, plain, reducing, word};
use crate::Result;
use crate::gpu::{Buffer, Gpu, Kernel, Recorder, Variant, groups_for};

params! { Params { len: u32, blocks: u32 } }

const SQUARE_SUM: Kernel = kernel!("adamw", "square_sum", Params, ["g", "partial_out"]);
const NORM: Kernel = kernel!("adamw", "norm", Params, ["partial_in", "hyper", "norm_out"]);
const STEP: Kernel = kernel!("adamw", "step", Params, ["g", "hyper", "norm_in", "w", "m", "v"]);

/// Blocks whose squares are summed apart.
const BLOCKS: usize = 256;

pub(super) fn variants() -> Vec<(Kernel, Variant)> {
    vec![(SQUARE_SUM, reducing()), (NORM, reducing()), (STEP, plain())]
}

/// The numbers of one step, in the shader's order.
#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Hyper {
    /// Learning rate.
    pub learning_rate: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub eps: f32,
    /// Decoupled weight decay.
    pub weight_decay: f32,
    /// 1 − β₁ᵗ.
    pub c1: f32,
    /// 1 − β₂ᵗ.
    pub c2: f32,
    /// Largest global gradient norm; 0 for none.
    pub clip: f32,
}

/// Buffers that the optimizer owns.
#[derive(Debug)]
pub struct State {
    /// First moments.
    pub m: Buffer,
    /// Second moments.
    pub v: Buffer,
    /// [`Hyper`] of the step, written before each step.
    pub hyper: Buffer,
    /// Norm, scale, finite (1 or 0), unused: read after each step.
    pub norm: Buffer,
    partial: Buffer,
}

impl State {
    /// Zero moments for `len` parameters.
    pub fn new(gpu: &Gpu, len: usize) -> Result<Self> {
        Ok(Self {
            m: gpu.buffer("adamw.m", &[len])?,
            v: gpu.buffer("adamw.v", &[len])?,
            hyper: gpu.buffer("adamw.hyper", &[8])?,
            norm: gpu.buffer("adamw.norm", &[4])?,
            partial: gpu.buffer("adamw.partial", &[BLOCKS])?,
        })
    }
}

/// Records one step over w from its gradient g. A gradient that is not finite changes nothing.
pub fn step(rec: &mut Recorder<'_>, w: &Buffer, g: &Buffer, state: &State) -> Result<()> {
    let len = w.len();
    g.expect("adamw", "g", &[len])?;
    state.m.expect("adamw", "m", &[len])?;
    state.v.expect("adamw", "v", &[len])?;
    let params = Params { len: word(len), blocks: word(BLOCKS) };
    let State { m, v, hyper, norm, partial } = state;
    rec.dispatch(&SQUARE_SUM, &reducing(), &params, &[g, partial], word(BLOCKS))?;
    rec.dispatch(&NORM, &reducing(), &params, &[partial, hyper, norm], 1)?;
    rec.dispatch(&STEP, &plain(), &params, &[g, hyper, norm, w, m, v], groups_for(len, GROUP as usize))
}
