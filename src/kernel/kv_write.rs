//! Writing keys and values into cache pages. Shader: shaders/kv_write.wgsl. Reference: tests/reference/kv_write.rs.

use super::cache::CacheFormat;
use super::{GROUP, plain, word};
use crate::Result;
use crate::gpu::{Buffer, Kernel, Recorder, Variant, groups_for};

params! { Params { pairs: u32, cols: u32 } }

const FORWARD: Kernel = kernel!("kv_write", "forward", Params, ["pair", "k", "v", "k_pages", "v_pages"]);
const FORWARD_F16: Kernel =
    kernel!("kv_write", "forward_f16", Params, ["pair", "k", "v", "k_words", "v_words"]);

pub(super) fn variants() -> Vec<(Kernel, Variant)> {
    vec![(FORWARD, plain()), (FORWARD_F16, plain())]
}

/// Copies rows of k and v `[rows, cols]` to places of the pages, both named by pair `[pairs, 2]` of (row, place), in the
/// format of the pages.
pub fn forward(
    rec: &mut Recorder<'_>,
    pair: &Buffer,
    k: &Buffer,
    v: &Buffer,
    k_pages: &Buffer,
    v_pages: &Buffer,
) -> Result<()> {
    let (pairs, format) = pairs(pair, k, v, k_pages, v_pages)?;
    let [_, cols] = k.matrix("kv_write", "k")?;
    let params = Params { pairs: word(pairs), cols: word(cols) };
    let groups = groups_for(pairs * format.words(cols), GROUP as usize);
    let kernel = match format {
        CacheFormat::F32 => &FORWARD,
        CacheFormat::F16 => &FORWARD_F16,
    };
    rec.dispatch(kernel, &plain(), &params, &[pair, k, v, k_pages, v_pages], groups)
}

/// Checks the shapes and gives the number of pairs and the format of the pages.
pub(super) fn pairs(
    pair: &Buffer,
    k: &Buffer,
    v: &Buffer,
    k_pages: &Buffer,
    v_pages: &Buffer,
) -> Result<(usize, CacheFormat)> {
    let [pairs, _] = pair.matrix("kv_write", "pair")?;
    let [_, cols] = k.matrix("kv_write", "k")?;
    v.expect("kv_write", "v", k.shape())?;
    let format = CacheFormat::of("kv_write", "k_pages", k_pages, cols)?;
    v_pages.expect("kv_write", "v_pages", k_pages.shape())?;
    Ok((pairs, format))
}
