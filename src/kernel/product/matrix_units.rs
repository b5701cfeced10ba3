//! The products for many rows by cooperative matrices, on a GPU that has them: tensor cores.
//! Shader: shaders/product/matrix_units.wgsl. Reference: tests/reference/product/matrix_units.rs.
//!
//! Factors are f16 and sums f32. Rows of x and dy keep f16's relative precision whatever their size, because each is scaled
//! by a power of two; so gradients do not vanish, and the backward product may use these kernels too, with a relative error
//! of a few f16 roundings of the row's size. Weights are not scaled: a matrix takes part if [`Weight::suits_f16`].
//!
//! wgpu gives workgroup memory no formal order between the invocations of such kernels under Vulkan's memory model
//! (wgpu #8805), so no model uses them before `bench::tune` has seen them give the default tile's numbers on this adapter.
//!
//! [`Weight::suits_f16`]: crate::kernel::weight::Weight::suits_f16

use super::super::weight::Format;
use super::joined::Params;
use super::tile::{Product, Strategy, Tile};
use crate::gpu::{Coop, Gpu, Kernel, Variant};

const FORWARD: Kernel =
    kernel!("product/matrix_units", "forward", Params, ["w", "w_scale", "x", "y", "bias"]);
const BACKWARD_X: Kernel =
    kernel!("product/matrix_units", "backward_x", Params, ["w", "w_scale", "dy", "dx"]);

/// The most threads of a workgroup.
const MOST_THREADS: usize = 256;

/// Fewer rows are too few for cooperative matrices to be of use.
const LEAST_ROWS: usize = 9;

/// Kinds of cooperative matrices whose variants the tests of all shaders compile: llvmpipe's, Apple's, NVIDIA's, AMD's.
pub(in crate::kernel) const KINDS: [Coop; 4] = [
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
    let sizes = match m > 32 {
        true => [[64, 64, 32, 32], [128, 64, 64, 32], [128, 128, 64, 32]],
        false => [[32, 64, 16, 32], [16, 64, 16, 16], [32, 128, 32, 32]],
    };
    let tile = |[block_rows, block_cols, rows, cols]: [usize; 4]| Tile {
        product,
        strategy: Strategy::MatrixUnits { block: [block_rows, block_cols], coop },
        kernel: if product == Product::Forward { FORWARD } else { BACKWARD_X },
        group: block_rows / rows * (block_cols / cols) * coop.lanes,
        rows,
        cols,
    };
    sizes.map(tile).into_iter().filter(|tile| tile.group <= MOST_THREADS).collect()
}

/// Every variant to compile.
pub(in crate::kernel) fn variants() -> Vec<(Kernel, Variant)> {
    let mut variants = Vec::new();
    let products = [Product::Forward, Product::BackwardX];
    for (coop, m) in KINDS.into_iter().flat_map(|coop| [16, 64].map(|m| (coop, m))) {
        for tile in products.into_iter().flat_map(|product| candidates(product, Some(coop), m)) {
            for format in Format::ALL {
                let variant = |adapted| (tile.kernel(adapted, false), tile.variant(format, false, adapted));
                variants.extend([false, true].map(variant));
            }
        }
    }
    variants
}

/// Number of tiles of this kernel for `m` rows, which are the last ones of [`super::choices`]: none on a software adapter.
pub fn choices(gpu: &Gpu, product: Product, m: usize) -> usize {
    candidates(product, gpu.coop().filter(|_| !gpu.is_software()), m).len()
}
