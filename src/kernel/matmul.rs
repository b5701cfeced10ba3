//! Products with a stored weight matrix. Shader: shaders/matmul.wgsl. Reference: tests/reference/matmul.rs.

use super::matmul_few::MOST_ROWS;
use super::rms_norm::Norm;
pub use super::segment::{Adapter, Segment};
use super::segment::{Joined, Params, Side};
use super::weight::{Format, Part, Weight};
use super::{GROUP, matmul_coop, matmul_few, matmul_lanes, matmul_tiled, word};
use crate::Result;
use crate::gpu::{Buffer, Coop, Gpu, Kernel, Recorder, Variant, groups_for};

const FORWARD: Kernel = kernel!("matmul", "forward", Params, ["w", "w_scale", "x", "y", "bias"]);
const BACKWARD_X: Kernel = kernel!("matmul", "backward_x", Params, ["w", "w_scale", "dy", "dx"]);

/// What a product reads besides W.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// `[m, k]`
    pub x: &'a Buffer,
    /// What is applied to x on the way; [`super::matmul_few`] and [`super::lora`] can.
    pub norm: Option<Norm<'a>>,
}

impl<'a> Input<'a> {
    /// x as it is.
    pub fn plain(x: &'a Buffer) -> Self {
        Self { x, norm: None }
    }
}

/// The same kernel with the bindings of adapters and of a norm.
pub(super) fn with_more(kernel: &Kernel, adapted: bool, normed: bool) -> Kernel {
    let bindings: &[_] = match (kernel.entry == BACKWARD_X.entry, adapted, normed) {
        (true, true, _) => &["w", "w_scale", "dy", "dx", "low", "a"],
        (false, true, false) => &["w", "w_scale", "x", "y", "bias", "low", "b"],
        (false, true, true) => &["w", "w_scale", "x", "y", "bias", "low", "b", "norm"],
        (false, false, true) => &["w", "w_scale", "x", "y", "bias", "norm"],
        (_, false, _) => kernel.bindings,
    };
    Kernel { bindings, ..*kernel }
}

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
    /// Further files of shaders/include/.
    pub(super) imports: &'static [&'static str],
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

