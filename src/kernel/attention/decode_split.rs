//! The attention of [`super::decode`] with the positions of a row split over several workgroups of a GPU, for few rows of long
//! contexts. Shader: shaders/attention/decode_split.wgsl. Reference: tests/reference/attention/decode_split.rs.

use super::super::cache::CacheFormat;
use super::super::{GROUP, SHARED_NUMBERS, word};
use super::{HEAD_DIMS, Heads, PAGE, Rows};
use crate::gpu::{Buffer, Kernel, Recorder, Variant};
use crate::{Error, Result};

params! { Params { rows: u32, heads: u32, kv_heads: u32, row_pages: u32, splits: u32, window: u32, scale: f32 } }

const SPLIT: Kernel = kernel!(
    "attention/decode_split",
    "split",
    Params,
    ["position", "live", "pages", "q", "k_pages", "v_pages", "parts_out"]
);
const JOIN: Kernel = Kernel { entry: "join", bindings: &["position", "live", "parts", "o"], ..SPLIT };

/// So many (row, head) pairs keep a GPU busy without splits.
const BUSY_PAIRS: usize = 256;

/// Splits make about as many workgroups.
const TARGET_WORKGROUPS: usize = 512;

/// The most splits of a row: a workgroup joins them, one a thread.
const MAX_SPLITS: usize = GROUP as usize;

/// Rows with room for no more positions are not worth a second dispatch.
const UNSPLIT_LENGTH: usize = 512;

/// The format in which pages are declared where none are read.
const JOINED: CacheFormat = CacheFormat::F32;

/// Threads that share the scores of a query in the shader.
const SCANS: usize = 8;

/// Query heads that a workgroup serves: those that share keys, or equal parts of them as large as fits.
fn queries(heads: Heads) -> usize {
    let sharing = heads.heads / heads.kv_heads.max(1);
    sharing.div_ceil(sharing.div_ceil(most_queries(heads.head_dim)).max(1))
}

/// The most queries of a workgroup: as many as there are threads to scan their scores, and as fit into workgroup memory. That
/// holds of each query its values, a score and a vec4 of each thread and what the scans find; apart from these a place of each
/// thread and the row's end.
fn most_queries(head_dim: usize) -> usize {
    let group = GROUP as usize;
    ((SHARED_NUMBERS - group - 1) / (head_dim + 5 * group + SCANS)).min(group / SCANS)
}

fn variant(queries: usize, head_dim: usize, format: CacheFormat) -> Variant {
    let constants =
        [("WG", GROUP), ("QUERIES", word(queries)), ("HEAD4", word(head_dim / 4)), ("PAGE", word(PAGE))];
    Variant::constants(&constants).import(format.import())
}

/// Every variant to compile.
pub(in crate::kernel) fn variants() -> Vec<(Kernel, Variant)> {
    let sizes =
        HEAD_DIMS.into_iter().flat_map(|dim| (1..=most_queries(dim)).map(move |queries| (queries, dim)));
    let splits = sizes
        .flat_map(|(queries, dim)| CacheFormat::ALL.map(|format| (SPLIT, variant(queries, dim, format))));
    splits.chain(HEAD_DIMS.map(|dim| (JOIN, variant(1, dim, JOINED)))).collect()
}

/// Whether rows with room for this many pages are long enough to be split.
pub fn is_long(row_pages: usize) -> bool {
    row_pages * PAGE > UNSPLIT_LENGTH
}

/// Workgroups that share the positions of each (row, head); 1 where splitting does not help.
///
/// The number follows from what a plan knows, the room of the rows, and not from where the rows stand.
pub fn splits(heads: Heads, rows: usize, row_pages: usize) -> usize {
    // A thread holds one vec4 of a head.
    if !is_long(row_pages) || rows * heads.heads >= BUSY_PAIRS || heads.head_dim / 4 > GROUP as usize {
        return 1;
    }
    let tiles = (row_pages * PAGE).div_ceil(GROUP as usize);
    TARGET_WORKGROUPS
        .div_ceil((rows * heads.heads.div_ceil(queries(heads))).max(1))
        .min(tiles)
        .min(MAX_SPLITS)
}

