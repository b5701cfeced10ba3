//! Changes of logits before a token is chosen from them. Shader: shaders/adjust.wgsl. Reference: tests/reference/adjust.rs.

use super::sample::State;
use super::{GROUP, plain, word};
use crate::Result;
use crate::gpu::buffer_set::buffer_set;
use crate::gpu::{Buffer, Kernel, Recorder, Variant, groups_for};

params! { Params { rows: u32, vocab: u32, words: u32 } }

const FORWARD: Kernel =
    kernel!("adjust", "forward", Params, ["z", "settings", "mask", "mark", "token", "position", "live"]);

pub(super) fn variants() -> Vec<(Kernel, Variant)> {
    vec![(FORWARD, plain())]
}

/// Bit of [`Settings::uses`]: biases and penalties.
pub const USES_NUMBERS: u32 = 1;
/// Bit of [`Settings::uses`]: the mask.
pub const USES_MASK: u32 = 2;
/// Bit of a token's count that says that it is in the prompt.
pub const IN_PROMPT: u32 = 1 << 31;

/// How the logits of one row are changed, in the shader's order.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Settings {
    /// Divisor of positive logits, and factor of others, of tokens seen in the prompt or drawn; 1 changes none.
    pub repetition: f32,
    /// What tokens lose that were drawn.
    pub presence: f32,
    /// What tokens lose for each time that they were drawn.
    pub frequency: f32,
    /// Position of the prompt's last token; those fed after it were drawn.
    pub first: u32,
    /// [`USES_NUMBERS`], [`USES_MASK`], both, or 0 for a row that stays as it is.
    pub uses: u32,
}

impl Settings {
    /// Its size in 32-bit words.
    pub const WORDS: usize = size_of::<Self>() / 4;
}

/// Words of a row's mask.
pub fn mask_words(vocab: usize) -> usize {
    vocab.div_ceil(32)
}

buffer_set! {
    /// What the rows of a decode batch ask for.
    pub struct Adjusted[rows](vocab: usize) {
        /// [`Settings`] of each row.
        pub settings[rows]: Buffer = [rows, Settings::WORDS];
        /// A bit for each token that may be chosen, the lowest first.
        pub mask[rows]: Buffer = [rows, mask_words(vocab)];
        /// Of each token the bits of its bias, and how often it was drawn, with [`IN_PROMPT`].
        pub mark[rows]: Buffer = [rows, vocab, 2];
    }
}

/// Changes the logits z `[rows, vocab]` of the live rows that ask for it, and counts the tokens that were fed.
pub fn forward(rec: &mut Recorder<'_>, z: &Buffer, asked: &Adjusted, state: &State) -> Result<()> {
    let [rows, vocab] = z.matrix("adjust", "z")?;
    let words = mask_words(vocab);
    asked.settings.expect("adjust", "settings", &[rows, Settings::WORDS])?;
    asked.mask.expect("adjust", "mask", &[rows, words])?;
    asked.mark.expect("adjust", "mark", &[rows, vocab, 2])?;
    state.token.expect("adjust", "token", &[rows])?;
    state.position.expect("adjust", "position", &[rows])?;
    state.live.expect("adjust", "live", &[rows])?;
    let params = Params { rows: word(rows), vocab: word(vocab), words: word(words) };
    let Adjusted { settings, mask, mark } = asked;
    let State { token, position, live, .. } = state;
    let groups = groups_for(rows * vocab, GROUP as usize);
    rec.dispatch(&FORWARD, &plain(), &params, &[z, settings, mask, mark, token, position, live], groups)
}
