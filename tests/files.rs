//! Damaged, hostile and contradictory model files give an error that names file, field and remedy.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use stepladder::Error;
use stepladder::model::config::{ModelConfig, RopeScaling};
use stepladder::model::family::window::SlidingWindow;
use stepladder::model::source::bytes::Memory;
use stepladder::model::source::folder::Folder;
use stepladder::model::source::safetensors::SafeTensors;
use stepladder::model::source::{Dtype, TensorSource, check, expected};
use stepladder::model::tokenizer::Tokenizer;

/// Asserts that `result` is an input error about `field` whose text holds `part`.
#[track_caller]
fn assert_input<T>(result: Result<T, Error>, field: &str, part: &str) {
    match result {
        Err(Error::Input { file, field: got, problem, hint }) => {
            assert!(!file.as_os_str().is_empty() && !hint.is_empty());
            assert_eq!(got, field, "{problem}");
            assert!(problem.contains(part), "{problem:?} does not say {part:?}");
        }
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("accepted"),
    }
}

// ---- config.json ----

/// The config of a small Llama.
fn llama() -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "vocab_size": 64,
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "rms_norm_eps": 1e-5, "max_position_embeddings": 128, "rope_theta": 10000.0,
        "tie_word_embeddings": true, "bos_token_id": 1, "eos_token_id": [2, 3], "torch_dtype": "float32"
    })
}

fn parse(config: &Value) -> Result<ModelConfig, Error> {
    ModelConfig::from_json(Path::new("config.json"), &config.to_string())
}

#[test]
fn a_config_is_read() {
    let config = parse(&llama()).unwrap();
    assert_eq!((config.head_dim, config.q_size(), config.kv_size()), (8, 32, 16));
    assert_eq!(config.eos_token_ids, [2, 3]);
    assert_eq!(config.rope.scaling, RopeScaling::None);
    assert_eq!(config.inv_freq(), [1.0, 0.1, 0.01, 0.001]);
}

#[test]
fn both_generations_of_rope_fields_are_read() {
    let scaling = json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64});
    let mut old = llama();
    old["rope_theta"] = json!(500000.0);
    old["rope_scaling"] = scaling.clone();
    let mut new = llama();
    new.as_object_mut().unwrap().remove("rope_theta");
    new["dtype"] = json!("bfloat16");
    new["rope_parameters"] = scaling;
    new["rope_parameters"]["rope_theta"] = json!(500000.0);
    assert_eq!(parse(&old).unwrap(), parse(&new).unwrap());
    new["rope_theta"] = json!(10000.0);
    assert_input(parse(&new), "rope_parameters.rope_theta", "contradicts");
}

