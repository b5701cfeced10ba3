//! What products do with each segment of y: the columns of one matrix where W holds several with one input, such as queries,
//! keys and values.
//! No shader of its own: the products' import shaders/include/segments.wgsl.

use bytemuck::Zeroable;

use super::super::lora::up::Adapter;
use super::super::{F32x4, MAX_JOINED, U32x4, word};
use crate::gpu::Buffer;
use crate::{Error, Result};

/// Some columns of y (or dy) as a matrix of their own.
#[derive(Debug, Clone)]
pub struct Segment {
    /// `[m, width]`
    pub y: Buffer,
    /// What LoRA adds.
    pub adapter: Option<Adapter>,
    /// Added to every row `[width]`.
    pub bias: Option<Buffer>,
}

impl Segment {
    /// A segment with no more than a product.
    pub fn plain(y: &Buffer) -> Self {
        Self { y: y.clone(), adapter: None, bias: None }
    }

    /// A segment with an adapter, if there is one.
    pub fn new(y: &Buffer, adapter: Option<Adapter>) -> Self {
        Self { adapter, ..Self::plain(y) }
    }
}

params! {
    /// What the products' shaders get.
    pub(super) Params {
        start: U32x4, y_at: U32x4, low_at: U32x4, matrix_at: U32x4, bias_at: U32x4, rank: U32x4, scale: F32x4,
        m: u32, n: u32, k: u32, row0: u32, first: u32, accumulate: u32, biased: u32, eps: f32,
    }
}

/// The segments of a product as one dispatch sees them.
#[derive(Debug)]
pub(super) struct Joined {
    /// The part of the parameters that no part of W changes.
    pub(super) params: Params,
    /// All of y.
    pub(super) y: Buffer,
    /// All of `low` and all of the other matrices.
    pub(super) adapters: Option<[Buffer; 2]>,
    /// All biases.
    pub(super) bias: Option<Buffer>,
    /// Multiplications of all adapters for each row.
    pub(super) adapter_products: usize,
}

/// Which side of W the segments are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The products write them.
    Forward,
    /// The products read them and write rows of `k` columns.
    Backward { k: usize },
}

impl Joined {
    /// Checks the shapes against m and the number of W's rows; `None` if the segments do not lie in memory that one
    /// binding sees.
    pub(super) fn new(segments: &[Segment], side: Side, m: usize, rows: usize) -> Result<Option<Self>> {
        let mut params = Params { start: [word(rows); 4], m: word(m), ..Params::zeroed() };
        if segments.is_empty() || segments.len() > MAX_JOINED {
            return Err(shape("segments", &[1, MAX_JOINED], &[segments.len()]));
        }
        let arg = if side == Side::Forward { "y" } else { "dy" };
        let (mut column, mut adapter_products) = (0, 0);
        for (index, segment) in segments.iter().enumerate() {
            let [_, width] = segment.y.matrix("product", arg)?;
            segment.y.expect("product", arg, &[m, width])?;
            if let Some(bias) = &segment.bias {
                bias.expect("product", "bias", &[width])?;
            }
            params.start[index] = word(column);
            column += width;
            if let Some(Adapter { low, matrix, row, scale }) = &segment.adapter {
                let [_, rank] = low.matrix("product", "low")?;
                low.expect("product", "low", &[m, rank])?;
                side.check(matrix, *row, rank, width)?;
                params.rank[index] = word(rank);
                params.scale[index] = *scale;
                adapter_products += side.matrix(rank, width).iter().product::<usize>();
            }
        }
        if column != rows {
            return Err(shape(arg, &[m, rows], &[m, column]));
        }
        let ys: Vec<_> = segments.iter().map(|segment| Some(&segment.y)).collect();
        let adapters = || segments.iter().map(|segment| segment.adapter.as_ref());
        let lows: Vec<_> = adapters().map(|adapter| Some(&adapter?.low)).collect();
        let matrices: Vec<_> = adapters().map(|adapter| Some(&adapter?.matrix)).collect();
        let biases: Vec<_> = segments.iter().map(|segment| segment.bias.as_ref()).collect();
        let bound = (
            bind(&ys, &mut params.y_at),
            bind(&lows, &mut params.low_at),
            bind(&matrices, &mut params.matrix_at),
            bind(&biases, &mut params.bias_at),
        );
        let (Some(Some(y)), Some(low), Some(matrix), Some(bias)) = bound else { return Ok(None) };
        for (index, adapter) in adapters().enumerate() {
            params.matrix_at[index] += adapter.map_or(0, |adapter| word(adapter.row) * params.rank[index]);
        }
        // One flag stands for the biases of all segments.
        if bias.is_some() && biases.iter().any(Option::is_none) {
            return Ok(None);
        }
        params.biased = bias.is_some().into();
        Ok(Some(Self { params, y, adapters: low.zip(matrix).map(Into::into), bias, adapter_products }))
    }
}

impl Side {
    /// The shape of an adapter's other matrix.
    fn matrix(self, rank: usize, width: usize) -> [usize; 2] {
        match self {
            Self::Forward => [width, rank],
            Self::Backward { k } => [rank, k],
        }
    }

    /// Checks an adapter's other matrix, of which a forward product reads `width` rows from `row` on.
    fn check(self, matrix: &Buffer, row: usize, rank: usize, width: usize) -> Result<()> {
        let [rows, cols] = matrix.matrix("product", "adapter")?;
        let [least, expected] = self.matrix(rank, width);
        let fits = match self {
            Self::Forward => row + least <= rows,
            Self::Backward { .. } => row == 0 && rows == least,
        };
        match fits && cols == expected {
            true => Ok(()),
            false => Err(shape("adapter", &[row + least, expected], &[rows, cols])),
        }
    }
}

/// Binds all present parts as one buffer and writes down where in it each begins; the outer `None` if they are separate
/// allocations.
fn bind(parts: &[Option<&Buffer>], at: &mut U32x4) -> Option<Option<Buffer>> {
    let there: Vec<&Buffer> = parts.iter().copied().flatten().collect();
    if there.is_empty() {
        return Some(None);
    }
    let (all, places) = Buffer::enclosing(&there)?;
    let indices = (0..parts.len()).filter(|&index| parts[index].is_some());
    indices.zip(places).for_each(|(index, place)| at[index] = word(place));
    Some(Some(all))
}

fn shape(arg: &'static str, expected: &[usize], got: &[usize]) -> Error {
    Error::Shape { kernel: "product", arg, expected: expected.to_vec(), got: got.to_vec() }
}
