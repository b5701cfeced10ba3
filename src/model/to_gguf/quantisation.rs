//! Which type each tensor of an exported GGUF file gets.

use crate::model::family::tensors::Role;
use crate::model::module::Module;
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
    /// The type of values, with queries and keys where they are one matrix, and of the MLP's output in [layers that matter more](matters).
    finer: Dtype,
}

/// Every way, the usual one first.
pub const QUANTISATIONS: &[Quantisation] = &[
    Quantisation {
        name: "f16",
        help: "16-bit floats",
        file_type: 1,
        matrices: Dtype::F16,
        head: Dtype::F16,
        finer: Dtype::F16,
    },
    Quantisation {
        name: "f32",
        help: "32-bit floats: nothing is rounded",
        file_type: 0,
        matrices: Dtype::F32,
        head: Dtype::F32,
        finer: Dtype::F32,
    },
    Quantisation {
        name: "q8_0",
        help: "8-bit blocks of 32",
        file_type: 7,
        matrices: Dtype::Q8_0,
        head: Dtype::Q8_0,
        finer: Dtype::Q8_0,
    },
    Quantisation {
        name: "q4_0",
        help: "4-bit blocks of 32, the head in 8 bits",
        file_type: 2,
        matrices: Dtype::Q4_0,
        head: Dtype::Q8_0,
        finer: Dtype::Q4_0,
    },
    Quantisation {
        name: "q4_k_m",
        help: "4-bit blocks of 256, some layers and the head in 6 bits",
        file_type: 15,
        matrices: Dtype::Q4K,
        head: Dtype::Q6K,
        finer: Dtype::Q6K,
    },
];

impl Quantisation {
    /// The way of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        QUANTISATIONS.iter().find(|way| way.name == name)
    }

    /// The type of the tensor of `shape` in layer `place.0` of `place.1`; `tied` says whether the embedding is the head. Rows that
    /// are not whole blocks of 256 get blocks of 32, and those that are no blocks at all F16, as llama.cpp's quantiser has them.
    pub fn dtype(&self, role: Role, shape: &[usize], tied: bool, place: (usize, usize)) -> Dtype {
        let [_, cols] = shape else { return Dtype::F32 };
        let wanted = match role {
            Role::Head => self.head,
            Role::Embedding if tied => self.head,
            Role::Weight(Module::V | Module::Qkv | Module::Down) if matters(place) => self.finer,
            _ => self.matrices,
        };
        let smaller = match wanted {
            Dtype::Q4K => Dtype::Q5_0,
            Dtype::Q6K => Dtype::Q8_0,
            other => other,
        };
        let fits = |dtype: &Dtype| cols.is_multiple_of(dtype.block().0);
        [wanted, smaller].into_iter().find(fits).unwrap_or(Dtype::F16)
    }
}

/// Layers whose errors cost more: the first and the last eighth, and each third between (`use_more_bits` of `llama-quant.cpp`).
fn matters((layer, layers): (usize, usize)) -> bool {
    layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2
}