#[test]
fn stretched_frequencies_are_those_of_transformers() {
    // LlamaRotaryEmbedding(config).inv_freq with head_dim 128, of transformers 5.23.
    let llama3 = json!({"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 8192});
    let linear = json!({"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0});
    let cases: [(Value, [(usize, f32); 6]); 2] = [
        (
            llama3,
            [
                (0, 1.0),
                (1, 0.8146172),
                (28, 3.211446e-3),
                (29, 2.1665706e-3),
                (32, 5.24846e-4),
                (63, 3.068926e-7),
            ],
        ),
        (
            linear,
            [
                (0, 0.25),
                (1, 0.21649109),
                (28, 4.4456986e-3),
                (29, 3.8498163e-3),
                (32, 2.5e-3),
                (63, 2.8869548e-5),
            ],
        ),
    ];
    for (rope, expected) in cases {
        let mut config = llama();
        config["head_dim"] = json!(128);
        config.as_object_mut().unwrap().remove("rope_theta");
        config["rope_parameters"] = rope;
        let got = parse(&config).unwrap().inv_freq();
        assert_eq!(got.len(), 64);
        for (index, want) in expected {
            assert!((got[index] - want).abs() <= want * 3e-7, "{index}: {} for {want}", got[index]);
        }
    }
}

#[test]
fn every_bad_config_field_is_named() {
    let cases = [
        ("architectures", json!(["GPT2LMHeadModel"]), "architectures", "unknown architecture"),
        ("architectures", json!(null), "architectures", "list of one name"),
        ("vocab_size", json!(null), "vocab_size", "missing"),
        ("vocab_size", json!(-1), "vocab_size", "whole number"),
        ("vocab_size", json!(1u64 << 40), "vocab_size", "whole number"),
        ("hidden_size", json!("32"), "hidden_size", "whole number"),
        ("hidden_size", json!(33), "num_attention_heads", "does not divide"),
        ("num_attention_heads", json!(0), "num_attention_heads", "does not divide"),
        ("num_key_value_heads", json!(3), "num_key_value_heads", "does not divide"),
        ("head_dim", json!(7), "head_dim", "only multiples of 4"),
        ("num_hidden_layers", json!(0), "num_hidden_layers", "must be from 1"),
        ("rms_norm_eps", json!(0.0), "rms_norm_eps", "between"),
        ("head_dim", json!(2), "head_dim", "only multiples of 4"),
        ("hidden_size", json!(36), "hidden_size", "only multiples of 8"),
        ("intermediate_size", json!(100), "intermediate_size", "only multiples of 8"),
        ("vocab_size", json!((1 << 19) + 1), "vocab_size", "must be from 1 to 524288"),
        ("rope_theta", json!(0.5), "rope_theta", "above 1"),
        ("hidden_act", json!("gelu"), "hidden_act", "not supported"),
        ("attention_bias", json!(true), "attention_bias", "not supported"),
        ("mlp_bias", json!(true), "mlp_bias", "not supported"),
        ("sliding_window", json!(64), "sliding_window", "not supported"),
        ("quantization_config", json!({"quant_method": "aqlm"}), "quantization_config", "not supported"),
        ("rope_scaling", json!({"type": "ntk"}), "rope_scaling.rope_type", "not supported"),
        ("quantization", json!({"group_size": 64, "bits": 3}), "quantization", "in 3 bits are not supported"),
        ("quantization", json!({"group_size": 32, "bits": 4, "mode": "mxfp4"}), "quantization", "by mxfp4"),
        ("rope_scaling", json!({"type": "linear"}), "rope_scaling.factor", "missing"),
        ("rope_scaling", json!({"type": "linear", "factor": 0}), "rope_scaling.factor", "above 0"),
        ("eos_token_id", json!(64), "eos_token_id", "outside the vocabulary"),
        ("tie_word_embeddings", json!("yes"), "tie_word_embeddings", "true or false"),
    ];
    for (field, value, named, problem) in cases {
        let mut config = llama();
        config[field] = value;
        assert_input(parse(&config), named, problem);
    }
    assert_input(
        ModelConfig::from_json(Path::new("config.json"), "{\n \"a\": }"),
        "line 2",
        "expected value",
    );
}

#[test]
fn no_field_is_passed_over() {
    let cases = [
        ("attn_logit_softcapping", json!(50.0)),
        ("final_logit_softcapping", json!(30.0)),
        ("logit_scale", json!(0.0625)),
        ("logits_scaling", json!(8.0)),
        ("residual_multiplier", json!(0.22)),
        ("embedding_multiplier", json!(12)),
        ("scale_emb", json!(12)),
        ("use_sliding_window", json!(true)),
        ("no_rope_layers", json!([1, 1, 0])),
        ("num_local_experts", json!(8)),
        ("partial_rotary_factor", json!(0.5)),
        ("causal", json!(false)),
        ("position_embedding_type", json!("alibi")),
        ("activation_function", json!("gelu_new")),
        ("use_qk_norm", json!(true)),
        ("query_pre_attn_scalar", json!(256)),
        ("compression_config", json!({"format": "float-quantized"})),
        ("something_new", json!(3)),
    ];
    for (field, value) in cases {
        let mut config = llama();
        config[field] = value;
        assert_input(parse(&config), field, "is ");
        config[field] = json!(null);
        parse(&config).unwrap();
    }
}

#[test]
fn the_fields_of_published_configs_are_known() {
    // Llama 3.2, SmolLM2, TinyLlama, Mistral 0.3, Qwen2.5, Qwen3, DeepSeek's distills, fine-tunes by Unsloth, and what
    // transformers 4.3 wrote into every file.
    let common = json!({
        "_name_or_path": "someone/model", "_attn_implementation_autoset": true, "attention_bias": false, "attention_dropout": 0.1,
        "head_dim": 8, "initializer_range": 0.02, "mlp_bias": false, "pretraining_tp": 1, "transformers_version": "4.46.3",
        "use_cache": true, "pad_token_id": -1, "rope_scaling": null, "unsloth_fixed": true, "unsloth_version": "2025.1.1",
        "bad_words_ids": null, "chunk_size_feed_forward": 0, "id2label": {"0": "LABEL_0"}, "max_length": 20, "num_beams": 1,
        "output_attentions": false, "return_dict": true, "temperature": 1.0, "top_k": 50, "torchscript": false,
        "tie_encoder_decoder": false, "typical_p": 1.0, "is_decoder": false, "length_penalty": 1.0, "use_bfloat16": false,
        "quantization_config": {}, "auto_map": {"AutoModelForCausalLM": "m.M"}, "rms_norm_eps": 1e-6
    });
    let families = [
        json!({"is_llama_config": true, "rope_interleaved": false, "transformers.js_config": {"dtype": "q4"},
            "max_sequence_length": 128}),
        json!({"architectures": ["MistralForCausalLM"], "model_type": "mistral", "sliding_window": null}),
        json!({"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "sliding_window": 64, "max_window_layers": 1,
            "use_sliding_window": false, "use_mrope": false}),
        json!({"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "sliding_window": null, "max_window_layers": 2,
            "use_sliding_window": false, "layer_types": ["full_attention", "full_attention"]}),
    ];
    for family in families {
        let mut config = llama();
        for (name, value) in common.as_object().unwrap().iter().chain(family.as_object().unwrap()) {
            config[name] = value.clone();
        }
        parse(&config).unwrap();
    }
}

#[test]
fn windows_are_those_of_transformers() {
    let with = |changes: Value| {
        let mut config = llama();
        for (name, value) in changes.as_object().unwrap() {
            config[name] = value.clone();
        }
        parse(&config)
    };
    let window = |changes: Value| with(changes).unwrap().sliding_window;
    let found = |size: usize, layers: [bool; 2]| Some(SlidingWindow { size, layers: layers.into() });
    let qwen = |first: usize| {
        json!({"architectures": ["Qwen2ForCausalLM"], "use_sliding_window": true, "sliding_window": 64,
            "max_window_layers": first})
    };
    assert_eq!(window(qwen(1)), found(64, [false, true]));
    // No layer of the two is above the first that slides.
    assert_eq!(window(qwen(2)), None);
    let typed = |on: bool, size: Value, kinds: [&str; 2]| {
        json!({"architectures": ["Qwen3ForCausalLM"], "use_sliding_window": on, "sliding_window": size,
            "max_window_layers": 0, "layer_types": kinds})
    };
    let (full, sliding) = ("full_attention", "sliding_attention");
    assert_eq!(window(typed(true, json!(64), [full, full])), None);
    assert_eq!(window(typed(true, json!(64), [sliding, full])), found(64, [true, false]));
    assert_input(with(typed(false, json!(64), [sliding, full])), "layer_types", "switches off");
    assert_input(with(typed(true, json!(null), [sliding, full])), "layer_types", "switches off");
    assert_input(with(typed(true, json!(0), [full, full])), "sliding_window", "is 0");
    assert_input(
        with(typed(true, json!(64), [full, "chunked_attention"])),
        "layer_types",
        "chunked_attention",
    );
    assert_input(with(json!({"layer_types": [full]})), "layer_types", "no list of 2");
    assert_input(with(json!({"layer_types": [full, sliding]})), "layer_types", "sliding_attention");
    // A Mistral that does not say has 4096, in all layers.
    let mistral =
        |longest: usize| json!({"architectures": ["MistralForCausalLM"], "max_position_embeddings": longest});
    assert_eq!(window(mistral(4096)), None);
    assert_eq!(window(mistral(8192)), found(4096, [true, true]));
}

#[test]
fn rope_scaling_beside_rope_parameters_is_used() {
    let both = |outer: Value, parameters: Value, scaling: Value| {
        let mut config = llama();
        config["rope_theta"] = outer;
        config["rope_parameters"] = parameters;
        config["rope_scaling"] = scaling;
        parse(&config).map(|config| config.rope)
    };
    let linear = RopeScaling::Linear { factor: 4.0 };
    let plain = json!({"rope_theta": 1e6, "rope_type": "default"});
    for (outer, parameters, scaling) in [
        (json!(1e6), plain.clone(), json!({"rope_type": "linear", "factor": 4.0})),
        (json!(null), plain.clone(), json!({"type": "linear", "factor": 4.0, "rope_theta": 1e6})),
        (json!(1e6), json!({}), json!({"type": "linear", "rope_type": "linear", "factor": 4.0})),
        (json!(1e6), json!({"rope_type": "linear", "factor": 4.0}), json!(null)),
        (
            json!(1e6),
            json!({"rope_type": "linear", "factor": 2.0}),
            json!({"rope_type": "linear", "factor": 4.0}),
        ),
    ] {
        let rope = both(outer, parameters, scaling).unwrap();
        assert_eq!((rope.theta, &rope.scaling), (1e6, &linear));
    }
    assert_eq!(both(json!(null), plain.clone(), json!({})).unwrap().theta, 1e6);
    // transformers would go on with a base of 10,000.
    let lost = both(json!(null), plain.clone(), json!({"rope_type": "linear", "factor": 4.0}));
    assert_input(lost, "rope_scaling", "has no rope_theta");
    for kind in ["proportional", "ntk"] {
        let scaling = json!({"rope_type": kind, "factor": 4.0, "rope_theta": 1e6});
        assert_input(both(json!(1e6), plain.clone(), scaling.clone()), "rope_scaling.rope_type", kind);
        assert_input(both(json!(1e6), scaling.clone(), json!(null)), "rope_parameters.rope_type", kind);
        assert_input(both(json!(1e6), scaling, plain.clone()), "rope_parameters.rope_type", kind);
    }
    let two = json!({"rope_type": "default", "type": "linear", "factor": 1.0});
    assert_input(both(json!(1e6), json!(null), two), "rope_scaling.rope_type", "contradicts type");
    let off = json!({"rope_type": "default", "factor": 8.0});
    assert_input(both(json!(1e6), json!(null), off), "rope_scaling.factor", "does not scale");
    let more = json!({"rope_type": "linear", "factor": 8.0, "attention_factor": 1.2});
    assert_input(both(json!(1e6), json!(null), more), "rope_scaling.attention_factor", "not known");
    let by_type = json!({"full_attention": {"rope_type": "default", "rope_theta": 1e6}});
    assert_input(both(json!(null), by_type, json!(null)), "rope_parameters.full_attention", "not known");
}

#[test]
fn llama3s_original_context_may_stand_outside() {
    let with = |inner: Value, outer: Value| {
        let mut config = llama();
        config["rope_scaling"] = json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": inner});
        config["original_max_position_embeddings"] = outer;
        parse(&config).map(|config| config.inv_freq())
    };
    let inside = with(json!(64), json!(null)).unwrap();
    assert_eq!(with(json!(null), json!(64)).unwrap(), inside);
    assert_eq!(with(json!(null), json!(null)).unwrap(), with(json!(128), json!(null)).unwrap());
    let field = "rope_scaling.original_max_position_embeddings";
    assert_input(with(json!(64), json!(32)), field, "contradicts");
}

#[test]
fn an_unknown_architecture_lists_the_known_ones() {
    let mut config = llama();
    config["architectures"] = json!(["MambaForCausalLM"]);
    let message = parse(&config).unwrap_err().to_string();
    for known in ["LlamaForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"] {
        assert!(message.contains(known), "{message}");
    }
}

// ---- safetensors ----

/// A file of `header` and `data` bytes of zeros.
fn file(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

fn open(bytes: Vec<u8>) -> Result<SafeTensors<Memory<Vec<u8>>>, Error> {
    SafeTensors::open(Memory::new("model.safetensors", bytes))
}

/// Bytes of a safetensors file of f32 tensors that count up from 0.
fn safetensors(tensors: &[(String, Vec<usize>)]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let mut data = Vec::new();
    for (name, shape) in tensors {
        let begin = data.len();
        for value in 0..shape.iter().product::<usize>() {
            data.extend_from_slice(&(value as f32).to_le_bytes());
        }
        header.insert(
            name.clone(),
            json!({"dtype": "F32", "shape": shape, "data_offsets": [begin, data.len()]}),
        );
    }
    let mut bytes = file(&Value::Object(header).to_string(), 0);
    bytes.extend_from_slice(&data);
    bytes
}

#[test]
fn rows_are_read() {
    let bytes = safetensors(&[("w".into(), vec![4, 3]), ("v".into(), vec![5])]);
    let mut source = open(bytes).unwrap();
    let tensors = source.tensors();
    assert_eq!((tensors[0].rows(), tensors[0].cols(), tensors[0].dtype), (4, 3, Dtype::F32));
    assert_eq!((tensors[1].rows(), tensors[1].cols()), (1, 5));
    let mut out = vec![1, 2, 3];
    source.read(0, 1, 2, &mut out).unwrap();
    let values: Vec<f32> = out.chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
    assert_eq!(values, [3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
    assert!(source.read(0, 3, 2, &mut out).is_err());
    assert!(source.read(0, usize::MAX, 2, &mut out).is_err());
}

#[test]
fn every_bad_safetensors_header_is_named() {
    let tensor = |shape: &str, offsets: &str| {
        format!(r#"{{"w": {{"dtype": "F32", "shape": {shape}, "data_offsets": {offsets}}}}}"#)
    };
    let two = |a: &str, first: &str, b: &str, second: &str| {
        format!(
            r#"{{"{a}": {{"dtype": "F32", "shape": [2], "data_offsets": {first}}},
                "{b}": {{"dtype": "F32", "shape": [2], "data_offsets": {second}}}}}"#
        )
    };
    assert_input(open(vec![1, 2, 3]), "header length", "no room");
    assert_input(open(u64::MAX.to_le_bytes().to_vec()), "header length", "does not fit");
    assert_input(open(100u64.to_le_bytes().to_vec()), "header length", "does not fit");
    assert_input(open(file("[]", 0)), "header", "not a safetensors header");
    assert_input(open(file(r#"{"w": {"dtype": "F32"}}"#, 0)), "header", "missing field");
    assert_input(open(file(&tensor("[2]", "[0, 8]"), 4)), "w", "outside");
    assert_input(open(file(&tensor("[2]", "[8, 0]"), 8)), "w", "outside");
    assert_input(open(file(&tensor("[3]", "[0, 8]"), 8)), "w", "need 12");
    assert_input(open(file(&tensor("[-3]", "[0, 8]"), 8)), "header", "not a safetensors header");
    let huge = "[4294967296, 4294967296, 4294967296]";
    assert_input(open(file(&tensor(huge, "[0, 8]"), 8)), "w", "overflows");
    assert_input(open(file(&tensor("[9223372036854775807]", "[0, 8]"), 8)), "w", "overflows");
    assert_input(open(file(&tensor("[0]", "[0, 0]"), 0)), "w", "not one of a weight");
    assert_input(open(file(&tensor("[2]", "[0, 8]"), 12)), "header", "describes 8 of");
    assert_input(open(file(&two("a", "[0, 8]", "b", "[4, 12]"), 12)), "b", "overlaps");
    assert_input(open(file(&two("a", "[0, 8]", "b", "[12, 20]"), 20)), "b", "gap");
    assert_input(open(file(&two("a", "[0, 8]", "a", "[8, 16]"), 16)), "a", "two tensors");
    let strange = tensor("[2]", "[0, 8]").replace("F32", "F8_E5M2");
    assert_input(open(file(&strange, 8)), "w", "not supported");
}

#[test]
fn weights_are_compared_with_the_config() {
    let config = parse(&llama()).unwrap();
    let good = expected(&config);
    check(&config, &open(safetensors(&good)).unwrap()).unwrap();

    let without = |name: &str| good.iter().filter(|(other, _)| other != name).cloned().collect::<Vec<_>>();
    let q = "model.layers.1.self_attn.q_proj.weight";
    assert_input(check(&config, &open(safetensors(&without(q))).unwrap()), q, "missing");

    let mut other = without(q);
    other.push((q.into(), vec![16, 32]));
    assert_input(check(&config, &open(safetensors(&other)).unwrap()), q, "[16, 32]");

    let mut more = good.clone();
    more.push(("model.layers.2.mlp.up_proj.weight".into(), vec![64, 32]));
    let field = "model.layers.2.mlp.up_proj.weight";
    assert_input(check(&config, &open(safetensors(&more)).unwrap()), field, "does not call for");

    let mut untied = config.clone();
    untied.tie_word_embeddings = false;
    assert_input(check(&untied, &open(safetensors(&good)).unwrap()), "lm_head.weight", "missing");
}

/// Writes a folder with two shards and `index`; `None` is the right one.
fn shards(index: Option<Value>) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_path_buf();
    std::fs::write(path.join("a.safetensors"), safetensors(&[("x".into(), vec![2, 2])])).unwrap();
    std::fs::write(path.join("b.safetensors"), safetensors(&[("y".into(), vec![3])])).unwrap();
    let index = index.unwrap_or_else(
        || json!({"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}, "metadata": {}}),
    );
    std::fs::write(path.join("model.safetensors.index.json"), index.to_string()).unwrap();
    (folder, path)
}

#[test]
fn shards_are_one_source() {
    let (_folder, path) = shards(None);
    let mut source = Folder::open(&path).unwrap();
    let index = source.tensors().iter().position(|tensor| tensor.name == "y").unwrap();
    let mut out = Vec::new();
    source.read(index, 0, 1, &mut out).unwrap();
    assert_eq!(out.len(), 12);
}

#[test]
fn every_bad_index_is_named() {
    let index = |map: Value| Folder::open(shards(Some(json!({"weight_map": map}))).1);
    let lies = json!({"x": "b.safetensors", "y": "b.safetensors"});
    let (_folder, path) = shards(Some(json!({"weight_map": lies})));
    assert_input(Folder::open(&path), "x", "does not hold it");
    assert_input(index(json!({"x": "../a.safetensors"})), "weight_map", "plain name");
    assert_input(index(json!({})), "weight_map", "names no file");
    assert_input(index(json!(3)), "line 1", "invalid type");
    let (_folder, path) = shards(None);
    std::fs::copy(path.join("a.safetensors"), path.join("b.safetensors")).unwrap();
    assert_input(Folder::open(&path), "x", "also in a.safetensors");
    std::fs::remove_file(path.join("b.safetensors")).unwrap();
    assert_input(Folder::open(&path), "b.safetensors", "is missing");
    let empty = tempfile::tempdir().unwrap();
    assert_input(Folder::open(empty.path()), "model.safetensors", "neither");
}

// ---- tokenizer.json ----

/// A word-level tokenizer with `size` words.
fn tokenizer(size: usize) -> Result<Tokenizer, Error> {
    let vocab: serde_json::Map<String, Value> = (0..size).map(|id| (format!("w{id}"), json!(id))).collect();
    let text = json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "w0"}});
    Tokenizer::from_bytes(Path::new("tokenizer.json"), text.to_string().as_bytes())
}

#[test]
fn a_tokenizer_of_another_size_is_rejected() {
    let mut config = parse(&llama()).unwrap();
    config.vocab_size = 1000;
    tokenizer(1000).unwrap().fit(&config).unwrap();
    tokenizer(937).unwrap().fit(&config).unwrap();
    assert_input(tokenizer(1001).unwrap().fit(&config), "vocabulary", "1001 tokens where the model has 1000");
    assert_input(tokenizer(900).unwrap().fit(&config), "vocabulary", "900 tokens");
    assert_input(Tokenizer::from_bytes(Path::new("tokenizer.json"), b"{}"), "tokenizer", "cannot be read");
}
