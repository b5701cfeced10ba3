//! An adapter as a GGUF file for llama.cpp (`--lora`): GGUF version 3, all tensors F32.
//!
//! llama.cpp scales B A x by adapter.lora.alpha / rank with one alpha for the whole file. Where rank-stabilised scaling
//! or an alpha pattern asks for another factor, it is multiplied into B, so that the product stays the same.

use super::lora_config::LoraConfig;
use super::peft::AdapterFile;
use crate::model::family::Family;
use crate::model::family::tensors::Role;
use crate::{Error, Result};

/// Tensor data begins at multiples of this many bytes (GGUF's default).
const ALIGNMENT: usize = 32;
/// GGUF's number for the value type `uint32`.
const UINT32: u32 = 4;
/// GGUF's number for the value type `float32`.
const FLOAT32: u32 = 6;
/// GGUF's number for the value type `string`.
const STRING: u32 = 8;
/// ggml's number for the tensor type F32, and llama.cpp's for a file of such tensors.
const F32: u32 = 0;

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
    let config = &adapter.config;
    let file_alpha = effective_alpha(config, config.alpha, config.rank);
    let mut tensors = Vec::with_capacity(2 * adapter.tensors.len());
    for (&(layer, module), pair) in &adapter.tensors {
        let rank = config.rank_of(layer, module);
        for (arg, data) in [("a", &pair.a), ("b", &pair.b)] {
            if rank == 0 || data.len() % rank != 0 {
                return Err(Error::Shape {
                    kernel: "GGUF export",
                    arg,
                    expected: vec![rank],
                    got: vec![data.len()],
                });
            }
        }
        let factor = effective_alpha(config, config.alpha_of(layer, module), rank) / file_alpha;
        let tensor = base.family.tensor(Role::Weight(module)).ok_or_else(|| {
            let problem = format!("{} has no {module}", base.family.name);
            Error::usage("adapter", problem, "use an adapter that was made for this model")
        })?;
        let mut b = match base.family.interleaved_heads(module, base.heads) {
            Some(heads) => interleave(&pair.b, rank, heads)?,
            None => pair.b.clone(),
        };
        // A factor of 1 is exact, so that files without patterns keep B's bits.
        b.iter_mut().for_each(|b| *b = (f64::from(*b) * factor) as f32);
        let name = tensor.gguf_name(layer);
        tensors.push((format!("{name}.lora_a"), [pair.a.len() / rank, rank], pair.a.clone()));
        tensors.push((format!("{name}.lora_b"), [rank, pair.b.len() / rank], b));
    }
    let mut values = vec![
        ("general.type".to_owned(), Value::Text("adapter")),
        ("general.architecture".to_owned(), Value::Text(base.family.gguf_architecture)),
        ("general.file_type".to_owned(), Value::Whole(F32)),
        ("adapter.type".to_owned(), Value::Text("lora")),
        ("adapter.lora.alpha".to_owned(), Value::Float(file_alpha as f32)),
    ];
    if let Some(name) = &config.base_model {
        values.push(("general.base_model.count".to_owned(), Value::Whole(1)));
        values.push(("general.base_model.0.name".to_owned(), Value::Text(name)));
    }
    Ok(serialize(&values, &tensors))
}

/// The alpha which, divided by the rank, gives the factor of B A x.
fn effective_alpha(config: &LoraConfig, alpha: f64, rank: usize) -> f64 {
    if config.rslora { alpha * (rank as f64).sqrt() } else { alpha }
}

/// Moves row i of the first half of each head to 2 i, and row i of the second to 2 i + 1. llama.cpp rotates neighbours
/// where Hugging Face rotates halves.
fn interleave(b: &[f32], rank: usize, heads: usize) -> Result<Vec<f32>> {
    let rows = b.len() / rank.max(1);
    let half = rows / (2 * heads).max(1);
    if half * 2 * heads != rows {
        return Err(Error::Shape {
            kernel: "GGUF export",
            arg: "b",
            expected: vec![2 * heads],
            got: vec![rows],
        });
    }
    let mut moved = Vec::with_capacity(b.len());
    for head in 0..heads {
        for pair in 0..half {
            for side in 0..2 {
                let row = (2 * head + side) * half + pair;
                moved.extend_from_slice(&b[row * rank..(row + 1) * rank]);
            }
        }
    }
    Ok(moved)
}

enum Value<'a> {
    Text(&'a str),
    Whole(u32),
    Float(f32),
}

/// Lays out the file; a tensor is (name, sizes from the fastest dimension on, numbers).
fn serialize(values: &[(String, Value<'_>)], tensors: &[(String, [usize; 2], Vec<f32>)]) -> Vec<u8> {
    let mut out = Vec::from(*b"GGUF");
    let text = |out: &mut Vec<u8>, text: &str| {
        out.extend((text.len() as u64).to_le_bytes());
        out.extend(text.as_bytes());
    };
    out.extend(3u32.to_le_bytes());
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend((values.len() as u64).to_le_bytes());
    for (key, value) in values {
        text(&mut out, key);
        match value {
            Value::Text(value) => {
                out.extend(STRING.to_le_bytes());
                text(&mut out, value);
            }
            Value::Whole(value) => {
                out.extend(UINT32.to_le_bytes());
                out.extend(value.to_le_bytes());
            }
            Value::Float(value) => {
                out.extend(FLOAT32.to_le_bytes());
                out.extend(value.to_le_bytes());
            }
        }
    }
    let mut offset = 0;
    for (name, sizes, numbers) in tensors {
        text(&mut out, name);
        out.extend((sizes.len() as u32).to_le_bytes());
        sizes.iter().for_each(|&size| out.extend((size as u64).to_le_bytes()));
        out.extend(F32.to_le_bytes());
        out.extend((offset as u64).to_le_bytes());
        offset += (numbers.len() * size_of::<f32>()).next_multiple_of(ALIGNMENT);
    }
    out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
    for (_, _, numbers) in tensors {
        out.extend_from_slice(bytemuck::cast_slice(numbers));
        out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::model::family::{llama, qwen2};
    use crate::model::module::Module;
    use crate::train::peft::LoraPair;
    use std::collections::BTreeMap;

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
