//! Attention of one new token a row over its paged cache. Shader: shaders/attention/decode.wgsl.
//! Reference: tests/reference/attention/decode.rs.

use super::super::cache::CacheFormat;
use super::super::{GROUP, SHARED_NUMBERS, word};
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
const FORWARD_SHARED: Kernel = Kernel { entry: "forward_shared", ..FORWARD };

/// How the work is shared out. A software adapter's lanes are few and a barrier is dear; a GPU wants many threads even for
/// one row.
#[derive(Debug, Clone, Copy)]
struct Split {
    kernel: Kernel,
    /// Threads of a workgroup.
    group: usize,
    /// Threads that share a (row, head).
    share: usize,
}

impl Split {
    fn new(software: bool, head_dim: usize) -> Self {
        if software {
            // The heads of one row are few: small workgroups let all cores have some.
            return Self { kernel: FORWARD, group: 8, share: 1 };
        }
        // Each thread leaves a sum of head_dim numbers and two more in workgroup memory.
        let fit = SHARED_NUMBERS / (head_dim + 3);
        let group = (1 << fit.max(1).ilog2()).min(GROUP as usize);
        Self { kernel: FORWARD_SHARED, group, share: group }
    }

    fn variant(self, head_dim: usize, format: CacheFormat) -> Variant {
        let constants = [("WG", word(self.group)), ("HEAD4", word(head_dim / 4)), ("PAGE", word(PAGE))];
        Variant::constants(&constants).import(format.import())
    }
}

/// Every variant to compile.
pub(in crate::kernel) fn variants() -> Vec<(Kernel, Variant)> {
    let all =
        HEAD_DIMS.into_iter().flat_map(|dim| [true, false].map(|software| (dim, Split::new(software, dim))));
    let each = |(dim, split): (usize, Split)| {
        CacheFormat::ALL.map(|format| (split.kernel, split.variant(dim, format)))
    };
    all.flat_map(each).collect()
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
    let software = rec.gpu().is_software();
    let splits = decode_split::splits(heads, count, row_pages);
    if let Some(parts) = rows.parts.filter(|_| splits > 1 && !software) {
        return decode_split::forward(rec, heads, rows, [q, k_pages, v_pages, o, parts], format, splits);
    }
    let params = Params {
        rows: word(count),
        heads: word(heads.heads),
        kv_heads: word(heads.kv_heads),
        row_pages: word(row_pages),
        window: heads.window(),
        scale: heads.scale(),
    };
    let split = Split::new(software, heads.head_dim);
    let arguments = [rows.position, rows.live, rows.pages, q, k_pages, v_pages, o];
    let groups = groups_for(count * heads.heads * split.share, split.group);
    rec.dispatch(&split.kernel, &split.variant(heads.head_dim, format), &params, &arguments, groups)
}
