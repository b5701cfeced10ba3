//! The forward product of a few rows on a GPU, with what stands before and after it in a transformer block.
//! Shader: shaders/product/few_rows.wgsl. Reference: tests/reference/product/few_rows.rs.

use super::super::{GROUP, SHARED_NUMBERS, power_of_two};
use super::joined::Params;
use super::tile::{Form, Product, Strategy, Tile};
use crate::gpu::Kernel;

const FORWARD: Kernel = kernel!("product/few_rows", "forward", Params, ["w", "w_scale", "x", "y", "bias"]);

/// The tiles for `m` rows, the default first; [`Tile::in_form`] says what they do besides.
pub(super) fn candidates(m: usize) -> Vec<Tile> {
    let wide = GROUP as usize;
    let tile = |[group, most]: [usize; 2]| {
        let rows = m.next_power_of_two();
        // In the end a thread takes each result; the parts of all lie in workgroup memory, one more for each thread.
        let room = (group / rows).min((SHARED_NUMBERS - group) / (group * rows));
        Tile {
            product: Product::Forward,
            strategy: Strategy::FewRows(Form::default()),
            kernel: FORWARD,
            group,
            rows,
            cols: power_of_two(room, most),
        }
    };
    [[wide, 4], [32, 4], [128, 4], [32, 8]].map(tile).to_vec()
}
