//! What writes to the paged cache.

use half::f16;
use stepladder::gpu::VIEW_ALIGNMENT;
use stepladder::kernel::attention::PAGE;
use stepladder::kernel::cache::CacheFormat;
use stepladder::kernel::{self, NONE, kv_write, rope};

use super::case::Case;
use crate::common::{Dtype, Policy, Random, halved, wide, words};
use crate::reference;

/// Numbers that pages of this format hold exactly.
fn of_format(values: Vec<f32>, format: CacheFormat) -> Vec<f32> {
    match format {
        CacheFormat::F32 => values,
        CacheFormat::F16 => halved(&values).0,
    }
}

/// The words of pages with these numbers.
fn packed(values: &[f64], format: CacheFormat) -> Vec<u32> {
    let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
    match format {
        CacheFormat::F32 => words(&values),
        CacheFormat::F16 => halved(&values).1,
    }
}

/// Pages with these numbers; gives their index.
fn input(case: &mut Case, values: &[f32], places: usize, format: CacheFormat) -> usize {
    case.words(&[places, format.words(values.len() / places)], &packed(&wide(values), format))
}

pub(crate) fn kv_write() -> Vec<Case> {
    let mut random = Random::new(13);
    let mut cases = Vec::new();
    let sizes = [(1usize, 1usize), (3, 24), (7, 64), (8, 5), (9, 192), (65, 16)];
    let each = sizes.into_iter().flat_map(|size| CacheFormat::ALL.map(|format| (size, format)));
    // Places are whole words.
    for ((rows, cols), format) in
        each.filter(|((_, cols), format)| *format == CacheFormat::F32 || cols.is_multiple_of(4))
    {
        let mut case = Case::new(format!("rows {rows} cols {cols} in {}", format.name()));
        let places = (rows + 3).next_multiple_of(PAGE);
        // Rows in any order, one of them left out, no place twice.
        let (order, free) = (random.permutation(rows), random.permutation(places));
        let mut pair: Vec<[u32; 2]> = order.into_iter().zip(free).map(|(row, place)| [row, place]).collect();
        if rows > 1 {
            pair[rows / 2][1] = NONE;
        }
        let [mut k, v] = [(); 2].map(|()| of_format(random.normal(rows * cols), format));
        let [k_pages, v_pages] = [(); 2].map(|()| of_format(random.normal(places * cols), format));
        let largest = f16::MAX.to_f32();
        let want = |values: &[f32], pages: &[f32]| {
            let pages = reference::kv_write::forward(cols, NONE, &pair, &wide(values), &wide(pages));
            packed(&pages, format)
        };
        k[0] = -largest;
        let (want_k, want_v) = (want(&k, &k_pages), want(&v, &v_pages));
        if format == CacheFormat::F16 {
            // The largest number of 16 bits stands for all that are larger.
            k[0] *= 100.0;
        }
        let pair = case.words(&[rows, 2], bytemuck::cast_slice(&pair));
        let [k, v] = [k, v].map(|data| case.input(&[rows, cols], &data));
        let [k_pages, v_pages] = [k_pages, v_pages].map(|data| input(&mut case, &data, places, format));
        case.record(move |rec, b| kv_write::forward(rec, &b[pair], &b[k], &b[v], &b[k_pages], &b[v_pages]));
        case.bits(k_pages, want_k);
        case.bits(v_pages, want_v);
        cases.push(case);
    }
    cases
}

/// Queries, keys and values in one memory or apart; rows in any order, one of them left out.
pub(super) fn rope_cached(random: &mut Random, sizes: [usize; 4], turned: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    for apart in [false, true] {
        cases.push(cached(random, sizes, turned, apart, CacheFormat::F32));
        // Places are whole words.
        if sizes[3].is_multiple_of(4) {
            cases.push(cached(random, sizes, turned, apart, CacheFormat::F16));
        }
    }
    cases
}

fn cached(
    random: &mut Random,
    [rows, heads, kv_heads, head_dim]: [usize; 4],
    turned: usize,
    apart: bool,
    format: CacheFormat,
) -> Case {
    let mut case = Case::new(format!(
        "cached in {}, rows {rows} heads {heads} and {kv_heads} head_dim {head_dim} turned {turned} apart {apart}",
        format.name()
    ));
    let (positions, places) = (50, rows + 3);
    let position: Vec<u32> = (0..rows).map(|_| random.below(positions) as u32).collect();
    let mut table = random.normal(positions * head_dim);
    if format == CacheFormat::F16 {
        // Quarter turns, after which numbers of 16 bits are such numbers still: rounding is the device's.
        let turns = [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]];
        table.chunks_exact_mut(2).for_each(|turn| turn.copy_from_slice(&turns[random.below(4)]));
    }
    for position in table.chunks_exact_mut(head_dim) {
        position[turned..].chunks_exact_mut(2).for_each(|turn| turn.copy_from_slice(&[1.0, 0.0]));
    }
    let (order, free) = (random.permutation(rows), random.permutation(places));
    let mut pair: Vec<[u32; 2]> = order.into_iter().zip(free).map(|(row, place)| [row, place]).collect();
    if rows > 1 {
        pair[rows / 2][1] = kernel::NONE;
    }
    let cols = [heads, kv_heads, kv_heads].map(|heads| heads * head_dim);
    let [q, k, v] = cols.map(|cols| of_format(random.normal(rows * cols), format));
    let pages = [(); 2].map(|()| of_format(random.normal(places * cols[1]), format));
    let rotated =
        |x: &[f32]| reference::rope::rotate([head_dim, turned], 1.0, &position, &wide(&table), &wide(x));
    let written = |values: &[f64], pages: &[f32]| {
        reference::kv_write::forward(cols[1], kernel::NONE, &pair, values, &wide(pages))
    };
    let want = [rotated(&q), written(&rotated(&k), &pages[0]), written(&wide(&v), &pages[1])];
    let regions: Vec<(usize, usize)> = if apart {
        [&q, &k, &v].map(|x| (case.input(&[x.len()], x), 0)).to_vec()
    } else {
        let mut all = Vec::new();
        let starts = [&q, &k, &v].map(|x| {
            all.resize(all.len().next_multiple_of(VIEW_ALIGNMENT), 0.5);
            all.extend(x);
            all.len() - x.len()
        });
        let index = case.input(&[all.len()], &all);
        starts.map(|start| (index, start)).to_vec()
    };
    let pages = pages.map(|pages| input(&mut case, &pages, places, format));
    let pair = case.words(&[rows, 2], bytemuck::cast_slice(&pair));
    let (position, table) = (case.words(&[rows], &position), case.input(&[positions, head_dim], &table));
    let [want_q, want_k, want_v] = want;
    let policy = Policy::of(Dtype::F32, 2);
    case.near_from(regions[0].0, regions[0].1, want_q, policy.rows(cols[0]));
    for (pages, want) in [(pages[0], want_k), (pages[1], want_v)] {
        match format {
            CacheFormat::F32 => case.near(pages, want, policy.rows(cols[1])),
            CacheFormat::F16 => case.bits(pages, packed(&want, format)),
        }
    }
    case.record(move |rec, b| {
        let view = |index: usize| b[regions[index].0].view(regions[index].1, &[rows, cols[index]]);
        let positions = rope::Positions { position: &b[position], table: &b[table], turned };
        let (qkv, pages) = ([&view(0)?, &view(1)?, &view(2)?], [&b[pages[0]], &b[pages[1]]]);
        rope::forward_cached(rec, positions, qkv, &b[pair], pages)
    });
    case
}
