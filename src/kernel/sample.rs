//! Sampling on the GPU. Shader: shaders/sample.wgsl. Reference: tests/reference/sample.rs.

use super::attention::PAGE;
use super::{reducing_long, word};
use crate::Result;
use crate::gpu::buffer_set::buffer_set;
use crate::gpu::{Buffer, Kernel, Recorder, Variant};

params! { Params { rows: u32, vocab: u32, row_pages: u32, capacity: u32 } }

const FORWARD: Kernel = kernel!(
    "sample",
    "forward",
    Params,
    ["z", "settings", "pages", "token", "position", "live", "pair", "out"]
);

fn variant(software: bool) -> Variant {
    let mut variant = reducing_long(software);
    variant.constants.push(("PAGE", word(PAGE)));
    variant
}

pub(super) fn variants() -> Vec<(Kernel, Variant)> {
    [true, false].map(|software| (FORWARD, variant(software))).to_vec()
}

/// Stop tokens that a row can have.
pub const MAX_STOPS: usize = 16;

/// How one row is sampled, in the shader's order.
#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Settings {
    /// 0 takes the largest logit.
    pub temperature: f32,
    /// Mass to keep; 1 keeps all.
    pub top_p: f32,
    /// Smallest probability kept, relative to the largest; 0 keeps all.
    pub min_p: f32,
    /// Number of tokens to keep; 0 keeps all.
    pub top_k: u32,
    /// Seed of the row's random numbers.
    pub seed: u32,
    /// Position of the first token that was given to the decode loop; its choice is written to place 0 of `out`.
    pub first: u32,
    /// Most tokens to choose.
    pub limit: u32,
    /// Number of stop tokens used.
    pub stops: u32,
    /// Tokens that end the row.
    pub stop: [u32; MAX_STOPS],
}

impl Settings {
    /// Its size in 32-bit words.
    pub const WORDS: usize = size_of::<Self>() / 4;
}

buffer_set! {
    /// The state of a decode batch. All but `settings` and `pages` change at every step.
    pub struct State[rows](row_pages: usize, capacity: usize) {
        /// [`Settings`] of each row.
        pub settings[rows]: Buffer = [rows, Settings::WORDS];
        /// Page numbers.
        pub pages[rows]: Buffer = [rows, row_pages];
        /// The token to feed next.
        pub token[rows]: Buffer = [rows];
        /// Position of that token.
        pub position[rows]: Buffer = [rows];
        /// 1 while the row goes on.
        pub live[rows]: Buffer = [rows];
        /// Where the token's key and value go: (row, place).
        pub pair[rows]: Buffer = [rows, 2];
        /// Chosen tokens and the bits of their log-probabilities.
        pub out[rows]: Buffer = [rows, capacity, 2];
    }
}

/// Chooses a token for every live row from the logits z `[rows, vocab]` and moves the rows on.
pub fn forward(rec: &mut Recorder<'_>, z: &Buffer, state: &State) -> Result<()> {
    let [rows, vocab] = z.matrix("sample", "z")?;
    let [_, row_pages] = state.pages.matrix("sample", "pages")?;
    state.settings.expect("sample", "settings", &[rows, Settings::WORDS])?;
    state.pages.expect("sample", "pages", &[rows, row_pages])?;
    state.token.expect("sample", "token", &[rows])?;
    state.position.expect("sample", "position", &[rows])?;
    state.live.expect("sample", "live", &[rows])?;
    state.pair.expect("sample", "pair", &[rows, 2])?;
    let capacity = state.out.len() / rows / 2;
    state.out.expect("sample", "out", &[rows, capacity, 2])?;
    let params =
        Params { rows: word(rows), vocab: word(vocab), row_pages: word(row_pages), capacity: word(capacity) };
    let State { settings, pages, token, position, live, pair, out } = state;
    let variant = variant(rec.gpu().is_software());
    rec.dispatch(
        &FORWARD,
        &variant,
        &params,
        &[z, settings, pages, token, position, live, pair, out],
        word(rows),
    )
}
