//! Products with a weight matrix.

pub mod direct;
pub mod few_rows;
pub mod matrix_units;
pub mod per_lane;
pub mod tiled;
