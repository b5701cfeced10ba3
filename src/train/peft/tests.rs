//! Adapters read back, PEFT's own habits, hostile files.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::train::files;
use proptest::prelude::*;
use serde_json::{Value, json};

const LAYERS: usize = 3;

/// A model with grouped-query attention: hidden 8, keys and values 4, MLP 12.
fn dims(layer: usize, module: Module) -> Option<(usize, usize)> {
    (layer < LAYERS).then_some(match module {
        Module::Q | Module::O => (8, 8),
        Module::K | Module::V => (4, 8),
        Module::Gate | Module::Up => (12, 8),
        Module::Down => (8, 12),
        Module::Qkv | Module::GateUp | Module::Input | Module::Output => return None,
    })
}

fn adapter(config: LoraConfig) -> AdapterFile {
    let mut adapter = AdapterFile::init(config, &dims, 1).unwrap();
    for (index, pair) in adapter.tensors.values_mut().enumerate() {
        pair.b.iter_mut().enumerate().for_each(|(i, b)| *b = (index * 100 + i) as f32);
    }
    adapter
}

fn small() -> LoraConfig {
    LoraConfig { rank: 2, alpha: 4.0, targets: [Module::Q, Module::V].into(), ..LoraConfig::default() }
}

fn read(config: &[u8], weights: &[u8]) -> Result<AdapterFile> {
    AdapterFile::from_bytes(config, weights, Path::new("adapter"), &dims)
}

/// Reads the adapter with some fields of its settings replaced.
fn with(adapter: &AdapterFile, changes: Value) -> Result<AdapterFile> {
    let (config, weights) = adapter.to_bytes().unwrap();
    let mut config: Value = serde_json::from_slice(&config).unwrap();
    for (field, value) in changes.as_object().unwrap() {
        config[field] = value.clone();
    }
    read(config.to_string().as_bytes(), &weights)
}

#[test]
fn reads_back_what_it_writes() {
    let only = [Module::Q.path(0), Module::V.path(2)].into();
    let pattern = LoraConfig {
        rslora: true,
        alpha: 3.5,
        dropout: 0.25,
        base_model: Some("someone/model".into()),
        rank_pattern: [(Module::Q.path(1), 5)].into(),
        alpha_pattern: [(Module::V.path(2), 7.0)].into(),
        ..small()
    };
    for config in [LoraConfig::default(), small(), LoraConfig { only: Some(only), ..small() }, pattern] {
        let written = adapter(config);
        let (config, weights) = written.to_bytes().unwrap();
        assert_eq!(read(&config, &weights).unwrap(), written);
        assert_eq!(written.to_bytes().unwrap(), (config, weights));
    }
}

#[test]
fn names_and_settings_are_those_of_peft() {
    let (config, weights) = adapter(small()).to_bytes().unwrap();
    let file = TensorFile::from_bytes(&weights, Path::new("w")).unwrap();
    assert_eq!(file.metadata["format"], "pt");
    let shape = |name: &str| file.tensors[name].shape.clone();
    assert_eq!(shape("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"), [2, 8]);
    assert_eq!(shape("base_model.model.model.layers.2.self_attn.v_proj.lora_B.weight"), [4, 2]);
    assert_eq!(file.tensors.len(), 2 * 2 * LAYERS);
    let config: Value = serde_json::from_slice(&config).unwrap();
    assert_eq!(config["peft_type"], "LORA");
    assert_eq!(config["lora_alpha"], json!(4));
    assert_eq!(config["target_modules"], json!(["q_proj", "v_proj"]));
}

/// A model whose queries, keys and values are one matrix, gate and up another.
fn fused(layer: usize, module: Module) -> Option<(usize, usize)> {
    (layer < LAYERS).then_some(match module {
        Module::O => (8, 8),
        Module::Down => (8, 12),
        Module::Qkv => (16, 8),
        Module::GateUp => (24, 8),
        _ => return None,
    })
}

