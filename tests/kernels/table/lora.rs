//! LoRA's first half, and its backward pass.

use stepladder::kernel::lora::down::{self, Made};
use stepladder::kernel::lora::grad;
use stepladder::kernel::lora::site::{Joined, Site};
use stepladder::kernel::rms_norm::{Input, Norm};
use stepladder::kernel::swiglu::Activation;

use super::case::{Case, UNWRITTEN};
use crate::common::{Dtype, Policy, Random, wide};
use crate::reference;

pub(crate) fn down() -> Vec<Case> {
    let mut random = Random::new(31);
    let mut cases = Vec::new();
    for ranks in [&[16, 16, 16][..], &[4], &[3, 5], &[1, 2, 8]] {
        for k in [8, 72, 576] {
            for m in [1, 3, 8, 21] {
                let gated = Activation::ALL.map(Reads::GatedKept);
                for reads in [Reads::Plain, Reads::Normed, Reads::NormedKept].into_iter().chain(gated) {
                    cases.push(one(&mut random, ranks, m, k, reads));
                }
            }
        }
    }
    cases
}

/// What a first half reads: x, what becomes of it on the way, or that and writes it down.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Reads {
    Plain,
    Normed,
    NormedKept,
    GatedKept(Activation),
}

/// Sites in the order of `ranks`, with gaps between their matrices, the results in another order.
fn one(random: &mut Random, ranks: &[usize], m: usize, k: usize, reads: Reads) -> Case {
    let mut case = Case::new(format!("ranks {ranks:?} m {m} k {k} reads {reads:?}"));
    let eps = 0.1;
    let gap = 64;
    let (mut a_len, mut t_len) = (0, 0);
    let mut sites: Vec<Site> = Vec::new();
    for &rank in ranks {
        sites.push(Site { rank, a_start: a_len, ..Site::default() });
        a_len += (rank * k).next_multiple_of(gap) + gap;
    }
    for site in sites.iter_mut().rev() {
        site.low_start = t_len;
        t_len += (m * site.rank).next_multiple_of(gap);
    }
    let (x, a, weight) = (random.normal(m * k), random.normal(a_len), random.normal(k));
    let up = random.normal(m * k);
    let read = match reads {
        Reads::Plain => wide(&x),
        Reads::Normed | Reads::NormedKept => {
            reference::rms_norm::forward(&wide(&x), &wide(&weight), f64::from(eps))
        }
        Reads::GatedKept(act) => reference::product::few_rows::joined(act, &wide(&x), &wide(&up)),
    };
    let wants: Vec<(usize, usize, Vec<f64>)> = sites
        .iter()
        .map(|site| {
            let a = wide(&a[site.a_start..][..site.rank * k]);
            (site.low_start, site.rank, reference::lora::down::down(m, site.rank, k, &a, &read))
        })
        .collect();
    let (x, a, t) = (case.input(&[m, k], &x), case.input(&[a_len], &a), case.output(&[t_len]));
    let (weight, up, kept) = (case.input(&[k], &weight), case.input(&[m, k], &up), case.output(&[m, k]));
    case.record(move |rec, b| {
        let norm = Norm { weight: &b[weight], eps };
        let keeping = |rec, made| down::down_keeping(rec, &b[x], made, &b[kept], &b[a], &b[t], &sites);
        match reads {
            Reads::Plain => down::down(rec, Input::plain(&b[x]), &b[a], &b[t], &sites),
            Reads::Normed => down::down(rec, Input { x: &b[x], norm: Some(norm) }, &b[a], &b[t], &sites),
            Reads::NormedKept => keeping(rec, Made::Norm(norm)),
            Reads::GatedKept(act) => keeping(rec, Made::Gated(act, &b[up])),
        }
    });
    if matches!(reads, Reads::NormedKept | Reads::GatedKept(_)) {
        case.near(kept, read, Policy::of(Dtype::F32, k));
    }
    for (start, rank, want) in wants {
        let end = start + m * rank;
        case.near_from(t, start, want, Policy::of(Dtype::F32, k).at_least((k as f64).sqrt()));
        // Nothing is written behind a site's own result.
        case.bits_from(t, end, vec![UNWRITTEN; end.next_multiple_of(gap) - end]);
    }
    case
}

pub(crate) fn gradients() -> Vec<Case> {
    let mut random = Random::new(32);
    let mut cases = Vec::new();
    for ranks in [&[16, 16, 16][..], &[4], &[3, 5], &[1, 2, 8], &[20]] {
        for (k, cols) in [(8, [4, 12, 4]), (72, [36, 8, 40]), (132, [200, 64, 64])] {
            for m in [1, 3, 8, 21, 67] {
                cases.push(joined(&mut random, reference::lora::grad::back, ranks, m, k, cols));
            }
        }
    }
    cases
}

