//! An adapter as a GGUF file for llama.cpp (`--lora`): GGUF version 3, all tensors F32.
//!
//! llama.cpp scales B A x by adapter.lora.alpha / rank with one alpha for the whole file. Where rank-stabilised scaling
//! or an alpha pattern asks for another factor, it is multiplied into B, so that the product stays the same.

use super::lora_config::LoraConfig;
use super::peft::AdapterFile;
use crate::model::family::Family;
use crate::model::family::tensors::Role;
use crate::model::source::Dtype;
use crate::model::to_gguf::interleave;
use crate::model::to_gguf::layout::{ALIGNMENT, Entries, TensorEntry, header};
use crate::{Error, Result};

/// What the file must say of its base model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GgufBase {
    /// The base model's family: it has the names, and the order of q's and k's rows.
    pub family: &'static Family,
    /// Query heads, key and value heads.
    pub heads: [usize; 2],
}

/// The file's bytes.
///
/// Errors: [`Error::Usage`] if the family does not have a module, [`Error::Shape`] if the rows of q or k are not whole heads of an even size, or a matrix does not have its rank.
pub fn to_gguf(adapter: &AdapterFile, base: &GgufBase) -> Result<Vec<u8>> {
    base.family.check_gguf("adapter")?;
    let config = &adapter.config;
    let file_alpha = effective_alpha(config, config.alpha, config.rank);
    let (mut tensors, mut data) = (Vec::new(), Vec::new());
    for (&(layer, module), pair) in &adapter.tensors {
        let rank = config.rank_of(layer, module);
        let shape = |arg, expected, got| Error::Shape {
            kernel: "GGUF export",
            arg,
            expected: vec![expected],
            got: vec![got],
        };
        for (arg, data) in [("a", &pair.a), ("b", &pair.b)] {
            if rank == 0 || data.len() % rank != 0 {
                return Err(shape(arg, rank, data.len()));
            }
        }
        let factor = effective_alpha(config, config.alpha_of(layer, module), rank) / file_alpha;
        let tensor = base.family.tensor(Role::Weight(module)).ok_or_else(|| {
            let problem = format!("{} has no {module}", base.family.name);
            Error::usage("adapter", problem, "use an adapter that was made for this model")
        })?;
        let mut b = match base.family.interleaved_heads(module, base.heads) {
            Some(heads) => {
                interleave(&pair.b, rank, heads).ok_or_else(|| shape("b", 2 * heads, pair.b.len() / rank))?
            }
            None => pair.b.clone(),
        };
        // A factor of 1 is exact, so that files without patterns keep B's bits.
        b.iter_mut().for_each(|b| *b = (f64::from(*b) * factor) as f32);
        let name = tensor.gguf_name(layer);
        let [inputs, outputs] = [pair.a.len() / rank, pair.b.len() / rank];
        for (end, shape, values) in
            [("lora_a", [rank, inputs], pair.a.clone()), ("lora_b", [outputs, rank], b)]
        {
            let (name, shape) = (format!("{name}.{end}"), shape.into());
            tensors.push(TensorEntry { name, shape, dtype: Dtype::F32 });
            data.push(values);
        }
    }
    let mut entries: Entries = vec![
        ("general.type".into(), "adapter".into()),
        ("general.architecture".into(), base.family.gguf_architecture.into()),
        // llama.cpp's number for a file of tensors in F32.
        ("general.file_type".into(), 0.into()),
        ("adapter.type".into(), "lora".into()),
        ("adapter.lora.alpha".into(), (file_alpha as f32).into()),
    ];
    if let Some(name) = &config.base_model {
        entries.push(("general.base_model.count".into(), 1.into()));
        entries.push(("general.base_model.0.name".into(), name.as_str().into()));
    }
    let mut out = header(&entries, &tensors)?;
    for values in data {
        out.extend_from_slice(bytemuck::cast_slice(&values));
        out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
    }
    Ok(out)
}

