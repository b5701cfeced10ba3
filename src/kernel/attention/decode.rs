//! Attention of one new token a row over its paged cache; a GPU does it by [`super::decode_split`]. Shader: shaders/attention/decode.wgsl.
//! Reference: tests/reference/attention/decode.rs.

use super::super::cache::CacheFormat;
use super::super::word;
use super::{HEAD_DIMS, Heads, PAGE, Rows, decode_split};
use crate::Result;
use crate::gpu::{Buffer, Kernel, Recorder, Variant, groups_for};

params! { Params { rows: u32, heads: u32, kv_heads: u32, row_pages: u32, window: u32, scale: f32 } }

const FORWARD: Kernel = kernel!(
    "attention/decode",
    "forward",
    Params,
    ["position", "live", "pages", "q", "k_pages", "v_pages", "o"]
);
/// Threads of a workgroup: the heads of one row are few, and all cores are to have some.
const GROUP: usize = 8;

fn variant(head_dim: usize, format: CacheFormat) -> Variant {
    let constants = [("WG", word(GROUP)), ("HEAD4", word(head_dim / 4)), ("PAGE", word(PAGE))];
    Variant::constants(&constants).import(format.import())
}

/// Every variant to compile.
pub(in crate::kernel) fn variants() -> Vec<(Kernel, Variant)> {
    let each = |dim| CacheFormat::ALL.map(|format| (FORWARD, variant(dim, format)));
    HEAD_DIMS.into_iter().flat_map(each).collect()
}

/// o `[rows, heads·head_dim]` from q of the same shape and the pages, which hold the new token already in either format.
pub fn forward(
    rec: &mut Recorder<'_>,
    heads: Heads,
    rows: Rows<'_>,
    q: &Buffer,
    k_pages: &Buffer,
    v_pages: &Buffer,
    o: &Buffer,
) -> Result<()> {
    let [count, row_pages] = rows.pages.matrix("attention/decode", "pages")?;
    q.expect("attention/decode", "q", &[count, heads.heads * heads.head_dim])?;
    o.expect("attention/decode", "o", q.shape())?;
    rows.position.expect("attention/decode", "position", &[count])?;
    rows.live.expect("attention/decode", "live", &[count])?;
    let format = CacheFormat::of("attention/decode", "k_pages", k_pages, heads.kv_heads * heads.head_dim)?;
    v_pages.expect("attention/decode", "v_pages", k_pages.shape())?;
    if !rec.gpu().is_software() && decode_split::suits(heads) {
        return decode_split::forward(rec, heads, rows, [q, k_pages, v_pages, o], format);
    }
    let params = Params {
        rows: word(count),
        heads: word(heads.heads),
        kv_heads: word(heads.kv_heads),
        row_pages: word(row_pages),
        window: heads.window(),
        scale: heads.scale(),
    };
    let arguments = [rows.position, rows.live, rows.pages, q, k_pages, v_pages, o];
    let groups = groups_for(count * heads.heads, GROUP);
    rec.dispatch(&FORWARD, &variant(heads.head_dim, format), &params, &arguments, groups)
}