/// Numbers of rows whose tiles are chosen apart: one, up to [`MOST_ROWS`], a batch, more.
pub const ROW_CLASSES: [usize; 4] = [1, MOST_ROWS, 32, MANY];

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
    /// A tile of one thread.
    pub(super) fn new(kernel: Kernel, group: usize, rows: usize, cols: usize) -> Self {
        Self { kernel, group, rows, cols, share: 1, block: None, lanes: None, imports: &[], coop: None }
    }

    /// The tiles for `m` rows, the default first. All of them add the products of an output in an order that does not
    /// depend on the tile, but for those of a few rows on a GPU, where it depends on the workgroup's size.
    fn candidates(product: Product, kind: Kind, m: usize) -> Vec<Self> {
        let wide = GROUP as usize;
        let forward = |(group, most, cols)| Self::new(FORWARD, group, rows_of_tile(m, most), cols);
        let backward = |(group, most, cols)| Self::new(BACKWARD_X, group, rows_of_tile(m, most), cols);
        let direct = match (product, kind) {
            (Product::Forward, Kind::Software(_)) => {
                [(16, 8, 16), (16, 8, 8), (32, 8, 4), (16, 4, 16)].map(forward).to_vec()
            }
            (Product::Forward, Kind::Gpu) if m <= MOST_ROWS => matmul_few::candidates(m),
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
            Kind::Gpu if m > MOST_ROWS => matmul_tiled::candidates(product, m),
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
    pub(super) fn chosen(gpu: &Gpu, product: Product, w: &Weight, m: usize) -> Self {
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
        let variant = Variant::constants(&constants)
            .import(format.import())
            .import(if f16 { "product_f16" } else { "product_f32" })
            .import(match (adapted, self.lanes) {
                (true, Some(_)) => "adapted_lanes",
                (true, None) => "adapted",
                (false, _) => "plain",
            });
        self.imports.iter().fold(variant, |variant, import| variant.import(import))
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
pub(super) fn rows_of_tile(m: usize, most: usize) -> usize {
    1 << m.clamp(1, most).ilog2()
}

/// Those of matmul_few.wgsl, matmul_lanes.wgsl and matmul_tiled.wgsl too.
pub(super) fn variants() -> Vec<(Kernel, Variant)> {
    let mut variants: Vec<(Kernel, Variant)> = Vec::new();
    let software = matmul_lanes::LANES.map(|lanes| Kind::Software(Some(lanes)));
    let kinds = [&software[..], &[Kind::Gpu]].concat();
    for (kind, m) in kinds.into_iter().flat_map(|kind| [1, 2, 4, 8, 16, 64].map(|m| (kind, m))) {
        let products = [Product::Forward, Product::BackwardX];
        let tiles = products.into_iter().flat_map(|product| Tile::candidates(product, kind, m));
        for tile in tiles.flat_map(matmul_few::forms) {
            for format in Format::ALL {
                let backward = tile.kernel.entry == BACKWARD_X.entry;
                let kinds = [(false, false), (false, true), (true, false), (true, true)];
                for (f16, adapted) in kinds.into_iter().take(if backward { 2 } else { 4 }) {
                    let kernel = with_more(&tile.kernel, adapted, tile.imports.contains(&"input_normed"));
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
    adapter: Option<Adapter>,
    accumulate: bool,
) -> Result<()> {
    forward_joined(rec, w, x, &[Segment::new(y, adapter)], accumulate)
}

/// [`forward`] of a W that holds the matrices of several outputs, one behind the other: one dispatch where their memory
/// allows.
pub fn forward_joined(
    rec: &mut Recorder<'_>,
    w: &Weight,
    x: &Buffer,
    segments: &[Segment],
    accumulate: bool,
) -> Result<()> {
    let [m, _] = x.matrix("matmul", "x")?;
    let tile = Tile::chosen(rec.gpu(), Product::Forward, w, m);
    forward_with(rec, tile, w, Input::plain(x), segments, accumulate)
}

/// [`forward_joined`] cut up in one way.
pub(super) fn forward_with(
    rec: &mut Recorder<'_>,
    tile: Tile,
    w: &Weight,
    input: Input<'_>,
    segments: &[Segment],
    accumulate: bool,
) -> Result<()> {
    let Input { x, norm } = input;
    let [m, k] = x.matrix("matmul", "x")?;
    x.expect("matmul", "x", &[m, w.cols])?;
    if let Some(norm) = &norm {
        norm.weight.expect("matmul", "norm", &[k])?;
    }
    let Some(joined) = Joined::new(segments, Side::Forward, m, w.rows)? else {
        return apart(w, segments, |w, segment, _| {
            forward_with(rec, tile, w, input, std::slice::from_ref(segment), accumulate)
        });
    };
    for part in &w.parts {
        let variant = tile.variant(w.format, rec.gpu().has_f16(), joined.adapters.is_some());
        let params =
            Params { eps: norm.map_or(0.0, |norm| norm.eps), ..part_params(&joined, part, k, accumulate) };
        // Where there is no bias, nothing reads what is bound in its place.
        let bias = joined.bias.as_ref().unwrap_or(&part.scales);
        let mut arguments = vec![&part.words, &part.scales, x, &joined.y, bias];
        arguments.extend(joined.adapters.iter().flatten());
        arguments.extend(norm.map(|norm| norm.weight));
        let kernel = with_more(&tile.kernel, joined.adapters.is_some(), norm.is_some());
        rec.dispatch(&kernel, &variant, &params, &arguments, tile.groups(m, part.rows))?;
        rec.flops(2 * m * (part.rows * k + joined.adapter_products * part.rows / w.rows));
        rec.bytes(moved(w, part, x, m) + 4 * (joined.adapter_products * part.rows / w.rows) as u64);
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
    adapter: Option<Adapter>,
    accumulate: bool,
) -> Result<()> {
    backward_x_joined(rec, w, &[Segment::new(dy, adapter)], dx, accumulate)
}

/// [`backward_x`] of a W that holds the matrices of several outputs: the sum of their gradients, in one dispatch where their
/// memory allows.
pub fn backward_x_joined(
    rec: &mut Recorder<'_>,
    w: &Weight,
    segments: &[Segment],
    dx: &Buffer,
    accumulate: bool,
) -> Result<()> {
    let [m, _] = dx.matrix("matmul", "dx")?;
    let tile = Tile::chosen(rec.gpu(), Product::BackwardX, w, m);
    backward_x_with(rec, tile, w, segments, dx, accumulate)
}

/// [`backward_x_joined`] cut up in one way.
pub(super) fn backward_x_with(
    rec: &mut Recorder<'_>,
    tile: Tile,
    w: &Weight,
    segments: &[Segment],
    dx: &Buffer,
    accumulate: bool,
) -> Result<()> {
    let [m, k] = dx.matrix("matmul", "dx")?;
    dx.expect("matmul", "dx", &[m, w.cols])?;
    let Some(joined) = Joined::new(segments, Side::Backward { k }, m, w.rows)? else {
        return apart(w, segments, |w, segment, index| {
            let accumulate = accumulate || index > 0;
            backward_x_with(rec, tile, w, std::slice::from_ref(segment), dx, accumulate)
        });
    };
    for (index, part) in w.parts.iter().enumerate() {
        // The adapters' part is one sum, whatever the number of parts of W.
        let adapters = joined.adapters.as_ref().filter(|_| index == 0);
        let variant = tile.variant(w.format, false, adapters.is_some());
        let params = part_params(&joined, part, k, accumulate || index > 0);
        let mut arguments = vec![&part.words, &part.scales, &joined.y, dx];
        arguments.extend(adapters.into_iter().flatten());
        let kernel = with_more(&tile.kernel, adapters.is_some(), false);
        rec.dispatch(&kernel, &variant, &params, &arguments, tile.groups(m, k / 8))?;
        let products = if index == 0 { joined.adapter_products } else { 0 };
        rec.flops(2 * m * (part.rows * k + products));
        rec.bytes(moved(w, part, dx, m) + 4 * products as u64);
    }
    Ok(())
}

/// Calls `each` with the rows of W that belong to each segment.
fn apart(
    w: &Weight,
    segments: &[Segment],
    mut each: impl FnMut(&Weight, &Segment, usize) -> Result<()>,
) -> Result<()> {
    let mut row = 0;
    for (index, segment) in segments.iter().enumerate() {
        let [_, width] = segment.y.matrix("matmul", "y")?;
        each(&w.rows_from(row, width)?, segment, index)?;
        row += width;
    }
    Ok(())
}

/// Bytes of a part of W, of its columns of m rows of y, and of x.
fn moved(w: &Weight, part: &Part, x: &Buffer, m: usize) -> u64 {
    w.format.bytes(part.rows, w.cols) + x.bytes() + 4 * (m * part.rows) as u64
}

fn part_params(joined: &Joined, part: &Part, k: usize, accumulate: bool) -> Params {
    Params {
        n: word(part.rows),
        k: word(k),
        row0: word(part.row0),
        first: word(part.first),
        accumulate: accumulate.into(),
        ..joined.params
    }
}
