//! Products with a stored weight matrix. Shader: shaders/matmul.wgsl. Reference: tests/reference/matmul.rs.

use super::weight::{Format, Weight};
use super::{GROUP, SHARED_NUMBERS, matmul_coop, matmul_lanes, matmul_tiled, word};
use crate::Result;
use crate::gpu::{Buffer, Coop, Gpu, Kernel, Recorder, Variant, groups_for};

params! {
    Params { m: u32, n: u32, k: u32, row0: u32, stride: u32, accumulate: u32, rank: u32, scale: f32 }
}

/// The fields of the parameters that both files of products have.
pub(super) const PARAMS: &[(&str, &str)] = Params::FIELDS;

const FORWARD: Kernel = kernel!("matmul", "forward", Params, ["w", "w_scale", "x", "y"]);
const FORWARD_FEW: Kernel = kernel!("matmul", "forward_few", Params, ["w", "w_scale", "x", "y"]);
const BACKWARD_X: Kernel = kernel!("matmul", "backward_x", Params, ["w", "w_scale", "dy", "dx"]);

/// The second half of LoRA, which joins a product as it ends (Hu et al., 2021): y += scale·low·Bᵀ with low = x·Aᵀ in
/// [`forward`], dx += scale·low·A with low = dy·B in [`backward_x`].
#[derive(Debug, Clone, Copy)]
pub struct Adapter<'a> {
    /// The first half `[m, rank]`; [`super::lora::down`] makes the forward one.
    pub low: &'a Buffer,
    /// B `[n, rank]` or A `[rank, k]`.
    pub matrix: &'a Buffer,
    /// Factor.
    pub scale: f32,
}

impl Adapter<'_> {
    /// The same kernel with an adapter's two bindings more.
    pub(super) fn kernel(kernel: &Kernel) -> Kernel {
        let bindings: &[_] = match kernel.entry == BACKWARD_X.entry {
            true => &["w", "w_scale", "dy", "dx", "low", "a"],
            false => &["w", "w_scale", "x", "y", "low", "b"],
        };
        Kernel { bindings, ..*kernel }
    }

    /// The rank, if `low` has `m` rows and the matrix the shape that `expected` makes of the rank.
    fn rank(&self, m: usize, expected: impl FnOnce(usize) -> [usize; 2]) -> Result<usize> {
        let [_, rank] = self.low.matrix("matmul", "low")?;
        self.low.expect("matmul", "low", &[m, rank])?;
        self.matrix.expect("matmul", "adapter", &expected(rank))?;
        Ok(rank)
    }
}

/// Rows that a GPU multiplies by a workgroup for each few outputs: reading W is all that counts then.
const FEW: usize = 8;

/// How a product is cut up.
///
/// A software adapter pays for every load and hardly for registers, so it gets large tiles and no barriers, in small
/// workgroups because a few cores want a few of them each. A GPU wants many threads whose tiles stay in registers, and for
/// many rows operands that a workgroup shares ([`super::matmul_tiled`]).
#[derive(Debug, Clone, Copy)]
pub(super) struct Tile {
    pub(super) kernel: Kernel,
    /// Threads of a workgroup.
    pub(super) group: usize,
    /// Rows of the output in a thread's tile.
    pub(super) rows: usize,
    /// Columns (forward) or groups of 8 columns (backward) in a thread's tile.
    pub(super) cols: usize,
    /// Threads that share a tile.
    pub(super) share: usize,
    /// Rows and columns of the output that a workgroup owns, where it is more than its threads' tiles one after the other.
    pub(super) block: Option<[usize; 2]>,
    /// Threads of a subgroup, where the kernel is made for that.
    pub(super) lanes: Option<usize>,
    /// The cooperative matrices that multiply, where the kernel is made of them; `rows` and `cols` are then a subgroup's.
    pub(super) coop: Option<Coop>,
}

/// What an adapter is like, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A GPU.
    Gpu,
    /// The CPU, with subgroups of so many threads if the kernels know such.
    Software(Option<usize>),
}

impl Kind {
    fn of(gpu: &Gpu) -> Self {
        match gpu.is_software() {
            true => Self::Software(gpu.subgroup_size().filter(|lanes| matmul_lanes::LANES.contains(lanes))),
            false => Self::Gpu,
        }
    }
}