#[test]
fn modules_of_several_parts_are_adapted_as_one() {
    let init = |targets: &[Module], dims: &Dims<'_>| {
        let targets = targets.iter().copied().collect();
        AdapterFile::init(LoraConfig { rank: 2, targets, ..LoraConfig::default() }, dims, 1)
    };
    let all = init(&Module::PARTS, &fused).unwrap();
    assert_eq!(all.config.targets, [Module::Qkv, Module::O, Module::GateUp, Module::Down].into());
    assert_eq!(all.tensors[&(2, Module::Qkv)].b.len(), 16 * 2);
    let parts = init(&[Module::Q, Module::K, Module::V], &fused).unwrap();
    assert_eq!(parts, init(&[Module::Qkv], &fused).unwrap());
    let (config, weights) = all.to_bytes().unwrap();
    let again = AdapterFile::from_bytes(&config, &weights, Path::new("adapter"), &fused).unwrap();
    assert_eq!(again, all);
    let config: Value = serde_json::from_slice(&config).unwrap();
    assert_eq!(config["target_modules"], json!(["o_proj", "down_proj", "qkv_proj", "gate_up_proj"]));
    for (targets, dims, part) in [
        (&[Module::Q, Module::O][..], &fused as &Dims<'_>, "q_proj only as a part of qkv_proj"),
        (&[Module::Qkv, Module::O], &dims, "has no qkv_proj"),
    ] {
        let error = init(targets, dims).unwrap_err();
        assert!(error.code() == "usage" && error.to_string().contains(part), "{error}");
    }
}

#[test]
fn a_fresh_adapter_is_uniform_seeded_and_changes_nothing() {
    let wide = |layer, module| (layer < 2 && module == Module::Q).then_some((16, 400));
    let of =
        |seed, rank| AdapterFile::init(LoraConfig { rank, ..LoraConfig::default() }, &wide, seed).unwrap();
    let fresh = of(1, 50);
    for pair in fresh.tensors.values() {
        assert!(pair.b.iter().all(|&b| b == 0.0));
        assert!(pair.a.iter().all(|a| a.abs() <= 0.05));
        let square: f64 = pair.a.iter().map(|&a| f64::from(a).powi(2)).sum::<f64>() / pair.a.len() as f64;
        // Variance of U(-b, b) is b^2 / 3; with 20,000 draws its relative standard error is 0.6 %.
        assert!((square * 3.0 / 0.05f64.powi(2) - 1.0).abs() < 0.04, "{square}");
    }
    assert_eq!(fresh, of(1, 50));
    assert_ne!(fresh.tensors[&(0, Module::Q)], fresh.tensors[&(1, Module::Q)]);
    assert_ne!(fresh, of(2, 50));
    let (few, all) = (adapter(small()), adapter(LoraConfig { rank: 2, ..LoraConfig::default() }));
    assert_eq!(few.tensors[&(2, Module::V)].a, all.tensors[&(2, Module::V)].a);
    let none = AdapterFile::init(small(), &|_, _| None, 1).unwrap_err();
    assert_eq!(none.code(), "usage");
}

#[test]
fn all_ways_of_naming_the_targets_work() {
    let plain = adapter(small());
    for targets in
        [json!(["v_proj", "q_proj"]), json!(r".*\.(q|v)_proj"), json!(["self_attn.q_proj", "v_proj"])]
    {
        assert_eq!(with(&plain, json!({"target_modules": targets})).unwrap(), plain);
    }
    let all = adapter(LoraConfig { rank: 2, ..LoraConfig::default() });
    assert_eq!(with(&all, json!({"target_modules": "all-linear"})).unwrap(), all);
    assert_eq!(with(&all, json!({"target_modules": ["All-Linear"]})).unwrap(), all);
    let without = json!({"target_modules": "all-linear", "exclude_modules": ["mlp.gate_proj", "up_proj"]});
    assert!(with(&all, without).unwrap_err().to_string().contains("gate_proj"));
}

#[test]
fn some_layers_only() {
    let only = |layers: &[usize]| {
        let paths = layers.iter().flat_map(|&l| [Module::Q.path(l), Module::V.path(l)]).collect();
        adapter(LoraConfig { only: Some(paths), ..small() })
    };
    let names = json!(["q_proj", "v_proj"]);
    let two = only(&[0, 2]);
    assert_eq!(with(&two, json!({"target_modules": names, "layers_to_transform": [0, 2]})).unwrap(), two);
    let one = only(&[1]);
    assert_eq!(with(&one, json!({"target_modules": names, "layers_to_transform": 1})).unwrap(), one);
}

