//! Kernels that work row by row or element by element.

use stepladder::kernel::swiglu::Activation;
use stepladder::kernel::{self, gather, log_softmax, rms_norm, rope, swiglu};

use super::cache;
use super::case::Case;
use crate::common::{Dtype, Policy, Random, wide, words};
use crate::reference;

const ROWS: [usize; 6] = [1, 3, 7, 8, 9, 65];
const COLS: [usize; 6] = [1, 5, 64, 72, 130, 8];

fn shapes() -> impl Iterator<Item = (usize, usize)> {
    ROWS.into_iter().zip(COLS)
}

pub(crate) fn rms_norm() -> Vec<Case> {
    let mut random = Random::new(3);
    let mut cases = Vec::new();
    for (rows, cols) in shapes() {
        for (eps, accumulate) in [(1e-5, false), (0.5, true)] {
            cases.push(norm(&mut random, rows, cols, eps, accumulate));
        }
    }
    // More workgroups than one axis of the grid may have.
    cases.push(norm(&mut random, 65_600, 2, 0.5, false));
    cases
}

fn norm(random: &mut Random, rows: usize, cols: usize, eps: f32, accumulate: bool) -> Case {
    let mut case = Case::new(format!("rows {rows} cols {cols} eps {eps} accumulate {accumulate}"));
    let (x, w) = (random.normal(rows * cols), random.normal(cols));
    let (dy, old) = (random.normal(rows * cols), random.normal(rows * cols));
    let wide_eps = f64::from(eps);
    let mut want_y = reference::rms_norm::forward(&wide(&x), &wide(&w), wide_eps);
    let mut want_dx = reference::rms_norm::backward_x(&wide(&x), &wide(&w), &wide(&dy), wide_eps);
    let shape = [rows, cols];
    let (x, w, dy) = (case.input(&shape, &x), case.input(&[cols], &w), case.input(&shape, &dy));
    let [y, dx] = [(); 2].map(|()| if accumulate { case.input(&shape, &old) } else { case.output(&shape) });
    if accumulate {
        for want in [&mut want_y, &mut want_dx] {
            want.iter_mut().zip(&old).for_each(|(want, old)| *want += f64::from(*old));
        }
    }
    case.record(move |rec, b| {
        match accumulate {
            true => rms_norm::forward_add(rec, &b[x], &b[w], &b[y], eps)?,
            false => rms_norm::forward(rec, &b[x], &b[w], &b[y], eps)?,
        }
        rms_norm::backward_x(rec, &b[x], &b[w], &b[dy], &b[dx], eps, accumulate)
    });
    case.near(y, want_y, Policy::of(Dtype::F32, cols).rows(cols));
    // With one column and a small eps, y hardly depends on x: differences of numbers of the size of dy.
    case.near(dx, want_dx, Policy::of(Dtype::F32, cols).rows(cols).at_least(1.0));
    case
}

pub(crate) fn gather() -> Vec<Case> {
    let mut random = Random::new(5);
    let mut cases = Vec::new();
    for (m, cols) in shapes() {
        let mut case = Case::new(format!("m {m} cols {cols}"));
        let rows = m + 2;
        let (x, dy, old) = (random.normal(rows * cols), random.normal(m * cols), random.normal(rows * cols));
        // Backward has several places of a row side by side: here up to five, and none at the end.
        let mut index: Vec<u32> = (0..m).map(|_| random.below(rows) as u32).collect();
        let mut grouped: Vec<u32> = (0..m).map(|_| random.below(rows.div_ceil(2)) as u32).collect();
        grouped.sort_unstable();
        if m > 1 {
            (index[m / 2], grouped[m - 1]) = (kernel::NONE, kernel::NONE);
        }
        let bits = |values: Vec<f64>| words(&values.iter().map(|&value| value as f32).collect::<Vec<_>>());
        let want_y = bits(reference::gather::forward(cols, kernel::NONE, &index, &wide(&x)));
        let want_dx = reference::gather::backward(cols, kernel::NONE, &grouped, &wide(&dy), &wide(&old));
        let [index, grouped] = [index, grouped].map(|list| case.words(&[m], &list));
        let (x, dy) = (case.input(&[rows, cols], &x), case.input(&[m, cols], &dy));
        let (y, dx) = (case.output(&[m, cols]), case.input(&[rows, cols], &old));
        case.record(move |rec, b| {
            gather::forward(rec, &b[index], &b[x], &b[y])?;
            gather::backward(rec, &b[grouped], &b[dy], &b[dx])
        });
        case.bits(y, want_y);
        case.near(dx, want_dx, Policy::of(Dtype::F32, m.min(8)));
        cases.push(case);
    }
    cases
}