/// The alpha which, divided by the rank, gives the factor of B A x.
fn effective_alpha(config: &LoraConfig, alpha: f64, rank: usize) -> f64 {
    if config.rslora { alpha * (rank as f64).sqrt() } else { alpha }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::model::family::{llama, qwen2};
    use crate::model::module::Module;
    use crate::train::peft::LoraPair;
    use std::collections::BTreeMap;

    /// GGUF's numbers of types of values, and ggml's of F32.
    const UINT32: u32 = 4;
    const FLOAT32: u32 = 6;
    const STRING: u32 = 8;
    const F32: u32 = 0;
    const LLAMA: GgufBase = GgufBase { family: &llama::FAMILY, heads: [2, 1] };

    /// Two query heads and one key head of size 4, hidden size 3, rank 2: B's row n holds n and n + 1/2.
    fn adapter(config: LoraConfig) -> AdapterFile {
        let pair = |rows: u8| LoraPair {
            a: (0..6u8).map(f32::from).collect(),
            b: (0..rows).flat_map(|row| [f32::from(row), f32::from(row) + 0.5]).collect(),
        };
        let tensors =
            [((0, Module::Q), pair(8)), ((0, Module::K), pair(4)), ((1, Module::V), pair(4))].into();
        AdapterFile { config: LoraConfig { rank: 2, alpha: 8.0, ..config }, tensors }
    }

    /// Sizes and numbers of a tensor.
    type Shaped = (Vec<u64>, Vec<f32>);

    /// A reader of just this much GGUF: metadata as text, and tensors by name with their sizes.
    fn read(bytes: &[u8]) -> (BTreeMap<String, String>, BTreeMap<String, Shaped>) {
        let mut at = 0;
        let mut take = |n: usize| {
            at += n;
            &bytes[at - n..at]
        };
        assert_eq!(take(4), b"GGUF");
        let u32_of = |b: &[u8]| u32::from_le_bytes(b.try_into().unwrap());
        let u64_of = |b: &[u8]| u64::from_le_bytes(b.try_into().unwrap());
        assert_eq!(u32_of(take(4)), 3);
        let (tensor_count, value_count) = (u64_of(take(8)), u64_of(take(8)));
        let mut values = BTreeMap::new();
        for _ in 0..value_count {
            let length = u64_of(take(8)) as usize;
            let key = String::from_utf8(take(length).to_vec()).unwrap();
            let value = match u32_of(take(4)) {
                STRING => {
                    let length = u64_of(take(8)) as usize;
                    String::from_utf8(take(length).to_vec()).unwrap()
                }
                UINT32 => u32_of(take(4)).to_string(),
                FLOAT32 => f32::from_le_bytes(take(4).try_into().unwrap()).to_string(),
                other => panic!("value type {other}"),
            };
            values.insert(key, value);
        }
        let mut infos = Vec::new();
        for _ in 0..tensor_count {
            let length = u64_of(take(8)) as usize;
            let name = String::from_utf8(take(length).to_vec()).unwrap();
            let sizes: Vec<u64> = (0..u32_of(take(4))).map(|_| u64_of(take(8))).collect();
            assert_eq!(u32_of(take(4)), F32);
            infos.push((name, sizes, u64_of(take(8)) as usize));
        }
        let start = at.next_multiple_of(ALIGNMENT);
        let tensor = |(name, sizes, offset): (String, Vec<u64>, usize)| {
            assert_eq!(offset % ALIGNMENT, 0);
            let length = 4 * sizes.iter().product::<u64>() as usize;
            let data = &bytes[start + offset..start + offset + length];
            (name, (sizes, data.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()))
        };
        (values, infos.into_iter().map(tensor).collect())
    }

    #[test]
    fn says_what_llama_cpp_asks_for() {
        let config = LoraConfig { base_model: Some("someone/model".into()), ..LoraConfig::default() };
        let (values, tensors) = read(&to_gguf(&adapter(config), &LLAMA).unwrap());
        let expected = [
            ("general.type", "adapter"),
            ("general.architecture", "llama"),
            ("general.file_type", "0"),
            ("adapter.type", "lora"),
            ("adapter.lora.alpha", "8"),
            ("general.base_model.count", "1"),
            ("general.base_model.0.name", "someone/model"),
        ];
        assert_eq!(values, expected.map(|(key, value)| (key.into(), value.into())).into());
        assert_eq!(tensors.len(), 6);
        assert_eq!(tensors["blk.0.attn_q.weight.lora_a"], (vec![3, 2], vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]));
        assert_eq!(tensors["blk.0.attn_q.weight.lora_b"].0, [2, 8]);
        assert_eq!(tensors["blk.1.attn_v.weight.lora_b"].0, [2, 4]);
    }

    #[test]
    fn rows_of_q_and_k_are_interleaved_within_each_head() {
        let first = |data: &[f32]| data.iter().step_by(2).copied().collect::<Vec<_>>();
        let (_, llama) = read(&to_gguf(&adapter(LoraConfig::default()), &LLAMA).unwrap());
        assert_eq!(first(&llama["blk.0.attn_q.weight.lora_b"].1), [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
        assert_eq!(first(&llama["blk.0.attn_k.weight.lora_b"].1), [0.0, 2.0, 1.0, 3.0]);
        assert_eq!(first(&llama["blk.1.attn_v.weight.lora_b"].1), [0.0, 1.0, 2.0, 3.0]);
        let qwen = GgufBase { family: &qwen2::FAMILY, heads: [2, 1] };
        let (_, qwen) = read(&to_gguf(&adapter(LoraConfig::default()), &qwen).unwrap());
        assert_eq!(first(&qwen["blk.0.attn_q.weight.lora_b"].1), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        let odd = GgufBase { family: &llama::FAMILY, heads: [3, 1] };
        assert_eq!(to_gguf(&adapter(LoraConfig::default()), &odd).unwrap_err().code(), "shape");
        let mut cut = adapter(LoraConfig::default());
        cut.tensors.get_mut(&(1, Module::V)).unwrap().a.pop();
        assert_eq!(to_gguf(&cut, &LLAMA).unwrap_err().code(), "shape");
    }

    #[test]
    fn the_scale_of_every_module_is_kept() {
        let config = LoraConfig {
            rslora: true,
            alpha_pattern: [(Module::V.path(1), 2.0)].into(),
            ..LoraConfig::default()
        };
        let adapter = adapter(config);
        let (values, tensors) = read(&to_gguf(&adapter, &LLAMA).unwrap());
        let alpha: f32 = values["adapter.lora.alpha"].parse().unwrap();
        for (layer, module, name) in [(0, Module::Q, "blk.0.attn_q"), (1, Module::V, "blk.1.attn_v")] {
            let b = &tensors[&format!("{name}.weight.lora_b")].1;
            // The last row stays in its place.
            let (got, want) = (b.last().unwrap(), adapter.tensors[&(layer, module)].b.last().unwrap());
            let (got, want) = (got * alpha / 2.0, want * adapter.config.scale(layer, module));
            assert!((got - want).abs() < 1e-5 * want, "{name}: {got}, expected {want}");
        }
    }
}
