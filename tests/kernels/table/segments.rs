//! Products whose y lies in several segments, each with an adapter and a bias of its own.

use stepladder::Result;
use stepladder::gpu::{Buffer, VIEW_ALIGNMENT};
use stepladder::kernel::lora::up::Adapter;
use stepladder::kernel::product::Segment;
use stepladder::kernel::weight::Format;

use super::case::Case;
use super::matmul::{Packed, Products, SCALE, add, policy, terms};
use crate::common::{Dtype, Random, wide};
use crate::reference;

/// A matrix whose rows belong to several segments: with other ranks, without adapters, of widths that no tile divides, in one
/// memory and in several.
pub(super) fn joined(products: Products, seed: u64, rows: &[usize], dtype: Dtype) -> Vec<Case> {
    let mut random = Random::new(seed);
    let mut cases = Vec::new();
    for (index, &m) in rows.iter().enumerate() {
        for (widths, ranks) in [
            (&[40, 13, 7][..], &[4, 0, 5][..]),
            (&[64, 64], &[3, 6]),
            (&[5, 1, 90], &[0, 0, 0]),
            (&[30, 30, 30], &[0, 2, 2]),
            (&[13, 6, 21], &[3, 3, 3]),
        ] {
            for apart in [false, true] {
                let format = Format::ALL[(index + widths.len() + cases.len()) % Format::ALL.len()];
                let w = Packed::random(&mut random, format, widths.iter().sum(), 96);
                let shape = Shape { m, widths, ranks, apart, dtype };
                cases.push(shape.forward(products, &mut random, &w, index % 2 == 1));
                cases.push(shape.backward_x(products, &mut random, &w, index % 2 == 0));
            }
        }
    }
    cases
}

/// The sizes of a product with several segments.
#[derive(Clone, Copy)]
struct Shape {
    m: usize,
    widths: &'static [usize],
    ranks: &'static [usize],
    /// Each segment in a memory of its own.
    apart: bool,
    /// Of the factors.
    dtype: Dtype,
}

/// What a forward product reads of one B: its segments have the same rank, as those of no other case.
const ONE_B: &[usize] = &[3, 3, 3];

/// Matrices one behind the other as views take them, or each in a buffer of its own: buffers by index, first elements.
#[derive(Clone)]
struct Regions {
    places: Vec<(usize, usize, Vec<usize>)>,
    /// The row of each that is the segment's first.
    rows: Vec<usize>,
}

impl Regions {
    fn new(case: &mut Case, apart: bool, shapes: &[Vec<usize>], values: &[Vec<f32>]) -> Self {
        if apart {
            let each = shapes.iter().zip(values);
            let places = each.map(|(shape, values)| (case.input(shape, values), 0, shape.clone())).collect();
            return Self { places, rows: vec![0; shapes.len()] };
        }
        let mut all = Vec::new();
        let mut starts = Vec::new();
        for values in values {
            all.resize(all.len().next_multiple_of(VIEW_ALIGNMENT), 0.5);
            starts.push(all.len());
            all.extend(values);
        }
        let index = case.input(&[all.len()], &all);
        let places = starts.into_iter().zip(shapes).map(|(start, shape)| (index, start, shape.clone()));
        Self { places: places.collect(), rows: vec![0; shapes.len()] }
    }

    /// The rows of one matrix, which every segment is given as a whole.
    fn whole(case: &mut Case, shapes: &[Vec<usize>], values: &[Vec<f32>]) -> Self {
        let mut row = 0;
        let mut rows = Vec::new();
        for shape in shapes {
            rows.push(row);
            row += shape[0];
        }
        let shape = vec![row, shapes[0][1]];
        let index = case.input(&shape, &values.concat());
        Self { places: vec![(index, 0, shape); shapes.len()], rows }
    }

    /// The buffer and the first element of a segment's matrix.
    fn place(&self, index: usize) -> (usize, usize) {
        (self.places[index].0, self.places[index].1)
    }

    fn view(&self, buffers: &[Buffer], index: usize) -> Result<Buffer> {
        let (buffer, start, shape) = &self.places[index];
        buffers[*buffer].view(*start, shape)
    }
}

/// Random numbers for each segment, and the buffers that hold them.
struct Operands {
    y: Vec<Vec<f32>>,
    low: Vec<Vec<f32>>,
    matrix: Vec<Vec<f32>>,
    bias: Vec<Vec<f32>>,
    regions: [Regions; 4],
}

