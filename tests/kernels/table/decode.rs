//! Attention of the decode loop over the paged cache.

use stepladder::kernel::attention::decode_split::{part_elements, splits};
use stepladder::kernel::attention::{self, Heads, PAGE, Rows};
use stepladder::kernel::cache::CacheFormat;

use super::case::{Case, UNWRITTEN};
use crate::common::{Dtype, Policy, Random, halved, wide, words};
use crate::reference;

/// A token that sees itself alone, less than a page, a tile, and more positions than rows stand at.
const WINDOWS: [usize; 4] = [1, 9, 64, 4000];

pub(crate) fn decode() -> Vec<Case> {
    let mut random = Random::new(14);
    let mut cases = Vec::new();
    for (heads, kv_heads, head_dim) in
        [(9, 3, 64), (4, 4, 16), (6, 1, 32), (1, 1, 128), (2, 1, 96), (2, 1, 256)]
    {
        for rows in [1, 3, 9] {
            for format in CacheFormat::ALL {
                cases.push(case(&mut random, Heads::new(heads, kv_heads, head_dim), rows, 3, format));
            }
        }
    }
    // With so many rows a workgroup of a GPU serves several heads.
    for (heads, kv_heads, head_dim) in [(8, 2, 16), (14, 2, 64), (12, 1, 128)] {
        cases.push(case(&mut random, Heads::new(heads, kv_heads, head_dim), 33, 3, CacheFormat::F16));
    }
    for window in WINDOWS {
        let heads = Heads { window: Some(window), scale: Some(0.3), ..Heads::new(4, 2, 32) };
        cases.push(case(&mut random, heads, 9, 3, CacheFormat::F32));
    }
    cases
}

/// Rows with so much room that a GPU splits them, in more than one tile of positions a split too.
pub(crate) fn decode_split() -> Vec<Case> {
    let mut random = Random::new(15);
    let mut cases = Vec::new();
    // (12, 1, 128) is served by two workgroups for each key head; (8, 2, 24) leaves threads of a workgroup without a column.
    for (heads, kv_heads, head_dim) in [
        (9, 3, 64),
        (14, 2, 64),
        (4, 4, 16),
        (6, 1, 32),
        (1, 1, 128),
        (12, 1, 128),
        (8, 2, 24),
        (2, 1, 96),
        (4, 1, 256),
    ] {
        let heads = Heads::new(heads, kv_heads, head_dim);
        for rows in [1, 3, 9] {
            assert!(splits(heads, rows, 36) > 1);
            for format in CacheFormat::ALL {
                cases.push(case(&mut random, heads, rows, 36, format));
            }
        }
    }
    for window in WINDOWS {
        let heads = Heads { window: Some(window), ..Heads::new(4, 2, 32) };
        cases.push(case(&mut random, heads, 9, 36, CacheFormat::F32));
    }
    // A software adapter goes through these positions one by one: a loop in that loop would take more turns than Mesa's allows.
    for head_dim in [64, 128] {
        cases.push(case(&mut random, Heads::new(2, 1, head_dim), 1, 300, CacheFormat::F32));
    }
    let (heads, tiles) = (Heads::new(4, 4, 16), 200 * PAGE / 64);
    assert!(splits(heads, 7, 200) < tiles / 2);
    for format in CacheFormat::ALL {
        cases.push(case(&mut random, heads, 7, 200, format));
    }
    cases
}

fn case(random: &mut Random, heads: Heads, rows: usize, row_pages: usize, format: CacheFormat) -> Case {
    let mut case = Case::new(format!("{heads:?}, {rows} rows of {row_pages} pages in {}", format.name()));
    // Both sides of a page's end, the last place of all, the first token, somewhere; where there is room for it both sides of a
    // tile's end and of the end of two.
    let last = row_pages * PAGE - 1;
    let places = [PAGE - 1, last, PAGE, 0, 20, 63, 64, 127, 128].map(|position| position.min(last));
    let position: Vec<u32> = (0..rows).map(|row| places[(row + rows) % places.len()] as u32).collect();
    let live: Vec<u32> = (0..rows).map(|row| u32::from(row % 4 != 2)).collect();
    let pages = random.permutation(rows * row_pages);
    let (cols, kv_cols) = (heads.heads * heads.head_dim, heads.kv_heads * heads.head_dim);
    let places = pages.len() * PAGE;
    let q = random.normal(rows * cols);
    let [mut k, mut v] = [(); 2].map(|()| random.normal(places * kv_cols));
    // What lies behind a row's position was never written and must not be read.
    for row in 0..rows {
        for at in position[row] as usize + 1..row_pages * PAGE {
            let place = pages[row * row_pages + at / PAGE] as usize * PAGE + at % PAGE;
            for data in [&mut k, &mut v] {
                data[place * kv_cols..][..kv_cols].fill(f32::NAN);
            }
        }
    }
    let layout = reference::attention::decode::Layout {
        heads: heads.heads,
        kv_heads: heads.kv_heads,
        head_dim: heads.head_dim,
        scale: f64::from(heads.scale()),
        page: PAGE,
        window: heads.window.unwrap_or(usize::MAX),
    };
    let mut wants = Vec::new();
    let [(k, k_words), (v, v_words)] = [k, v].map(|values| match format {
        CacheFormat::F32 => (values.clone(), words(&values)),
        CacheFormat::F16 => halved(&values),
    });
    let (wide_k, wide_v) = (wide(&k), wide(&v));
    for row in (0..rows).filter(|row| live[*row] != 0) {
        let row_q = wide(&q[row * cols..][..cols]);
        let row_page = &pages[row * row_pages..][..row_pages];
        let position = position[row] as usize;
        let o = reference::attention::decode_split::forward_row(
            layout, position, row_page, &row_q, &wide_k, &wide_v,
        );
        wants.push((row, o, position + 1));
    }
    let idle: Vec<usize> = (0..rows).filter(|row| live[*row] == 0).collect();
    let [position, live] = [position, live].map(|data| case.words(&[rows], &data));
    let pages = case.words(&[rows, row_pages], &pages);
    let q = case.input(&[rows, cols], &q);
    let shape = [places, format.words(kv_cols)];
    let [k, v] = [k_words, v_words].map(|words| case.words(&shape, &words));
    let o = case.output(&[rows, cols]);
    let parts = case.output(&[part_elements(heads, rows, row_pages).max(1)]);
    case.record(move |rec, b| {
        let rows = Rows { position: &b[position], live: &b[live], pages: &b[pages], parts: Some(&b[parts]) };
        attention::decode::forward(rec, heads, rows, &b[q], &b[k], &b[v], &b[o])
    });
    for (row, want, terms) in wants {
        case.near_from(o, row * cols, want, Policy::with_exp(Dtype::F32, heads.head_dim + terms));
    }
    for row in idle {
        case.bits_from(o, row * cols, vec![UNWRITTEN; cols]);
    }
    case
}
