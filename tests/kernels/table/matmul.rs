//! Kernels that read weight matrices, in every format.

use half::f16;
use stepladder::Result;
use stepladder::gpu::{Buffer, Gpu, Recorder};
use stepladder::kernel::embed;
use stepladder::kernel::lora::up::Adapter;
use stepladder::kernel::product::{self, By, Segment};
use stepladder::kernel::rms_norm::Input;
use stepladder::kernel::weight::{Format, Weight};

use super::case::Case;
use super::segments::joined;
use crate::common::{Dtype, Policy, Random, wide};
use crate::reference;

/// What the nibbles of IQ4 stand for.
const TABLE: [i32; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// The same of NF4: singles, as bitsandbytes' `create_normal_map` makes them.
const NORMAL: [f32; 16] = [
    -1.0,
    -0.6961928,
    -0.52507305,
    -0.3949175,
    -0.28444138,
    -0.18477343,
    -0.091050036,
    0.0,
    0.0795803,
    0.1609302,
    0.2461123,
    0.33791524,
    0.44070983,
    0.562617,
    0.72295684,
    1.0,
];

/// A packed random matrix and the values that it stands for.
#[derive(Clone)]
pub(crate) struct Packed {
    pub(super) format: Format,
    pub(super) rows: usize,
    pub(super) cols: usize,
    words: Vec<u32>,
    scales: Vec<[f32; 2]>,
    pub(crate) values: Vec<f64>,
}

impl Packed {
    /// Random blocks, with the numbers that a quantiser would give for values around 1.
    pub(crate) fn random(random: &mut Random, format: Format, rows: usize, cols: usize) -> Self {
        let (mut words, mut scales, mut values) = (Vec::new(), Vec::new(), Vec::new());
        if !format.has_scales() {
            for pair in random.normal(rows * cols).chunks(2) {
                if format == Format::F32 {
                    words.extend(pair.iter().map(|value| value.to_bits()));
                    values.extend(wide(pair));
                } else {
                    let halves = [f16::from_f32(pair[0]), f16::from_f32(pair[1])];
                    words.push(u32::from(halves[0].to_bits()) | u32::from(halves[1].to_bits()) << 16);
                    values.extend(halves.map(f16::to_f64));
                }
            }
            return Self { format, rows, cols, words, scales, values };
        }
        for _ in 0..rows * cols / 32 {
            let [a, b] = [random.normal(1)[0], random.normal(1)[0]];
            let per_word = format.values_per_word();
            let scale = match format {
                Format::Q8 => [a / 64.0, b],
                Format::Q8x2 | Format::Iq4 => [a / 64.0, b / 64.0],
                Format::Q2x2 | Format::Nf4 => [a, b],
                _ => [a / 4.0, b * 2.0],
            };
            // What is added to the values of each half, where it is among the words.
            let mins = [random.normal(1)[0], random.normal(1)[0]];
            let halves = mins.map(f32::to_bits).map(|bits| [bits & 0xffff, bits >> 16]);
            for word in 0..32 / per_word {
                let packed = match format {
                    Format::Q2x2 => random.word() & 0xffff | halves[word / 2][word % 2] << 16,
                    _ => random.word(),
                };
                for i in 0..per_word {
                    let q = match format {
                        Format::Q4 => f64::from(packed >> (4 * i) & 15),
                        Format::Iq4 => f64::from(TABLE[(packed >> (4 * i) & 15) as usize]),
                        Format::Nf4 => f64::from(NORMAL[(packed >> (4 * i) & 15) as usize]),
                        Format::Q2x2 => f64::from(packed >> (2 * i) & 3),
                        _ => f64::from(packed.to_le_bytes()[i] as i8),
                    };
                    let [scale, min] = scale.map(f64::from);
                    values.push(match format {
                        Format::Q8x2 | Format::Iq4 | Format::Nf4 if word * per_word >= 16 => min * q,
                        Format::Q8x2 | Format::Iq4 | Format::Nf4 => scale * q,
                        Format::Q2x2 if word < 2 => scale * q + f64::from(mins[0]),
                        Format::Q2x2 => min * q + f64::from(mins[1]),
                        _ => scale * q + min,
                    });
                }
                words.push(packed);
            }
            scales.push(scale);
        }
        Self { format, rows, cols, words, scales, values }
    }

    /// The matrix on the GPU, written in two pieces.
    pub(crate) fn upload(&self, gpu: &Gpu) -> Result<Weight> {
        let weight = Weight::new(gpu, "w", self.format, self.rows, self.cols)?;
        let half = self.rows / 2;
        let (words, scales) = (half * (self.words.len() / self.rows), half * (self.scales.len() / self.rows));
        weight.write_rows(gpu, 0, &self.words[..words], &self.scales[..scales])?;
        weight.write_rows(gpu, half, &self.words[words..], &self.scales[scales..])?;
        Ok(weight)
    }
}

/// (n, k): odd numbers of rows, one block and a few, columns that are no multiple of 32.
const SIZES: [(usize, usize); 5] = [(1, 32), (6, 8), (13, 72), (64, 96), (30, 32)];
const ROWS: [usize; 6] = [1, 3, 7, 8, 9, 65];

pub(crate) fn cases() -> Vec<Case> {
    let mut random = Random::new(1);
    let mut cases = Vec::new();
    for format in Format::ALL {
        for (n, k) in SIZES {
            if k % format.column_multiple() == 0 {
                for (index, m) in ROWS.into_iter().enumerate() {
                    let packed = Packed::random(&mut random, format, n, k);
                    let rank = RANKS[index % 4];
                    cases.push(forward(&mut random, &packed, m, rank, index % 3 == 1, Dtype::F32));
                    cases.push(backward_x(&mut random, &packed, m, rank, index % 3 == 0));
                }
            }
        }
    }
    cases.extend(joined(PLAIN, 22, &[1, 3, 8, 9, 70], Dtype::F32));
    // As many rows as the largest vocabularies have: Mesa's CPU driver ends a shader's loops after 65,535 turns in all.
    for (n, m) in [(70_000, 1), (263_000, 9)] {
        let packed = Packed::random(&mut random, Format::F32, n, 8);
        cases.push(backward_x(&mut random, &packed, m, 0, false));
    }
    cases
}

pub(super) fn add(values: &mut [f64], more: &[f32]) {
    values.iter_mut().zip(more).for_each(|(value, more)| *value += f64::from(*more));
}

/// Size of a sum of `k` products of W's values with normal numbers, should it cancel by chance.
pub(crate) fn terms(k: usize, values: &[f64]) -> f64 {
    (k as f64 * values.iter().map(|w| w * w).sum::<f64>() / values.len() as f64).sqrt()
}

/// The parameters of a product as the shaders take them, all of y one segment without more: shaders/include/segments.wgsl.
pub(crate) fn params([m, n, k]: [usize; 3]) -> [[u32; 6]; 6] {
    let mut words = vec![0; 28];
    words[1..4].fill(n as u32);
    words.extend([m, n, k, 0, 0, 0, 0, 0].map(|size| size as u32));
    std::array::from_fn(|row| std::array::from_fn(|col| words[6 * row + col]))
}

/// Ranks of the adapters that products are tried with, by the number of the case.
const RANKS: [usize; 4] = [0, 4, 0, 5];

/// A product's adapter in a test: buffers by index and the factor.
#[derive(Clone, Copy)]
struct Adapted {
    low: usize,
    matrix: usize,
}

pub(super) const SCALE: f32 = 0.75;

impl Adapted {
    /// low `[m, rank]` and the other matrix, as the kernel takes them.
    fn adapter(self, buffers: &[Buffer]) -> Adapter {
        let [low, matrix] = [self.low, self.matrix].map(|index| buffers[index].clone());
        Adapter { low, matrix, row: 0, scale: SCALE }
    }
}

pub(super) type Forward = fn(&mut Recorder<'_>, &Weight, &Buffer, &[Segment], bool) -> Result<()>;
pub(super) type Backward = fn(&mut Recorder<'_>, &Weight, &[Segment], &Buffer, bool) -> Result<()>;

/// A reference for m, n, k, W and the other operand.
pub(super) type Reference = fn(usize, usize, usize, &[f64], &[f64]) -> Vec<f64>;

/// Both products by one shader, and their references.
#[derive(Clone, Copy)]
pub(super) struct Products {
    pub(super) forward: Forward,
    pub(super) backward_x: Backward,
    pub(super) reference: [Reference; 2],
}

const PLAIN: Products = Products {
    forward: |rec, w, x, segments, accumulate| {
        product::forward_joined(rec, w, Input::plain(x), segments, accumulate)
    },
    backward_x: product::backward_x_joined,
    reference: [reference::product::direct::forward, reference::product::direct::backward_x],
};
const TILED: Products = Products {
    forward: |rec, w, x, segments, accumulate| {
        product::forward_by(rec, By::Tiled, w, x, segments, accumulate)
    },
    backward_x: |rec, w, segments, dx, accumulate| {
        product::backward_x_by(rec, By::Tiled, w, segments, dx, accumulate)
    },
    reference: [reference::product::tiled::forward, reference::product::tiled::backward_x],
};
const COOP: Products = Products {
    forward: |rec, w, x, segments, accumulate| {
        product::forward_by(rec, By::MatrixUnits, w, x, segments, accumulate)
    },
    backward_x: |rec, w, segments, dx, accumulate| {
        product::backward_x_by(rec, By::MatrixUnits, w, segments, dx, accumulate)
    },
    reference: [reference::product::matrix_units::forward, reference::product::matrix_units::backward_x],
};
const LANES: Products = Products {
    forward: |rec, w, x, segments, accumulate| {
        product::forward_by(rec, By::PerLane, w, x, segments, accumulate)
    },
    backward_x: |rec, w, segments, dx, accumulate| {
        product::backward_x_by(rec, By::PerLane, w, segments, dx, accumulate)
    },
    reference: [reference::product::per_lane::forward, reference::product::per_lane::backward_x],
};

fn forward(random: &mut Random, w: &Packed, m: usize, rank: usize, accumulate: bool, dtype: Dtype) -> Case {
    forward_by(PLAIN, random, w, m, rank, accumulate, dtype)
}

fn backward_x(random: &mut Random, w: &Packed, m: usize, rank: usize, accumulate: bool) -> Case {
    backward_x_by(PLAIN, random, w, m, rank, accumulate, Dtype::F32)
}

/// The kernels for many rows on a GPU.
pub(crate) fn tiled() -> Vec<Case> {
    let cases = many_rows(TILED, 15, Dtype::F32, &Format::ALL);
    cases.into_iter().chain(joined(TILED, 17, &[9, 70], Dtype::F32)).collect()
}

/// The kernels for several rows on a software adapter.
pub(crate) fn lanes() -> Vec<Case> {
    let cases = many_rows(LANES, 16, Dtype::F32, &Format::ALL);
    cases.into_iter().chain(joined(LANES, 18, &[9, 70], Dtype::F32)).collect()
}

/// The kernels with cooperative matrices.
pub(crate) fn coop() -> Vec<Case> {
    let mut cases = many_rows(COOP, 17, Dtype::F16, &Format::ALL);
    cases.extend(joined(COOP, 21, &[20, 70], Dtype::F16));
    let mut random = Random::new(18);
    for format in Format::ALL {
        let packed = Packed::random(&mut random, format, 70, 96);
        cases.push(wide_range_by(COOP, false, &mut random, &packed, 21));
        cases.push(wide_range_by(COOP, true, &mut random, &packed, 21));
    }
    cases
}

/// Matrices of several parts, by cooperative matrices.
pub(crate) fn coop_split() -> Vec<Case> {
    let mut random = Random::new(20);
    let mut cases = Vec::new();
    for format in [Format::F32, Format::Q4] {
        for (m, rank, accumulate) in [(20, 3, false), (40, 0, true)] {
            let packed = Packed::random(&mut random, format, 53, 64);
            cases.push(forward_by(COOP, &mut random, &packed, m, rank, accumulate, Dtype::F16));
            cases.push(backward_x_by(COOP, &mut random, &packed, m, rank, accumulate, Dtype::F16));
        }
    }
    cases
}

/// The tiles that were chosen, in f16.
pub(crate) fn chosen() -> Vec<Case> {
    many_rows(PLAIN, 19, Dtype::F16, &[Format::Q4])
}

/// The tiles that were chosen, in f32, of one segment and of several.
pub(crate) fn chosen_f32() -> Vec<Case> {
    let cases = many_rows(PLAIN, 23, Dtype::F32, &[Format::F32, Format::Q4]);
    cases.into_iter().chain(joined(PLAIN, 24, &[9, 70], Dtype::F32)).collect()
}

/// Fewer rows and columns than a workgroup owns, and several workgroups.
fn many_rows(products: Products, seed: u64, dtype: Dtype, formats: &[Format]) -> Vec<Case> {
    let mut random = Random::new(seed);
    let mut cases = Vec::new();
    for &format in formats {
        for (n, k) in [(13, 72), (64, 96), (70, 160)] {
            if k % format.column_multiple() == 0 {
                for (index, m) in [9, 33, 64, 70].into_iter().enumerate() {
                    let packed = Packed::random(&mut random, format, n, k);
                    let (rank, accumulate) = (RANKS[index % 4], index % 3 == 1);
                    cases.push(forward_by(products, &mut random, &packed, m, rank, accumulate, dtype));
                    cases.push(backward_x_by(products, &mut random, &packed, m, rank, !accumulate, dtype));
                }
            }
        }
    }
    cases
}

fn forward_by(
    products: Products,
    random: &mut Random,
    w: &Packed,
    m: usize,
    rank: usize,
    accumulate: bool,
    dtype: Dtype,
) -> Case {
    let (n, k) = (w.rows, w.cols);
    let mut case =
        Case::new(format!("forward {:?} m {m} n {n} k {k} rank {rank}, accumulate {accumulate}", w.format));
    let (x, old) = (random.normal(m * k), random.normal(m * n));
    let (low, b) = (random.normal(m * rank), random.normal(n * rank));
    let mut want = products.reference[0](m, n, k, &w.values, &wide(&x));
    let more = reference::lora::up::up(m, n, rank, f64::from(SCALE), &wide(&b), &wide(&low));
    want.iter_mut().zip(more).for_each(|(value, more)| *value += more);
    let x = case.input(&[m, k], &x);
    let y = if accumulate { case.input(&[m, n], &old) } else { case.output(&[m, n]) };
    if accumulate {
        add(&mut want, &old);
    }
    let adapted =
        (rank > 0).then(|| Adapted { low: case.input(&[m, rank], &low), matrix: case.input(&[n, rank], &b) });
    let (w, w_values) = (w.clone(), w.values.clone());
    case.record(move |rec, b| {
        let adapter = adapted.map(|adapted| adapted.adapter(b));
        (products.forward)(rec, &w.upload(rec.gpu())?, &b[x], &[Segment::new(&b[y], adapter)], accumulate)
    });
    case.near(y, want, policy(dtype, k).rows(n).at_least(terms(k, &w_values)));
    case
}

/// The policy of sums of `k` products.
pub(super) fn policy(dtype: Dtype, k: usize) -> Policy {
    if dtype == Dtype::F16 { Policy::f16_products() } else { Policy::of(dtype, k) }
}

fn backward_x_by(
    products: Products,
    random: &mut Random,
    w: &Packed,
    m: usize,
    rank: usize,
    accumulate: bool,
    dtype: Dtype,
) -> Case {
    let (n, k) = (w.rows, w.cols);
    let mut case = Case::new(format!(
        "backward_x {:?} m {m} n {n} k {k} rank {rank}, accumulate {accumulate}",
        w.format
    ));
    let (dy, old) = (random.normal(m * n), random.normal(m * k));
    let (low, a) = (random.normal(m * rank), random.normal(rank * k));
    let mut want = products.reference[1](m, n, k, &w.values, &wide(&dy));
    let more = reference::lora::up::up_x(m, rank, k, f64::from(SCALE), &wide(&a), &wide(&low));
    want.iter_mut().zip(more).for_each(|(value, more)| *value += more);
    let dy = case.input(&[m, n], &dy);
    let dx = if accumulate { case.input(&[m, k], &old) } else { case.output(&[m, k]) };
    if accumulate {
        add(&mut want, &old);
    }
    let adapted =
        (rank > 0).then(|| Adapted { low: case.input(&[m, rank], &low), matrix: case.input(&[rank, k], &a) });
    let (w, w_values) = (w.clone(), w.values.clone());
    case.record(move |rec, b| {
        let adapter = adapted.map(|adapted| adapted.adapter(b));
        (products.backward_x)(
            rec,
            &w.upload(rec.gpu())?,
            &[Segment::new(&b[dy], adapter)],
            &b[dx],
            accumulate,
        )
    });
    case.near(dx, want, policy(dtype, n).rows(k).at_least(terms(n, &w_values)));
    case
}

pub(crate) fn embed() -> Vec<Case> {
    let mut random = Random::new(11);
    let mut cases = Vec::new();
    for format in Format::ALL {
        for (rows, cols, m) in [(1, 32, 1), (7, 64, 3), (50, 96, 65)] {
            let mut case = Case::new(format!("{format:?} rows {rows} cols {cols} m {m}"));
            let packed = Packed::random(&mut random, format, rows, cols);
            let token: Vec<u32> = (0..m).map(|_| random.below(rows) as u32).collect();
            let scale = if rows == 7 { 2.5 } else { 1.0 };
            let want = reference::embed::forward(cols, &packed.values, &token, scale);
            let token = case.words(&[m], &token);
            let y = case.output(&[m, cols]);
            case.record(move |rec, b| {
                embed::forward(rec, &packed.upload(rec.gpu())?, &b[token], scale as f32, &b[y])
            });
            // Dequantising is one product and one sum, and the scale another.
            case.near(y, want, Policy::of(Dtype::F32, 3));
            cases.push(case);
        }
    }
    cases
}

/// Forward products in f16, also of rows that f16 alone could not hold.
pub(crate) fn f16() -> Vec<Case> {
    let mut random = Random::new(13);
    let mut cases = Vec::new();
    for format in Format::ALL {
        for (n, k) in [(13, 64), (64, 96), (30, 576)] {
            for (index, m) in ROWS.into_iter().enumerate() {
                let packed = Packed::random(&mut random, format, n, k);
                cases.push(forward(&mut random, &packed, m, RANKS[index % 4], index % 3 == 1, Dtype::F16));
            }
        }
        for m in [5, 12] {
            let packed = Packed::random(&mut random, format, 64, 96);
            cases.push(wide_range(&mut random, &packed, m));
        }
    }
    cases
}

/// Rows of very different sizes, most of which overflow or vanish in f16.
fn wide_range(random: &mut Random, w: &Packed, m: usize) -> Case {
    wide_range_by(PLAIN, false, random, w, m)
}

/// The same for either product.
fn wide_range_by(products: Products, backward: bool, random: &mut Random, w: &Packed, m: usize) -> Case {
    let name = if backward { "backward_x" } else { "forward" };
    let (n, k) = (w.rows, w.cols);
    let mut case = Case::new(format!("{name} {:?} m {m} n {n} k {k}, rows from 1e-20 to 1e20", w.format));
    // Columns on the side where rows are summed, and on the other.
    let (terms_of, cols) = if backward { (n, k) } else { (k, n) };
    let mut x = random.normal(m * terms_of);
    let sizes: Vec<f32> = (0..m as i32).map(|row| 10f32.powi(row * 40 / (m as i32 - 1) - 20)).collect();
    for (x, size) in x.chunks_mut(terms_of).zip(&sizes) {
        x.iter_mut().for_each(|x| *x *= size);
    }
    let want = products.reference[usize::from(backward)](m, n, k, &w.values, &wide(&x));
    let (x, y) = (case.input(&[m, terms_of], &x), case.output(&[m, cols]));
    // Each row by its own size; one for all would be that of the largest.
    for (row, (want, &size)) in want.chunks(cols).zip(&sizes).enumerate() {
        let policy = Policy::f16_products().at_least(f64::from(size) * terms(terms_of, &w.values));
        case.near_from(y, row * cols, want.to_vec(), policy);
    }
    let w = w.clone();
    case.record(move |rec, b| {
        let w = w.upload(rec.gpu())?;
        match backward {
            true => (products.backward_x)(rec, &w, &[Segment::plain(&b[x])], &b[y], false),
            false => (products.forward)(rec, &w, &b[x], &[Segment::plain(&b[y])], false),
        }
    });
    case
}

/// Matrices of several parts where a binding holds a few rows of them.
pub(crate) fn split() -> Vec<Case> {
    let mut random = Random::new(12);
    let mut cases = Vec::new();
    for format in Format::ALL {
        for (m, rank, accumulate) in [(1, 4, false), (9, 3, true), (9, 0, true)] {
            let packed = Packed::random(&mut random, format, 53, 64);
            cases.push(forward(&mut random, &packed, m, rank, accumulate, Dtype::F32));
            cases.push(backward_x(&mut random, &packed, m, rank, accumulate));
        }
    }
    cases.extend(embed());
    cases
}
