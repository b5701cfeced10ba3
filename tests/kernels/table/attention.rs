//! Attention in training and prefill.

use stepladder::kernel::attention::Heads;
use stepladder::kernel::attention::full::{self, Gradients, Saved};

use super::case::Case;
use crate::common::{Dtype, Policy, Random, wide};
// The one reference of both kernels.
use crate::reference::attention::tiled as reference;

/// (heads, kv_heads, head_dim), SmolLM2's among them.
const HEADS: [(usize, usize, usize); 6] =
    [(9, 3, 64), (4, 4, 16), (6, 1, 32), (1, 1, 128), (2, 1, 16), (2, 1, 20)];

/// Lengths of packed sequences: one token, several of one, unequal, longer than a workgroup.
const LENGTHS: [&[usize]; 5] = [&[1], &[1, 1, 1], &[5, 1, 9], &[67], &[3, 17, 2]];

/// Lengths of several of the blocks in which a GPU goes through them, on their borders and beside them.
const BLOCKS: [&[usize]; 4] = [&[32, 64], &[31, 33, 1], &[70, 40], &[5, 130, 3]];

fn spans(lengths: &[usize]) -> Vec<[u32; 2]> {
    let mut first = 0;
    let mut spans = Vec::new();
    for &length in lengths {
        spans.extend(vec![[first, first + length as u32]; length]);
        first += length as u32;
    }
    spans
}

pub(crate) fn cases() -> Vec<Case> {
    let mut random = Random::new(2);
    let mut cases = Vec::new();
    for (heads, kv_heads, head_dim) in HEADS {
        for lengths in LENGTHS {
            cases.push(case(&mut random, Heads { heads, kv_heads, head_dim }, lengths));
        }
    }
    cases
}

/// The same in several blocks.
pub(crate) fn tiled() -> Vec<Case> {
    let mut random = Random::new(3);
    let mut cases = Vec::new();
    for (heads, kv_heads, head_dim) in [(3, 1, 64), (2, 2, 16), (2, 1, 128), (1, 1, 96)] {
        for lengths in BLOCKS {
            cases.push(case(&mut random, Heads { heads, kv_heads, head_dim }, lengths));
        }
    }
    cases
}

/// Forward, then backward from what it saved.
fn case(random: &mut Random, heads: Heads, lengths: &[usize]) -> Case {
    let mut case = Case::new(format!("{heads:?}, sequences of {lengths:?}"));
    let tokens: usize = lengths.iter().sum();
    let (wide_q, wide_k) = (heads.heads * heads.head_dim, heads.kv_heads * heads.head_dim);
    let span = spans(lengths);
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

    let span = case.words(&[tokens, 2], bytemuck::cast_slice(&span));
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
    let longest = lengths.iter().copied().max().unwrap_or(1);
    let share = heads.heads / heads.kv_heads;
    let policy = |terms| Policy::with_exp(Dtype::F32, heads.head_dim + terms);
    case.near(out, o, policy(longest));
    case.near(saved_stats, stats, policy(longest));
    // A softmax over one token has no gradient: what is left are differences of numbers of the size of do.
    case.near(out_dq, dq, policy(longest).at_least(1.0));
    case.near(out_dk, dk, policy(longest * share).at_least(1.0));
    case.near(out_dv, dv, policy(longest * share));
    case
}