/// Elements of the buffer for the parts of up to `rows` rows; 0 if none of them is split.
pub fn part_elements(heads: Heads, rows: usize, row_pages: usize) -> usize {
    let elements = |rows| match splits(heads, rows, row_pages) {
        1 => 0,
        splits => rows * heads.heads * splits * (heads.head_dim + 4),
    };
    (1..=rows.min(BUSY_PAIRS)).map(elements).max().unwrap_or(0)
}

/// The two dispatches; the caller has checked all shapes but that of `parts`.
pub(super) fn forward(
    rec: &mut Recorder<'_>,
    heads: Heads,
    rows: Rows<'_>,
    [q, k_pages, v_pages, o, parts]: [&Buffer; 5],
    format: CacheFormat,
    splits: usize,
) -> Result<()> {
    let [count, row_pages] = rows.pages.matrix("attention/decode", "pages")?;
    let needed = count * heads.heads * splits * (heads.head_dim + 4);
    if parts.len() < needed {
        let (expected, got) = (vec![needed], parts.shape().to_vec());
        return Err(Error::Shape { kernel: "attention/decode", arg: "parts", expected, got });
    }
    let params = Params {
        rows: word(count),
        heads: word(heads.heads),
        kv_heads: word(heads.kv_heads),
        row_pages: word(row_pages),
        splits: word(splits),
        window: heads.window(),
        scale: heads.scale(),
    };
    let served = queries(heads);
    let sets = heads.kv_heads * (heads.heads / heads.kv_heads.max(1)).div_ceil(served.max(1));
    let arguments = [rows.position, rows.live, rows.pages, q, k_pages, v_pages, parts];
    rec.dispatch(
        &SPLIT,
        &variant(served, heads.head_dim, format),
        &params,
        &arguments,
        word(count * sets * splits),
    )?;
    let arguments = [rows.position, rows.live, parts, o];
    rec.dispatch(&JOIN, &variant(1, heads.head_dim, JOINED), &params, &arguments, word(count * heads.heads))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMOLLM2: Heads = Heads::new(9, 3, 64);
    const QWEN: Heads = Heads::new(14, 2, 64);

    #[test]
    fn splits_follow_the_room_of_the_rows() {
        let pages = |positions: usize| positions / PAGE;
        for heads in [SMOLLM2, QWEN] {
            assert_eq!(splits(heads, 1, pages(512)), 1, "short");
            assert_eq!(splits(heads, 1, pages(1024)), 16, "one a tile");
            assert_eq!(splits(heads, 1, pages(1 << 20)), MAX_SPLITS);
            assert_eq!(splits(heads, 32, pages(1 << 20)), 1, "many rows");
        }
        assert_eq!((splits(SMOLLM2, 16, pages(4096)), splits(QWEN, 16, pages(4096))), (11, 16));
        assert_eq!(splits(Heads { head_dim: 512, ..QWEN }, 1, pages(4096)), 1, "heads too large");
    }

    #[test]
    fn a_workgroup_serves_the_heads_that_share_keys() {
        assert_eq!((queries(SMOLLM2), queries(QWEN)), (3, 7));
        let many = |heads, head_dim| queries(Heads::new(heads, 1, head_dim));
        assert_eq!((many(1, 64), many(8, 128), many(12, 128), many(8, 256)), (1, 8, 6, 4));
    }

    #[test]
    fn the_buffer_serves_every_number_of_rows() {
        for heads in [SMOLLM2, QWEN] {
            let elements = part_elements(heads, 64, 256);
            for rows in 1..=64 {
                let splits = splits(heads, rows, 256);
                assert!(splits == 1 || rows * heads.heads * splits * 68 <= elements, "{rows} rows");
            }
            assert_eq!(part_elements(heads, 64, 32), 0);
        }
    }
}