/// Which product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    /// [`forward`]
    Forward,
    /// [`backward_x`]
    BackwardX,
}

/// Numbers of rows whose tiles are chosen apart: one, up to [`FEW`], a batch, more.
pub const ROW_CLASSES: [usize; 4] = [1, FEW, 32, MANY];

/// The most rows that tuning tries.
const MANY: usize = 128;

/// What [`Gpu::choice`] calls the choice of a tile. The number of tiles is part of it: a choice that was kept from a version
/// with others means nothing.
pub fn choice_key(gpu: &Gpu, product: Product, format: Format, m: usize) -> String {
    let class = ROW_CLASSES.into_iter().find(|&rows| m <= rows).unwrap_or(MANY);
    let name = if product == Product::Forward { "forward" } else { "backward_x" };
    format!("matmul/{name}/{}/{class}/{}", format.import(), choices(gpu, product, m))
}

/// Number of tiles to choose from.
pub fn choices(gpu: &Gpu, product: Product, m: usize) -> usize {
    Tile::all(gpu, product, m).len()
}

impl Tile {
    /// The tiles for `m` rows, the default first. All of them add the products of an output in an order that does not
    /// depend on the tile, but for those of a few rows on a GPU, where it depends on the workgroup's size.
    fn candidates(product: Product, kind: Kind, m: usize) -> Vec<Self> {
        let wide = GROUP as usize;
        let tile = |kernel, group, rows, cols| Self {
            kernel,
            group,
            rows,
            cols,
            share: 1,
            block: None,
            lanes: None,
            coop: None,
        };
        let forward = |(group, most, cols)| tile(FORWARD, group, rows(m, most), cols);
        let backward = |(group, most, cols)| tile(BACKWARD_X, group, rows(m, most), cols);
        let few = |(group, most): (usize, usize)| {
            let tall = m.next_power_of_two();
            // In the end a thread takes each result; the parts of all lie in workgroup memory, one more for each thread.
            let room = (group / tall).min((SHARED_NUMBERS - group) / (group * tall));
            Self { share: group, ..tile(FORWARD_FEW, group, tall, rows(room, most)) }
        };
        let direct = match (product, kind) {
            (Product::Forward, Kind::Software(_)) => {
                [(16, 8, 16), (16, 8, 8), (32, 8, 4), (16, 4, 16)].map(forward).to_vec()
            }
            (Product::Forward, Kind::Gpu) if m <= FEW => {
                [(wide, 4), (32, 4), (128, 4), (wide, 2), (32, 8), (32, 2)].map(few).to_vec()
            }
            (Product::Forward, Kind::Gpu) => [(wide, 8, 4), (wide, 4, 4), (128, 4, 8)].map(forward).to_vec(),
            (Product::BackwardX, Kind::Software(_)) => {
                [(16, 16, 2), (16, 8, 4), (32, 8, 2), (32, 8, 1)].map(backward).to_vec()
            }
            (Product::BackwardX, Kind::Gpu) => {
                [(wide, 8, 1), (wide, 4, 1), (128, 8, 1)].map(backward).to_vec()
            }
        };
        let shared = match kind {
            Kind::Software(Some(lanes)) => matmul_lanes::candidates(product, lanes, m),
            Kind::Gpu if m > FEW => matmul_tiled::candidates(product, m),
            _ => Vec::new(),
        };
        [shared, direct].concat()
    }

    /// Those of [`Tile::candidates`], then those with cooperative matrices, which are for GPUs.
    fn all(gpu: &Gpu, product: Product, m: usize) -> Vec<Self> {
        let kind = Kind::of(gpu);
        let coop = gpu.coop().filter(|_| kind == Kind::Gpu);
        [Self::candidates(product, kind, m), matmul_coop::candidates(product, coop, m)].concat()
    }

    /// The tile that was found fastest on this adapter, or the default; the default too where the weights do not suit it.
    fn chosen(gpu: &Gpu, product: Product, w: &Weight, m: usize) -> Self {
        let candidates = Self::all(gpu, product, m);
        let index = gpu.choice(&choice_key(gpu, product, w.format, m));
        let tile = candidates[index.min(candidates.len() - 1)];
        if tile.coop.is_some() && !w.suits_f16() { candidates[0] } else { tile }
    }

