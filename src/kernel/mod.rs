//! One file per shader: its parameters, its bindings, the shape check and the dispatch.
//!
//! A new kernel is a shader `shaders/x.wgsl`, a file `x.rs` here, a reference `tests/reference/x.rs`, and one line in
//! [`all`]. Kernels of one idea share a folder of the same name in all three places.

use crate::gpu::{Gpu, Kernel, Variant};

/// Declares a `Params` block once; a test compares it with the shader's own.
macro_rules! params {
    ($(#[$meta:meta])* $vis:vis $name:ident { $($field:ident: $type:ident),* $(,)? }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
        $vis struct $name { $($vis $field: $type),* }
        impl $name {
            $vis const FIELDS: &'static [(&'static str, &'static str)] = &[$((stringify!($field), stringify!($type))),*];
        }
    };
}

/// Four numbers of a `Params` block, `vec4<u32>` in the shader; such fields come before those of one number.
type U32x4 = [u32; 4];
/// WGSL `vec4<f32>`.
type F32x4 = [f32; 4];

/// Declares an entry point of `shaders/STEM.wgsl` with the bindings that it uses.
macro_rules! kernel {
    ($stem:literal, $entry:literal, $params:ty, [$($binding:literal),* $(,)?]) => {
        crate::gpu::Kernel {
            stem: $stem,
            source: crate::gpu::shader::shader_text!($stem),
            entry: $entry,
            bindings: &[$($binding),*],
            params: <$params>::FIELDS,
        }
    };
}

pub mod adamw;
pub mod adjust;
pub mod attention;
pub mod cache;
pub mod embed;
pub mod format;
pub mod gather;
pub mod kv_write;
mod list;
pub mod log_softmax;
pub mod lora;
pub mod peak;
pub mod peak_coop;
pub mod product;
pub mod rms_norm;
pub mod rope;
pub mod sample;
pub mod swiglu;
pub mod weight;

pub use list::all;

/// An index that names no row, place or page.
pub const NONE: u32 = u32::MAX;

/// Threads of a workgroup whose threads are independent.
const GROUP: u32 = 64;

/// Threads of a workgroup that reduces a row together.
const REDUCE_GROUP: u32 = 64;

/// The same for rows as long as a vocabulary on a GPU: as many as every WebGPU device has, because a row has one workgroup.
const LONG_REDUCE_GROUP: u32 = 256;

/// Numbers of a row that a thread of a GPU loads before it uses the first: loads that wait for each other take most of the time
/// of a row. A software adapter's do not wait.
const AHEAD: u32 = 8;

/// f32 numbers in the workgroup memory that every WebGPU device has.
const SHARED_NUMBERS: usize = 4096;

/// The most rows that count as few: reading W is all that a product of them costs.
pub const FEW_ROWS: usize = 8;

/// Most matrices with one input that a kernel takes at once: queries, keys, values.
const MAX_JOINED: usize = 3;

/// Sizes of a subgroup with variants of their own: SwiftShader's and llvmpipe's.
const LANES: [usize; 2] = [4, 8];

/// Threads of a subgroup of this adapter, if that is one of [`LANES`].
fn lanes(gpu: &Gpu) -> Option<usize> {
    gpu.subgroup_size().filter(|lanes| LANES.contains(lanes))
}

/// The largest power of two that is at most `m` and `most`.
fn power_of_two(m: usize, most: usize) -> usize {
    1 << m.clamp(1, most).ilog2()
}

/// Each variant of each entry point once.
fn distinct(all: impl IntoIterator<Item = (Kernel, Variant)>) -> Vec<(Kernel, Variant)> {
    let mut found: Vec<(Kernel, Variant)> = Vec::new();
    for (kernel, variant) in all {
        let same = |k: &Kernel| (k.stem, k.entry) == (kernel.stem, kernel.entry);
        if !found.iter().any(|(k, v)| same(k) && *v == variant) {
            found.push((kernel, variant));
        }
    }
    found
}

/// The variant of kernels that only need a workgroup size.
fn plain() -> Variant {
    Variant::constants(&[("WG", GROUP)])
}

/// The variant of kernels whose workgroups reduce rows.
fn reducing() -> Variant {
    Variant::constants(&[("WG", REDUCE_GROUP)])
}

/// The same with loads ahead.
fn reducing_ahead(software: bool) -> Variant {
    Variant::constants(&[("WG", REDUCE_GROUP), ("AHEAD", if software { 1 } else { AHEAD })])
}

/// The same for rows of a vocabulary's length.
fn reducing_long(software: bool) -> Variant {
    match software {
        true => reducing_ahead(true),
        false => Variant::constants(&[("WG", LONG_REDUCE_GROUP), ("AHEAD", AHEAD)]),
    }
}

/// A size as the shaders take it. Sizes are below 2³² because a buffer holds at most 2³² elements.
fn word(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}