#[test]
fn patterns_of_peft_are_resolved() {
    let config = LoraConfig {
        rank_pattern: [(Module::Q.path(0), 3), (Module::Q.path(1), 4), (Module::Q.path(2), 4)].into(),
        ..small()
    };
    let written = adapter(config);
    let patterns = json!({"rank_pattern": {"^model.layers.0.*q_proj": 3, "q_proj": 4, "v_proj": 2}, "alpha_pattern": {"v_proj": 8}});
    let read = with(&written, patterns).unwrap();
    assert_eq!(read.config.rank_pattern, written.config.rank_pattern);
    assert_eq!((read.config.scale(0, Module::Q), read.config.scale(0, Module::V)), (4.0 / 3.0, 4.0));
    assert_eq!(read.tensors, written.tensors);
}

#[test]
fn the_names_of_a_live_peft_model_are_understood() {
    assert_eq!(
        parse_name("base_model.model.model.layers.1.mlp.up_proj.lora_B.default.weight"),
        Some((1, Module::Up, Part::B))
    );
    for other in
        ["lm_head.lora_A.weight", "base_model.model.lm_head.lora_A.weight", "base_model.model.weight", ""]
    {
        assert_eq!(parse_name(other), None);
    }
}

#[test]
fn other_methods_are_refused_by_name() {
    let plain = adapter(small());
    let cases = [
        json!({"peft_type": "IA3"}),
        json!({"bias": "all"}),
        json!({"use_dora": true}),
        json!({"fan_in_fan_out": true}),
        json!({"lora_bias": true}),
        json!({"modules_to_save": ["score"]}),
        json!({"trainable_token_indices": [1, 2]}),
        json!({"layers_pattern": "h"}),
        json!({"new_field": 1}),
        json!({"init_lora_weights": "pissa_niter_4"}),
        json!({"target_parameters": ["experts"]}),
        json!({"alora_invocation_tokens": [1, 2]}),
        json!({"target_modules": "("}),
        json!({"target_modules": null}),
        json!({"rank_pattern": {"q_proj": -1}}),
        json!({"alpha_pattern": {"q_proj": "x"}}),
        json!({"alpha_pattern": {"q_proj": -1}}),
        json!({"lora_alpha": -8}),
        json!({"lora_alpha": 0}),
    ];
    for changes in cases {
        let field = changes.as_object().unwrap().keys().next().unwrap().clone();
        let error = with(&plain, changes).unwrap_err();
        assert!(error.to_string().starts_with(&format!("adapter/adapter_config.json: {field}: ")), "{error}");
    }
    let harmless = json!({"init_lora_weights": "gaussian", "modules_to_save": [], "use_dora": false, "bias": "none", "new_field": null,
        "task_type": "CAUSAL_LM", "peft_version": "0.19.1", "auto_mapping": {"base_model_class": "M"}, "megatron_core": "megatron.core",
        "loftq_config": {}, "eva_config": null, "corda_config": null, "qalora_group_size": 16, "runtime_config": {"ephemeral_gpu_offload": false},
        "layers_pattern": ["layers"], "unsloth_fixed": true, "ensure_weight_tying": true, "use_bdlora": null});
    assert_eq!(with(&plain, harmless).unwrap(), plain);
}

#[test]
fn saved_copies_of_the_base_are_compared() {
    let plain = adapter(LoraConfig { targets: [Module::Q].into(), ..small() });
    let (config, weights) = plain.to_bytes().unwrap();
    let mut config: Value = serde_json::from_slice(&config).unwrap();
    config["modules_to_save"] = json!(["embed_tokens", "lm_head"]);
    let file = TensorFile::from_bytes(&weights, Path::new("w")).unwrap();
    let embedding = [1.0, 2.0, 3.0, 4.0];
    for name in [
        "base_model.model.model.embed_tokens.weight",
        "base_model.model.model.embed_tokens.modules_to_save.default.weight",
        "base_model.model.model.embed_tokens.base_layer.weight",
    ] {
        let all = file.tensors.iter().map(|(name, t)| (name.clone(), t.shape.clone(), t.data.as_slice()));
        let all = all.chain([(name.to_string(), vec![2, 2], &embedding[..])]);
        let weights = tensor_file::to_bytes(all, ("format", "pt")).unwrap();
        let read = |answer: Copy| {
            let mut compare = |asked: &str, tensor: &Tensor| {
                assert_eq!((asked, tensor.data.as_slice()), ("model.embed_tokens.weight", &embedding[..]));
                Ok(answer)
            };
            let config = config.to_string();
            AdapterFile::from_bytes_over(config.as_bytes(), &weights, Path::new("a"), &dims, &mut compare)
        };
        assert_eq!(read(Copy::Equal).unwrap(), plain);
        for (answer, words) in
            [(Copy::Different, "differs from the base model's"), (Copy::Unknown, "not a LoRA matrix")]
        {
            let error = read(answer).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(words), "{error}");
        }
        let error = self::read(config.to_string().as_bytes(), &weights).unwrap_err().to_string();
        assert!(error.contains("`modules_to_save`") && error.contains("export -m MODEL"), "{error}");
    }
}

