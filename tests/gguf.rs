//! GGUF files: row order, metadata, and every way in which a header can lie.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod gguf_writer;

use gguf_writer::{Writer, llama, llama_metadata};
use proptest::prelude::*;
use stepladder::Error;
use stepladder::model::config::RopeScaling;
use stepladder::model::source::bytes::Memory;
use stepladder::model::source::gguf::Gguf;
use stepladder::model::source::safetensors::SafeTensors;
use stepladder::model::source::{Dtype, TensorSource, check};
use stepladder::model::tokenizer::Tokenizer;

fn open(bytes: Vec<u8>) -> Result<Gguf<Memory<Vec<u8>>>, Error> {
    Gguf::open(Memory::new("model.gguf", bytes))
}

/// Asserts that `result` is an input error about `field` whose text holds `part`.
#[track_caller]
fn assert_input<T>(result: Result<T, Error>, field: &str, part: &str) {
    match result {
        Err(Error::Input { field: got, problem, hint, .. }) => {
            assert!(!hint.is_empty());
            assert_eq!(got, field, "{problem}");
            assert!(problem.contains(part), "{problem:?} does not say {part:?}");
        }
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("accepted"),
    }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
}

#[test]
fn a_llama_file_is_read_and_fits_its_configuration() {
    let source = open(llama().bytes()).unwrap();
    let config = source.config();
    assert_eq!((config.num_heads, config.num_kv_heads, config.head_dim, config.vocab_size), (2, 1, 4, 6));
    assert!(config.tie_word_embeddings);
    assert_eq!((config.bos_token_id, config.eos_token_ids.as_slice()), (Some(1), [2].as_slice()));
    check(config, &source).unwrap();
}