    /// `f16`: multiply in f16, only for the forward products; `adapted`: with LoRA.
    fn variant(self, format: Format, f16: bool, adapted: bool) -> Variant {
        if let Some(coop) = self.coop {
            return matmul_coop::variant(&self, coop, format, adapted);
        }
        let Self { group, rows, cols, .. } = self;
        let mut constants = vec![("WG", word(group)), ("TM", word(rows)), ("TN", word(cols))];
        let [mut apart_rows, mut apart_cols] = [1, 1];
        if let Some([block_rows, block_cols]) = self.block {
            constants.extend([("BM", word(block_rows)), ("BN", word(block_cols))]);
            if self.kernel.entry == FORWARD.entry && self.lanes.is_none() {
                [apart_rows, apart_cols] = [block_rows / rows, block_cols / cols];
            }
        }
        if let Some(lanes) = self.lanes {
            constants.extend([("LANES", word(lanes)), ("TB", word(rows / lanes))]);
        }
        constants.extend([("DM", word(apart_rows)), ("DN", word(apart_cols))]);
        Variant::constants(&constants)
            .import(format.import())
            .import(if f16 { "product_f16" } else { "product_f32" })
            .import(match (adapted, self.lanes) {
                (true, Some(_)) => "adapted_lanes",
                (true, None) => "adapted",
                (false, _) => "plain",
            })
    }

    /// Workgroups for `m` rows of `cols` columns (forward) or groups of 8 columns (backward).
    fn groups(self, m: usize, cols: usize) -> u32 {
        if let Some([block_rows, block_cols]) = self.block {
            let unit = if self.kernel.entry == FORWARD.entry { 1 } else { 8 };
            return word(m.div_ceil(block_rows) * (cols * unit).div_ceil(block_cols));
        }
        groups_for(m.div_ceil(self.rows) * cols.div_ceil(self.cols) * self.share, self.group)
    }
}

/// The largest power of two that is at most `m` and `most`.
fn rows(m: usize, most: usize) -> usize {
    1 << m.clamp(1, most).ilog2()
}

/// Those of matmul_lanes.wgsl and matmul_tiled.wgsl too.
pub(super) fn variants() -> Vec<(Kernel, Variant)> {
    let mut variants: Vec<(Kernel, Variant)> = Vec::new();
    let software = matmul_lanes::LANES.map(|lanes| Kind::Software(Some(lanes)));
    let kinds = [&software[..], &[Kind::Gpu]].concat();
    for (kind, m) in kinds.into_iter().flat_map(|kind| [1, 2, 4, 8, 16, 64].map(|m| (kind, m))) {
        let products = [Product::Forward, Product::BackwardX];
        for tile in products.into_iter().flat_map(|product| Tile::candidates(product, kind, m)) {
            for format in Format::ALL {
                let backward = tile.kernel.entry == BACKWARD_X.entry;
                let kinds = [(false, false), (false, true), (true, false), (true, true)];
                for (f16, adapted) in kinds.into_iter().take(if backward { 2 } else { 4 }) {
                    let kernel = if adapted { Adapter::kernel(&tile.kernel) } else { tile.kernel };
                    let variant = tile.variant(format, f16, adapted);
                    let same = |k: &Kernel| (k.stem, k.entry) == (kernel.stem, kernel.entry);
                    if !variants.iter().any(|(k, v)| same(k) && *v == variant) {
                        variants.push((kernel, variant));
                    }
                }
            }
        }
    }
    variants
}

/// y `[m, n]` = x `[m, k]` · Wᵀ, with the adapter's part where there is one, added to y if `accumulate`. Multiplies in f16 if
/// [`Gpu::has_f16`]; the adapter always in f32.
pub fn forward(
    rec: &mut Recorder<'_>,
    w: &Weight,
    x: &Buffer,
    y: &Buffer,
    adapter: Option<Adapter<'_>>,
    accumulate: bool,
) -> Result<()> {
    let [m, _] = x.matrix("matmul", "x")?;
    let tile = Tile::chosen(rec.gpu(), Product::Forward, w, m);
    forward_with(rec, tile, w, x, y, adapter, accumulate)
}

