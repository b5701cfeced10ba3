//! The list of all kernels, for the tests of all shaders. No shader of its own.

use super::{
    adamw, adjust, attention, embed, gather, kv_write, log_softmax, lora, peak, peak_coop, product, rms_norm,
    rope, sample, swiglu,
};
use crate::gpu::{Kernel, Variant, shader};

/// Every kernel in every variant that the program may ask for.
pub fn all() -> Vec<(Kernel, Variant)> {
    let plain = [
        adamw::variants(),
        adjust::variants(),
        attention::full::variants(),
        attention::tiled::variants(),
        attention::decode::variants(),
        attention::decode_split::variants(),
        embed::variants(),
        gather::variants(),
        kv_write::variants(),
        log_softmax::variants(),
        lora::down::variants(),
        lora::grad::variants(),
        product::choose::variants(),
        product::matrix_units::variants(),
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