impl Shape {
    fn operands(self, case: &mut Case, random: &mut Random, backward: Option<usize>) -> Operands {
        let Self { m, widths, ranks, apart, .. } = self;
        let both = || widths.iter().zip(ranks);
        let ys: Vec<_> = widths.iter().map(|&width| vec![m, width]).collect();
        let lows: Vec<_> = ranks.iter().map(|&rank| vec![m, rank]).collect();
        let matrix =
            |(&width, &rank): (&usize, &usize)| backward.map_or(vec![width, rank], |k| vec![rank, k]);
        let matrices: Vec<_> = both().map(matrix).collect();
        let biases: Vec<_> = widths.iter().map(|&width| vec![width]).collect();
        let mut numbers = |shapes: &[Vec<usize>]| -> Vec<Vec<f32>> {
            shapes.iter().map(|shape| random.normal(shape.iter().product())).collect()
        };
        let (y, low, other, bias) = (numbers(&ys), numbers(&lows), numbers(&matrices), numbers(&biases));
        let regions = [
            Regions::new(case, apart, &ys, &y),
            Regions::new(case, apart, &lows, &low),
            match backward.is_none() && ranks == ONE_B {
                true => Regions::whole(case, &matrices, &other),
                false => Regions::new(case, apart, &matrices, &other),
            },
            Regions::new(case, apart, &biases, &bias),
        ];
        Operands { y, low, matrix: other, bias, regions }
    }

    fn segments(self, regions: &[Regions; 4], buffers: &[Buffer], biased: bool) -> Result<Vec<Segment>> {
        let [ys, lows, matrices, biases] = regions;
        let segment = |index: usize| {
            let adapter = match self.ranks[index] {
                0 => None,
                _ => Some(Adapter {
                    low: lows.view(buffers, index)?,
                    matrix: matrices.view(buffers, index)?,
                    row: matrices.rows[index],
                    scale: SCALE + index as f32,
                }),
            };
            let bias = if biased { Some(biases.view(buffers, index)?) } else { None };
            Ok(Segment { y: ys.view(buffers, index)?, adapter, bias })
        };
        (0..self.widths.len()).map(segment).collect()
    }

    fn name(self, what: &str, w: &Packed, accumulate: bool) -> String {
        let Self { m, widths, ranks, apart, .. } = self;
        format!(
            "{what} {:?} m {m} widths {widths:?} ranks {ranks:?} apart {apart} accumulate {accumulate}",
            w.format
        )
    }

    /// Rows of W that are segment `index`'s.
    fn rows(self, w: &Packed, index: usize) -> &[f64] {
        let start: usize = self.widths[..index].iter().sum();
        &w.values[start * w.cols..(start + self.widths[index]) * w.cols]
    }

    fn forward(self, products: Products, random: &mut Random, w: &Packed, accumulate: bool) -> Case {
        let (m, k) = (self.m, w.cols);
        let mut case = Case::new(self.name("forward", w, accumulate));
        let x = random.normal(m * k);
        let operands = self.operands(&mut case, random, None);
        let biased = self.ranks[0] != 3;
        for (index, (&width, &rank)) in self.widths.iter().zip(self.ranks).enumerate() {
            let mut want = products.reference[0](m, width, k, self.rows(w, index), &wide(&x));
            let scale = f64::from(SCALE + index as f32);
            let (b, low) = (wide(&operands.matrix[index]), wide(&operands.low[index]));
            let more = reference::lora::up::up(m, width, rank, scale, &b, &low);
            want.iter_mut().zip(more).for_each(|(value, more)| *value += more);
            if biased {
                want.chunks_mut(width).for_each(|row| add(row, &operands.bias[index]));
            }
            if accumulate {
                add(&mut want, &operands.y[index]);
            }
            let (buffer, start) = operands.regions[0].place(index);
            let policy = policy(self.dtype, k).rows(width).at_least(terms(k, &w.values));
            case.near_from(buffer, start, want, policy);
        }
        let x = case.input(&[m, k], &x);
        let w = w.clone();
        case.record(move |rec, b| {
            let segments = self.segments(&operands.regions, b, biased)?;
            (products.forward)(rec, &w.upload(rec.gpu())?, &b[x], &segments, accumulate)
        });
        case
    }

    fn backward_x(self, products: Products, random: &mut Random, w: &Packed, accumulate: bool) -> Case {
        let (m, n, k) = (self.m, w.rows, w.cols);
        let mut case = Case::new(self.name("backward_x", w, accumulate));
        let old = random.normal(m * k);
        let operands = self.operands(&mut case, random, Some(k));
        let mut want = vec![0.0; m * k];
        for (index, (&width, &rank)) in self.widths.iter().zip(self.ranks).enumerate() {
            let dy = wide(&operands.y[index]);
            let product = products.reference[1](m, width, k, self.rows(w, index), &dy);
            let scale = f64::from(SCALE + index as f32);
            let (a, low) = (wide(&operands.matrix[index]), wide(&operands.low[index]));
            let more = reference::lora::up::up_x(m, rank, k, scale, &a, &low);
            want.iter_mut().zip(product.iter().zip(more)).for_each(|(value, (a, b))| *value += a + b);
        }
        if accumulate {
            add(&mut want, &old);
        }
        let dx = if accumulate { case.input(&[m, k], &old) } else { case.output(&[m, k]) };
        case.near(dx, want, policy(self.dtype, n).rows(k).at_least(terms(n, &w.values)));
        let w = w.clone();
        case.record(move |rec, b| {
            let segments = self.segments(&operands.regions, b, false)?;
            (products.backward_x)(rec, &w.upload(rec.gpu())?, &segments, &b[dx], accumulate)
        });
        case
    }
}
