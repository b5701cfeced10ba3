//! LoRA's first half.

use stepladder::kernel::lora::{self, Site};
use stepladder::kernel::matmul::Input;
use stepladder::kernel::rms_norm::Norm;

use super::case::{Case, UNWRITTEN};
use crate::common::{Dtype, Policy, Random, wide};
use crate::reference;

pub(crate) fn down() -> Vec<Case> {
    let mut random = Random::new(31);
    let mut cases = Vec::new();
    for ranks in [&[16, 16, 16][..], &[4], &[3, 5], &[1, 2, 8]] {
        for k in [8, 72, 576] {
            for m in [1, 3, 8, 21] {
                cases.push(one(&mut random, ranks, m, k, None));
                cases.push(one(&mut random, ranks, m, k, Some(0.1)));
            }
        }
    }
    cases
}

/// Sites in the order of `ranks`, with gaps between their matrices, the results in another order. x is normalised with `eps`.
fn one(random: &mut Random, ranks: &[usize], m: usize, k: usize, eps: Option<f32>) -> Case {
    let mut case = Case::new(format!("ranks {ranks:?} m {m} k {k} normed {eps:?}"));
    let gap = 64;
    let (mut a_len, mut t_len) = (0, 0);
    let mut sites: Vec<Site> = Vec::new();
    for &rank in ranks {
        sites.push(Site { rank, a_start: a_len, t_start: 0 });
        a_len += (rank * k).next_multiple_of(gap) + gap;
    }
    for site in sites.iter_mut().rev() {
        site.t_start = t_len;
        t_len += (m * site.rank).next_multiple_of(gap);
    }
    let (x, a, weight) = (random.normal(m * k), random.normal(a_len), random.normal(k));
    let read = match eps {
        Some(eps) => reference::rms_norm::forward(&wide(&x), &wide(&weight), eps.into()),
        None => wide(&x),
    };
    let wants: Vec<(usize, usize, Vec<f64>)> = sites
        .iter()
        .map(|site| {
            let a = wide(&a[site.a_start..][..site.rank * k]);
            (site.t_start, site.rank, reference::lora::down(m, site.rank, k, &a, &read))
        })
        .collect();
    let (x, a, t) = (case.input(&[m, k], &x), case.input(&[a_len], &a), case.output(&[t_len]));
    let weight = case.input(&[k], &weight);
    case.record(move |rec, b| {
        let input = Input { x: &b[x], norm: eps.map(|eps| Norm { weight: &b[weight], eps }) };
        lora::down(rec, input, &b[a], &b[t], &sites)
    });
    for (start, rank, want) in wants {
        let end = start + m * rank;
        case.near_from(t, start, want, Policy::of(Dtype::F32, k).at_least((k as f64).sqrt()));
        // Nothing is written behind a site's own result.
        case.bits_from(t, end, vec![UNWRITTEN; end.next_multiple_of(gap) - end]);
    }
    case
}
