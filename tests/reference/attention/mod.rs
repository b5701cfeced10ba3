//! Attention.

pub mod decode;
pub mod decode_split;
pub mod full;
pub mod tiled;
