//! The products of [`super::matmul`] for many rows by cooperative matrices, on a GPU that has them: tensor cores.
//! Shader: shaders/matmul_coop.wgsl. Reference: tests/reference/matmul_coop.rs.
//!
//! Factors are f16 and sums f32. Rows of x and dy keep f16's relative precision whatever their size, because each is scaled
//! by a power of two; so gradients do not vanish, and `backward_x` may use these kernels too, with a relative error of a
//! few f16 roundings of the row's size. Weights are not scaled: a matrix takes part if [`Weight::suits_f16`].
//!
//! wgpu gives workgroup memory no formal order between the invocations of such kernels under Vulkan's memory model
//! (wgpu #8805), so no model uses them before `bench::tune` has seen them give the default tile's numbers on this adapter.

use super::matmul::{self, Input, Product, Tile, backward_x_with, forward_with, with_more};
use super::segment::{Params, Segment};
use super::weight::{Format, Weight};
use super::word;
use crate::Result;
use crate::gpu::{Buffer, Coop, Gpu, Kernel, Recorder, Variant};

const FORWARD: Kernel = kernel!("matmul_coop", "forward", Params, ["w", "w_scale", "x", "y", "bias"]);
const BACKWARD_X: Kernel = Kernel { entry: "backward_x", bindings: &["w", "w_scale", "dy", "dx"], ..FORWARD };

/// The most threads of a workgroup.
const MOST: usize = 256;

/// Fewer rows are too few for cooperative matrices to be of use.
const LEAST_ROWS: usize = 9;

/// Kinds of cooperative matrices that there are variants for in the tests of all shaders: llvmpipe's, Apple's, NVIDIA's,
/// AMD's.
pub(super) const KINDS: [Coop; 4] = [
    Coop { side: 8, lanes: 8, vectors: true },
    Coop { side: 8, lanes: 32, vectors: false },
    Coop { side: 16, lanes: 32, vectors: true },
    Coop { side: 16, lanes: 64, vectors: true },
];

/// The tiles for `m` rows; none where there are no cooperative matrices.
pub(super) fn candidates(product: Product, coop: Option<Coop>, m: usize) -> Vec<Tile> {
    let Some(coop) = coop.filter(|_| m >= LEAST_ROWS) else {
        return Vec::new();
    };
    // Rows and columns of a workgroup, then of a subgroup.
    let blocks = match m > 32 {
        true => [[64, 64, 32, 32], [128, 64, 64, 32], [128, 128, 64, 32]],
        false => [[32, 64, 16, 32], [16, 64, 16, 16], [32, 128, 32, 32]],
    };
    let tile = |[block_rows, block_cols, rows, cols]: [usize; 4]| Tile {
        kernel: if product == Product::Forward { FORWARD } else { BACKWARD_X },
        group: block_rows / rows * (block_cols / cols) * coop.lanes,
        rows,
        cols,
        share: 1,
        block: Some([block_rows, block_cols]),
        lanes: None,
        imports: &[],
        coop: Some(coop),
    };
    blocks.map(tile).into_iter().filter(|tile| tile.group <= MOST).collect()
}

/// The variant of such a tile.
pub(super) fn variant(tile: &Tile, coop: Coop, format: Format, adapted: bool) -> Variant {
    let [block_rows, block_cols] = tile.block.unwrap_or([tile.rows, tile.cols]);
    let [down, across] = [tile.rows / coop.side, tile.cols / coop.side];
    let constants = [
        ("WG", tile.group),
        ("BM", block_rows),
        ("BN", block_cols),
        ("FM", down),
        ("FN", across),
        ("MATRICES", down * across),
        ("TOGETHER", (block_rows / 4).min(8)),
        // A thread's tile in adapted.wgsl, of which only what adds single numbers is used.
        ("TM", 1),
        ("TN", 1),
        ("DM", 1),
        ("DN", 1),
    ];
    let variant = Variant::constants(&constants.map(|(name, value)| (name, word(value))));
    imports(coop, variant).import(format.import()).import(if adapted { "adapted" } else { "plain" })
}

/// What a kernel with such cooperative matrices imports.
pub(super) fn imports(coop: Coop, variant: Variant) -> Variant {
    variant.import(if coop.side == 8 { "coop8" } else { "coop16" }).import(if coop.vectors {
        "tiles_f16x4"
    } else {
        "tiles_f16"
    })
}

pub(super) fn variants() -> Vec<(Kernel, Variant)> {
    let mut variants = Vec::new();
    let products = [Product::Forward, Product::BackwardX];
    for (coop, m) in KINDS.into_iter().flat_map(|coop| [16, 64].map(|m| (coop, m))) {
        for tile in products.into_iter().flat_map(|product| candidates(product, Some(coop), m)) {
            for format in Format::ALL {
                variants.push((tile.kernel, variant(&tile, coop, format, false)));
                variants.push((with_more(&tile.kernel, true, false), variant(&tile, coop, format, true)));
            }
        }
    }
    variants
}

/// Number of tiles of this kernel for `m` rows, which are the last ones of [`matmul::choices`]: none on a software adapter.
pub fn choices(gpu: &Gpu, product: Product, m: usize) -> usize {
    candidates(product, gpu.coop().filter(|_| !gpu.is_software()), m).len()
}

/// [`super::matmul::forward_joined`] by this kernel, where there are cooperative matrices and the weights suit them.
pub fn forward(
    rec: &mut Recorder<'_>,
    w: &Weight,
    x: &Buffer,
    segments: &[Segment],
    accumulate: bool,
) -> Result<()> {
    let [m, _] = x.matrix("matmul_coop", "x")?;
    match first(rec, Product::Forward, w, m) {
        Some(tile) => forward_with(rec, tile, w, Input::plain(x), segments, accumulate),
        None => matmul::forward_joined(rec, w, x, segments, accumulate),
    }
}

/// [`super::matmul::backward_x_joined`] likewise.
pub fn backward_x(
    rec: &mut Recorder<'_>,
    w: &Weight,
    segments: &[Segment],
    dx: &Buffer,
    accumulate: bool,
) -> Result<()> {
    let [m, _] = dx.matrix("matmul_coop", "dx")?;
    match first(rec, Product::BackwardX, w, m) {
        Some(tile) => backward_x_with(rec, tile, w, segments, dx, accumulate),
        None => matmul::backward_x_joined(rec, w, segments, dx, accumulate),
    }
}

fn first(rec: &Recorder<'_>, product: Product, w: &Weight, m: usize) -> Option<Tile> {
    candidates(product, rec.gpu().coop(), m).into_iter().next().filter(|_| w.suits_f16())
}