#[test]
fn rows_of_q_and_k_come_in_half_split_order() {
    let mut source = open(llama().bytes()).unwrap();
    // The writer stores value = row number in the file; a head of four rows was stored as 0, 2, 1, 3.
    let place = |source: &Gguf<_>, name: &str| source.tensors().iter().position(|t| t.name == name).unwrap();
    let q = place(&source, "model.layers.0.self_attn.q_proj.weight");
    let mut out = Vec::new();
    source.read(q, 0, 8, &mut out).unwrap();
    let rows: Vec<f32> = floats(&out).chunks(8).map(|row| row[0]).collect();
    assert_eq!(rows, [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
    source.read(q, 3, 3, &mut out).unwrap();
    let rows: Vec<f32> = floats(&out).chunks(8).map(|row| row[0]).collect();
    assert_eq!(rows, [3.0, 4.0, 6.0]);
    let v = place(&source, "model.layers.0.self_attn.v_proj.weight");
    source.read(v, 1, 2, &mut out).unwrap();
    assert_eq!(floats(&out).chunks(8).map(|row| row[0]).collect::<Vec<_>>(), [1.0, 2.0]);
    assert!(source.read(q, 7, 2, &mut out).is_err());
}

#[test]
fn biases_of_q_are_reordered_too() {
    let mut writer = llama();
    writer.tensor("blk.0.attn_q.bias", &[8], 0);
    let mut source = open(writer.bytes()).unwrap();
    let index = source.tensors().iter().position(|t| t.name.ends_with("q_proj.bias")).unwrap();
    let mut out = Vec::new();
    source.read(index, 0, 1, &mut out).unwrap();
    assert_eq!(floats(&out), [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
    assert_input(
        check(source.config(), &source),
        "model.layers.0.self_attn.q_proj.bias",
        "does not call for",
    );
}

#[test]
fn rope_divisors_become_configuration() {
    let mut writer = llama();
    writer.tensor("rope_freqs.weight", &[2], 0);
    assert_input(open(writer.bytes()), "rope_freqs.weight", "positive");
    let mut writer = llama();
    writer.tensor_of("rope_freqs.weight", &[2], 0, &[1.0f32, 8.0].map(f32::to_le_bytes).concat());
    let source = open(writer.bytes()).unwrap();
    assert_eq!(source.config().rope.scaling, RopeScaling::Divisors(vec![1.0, 8.0]));
    assert_eq!(source.config().inv_freq(), [1.0, 0.01 / 8.0]);
    check(source.config(), &source).unwrap();
}

#[test]
fn every_lie_of_a_header_is_named() {
    let good = llama().bytes();
    assert_input(open(b"GGML".to_vec()), "header", "not that of a GGUF");
    assert_input(open(good[..3].to_vec()), "header", "do not fit");
    let patched = |at: usize, bytes: &[u8]| {
        let mut file = good.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    };
    assert_input(open(patched(4, &1u32.to_le_bytes())), "version", "version 1");
    assert_input(open(patched(4, &3u32.to_be_bytes())), "version", "not supported");
    assert_input(open(patched(8, &u64::MAX.to_le_bytes())), "tensor count", "do not fit");
    assert_input(open(patched(16, &u64::MAX.to_le_bytes())), "metadata count", "do not fit");
    // The first key's length.
    assert_input(open(patched(24, &u64::MAX.to_le_bytes())), "metadata", "do not fit");
    assert_input(open(good[..good.len() - 8].to_vec()), "output_norm.weight", "outside");

    let mut writer = llama();
    writer.tensor("output_norm.weight", &[8], 0);
    assert_input(open(writer.bytes()), "model.norm.weight", "two tensors");
    let mut writer = llama();
    writer.tensor("x", &[8], 16);
    assert_input(open(writer.bytes()), "x", "IQ2_XXS is not supported");
    let mut writer = llama();
    writer.tensor("x", &[8], 77);
    assert_input(open(writer.bytes()), "x", "type 77");
    let mut writer = llama();
    writer.tensor_of("x", &[33], 8, &[0; 68]);
    assert_input(open(writer.bytes()), "x", "not whole Q8_0 blocks");
    let mut writer = llama();
    writer.tensor_of("x", &[1 << 40, 1 << 40], 0, &[]);
    assert_input(open(writer.bytes()), "x", "overflows");
    let mut writer = llama();
    writer.tensor_of("x", &[1 << 61, 2], 0, &[]);
    assert_input(open(writer.bytes()), "x", "overflows");
    let mut writer = llama();
    writer.tensor_of("x", &[0], 0, &[]);
    assert_input(open(writer.bytes()), "x", "dimension is 0");
    let mut writer = llama();
    writer.tensor_of("x", &[1; 5], 0, &[0; 4]);
    assert_input(open(writer.bytes()), "x", "5 dimensions");
    let mut writer = llama();
    writer.tensor("x", &[64], 0);
    writer.tensors.last_mut().unwrap().offset_change = -32;
    assert_input(open(writer.bytes()), "x", "overlaps");
    writer.tensors.last_mut().unwrap().offset_change = 4;
    assert_input(open(writer.bytes()), "x", "multiple of 32");
    writer.tensors.last_mut().unwrap().offset_change = i64::MIN / 32 * 32;
    assert_input(open(writer.bytes()), "x", "outside");
    let mut writer = llama();
    writer.text("general.architecture", "llama");
    assert_input(open(writer.bytes()), "general.architecture", "twice");
    let mut writer = llama();
    writer.raw("x", 13, &[]);
    assert_input(open(writer.bytes()), "x", "value type 13");
    let mut writer = llama();
    writer.u32("general.alignment", 24);
    assert_input(open(writer.bytes()), "general.alignment", "power of two");
}

#[test]
fn metadata_that_contradict_themselves_are_named() {
    let with = |change: &dyn Fn(&mut Writer)| {
        let mut writer = Writer::default();
        change(&mut writer);
        let keys: Vec<String> = writer.keys();
        llama_metadata(&mut writer, &keys);
        llama().with_metadata_of(&writer).bytes()
    };
    let unknown = open(with(&|w| w.text("general.architecture", "mamba")));
    let message = unknown.unwrap_err().to_string();
    for part in ["mamba", "llama", "qwen2", "qwen3"] {
        assert!(message.contains(part), "{message}");
    }
    type Change = fn(&mut Writer);
    let cases: [(Change, &str, &str); 9] = [
        (|w| w.u32("llama.attention.head_count", 3), "llama.attention.head_count", "3 does not divide"),
        (|w| w.u32("llama.attention.head_count_kv", 3), "num_key_value_heads", "divide"),
        (|w| w.text("llama.block_count", "1"), "llama.block_count", "whole number"),
        (|w| w.u32("llama.expert_count", 8), "llama.expert_count", "mixtures"),
        (|w| w.u32("llama.attention.sliding_window", 8), "llama.attention.sliding_window", "8 pos"),
        (|w| w.text("llama.rope.scaling.type", "ntk"), "llama.rope.scaling.type", "ntk"),
        (|w| w.text("llama.rope.scaling.type", "longrope"), "rope_factors_short.weight", "missing"),
        (|w| w.u32("llama.rope.dimension_count", 2), "llama.rope.dimension_count", "head size 4"),
        (|w| w.u32("tokenizer.ggml.eos_token_id", 6), "eos_token_id", "outside the vocabulary"),
    ];
    for (change, field, part) in cases {
        assert_input(open(with(&change)), field, part);
    }
    let source = open(with(&|w| w.u32("llama.block_count", 2))).unwrap();
    assert_input(check(source.config(), &source), "model.layers.1.input_layernorm.weight", "missing");
    let source = open(with(&|w| w.u32("llama.feed_forward_length", 64))).unwrap();
    assert_input(check(source.config(), &source), "model.layers.0.mlp.gate_proj.weight", "calls for [64, 8]");
    let source = open(with(&|w| w.text("tokenizer.ggml.model", "t5"))).unwrap();
    assert_input(Tokenizer::from_gguf_metadata(source.metadata()), "tokenizer.ggml.model", "t5");
    let source = open(with(&|w| w.text("tokenizer.ggml.pre", "stairs"))).unwrap();
    assert_input(Tokenizer::from_gguf_metadata(source.metadata()), "tokenizer.ggml.pre", "stairs");
}

/// A file with other metadata; keys that `change` writes replace the usual ones.
fn with(change: impl Fn(&mut Writer)) -> Writer {
    let mut writer = Writer::default();
    change(&mut writer);
    let keys = writer.keys();
    llama_metadata(&mut writer, &keys);
    llama().with_metadata_of(&writer)
}

#[test]
fn scalings_are_those_of_llama_cpp() {
    type Change = fn(&mut Writer);
    let linear = RopeScaling::Linear { factor: 2.0 };
    let cases: [(Change, &RopeScaling); 6] = [
        (|w| w.f32("llama.rope.scaling.factor", 2.0), &linear),
        (|w| w.f32("llama.rope.scale_linear", 2.0), &linear),
        (
            |w| {
                w.text("llama.rope.scaling.type", "linear");
                w.f32("llama.rope.scaling.factor", 2.0);
                w.f32("llama.rope.scale_linear", 4.0);
            },
            &linear,
        ),
        (
            |w| {
                w.text("llama.rope.scaling.type", "none");
                w.f32("llama.rope.scaling.factor", 2.0);
            },
            &RopeScaling::None,
        ),
        (|w| w.f32("llama.rope.scaling.factor", 0.0), &RopeScaling::None),
        (|w| w.text("llama.rope.scaling.type", "linear"), &RopeScaling::None),
    ];
    for (index, (change, scaling)) in cases.into_iter().enumerate() {
        assert_eq!(open(with(change).bytes()).unwrap().config().rope.scaling, *scaling, "{index}");
    }
    let mut both = with(|w| w.f32("llama.rope.scaling.factor", 2.0));
    both.tensor_of("rope_freqs.weight", &[2], 0, &[1.0f32, 8.0].map(f32::to_le_bytes).concat());
    assert_eq!(open(both.bytes()).unwrap().config().rope.scaling, RopeScaling::Divisors(vec![2.0, 16.0]));
}

/// What changes the result has no default where llama.cpp has none.
#[test]
fn keys_that_must_be_there_are_missed_by_name() {
    for key in
        ["llama.attention.layer_norm_rms_epsilon", "llama.context_length", "llama.attention.head_count"]
    {
        let mut file = with(|_| {});
        file.remove(key);
        assert_input(open(file.bytes()), key, "is missing");
    }
}

#[test]
fn no_key_is_passed_over() {
    type Change = fn(&mut Writer);
    let cases: [(Change, &str); 12] = [
        (|w| w.f32("llama.rope.scaling.attn_factor", 1.2), "llama.rope.scaling.attn_factor"),
        (|w| w.f32("llama.rope.scaling.yarn_ext_factor", 1.0), "llama.rope.scaling.yarn_ext_factor"),
        (|w| w.f32("llama.attn_logit_softcapping", 50.0), "llama.attn_logit_softcapping"),
        (|w| w.f32("llama.final_logit_softcapping", 30.0), "llama.final_logit_softcapping"),
        (|w| w.f32("llama.logit_scale", 0.0625), "llama.logit_scale"),
        (|w| w.f32("llama.residual_scale", 0.22), "llama.residual_scale"),
        (|w| w.f32("llama.embedding_scale", 12.0), "llama.embedding_scale"),
        (|w| w.f32("llama.attention.scale", 0.25), "llama.attention.scale"),
        (|w| w.f32("llama.attention.clamp_kqv", 8.0), "llama.attention.clamp_kqv"),
        (|w| w.raw("llama.attention.causal", 7, &[0]), "llama.attention.causal"),
        (|w| w.ints("llama.rope.dimension_sections", &[1, 1, 0, 0]), "llama.rope.dimension_sections"),
        (|w| w.u32("llama.something_new", 3), "llama.something_new"),
    ];
    for (change, field) in cases {
        assert_input(open(with(change).bytes()), field, "");
    }
    // What files of llama.cpp, Unsloth and others have.
    let known = with(|w| {
        w.u32("llama.vocab_size", 6);
        w.text("llama.tensor_data_layout", "Meta AI original pth");
        w.raw("llama.rope.scaling.finetuned", 7, &[1]);
        w.f32("llama.attention.scale", 0.5);
        w.f32("llama.logit_scale", 0.0);
        w.f32("llama.rope.scaling.attn_factor", 1.0);
        w.raw("llama.attention.causal", 7, &[1]);
        w.raw("llama.use_parallel_residual", 7, &[0]);
        w.u32("llama.expert_count", 0);
        w.u32("llama.expert_used_count", 0);
        w.ints("llama.attention.head_count", &[2, 2]);
        w.ints("llama.feed_forward_length", &[16]);
        w.u32("general.quantization_version", 2);
        w.text("quantize.imatrix.file", "imatrix.dat");
        w.text("mradermacher.quantized_by", "mradermacher");
        w.u32("tokenizer.ggml.eos_token_id", u32::MAX);
        w.raw("tokenizer.ggml.bos_token_id", 5, &(-1i32).to_le_bytes());
    });
    let known = open(known.bytes()).unwrap();
    assert_eq!((known.config().bos_token_id, known.config().eos_token_ids.as_slice()), (None, [].as_slice()));
}

#[test]
fn block_types_are_known() {
    for (kind, size, dtype) in
        [(1, 64, Dtype::F16), (30, 64, Dtype::BF16), (2, 18, Dtype::Q4_0), (8, 34, Dtype::Q8_0)]
    {
        let mut writer = llama();
        writer.tensor_of("x", &[32], kind, &vec![0; size]);
        let mut source = open(writer.bytes()).unwrap();
        let index = source.tensors().iter().position(|t| t.name == "x").unwrap();
        assert_eq!(source.tensors()[index].dtype, dtype);
        let mut out = Vec::new();
        source.read(index, 0, 1, &mut out).unwrap();
        assert_eq!(out.len(), size);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever a header says, opening gives an answer; what opens can be read.
    #[test]
    fn damaged_headers_never_panic(at in 0usize..2000, bytes in proptest::collection::vec(any::<u8>(), 1..12)) {
        let mut file = llama().bytes();
        let at = at % file.len();
        let end = (at + bytes.len()).min(file.len());
        file[at..end].copy_from_slice(&bytes[..end - at]);
        if let Ok(mut source) = open(file) {
            let mut out = Vec::new();
            for index in 0..source.tensors().len() {
                let rows = source.tensors()[index].rows();
                source.read(index, 0, rows, &mut out).unwrap();
            }
            drop(check(source.config(), &source));
            drop(Tokenizer::from_gguf_metadata(source.metadata()));
        }
    }

    #[test]
    fn truncated_files_never_panic(length in 0usize..4000) {
        let file = llama().bytes();
        prop_assert!(open(file[..length.min(file.len() - 1)].to_vec()).is_err());
    }

    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400), json in "[\\[\\]{}:,\"a0-9]{0,80}") {
        prop_assert!(open([b"GGUF\x03\0\0\0", bytes.as_slice()].concat()).is_err());
        drop(SafeTensors::open(Memory::new("x", bytes)));
        let header = [&(json.len() as u64).to_le_bytes()[..], json.as_bytes()].concat();
        drop(SafeTensors::open(Memory::new("x", header)));
    }
}