pub(crate) fn log_softmax() -> Vec<Case> {
    let mut random = Random::new(6);
    let mut cases = Vec::new();
    // `before` and `after` rows belong to other chunks: the kernel must leave them alone.
    for ((rows, cols), (before, after)) in shapes().zip([(0, 0), (2, 1), (0, 3), (5, 0), (1, 1), (0, 0)]) {
        let all = before + rows + after;
        let mut case = Case::new(format!("rows {before}..{} of {all}, cols {cols}", before + rows));
        // Logits far from 0, as models have them.
        let z: Vec<f32> = random.normal(rows * cols).iter().map(|z| 5.0 * z + 40.0).collect();
        let target: Vec<u32> = (0..all).map(|_| random.below(cols) as u32).collect();
        let (coefficient, old) = (random.normal(all), random.normal(all));
        let chunk = before..before + rows;
        let (logprob, entropy) = reference::log_softmax::forward(cols, &target[chunk.clone()], &wide(&z));
        let want_dz = reference::log_softmax::backward(
            cols,
            &target[chunk.clone()],
            &wide(&coefficient[chunk.clone()]),
            &wide(&z),
        );
        let whole = |part: Vec<f64>| {
            let mut whole = wide(&old);
            whole.splice(chunk.clone(), part);
            whole
        };
        let (logprob, entropy) = (whole(logprob), whole(entropy));
        let (target, coefficient) = (case.words(&[all], &target), case.input(&[all], &coefficient));
        let (z_in, dz) = (case.input(&[rows, cols], &z), case.input(&[rows, cols], &z));
        let [out_logprob, out_entropy] = [(); 2].map(|()| case.input(&[all], &old));
        case.record(move |rec, b| {
            log_softmax::forward(rec, before, &b[target], &b[z_in], &b[out_logprob], &b[out_entropy])?;
            log_softmax::backward(rec, before, &b[target], &b[coefficient], &b[dz])
        });
        let policy = Policy::with_exp(Dtype::F32, cols);
        // Differences of logits, which are of this size.
        case.near(out_logprob, logprob, policy.at_least(1.0));
        case.near(out_entropy, entropy, policy.at_least(1.0));
        case.near(dz, want_dz, policy.at_least(1.0 / cols as f64));
        case.untouched(z_in);
        cases.push(case);
    }
    cases
}

pub(crate) fn rope() -> Vec<Case> {
    let mut random = Random::new(7);
    let mut cases = Vec::new();
    let sizes = [
        (1, 9, 3, 64, 64),
        (3, 3, 1, 64, 64),
        (7, 1, 1, 16, 12),
        (8, 4, 2, 32, 32),
        (9, 2, 2, 128, 96),
        (65, 2, 1, 6, 6),
        (5, 3, 1, 24, 4),
    ];
    for (rows, heads, kv_heads, head_dim, turned) in sizes {
        let name = format!("rows {rows} heads {heads} and {kv_heads} head_dim {head_dim} turned {turned}");
        let mut case = Case::new(name);
        let positions = 70;
        let position: Vec<u32> = (0..rows).map(|_| random.below(positions) as u32).collect();
        let angle = |at: usize| {
            let (position, i) = (at / (head_dim / 2), at % (head_dim / 2));
            position as f64 * 10_000f64.powf(-2.0 * i as f64 / head_dim as f64)
        };
        let turn = |at: usize| match at % (head_dim / 2) < turned / 2 {
            true => [angle(at).cos() as f32, angle(at).sin() as f32],
            false => [1.0, 0.0],
        };
        let table: Vec<f32> = (0..positions * head_dim / 2).flat_map(turn).collect();
        let (q_cols, k_cols) = (heads * head_dim, kv_heads * head_dim);
        let inputs = [(q_cols, 1.0), (k_cols, 1.0), (q_cols, -1.0), (k_cols, -1.0)];
        let tensors = inputs.map(|(cols, sign)| {
            let x = random.normal(rows * cols);
            let want = reference::rope::rotate([head_dim, turned], sign, &position, &wide(&table), &wide(&x));
            let index = case.input(&[rows, cols], &x);
            case.near(index, want, Policy::of(Dtype::F32, 2).rows(cols));
            index
        });
        let (position, table) = (case.words(&[rows], &position), case.input(&[positions, head_dim], &table));
        let [q, k, dq, dk] = tensors;
        case.record(move |rec, b| {
            let positions = rope::Positions { position: &b[position], table: &b[table], turned };
            rope::forward(rec, positions, &b[q], &b[k])?;
            rope::backward(rec, positions, &b[dq], &b[dk])
        });
        cases.push(case);
        cases.extend(cache::rope_cached(&mut random, [rows, heads, kv_heads, head_dim], turned));
    }
    cases
}

pub(crate) fn swiglu() -> Vec<Case> {
    let mut random = Random::new(8);
    let mut cases = Vec::new();
    for ((rows, cols), act) in shapes().flat_map(|shape| Activation::ALL.map(|act| (shape, act))) {
        let mut case = Case::new(format!("rows {rows} cols {cols} {act:?}"));
        let [mut g, u, dy] = [(); 3].map(|()| random.normal(rows * cols));
        // Saturated gates: exp overflows on one side and vanishes on the other.
        g.iter_mut().skip(1).step_by(4).for_each(|g| *g *= 100.0);
        let want = reference::swiglu::forward(act, &wide(&g), &wide(&u));
        let (want_dg, want_du) = reference::swiglu::backward(act, &wide(&g), &wide(&u), &wide(&dy));
        let shape = [rows, cols];
        let [g, u, dy] = [g, u, dy].map(|data| case.input(&shape, &data));
        let [y, dg, du] = [(); 3].map(|()| case.output(&shape));
        case.record(move |rec, b| {
            swiglu::forward(rec, act, &b[g], &b[u], &b[y])?;
            swiglu::backward(rec, act, &b[g], &b[u], &b[dy], &b[dg], &b[du])
        });
        for (buffer, want) in [(y, want), (dg, want_dg), (du, want_du)] {
            // Every value by its own size: a few are a hundred times larger than the rest.
            case.near(buffer, want, Policy::with_exp(Dtype::F32, 1).rows(1).at_least(1.0));
        }
        cases.push(case);
    }
    cases
}
