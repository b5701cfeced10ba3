//! Which type each tensor of an exported GGUF file gets.

use crate::model::family::tensors::Role;
use crate::model::source::Dtype;

/// One way of storing a model's matrices; vectors are always F32.
#[derive(Debug)]
pub struct Quantisation {
    /// As users write it.
    pub name: &'static str,
    /// What it is.
    pub help: &'static str,
    /// llama.cpp's number for such files (`llama_ftype`).
    pub file_type: u32,
    /// The type of the matrices.
    matrices: Dtype,
    /// The type of the matrix that the logits come from: the head, or the embedding where that is the head.
    head: Dtype,
}

/// Every way, the usual one first.
pub const QUANTISATIONS: &[Quantisation] = &[
    Quantisation { name: "f16", help: "16-bit floats", file_type: 1, matrices: Dtype::F16, head: Dtype::F16 },
    Quantisation {
        name: "f32",
        help: "32-bit floats: nothing is rounded",
        file_type: 0,
        matrices: Dtype::F32,
        head: Dtype::F32,
    },
    Quantisation {
        name: "q8_0",
        help: "8-bit blocks of 32",
        file_type: 7,
        matrices: Dtype::Q8_0,
        head: Dtype::Q8_0,
    },
    Quantisation {
        name: "q4_0",
        help: "4-bit blocks of 32, the head in 8 bits",
        file_type: 2,
        matrices: Dtype::Q4_0,
        head: Dtype::Q8_0,
    },
];

impl Quantisation {
    /// The way of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        QUANTISATIONS.iter().find(|way| way.name == name)
    }

    /// The type of a tensor of `shape`; `tied` says whether the embedding is the head. Rows that are not whole blocks are F16, as
    /// llama.cpp's quantiser has them.
    pub fn dtype(&self, role: Role, shape: &[usize], tied: bool) -> Dtype {
        let [_, cols] = shape else { return Dtype::F32 };
        let is_head = role == Role::Head || tied && role == Role::Embedding;
        let wanted = if is_head { self.head } else { self.matrices };
        if cols.is_multiple_of(wanted.block().0) { wanted } else { Dtype::F16 }
    }
}
