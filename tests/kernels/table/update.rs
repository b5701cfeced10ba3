//! The optimizer.

use stepladder::kernel::adamw::{self, Hyper};

use super::case::Case;
use crate::common::{Dtype, Policy, Random, wide};
use crate::reference;

const HYPER: Hyper = Hyper {
    learning_rate: 1e-2,
    beta1: 0.9,
    beta2: 0.99,
    eps: 1e-6,
    weight_decay: 0.1,
    c1: 1.0 - 0.9 * 0.9 * 0.9,
    c2: 1.0 - 0.99 * 0.99 * 0.99,
    clip: 0.0,
};

pub(crate) fn adamw() -> Vec<Case> {
    let mut random = Random::new(10);
    let mut cases = Vec::new();
    for len in [1, 3, 63, 256, 257, 5_000] {
        // Off; on and too large to matter; on and clipping.
        for clip in [0.0, 1e6, 0.5] {
            cases.push(step(&mut random, len, Hyper { clip, ..HYPER }, None));
        }
    }
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30] {
        for clip in [0.0, 0.5] {
            cases.push(step(&mut random, 300, Hyper { clip, ..HYPER }, Some(bad)));
        }
    }
    cases
}

/// One step, with one value of the gradient replaced by `bad`, whose norm is not finite.
fn step(random: &mut Random, len: usize, hyper: Hyper, bad: Option<f32>) -> Case {
    let mut case = Case::new(format!("len {len} clip {} bad {bad:?}", hyper.clip));
    let [w, mut g, m] = [(); 3].map(|()| random.normal(len));
    let v: Vec<f32> = random.normal(len).iter().map(|v| v * v).collect();
    if let Some(bad) = bad {
        g[len / 2] = bad;
    }
    let (mut want_w, mut want_m, mut want_v) = (wide(&w), wide(&m), wide(&v));
    reference::adamw::step(&wide(&g), &hyper, &mut want_w, &mut want_m, &mut want_v);
    let (want_norm, want_scale) = reference::adamw::norm(&wide(&g), &hyper);
    let [w, g, m, v] = [w, g, m, v].map(|data| case.input(&[len], &data));
    let hyper = case.input(&[8], bytemuck::cast_slice(&[hyper]));
    // Norm, scale and whether the norm is finite.
    let norm = case.output(&[4]);
    case.record(move |rec, b| {
        let mut state = adamw::State::new(rec.gpu(), len)?;
        state.m = b[m].clone();
        state.v = b[v].clone();
        state.hyper = b[hyper].clone();
        state.norm = b[norm].clone();
        adamw::step(rec, &b[w], &b[g], &state)
    });
    case.untouched(g);
    if bad.is_some() {
        for buffer in [w, m, v] {
            case.untouched(buffer);
        }
        case.bits_from(norm, 2, vec![0]);
        return case;
    }
    let policy = Policy::with_exp(Dtype::F32, len);
    case.near(norm, vec![want_norm, want_scale], policy.rows(1));
    case.bits_from(norm, 2, vec![1]);
    for (buffer, want) in [(w, want_w), (m, want_m), (v, want_v)] {
        case.near(buffer, want, policy);
    }
    case
}
