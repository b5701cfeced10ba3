//! One file per shader: its parameters, its bindings, the shape check and the dispatch.
//!
//! A new kernel is a shader `shaders/x.wgsl`, a file `x.rs` here, a reference `tests/reference/x.rs`, and one line in
//! [`all`].

use crate::gpu::{Kernel, Variant, shader};

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
/// Likewise `vec4<f32>`.
type F32x4 = [f32; 4];

/// Declares an entry point of `shaders/STEM.wgsl` with the bindings that it uses.
macro_rules! kernel {
    ($stem:literal, $entry:literal, $params:ty, [$($binding:literal),* $(,)?]) => {
        crate::gpu::Kernel {
            stem: $stem,
            source: include_str!(concat!("../../shaders/", $stem, ".wgsl")),
            entry: $entry,
            bindings: &[$($binding),*],
            params: <$params>::FIELDS,
        }
    };
}

pub mod adamw;
pub mod attention;
pub mod decode_attention;
pub mod decode_attention_split;
pub mod embed;
pub mod gather;
pub mod kv_write;
pub mod log_softmax;
pub mod lora;
pub mod lora_grad;
pub mod lora_grad_lanes;
pub mod matmul;
pub mod matmul_coop;
pub mod matmul_few;
pub mod matmul_lanes;
pub mod matmul_tiled;
pub mod peak;
pub mod peak_coop;
pub mod rms_norm;
pub mod rope;
pub mod sample;
pub mod segment;
pub mod swiglu;
pub mod weight;

/// An index that names no row, place or page.
pub const NONE: u32 = u32::MAX;

/// Threads of a workgroup whose threads are independent.
const GROUP: u32 = 64;

/// Threads of a workgroup that reduces a row together.
const REDUCE_GROUP: u32 = 64;

/// f32 numbers in the workgroup memory that every WebGPU device has.
const SHARED_NUMBERS: usize = 4096;

/// Every kernel in every variant that the program may ask for.
pub fn all() -> Vec<(Kernel, Variant)> {
    let plain = [
        adamw::variants(),
        attention::variants(),
        decode_attention::variants(),
        decode_attention_split::variants(),
        embed::variants(),
        gather::variants(),
        kv_write::variants(),
        log_softmax::variants(),
        lora::variants(),
        lora_grad::variants(),
        matmul::variants(),
        matmul_coop::variants(),
        peak::variants(),
        peak_coop::variants(),
        rms_norm::variants(),
        rope::variants(),
        sample::variants(),
        swiglu::variants(),
    ]
    .concat();
    let with_subgroups = |(kernel, variant): &(Kernel, Variant)| {
        shader::with_subgroups(kernel.source, variant).map(|variant| (*kernel, variant))
    };
    let more: Vec<_> = plain.iter().filter_map(with_subgroups).collect();
    [plain, more].concat()
}

/// The variant of kernels that only need a workgroup size.
fn plain() -> Variant {
    Variant::constants(&[("WG", GROUP)])
}

fn reducing() -> Variant {
    Variant::constants(&[("WG", REDUCE_GROUP)])
}

/// A size as the shaders take it. Sizes are below 2³² because a buffer holds at most 2³² elements.
fn word(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}
