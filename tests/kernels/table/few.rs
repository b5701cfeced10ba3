//! Products of a few rows, with the norm before them and a gate behind them.

use stepladder::gpu::VIEW_ALIGNMENT;
use stepladder::kernel::lora::up::Adapter;
use stepladder::kernel::product::{self, Segment};
use stepladder::kernel::rms_norm::{Input, Norm};
use stepladder::kernel::swiglu::Activation;
use stepladder::kernel::weight::Format;

use super::case::Case;
use super::matmul::{Packed, terms};
use crate::common::{Dtype, Policy, Random, wide};
use crate::reference;

const SCALE: f32 = 0.75;

pub(crate) fn cases() -> Vec<Case> {
    let mut random = Random::new(41);
    let mut cases = Vec::new();
    for (index, format) in Format::ALL.into_iter().enumerate() {
        // Widths that no tile divides, one that all do.
        for (width, k) in [(13, 96), (5, 576), (32, 64)] {
            for m in [1, 2, 3, 5, 8] {
                let [silu, gelu] = Activation::ALL.map(Some);
                for (normed, gated) in [(true, None), (false, silu), (true, silu), (true, gelu)] {
                    let rank = [0, 4, 3][(index + m) % 3];
                    cases.push(one(&mut random, format, [m, width, k, rank], normed, gated, m == 3));
                }
            }
        }
    }
    cases
}

/// Two matrices in one memory or apart; their buffers and first elements.
fn pair(case: &mut Case, values: &[Vec<f32>; 2], apart: bool) -> [(usize, usize); 2] {
    if apart {
        return values.each_ref().map(|values| (case.input(&[values.len()], values), 0));
    }
    let second = values[0].len().next_multiple_of(VIEW_ALIGNMENT);
    let mut all = vec![0.5; second + values[1].len()];
    all[..values[0].len()].copy_from_slice(&values[0]);
    all[second..].copy_from_slice(&values[1]);
    let index = case.input(&[all.len()], &all);
    [(index, 0), (index, second)]
}

/// Two segments, written or joined; what LoRA adds in one memory or apart.
fn one(
    random: &mut Random,
    format: Format,
    [m, width, k, rank]: [usize; 4],
    normed: bool,
    gated: Option<Activation>,
    apart: bool,
) -> Case {
    let mut case = Case::new(format!(
        "{format:?} m {m} n 2 x {width} k {k} rank {rank} normed {normed} gated {gated:?} apart {apart}"
    ));
    let eps = 0.25;
    let w = Packed::random(random, format, 2 * width, k);
    // A large residual stream, as models have it: the norm brings it back.
    let x: Vec<f32> = random.normal(m * k).into_iter().map(|x| if normed { 40.0 * x } else { x }).collect();
    let weight = random.normal(k);
    let read = match normed {
        true => reference::product::few_rows::normed(&wide(&x), &wide(&weight), f64::from(eps)),
        false => wide(&x),
    };
    let lows = [(); 2].map(|()| random.normal(m * rank));
    let others = [(); 2].map(|()| random.normal(width * rank));
    let biases = [(); 2].map(|()| random.normal(width));
    let halves = [0, 1].map(|half: usize| {
        let rows = &w.values[half * width * k..(half + 1) * width * k];
        let mut y = reference::product::few_rows::forward(m, width, k, rows, &read);
        let more =
            reference::lora::up::up(m, width, rank, SCALE.into(), &wide(&others[half]), &wide(&lows[half]));
        y.iter_mut().zip(more).for_each(|(y, more)| *y += more);
        for row in y.chunks_mut(width) {
            row.iter_mut().zip(&biases[half]).for_each(|(y, bias)| *y += f64::from(*bias));
        }
        y
    });
    let size = terms(k, &w.values);
    let policy = Policy::of(Dtype::F32, k).rows(width);
    let (x, weight) = (case.input(&[m, k], &x), case.input(&[k], &weight));
    let lows = pair(&mut case, &lows, apart);
    let others = pair(&mut case, &others, apart);
    let biases = pair(&mut case, &biases, false);
    let second = (m * width).next_multiple_of(VIEW_ALIGNMENT);
    let y = case.output(&[second + m * width]);
    let joined = case.output(&[m, width]);
    if let Some(act) = gated {
        // An error of gate or up counts by the size of the other.
        let [gate, up] = &halves;
        let want = reference::product::few_rows::joined(act, gate, up);
        case.near(joined, want, policy.at_least(size * size.max(1.0)));
    } else {
        for (half, want) in halves.into_iter().enumerate() {
            case.near_from(y, half * second, want, policy.at_least(size));
        }
    }
    case.record(move |rec, b| {
        let view = |(buffer, start): (usize, usize), shape: &[usize]| b[buffer].view(start, shape);
        let segment = |half: usize| {
            let adapter = match rank {
                0 => None,
                _ => Some(Adapter {
                    low: view(lows[half], &[m, rank])?,
                    matrix: view(others[half], &[width, rank])?,
                    row: 0,
                    scale: SCALE,
                }),
            };
            let bias = Some(view(biases[half], &[width])?);
            Ok(Segment { y: view((y, half * second), &[m, width])?, adapter, bias })
        };
        let segments: [Segment; 2] = [segment(0)?, segment(1)?];
        let norm = normed.then_some(Norm { weight: &b[weight], eps });
        let input = Input { x: &b[x], norm };
        let w = w.upload(rec.gpu())?;
        match gated {
            Some(act) => product::forward_gated(rec, act, &w, input, segments, &b[joined]),
            None => product::forward_joined(rec, &w, input, &segments, false),
        }
    });
    case
}
