//! Attention in training and prefill.

use stepladder::kernel::attention::Heads;
use stepladder::kernel::attention::full::{self, Gradients, Saved};

use super::case::Case;
use crate::common::{Dtype, Policy, Random, wide};
// The one reference of both kernels.
use crate::reference::attention::tiled as reference;

/// (heads, kv_heads, head_dim), SmolLM2's among them.
const HEADS: [(usize, usize, usize); 7] =
    [(9, 3, 64), (4, 4, 16), (6, 1, 32), (1, 1, 128), (2, 1, 16), (2, 1, 20), (2, 1, 96)];

/// Lengths of packed sequences: one token, several of one, unequal, longer than a workgroup.
const LENGTHS: [&[usize]; 5] = [&[1], &[1, 1, 1], &[5, 1, 9], &[67], &[3, 17, 2]];

/// Lengths of several of the blocks in which a GPU goes through them, on their borders and beside them.
const BLOCKS: [&[usize]; 4] = [&[32, 64], &[31, 33, 1], &[70, 40], &[5, 130, 3]];

/// Rows of a beginning, and of what follows it in several sequences. A sequence by itself has no beginning.
type Tree = (usize, &'static [usize]);

/// Packs of trees: one answer, many of mixed lengths (none at all among them), several trees, sequences by themselves beside them.
const TREES: [&[Tree]; 6] = [
    &[(5, &[3])],
    &[(1, &[1, 2])],
    &[(7, &[4, 1, 0, 9, 2])],
    &[(6, &[2, 3]), (3, &[1, 1, 1])],
    &[(0, &[4]), (5, &[2, 0, 3]), (0, &[1]), (0, &[2]), (2, &[5, 5])],
    &[(20, &[17, 3, 30])],
];

/// The same in several blocks: beginnings that end on a block's border and beside it, answers that are longer than a block, and trees
/// that lie in one together.
const TREES_IN_BLOCKS: [&[Tree]; 5] = [
    &[(32, &[32, 32])],
    &[(31, &[2, 33, 1, 40]), (33, &[20, 20])],
    &[(70, &[5, 90, 0, 31])],
    &[(3, &[4, 4]), (2, &[3, 3]), (0, &[9]), (4, &[40, 2])],
    &[(0, &[45]), (40, &[7, 7, 7, 7, 7]), (0, &[3])],
];

/// Sliding windows: a token that sees itself alone, and some that end within blocks, on their borders and beyond them.
const WINDOWS: [usize; 5] = [1, 5, 32, 47, 64];

/// Sequences by themselves.
fn apart(lengths: &[usize]) -> Vec<(usize, Vec<usize>)> {
    lengths.iter().map(|&length| (0, vec![length])).collect()
}

fn owned(trees: &[Tree]) -> Vec<(usize, Vec<usize>)> {
    trees.iter().map(|&(shared, lengths)| (shared, lengths.to_vec())).collect()
}

fn spans(trees: &[(usize, Vec<usize>)], window: Option<usize>) -> Vec<[u32; 4]> {
    let mut spans: Vec<[usize; 4]> = Vec::new();
    for (shared, lengths) in trees {
        let first = spans.len();
        spans.resize(first + shared, [first, first, first, first + shared + lengths.iter().sum::<usize>()]);
        for length in lengths {
            let start = spans.len();
            spans.resize(start + length, [first, first + shared, start, start + length]);
        }
    }
    // Through a window only sequences by themselves are seen.
    for (row, span) in spans.iter_mut().enumerate().filter(|_| window.is_some()) {
        span[2] = span[2].max((row + 1).saturating_sub(window.unwrap_or(usize::MAX)));
        *span = [span[2], span[2], span[2], span[3]];
    }
    spans.into_iter().map(|span| span.map(|place| place as u32)).collect()
}

pub(crate) fn cases() -> Vec<Case> {
    let mut random = Random::new(2);
    let mut cases = Vec::new();
    for (heads, kv_heads, head_dim) in HEADS {
        let packs = LENGTHS.map(apart).into_iter().chain(TREES.map(owned));
        cases.extend(packs.map(|trees| case(&mut random, Heads::new(heads, kv_heads, head_dim), &trees)));
    }
    for window in WINDOWS {
        let heads = Heads { window: Some(window), scale: Some(0.3), ..Heads::new(4, 2, 16) };
        cases.extend(LENGTHS.map(|lengths| case(&mut random, heads, &apart(lengths))));
    }
    cases
}

/// The same in several blocks.
pub(crate) fn tiled() -> Vec<Case> {
    let mut random = Random::new(3);
    let mut cases = Vec::new();
    for (heads, kv_heads, head_dim) in [(3, 1, 64), (2, 2, 16), (2, 1, 128), (1, 1, 96), (1, 1, 256)] {
        let packs = BLOCKS.map(apart).into_iter().chain(TREES_IN_BLOCKS.map(owned));
        cases.extend(packs.map(|trees| case(&mut random, Heads::new(heads, kv_heads, head_dim), &trees)));
    }
    for window in WINDOWS {
        let heads = Heads { window: Some(window), ..Heads::new(2, 1, 32) };
        cases.extend(BLOCKS.map(|lengths| case(&mut random, heads, &apart(lengths))));
    }
    cases
}

/// Forward, then backward from what it saved.
fn case(random: &mut Random, heads: Heads, trees: &[(usize, Vec<usize>)]) -> Case {
    let mut case = Case::new(format!("{heads:?}, (beginning, sequences) of {trees:?}"));
    let (wide_q, wide_k) = (heads.heads * heads.head_dim, heads.kv_heads * heads.head_dim);
    let span = spans(trees, heads.window);
    let tokens = span.len();
    let (q, k, v) =
        (random.normal(tokens * wide_q), random.normal(tokens * wide_k), random.normal(tokens * wide_k));
    let d_out = random.normal(tokens * wide_q);
    let layout = reference::Layout {
        heads: heads.heads,
        kv_heads: heads.kv_heads,
        head_dim: heads.head_dim,
        scale: f64::from(heads.scale()),
        span: &span,
    };
    let (o, lse) = reference::forward(layout, &wide(&q), &wide(&k), &wide(&v));
    let (dq, dk, dv) = reference::backward(layout, &wide(&q), &wide(&k), &wide(&v), &wide(&d_out));
    let delta = o.chunks(heads.head_dim).zip(d_out.chunks(heads.head_dim));
    let delta = delta.map(|(o, d)| o.iter().zip(d).map(|(o, d)| o * f64::from(*d)).sum::<f64>());
    let stats: Vec<f64> = lse.iter().zip(delta).flat_map(|(lse, delta)| [*lse, delta]).collect();

    let span = case.words(&[tokens, 4], bytemuck::cast_slice(&span));
    let [q, d_out] = [q, d_out].map(|data| case.input(&[tokens, wide_q], &data));
    let [k, v] = [k, v].map(|data| case.input(&[tokens, wide_k], &data));
    let [out, out_dq] = [(); 2].map(|()| case.output(&[tokens, wide_q]));
    let [out_dk, out_dv] = [(); 2].map(|()| case.output(&[tokens, wide_k]));
    let saved_stats = case.output(&[tokens, heads.heads, 2]);
    case.record(move |rec, b| {
        let saved = Saved { q: &b[q], k: &b[k], v: &b[v], o: &b[out], stats: &b[saved_stats] };
        let grads = Gradients { dq: &b[out_dq], dk: &b[out_dk], dv: &b[out_dv] };
        full::forward(rec, heads, &b[span], saved)?;
        full::backward(rec, heads, &b[span], saved, &b[d_out], grads)
    });
    let longest =
        trees.iter().flat_map(|(shared, lengths)| lengths.iter().map(move |length| shared + length));
    let longest = longest.max().unwrap_or(1);
    // The keys of a beginning gather the gradients of all that follows.
    let readers =
        trees.iter().map(|(shared, lengths)| shared + lengths.iter().sum::<usize>()).max().unwrap_or(1);
    let share = heads.heads / heads.kv_heads;
    let policy = |terms| Policy::with_exp(Dtype::F32, heads.head_dim + terms);
    case.near(out, o, policy(longest));
    case.near(saved_stats, stats, policy(longest));
    // A softmax over one token has no gradient: what is left are differences of numbers of the size of do.
    case.near(out_dq, dq, policy(longest).at_least(1.0));
    case.near(out_dk, dk, policy(readers * share).at_least(1.0));
    case.near(out_dv, dv, policy(readers * share));
    case
}
