//! Attention: of packed sequences ([`full`], on a GPU by `tiled`), and of one new token a row over a paged cache ([`decode`], which splits long
//! rows by [`decode_split`]). Here is what they share.

pub mod decode;
pub mod decode_split;
pub mod full;
pub(super) mod tiled;

use super::word;
use crate::gpu::Buffer;

/// Tokens of a cache page.
pub const PAGE: usize = 16;

/// Numbers that say what a packed token sees: the first token and the end of the beginning that its sequence shares with others and
/// that lies before it, the first token of its own sequence, and one past the last token that may see it. They lie so that neither
/// of the first tokens falls from one token to the next; without a shared beginning the first three are equal.
pub const SPAN: usize = 4;

/// Head sizes of the supported families and one that is no multiple of 16, for the shader check.
const HEAD_DIMS: [usize; 7] = [16, 20, 32, 64, 96, 128, 256];

/// Sizes of one attention layer.
#[derive(Debug, Clone, Copy)]
pub struct Heads {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; `heads` is a multiple.
    pub kv_heads: usize,
    /// Values of a head; a multiple of 4.
    pub head_dim: usize,
    /// Scale of the scores where it is not 1/√head_dim.
    pub scale: Option<f32>,
    /// Positions that a token sees, its own among them, where it does not see all before it; at least 1.
    pub window: Option<usize>,
}

impl Heads {
    /// Heads that see every position before them, with the usual scale.
    pub const fn new(heads: usize, kv_heads: usize, head_dim: usize) -> Self {
        Self { heads, kv_heads, head_dim, scale: None, window: None }
    }

    /// Scale of the scores.
    pub fn scale(&self) -> f32 {
        self.scale.unwrap_or_else(|| 1.0 / (self.head_dim as f32).sqrt())
    }

    /// The window as the decode kernels take it: without one, more positions than there can be.
    fn window(&self) -> u32 {
        self.window.map_or(u32::MAX, word)
    }
}

params! {
    /// Sizes of packed sequences and of their heads, as the shaders take them.
    PackedParams { tokens: u32, heads: u32, kv_heads: u32, scale: f32 }
}

/// Where the rows of a decode batch stand.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// Position of the new token `[rows]`.
    pub position: &'a Buffer,
    /// 0 for rows to skip `[rows]`.
    pub live: &'a Buffer,
    /// Page numbers `[rows, pages of a row]`.
    pub pages: &'a Buffer,
    /// With room for [`decode_split::part_elements`], a GPU may split the positions of a row over workgroups.
    pub parts: Option<&'a Buffer>,
}