#[test]
fn another_rank_or_base_is_an_input_error() {
    let plain = adapter(LoraConfig { base_model: Some("someone/other".into()), ..small() });
    let rank = with(&plain, json!({"r": 3})).unwrap_err().to_string();
    assert!(rank.contains("has shape [2, 8], expected [3, 8] (rank 3)"), "{rank}");
    plain.expect_rank(2, Path::new("adapter")).unwrap();
    let rank = plain.expect_rank(16, Path::new("adapter")).unwrap_err().to_string();
    assert!(rank.contains("adapter_config.json: r: is 2, but rank 16"), "{rank}");

    let (config, weights) = plain.to_bytes().unwrap();
    let of = |dims: &Dims<'_>| {
        AdapterFile::from_bytes(&config, &weights, Path::new("a"), dims).unwrap_err().to_string()
    };
    let wider = of(&|layer, module| dims(layer, module).map(|(out, inner)| (out * 2, inner * 2)));
    assert!(wider.contains("expected [2, 16]") && wider.contains("`someone/other`"), "{wider}");
    let shallower = of(&|layer, module| dims(layer, module).filter(|_| layer < 2));
    assert!(shallower.contains("layers.2") && shallower.contains("does not have"), "{shallower}");
    let deeper = of(&|layer, module| dims(layer.min(2), module).filter(|_| layer < 4));
    assert!(deeper.contains("layers.3") && deeper.contains("is missing"), "{deeper}");
    assert!(of(&|_, _| None).contains("match no module"));
}

#[test]
fn damaged_files_are_input_errors() {
    let plain = adapter(small());
    let (config, weights) = plain.to_bytes().unwrap();
    for bytes in [&b""[..], b"{", b"[]", b"{}", b"{\"peft_type\": \"LORA\", \"r\": -1}", b"\xff"] {
        assert_eq!(read(bytes, &weights).unwrap_err().code(), "input");
    }
    assert_eq!(read(&config, &weights[..weights.len() - 4]).unwrap_err().code(), "input");
    for rank in [json!(0), json!(u64::MAX), json!(1.5)] {
        assert_eq!(with(&plain, json!({"r": rank})).unwrap_err().code(), "input");
    }
    let mut broken = plain.clone();
    broken.tensors.get_mut(&(1, Module::Q)).unwrap().b[3] = f32::NAN;
    let (config, weights) = broken.to_bytes().unwrap();
    assert!(read(&config, &weights).unwrap_err().to_string().contains("not finite"));
    broken.tensors.get_mut(&(1, Module::Q)).unwrap().b.pop();
    assert_eq!(broken.to_bytes().unwrap_err().code(), "shape");
}

#[test]
fn is_written_and_read_as_a_folder() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("new/adapter");
    let written = adapter(small());
    files::write_adapter(&folder, &written).unwrap();
    assert_eq!(files::read_adapter(&folder, &dims).unwrap(), written);
    let missing = files::read_adapter(root.path(), &dims).unwrap_err();
    assert!(missing.to_string().contains("adapter_config.json"), "{missing}");
    std::fs::write(root.path().join("file"), b"x").unwrap();
    assert_eq!(files::write_adapter(root.path().join("file/adapter"), &written).unwrap_err().code(), "io");
}

proptest! {
    #[test]
    fn no_settings_panic(at in 0usize..1000, byte: u8) {
        let (mut config, weights) = adapter(small()).to_bytes().unwrap();
        let at = at % config.len();
        config[at] = byte;
        let _ = read(&config, &weights);
    }
}
