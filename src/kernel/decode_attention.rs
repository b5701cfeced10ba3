//! Attention of one new token a row over its paged cache. Shader: shaders/decode_attention.wgsl.
//! Reference: tests/reference/decode_attention.rs.

use super::attention::{HEAD_DIMS, Heads};
use super::{GROUP, word};
use crate::Result;
use crate::gpu::{Buffer, Kernel, Recorder, Variant, groups_for};

params! { Params { rows: u32, heads: u32, kv_heads: u32, row_pages: u32, scale: f32 } }

const FORWARD: Kernel = kernel!(
    "decode_attention",
    "forward",
    Params,
    ["position", "live", "pages", "q", "k_pages", "v_pages", "o"]
);

/// Tokens of a cache page.
pub const PAGE: usize = 16;

fn variant(head_dim: usize) -> Variant {
    Variant::constants(&[("WG", GROUP), ("HEAD4", word(head_dim / 4)), ("PAGE", word(PAGE))])
}

pub(super) fn variants() -> Vec<(Kernel, Variant)> {
    HEAD_DIMS.into_iter().map(|dim| (FORWARD, variant(dim))).collect()
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
}

/// o `[rows, heads·head_dim]` from q of the same shape and the pages, which hold the new token already.
pub fn forward(
    rec: &mut Recorder<'_>,
    heads: Heads,
    rows: Rows<'_>,
    q: &Buffer,
    k_pages: &Buffer,
    v_pages: &Buffer,
    o: &Buffer,
) -> Result<()> {
    let [count, row_pages] = rows.pages.matrix("decode_attention", "pages")?;
    q.expect("decode_attention", "q", &[count, heads.heads * heads.head_dim])?;
    o.expect("decode_attention", "o", q.shape())?;
    rows.position.expect("decode_attention", "position", &[count])?;
    rows.live.expect("decode_attention", "live", &[count])?;
    let [places, _] = k_pages.matrix("decode_attention", "k_pages")?;
    k_pages.expect("decode_attention", "k_pages", &[places, heads.kv_heads * heads.head_dim])?;
    v_pages.expect("decode_attention", "v_pages", k_pages.shape())?;
    let params = Params {
        rows: word(count),
        heads: word(heads.heads),
        kv_heads: word(heads.kv_heads),
        row_pages: word(row_pages),
        scale: heads.scale(),
    };
    rec.dispatch(
        &FORWARD,
        &variant(heads.head_dim),
        &params,
        &[rows.position, rows.live, rows.pages, q, k_pages, v_pages, o],
        groups_for(count * heads.heads, GROUP as usize),
    )
}