/// [`forward`] cut up in one way.
pub(super) fn forward_with(
    rec: &mut Recorder<'_>,
    tile: Tile,
    w: &Weight,
    x: &Buffer,
    y: &Buffer,
    adapter: Option<Adapter<'_>>,
    accumulate: bool,
) -> Result<()> {
    let [m, k] = x.matrix("matmul", "x")?;
    x.expect("matmul", "x", &[m, w.cols])?;
    y.expect("matmul", "y", &[m, w.rows])?;
    let rank = match &adapter {
        Some(adapter) => adapter.rank(m, |rank| [w.rows, rank])?,
        None => 0,
    };
    for part in &w.parts {
        let variant = tile.variant(w.format, rec.gpu().has_f16(), adapter.is_some());
        let params = params(m, part.rows, k, part.row0, w.rows, accumulate);
        let groups = tile.groups(m, part.rows);
        dispatch(rec, &tile.kernel, &variant, params, &[&part.words, &part.scales, x, y], adapter, groups)?;
        rec.flops(2 * m * part.rows * (k + rank));
    }
    Ok(())
}

/// dx `[m, k]` = dy `[m, n]` · W, with the adapter's part where there is one, added to dx if `accumulate`. In f32:
/// small gradients would vanish in f16, but for [`super::matmul_coop`], which scales each row.
pub fn backward_x(
    rec: &mut Recorder<'_>,
    w: &Weight,
    dy: &Buffer,
    dx: &Buffer,
    adapter: Option<Adapter<'_>>,
    accumulate: bool,
) -> Result<()> {
    let [m, _] = dx.matrix("matmul", "dx")?;
    let tile = Tile::chosen(rec.gpu(), Product::BackwardX, w, m);
    backward_x_with(rec, tile, w, dy, dx, adapter, accumulate)
}

/// [`backward_x`] cut up in one way.
pub(super) fn backward_x_with(
    rec: &mut Recorder<'_>,
    tile: Tile,
    w: &Weight,
    dy: &Buffer,
    dx: &Buffer,
    adapter: Option<Adapter<'_>>,
    accumulate: bool,
) -> Result<()> {
    let [m, k] = dx.matrix("matmul", "dx")?;
    dx.expect("matmul", "dx", &[m, w.cols])?;
    dy.expect("matmul", "dy", &[m, w.rows])?;
    let rank = match &adapter {
        Some(adapter) => adapter.rank(m, |rank| [rank, k])?,
        None => 0,
    };
    for (index, part) in w.parts.iter().enumerate() {
        // The adapter's part is one sum, whatever the number of parts of W.
        let adapter = adapter.filter(|_| index == 0);
        let variant = tile.variant(w.format, false, adapter.is_some());
        let params = params(m, part.rows, k, part.row0, w.rows, accumulate || index > 0);
        let groups = tile.groups(m, k / 8);
        dispatch(rec, &tile.kernel, &variant, params, &[&part.words, &part.scales, dy, dx], adapter, groups)?;
        rec.flops(2 * m * k * (part.rows + if index == 0 { rank } else { 0 }));
    }
    Ok(())
}

fn dispatch(
    rec: &mut Recorder<'_>,
    kernel: &Kernel,
    variant: &Variant,
    params: Params,
    arguments: &[&Buffer; 4],
    adapter: Option<Adapter<'_>>,
    groups: u32,
) -> Result<()> {
    let Some(Adapter { low, matrix, scale }) = adapter else {
        return rec.dispatch(kernel, variant, &params, arguments, groups);
    };
    let [w, w_scale, from, to] = arguments;
    let params = Params { rank: word(low.shape()[1]), scale, ..params };
    rec.dispatch(&Adapter::kernel(kernel), variant, &params, &[w, w_scale, from, to, low, matrix], groups)
}

fn params(m: usize, n: usize, k: usize, row0: usize, stride: usize, accumulate: bool) -> Params {
    Params {
        m: word(m),
        n: word(n),
        k: word(k),
        row0: word(row0),
        stride: word(stride),
        accumulate: accumulate.into(),
        rank: 0,
        scale: 0.0,
    }
}