/// Rows enough for taller tiles.
pub(crate) fn tall_gradients() -> Vec<Case> {
    let mut random = Random::new(33);
    let sizes = [(&[16, 16, 16][..], 130), (&[16, 8], 300), (&[2], 258), (&[5, 6, 7], 270)];
    let case =
        |(ranks, m)| joined(&mut random, reference::lora::grad_lanes::back, ranks, m, 40, [72, 28, 36]);
    sizes.into_iter().map(case).collect()
}

/// A reference for the gradient of x·Aᵀ.
type Back = fn(usize, usize, usize, f64, &[f64], &[f64]) -> Vec<f64>;

/// Modules with gaps between their matrices, those of dy in another order. What lies in gaps is not a number.
fn joined(random: &mut Random, back: Back, ranks: &[usize], m: usize, k: usize, cols: [usize; 3]) -> Case {
    let mut case = Case::new(format!("ranks {ranks:?} m {m} k {k} cols {cols:?}"));
    let gap = 64;
    let take = |end: &mut usize, len: usize| {
        let start = *end;
        *end = (start + len).next_multiple_of(gap) + gap;
        start
    };
    let (mut values, mut lows, mut dys) = (0, 0, 0);
    let mut sites: Vec<Site> = Vec::new();
    for ((&rank, cols), scale) in ranks.iter().zip(cols).zip([0.5, 2.0, 1.25]) {
        let a_start = take(&mut values, rank * k);
        let b_start = take(&mut values, rank * cols);
        let low_start = take(&mut lows, rank * m);
        sites.push(Site { rank, scale, a_start, b_start, low_start, cols, dy_start: 0 });
    }
    for site in sites.iter_mut().rev() {
        site.dy_start = take(&mut dys, m * site.cols);
    }
    let x = random.normal(m * k);
    let blank = |len: usize| vec![f32::from_bits(UNWRITTEN); len];
    let [mut adapter, mut gradient] = [(); 2].map(|()| blank(values));
    let (mut low, mut dy) = (blank(lows), blank(dys));
    for site in &sites {
        let mut fill = |all: &mut [f32], start: usize, len: usize| {
            all[start..start + len].copy_from_slice(&random.normal(len));
        };
        for all in [&mut adapter, &mut gradient] {
            fill(all, site.a_start, site.rank * k);
            fill(all, site.b_start, site.rank * site.cols);
        }
        fill(&mut low, site.low_start, site.rank * m);
        fill(&mut dy, site.dy_start, m * site.cols);
    }
    let wants: Vec<[Vec<f64>; 3]> = sites
        .iter()
        .map(|site| {
            let Site { rank, scale, a_start, b_start, low_start, cols, dy_start } = *site;
            let part = |all: &[f32], start: usize, len: usize| wide(&all[start..start + len]);
            let (scale, dy) = (f64::from(scale), part(&dy, dy_start, m * cols));
            let add = |start: usize, more: Vec<f64>| -> Vec<f64> {
                let old = part(&gradient, start, more.len());
                old.iter().zip(more).map(|(old, more)| old + more).collect()
            };
            let d_low = back(m, cols, rank, scale, &part(&adapter, b_start, rank * cols), &dy);
            let gradient = reference::lora::grad::gradient;
            let da = add(a_start, gradient(m, rank, k, 1.0, &d_low, &wide(&x)));
            let low = part(&low, low_start, m * rank);
            let db = add(b_start, gradient(m, cols, rank, scale, &dy, &low));
            [d_low, da, db]
        })
        .collect();
    let (x, dy) = (case.input(&[m, k], &x), case.input(&[dys], &dy));
    let (adapter, low) = (case.input(&[values], &adapter), case.input(&[lows], &low));
    let (d_low, gradient) = (case.output(&[lows]), case.input(&[values], &gradient));
    let all = sites.clone();
    case.record(move |rec, b| {
        let joined = Joined {
            x: &b[x],
            dy: &b[dy],
            adapter: &b[adapter],
            low: &b[low],
            d_low: &b[d_low],
            gradient: &b[gradient],
            sites: &all,
        };
        grad::back(rec, &joined)?;
        grad::gradients(rec, &joined)
    });
    for (site, [want_low, da, db]) in sites.iter().zip(wants) {
        let root = |terms: usize| (terms as f64).sqrt();
        let places = [
            (d_low, site.low_start, want_low, site.cols, root(site.cols)),
            // d_low is a sum itself.
            (gradient, site.a_start, da, site.cols + m, root(site.cols * m)),
            (gradient, site.b_start, db, m + 1, root(m)),
        ];
        for (buffer, start, want, terms, scale) in places {
            let end = start + want.len();
            case.near_from(buffer, start, want, Policy::of(Dtype::F32, terms).at_least(scale));
            // Nothing is written behind a matrix.
            case.bits_from(buffer, end, vec![UNWRITTEN; end.next_multiple_of(gap) + gap - end]);
        }
    }
    case
}
