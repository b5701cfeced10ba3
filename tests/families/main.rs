//! The configurations of families in the forms that they have, and what is refused of them: a test or more for each family but
//! Gemma 3, which has a file of its own.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../fixture_models/mod.rs"]
mod fixture_models;
mod scaling;

use std::path::Path;

use fixture_models::{folder, read};
use serde_json::{Value, json};
use stepladder::Error;
use stepladder::model::config::scaling::RopeTensors;
use stepladder::model::config::{self, ModelConfig, Multipliers, Rope, RopeScaling};
use stepladder::model::family::{Family, by_gguf_architecture, granite, llama, olmo};
use stepladder::model::source::gguf::{Metadata, Value as Item};
use stepladder::model::source::{Dtype, TensorInfo};

/// A fixture's `config.json` with other values; null takes a key away.
fn with(name: &str, changes: Value) -> Value {
    let mut config: Value = serde_json::from_slice(&read(&folder(name).join("config.json"))).unwrap();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(config.as_object_mut().unwrap().remove(name)),
            value => config[name] = value.clone(),
        }
    }
    config
}

fn parse(config: &Value) -> Result<ModelConfig, Error> {
    ModelConfig::from_json(Path::new("config.json"), &config.to_string())
}

#[track_caller]
fn refused(name: &str, changes: Value, field: &str, part: &str) {
    match parse(&with(name, changes)) {
        Err(Error::Input { field: got, problem, .. }) => {
            assert_eq!(got, field, "{problem}");
            assert!(problem.contains(part), "{problem:?} does not say {part:?}");
        }
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("accepted"),
    }
}

#[test]
fn smollm3_has_layers_without_rope() {
    let layers = |changes: Value| {
        let config = parse(&with("smollm3", changes)).unwrap();
        (0..5).map(|layer| config.is_local(layer)).collect::<Vec<_>>()
    };
    let config = parse(&with("smollm3", json!({}))).unwrap();
    assert_eq!(config.local_rope.as_ref().unwrap().rope, None);
    assert_eq!((config.rope.theta, config.tie_word_embeddings), (5e6, true));
    assert_eq!(layers(json!({})), [false, false, false, true, false]);
    assert_eq!(layers(json!({"no_rope_layer_interval": null})), [false, false, false, true, false]);
    assert_eq!(layers(json!({"no_rope_layer_interval": 2})), [false, true, false, true, false]);
    // The list, whose name says the contrary, has 1 where there is RoPE, and counts before the interval.
    assert_eq!(layers(json!({"no_rope_layers": [0, 1, 1, 0, 1]})), [true, false, false, true, false]);
    assert_eq!(parse(&with("smollm3", json!({"no_rope_layers": [1, 1, 1, 1, 1]}))).unwrap().local_rope, None);
    // What is absent is the class's.
    let bare = parse(&with("smollm3", json!({"tie_word_embeddings": null, "rope_theta": null}))).unwrap();
    assert_eq!((bare.rope.theta, bare.tie_word_embeddings), (2e6, true));
    // transformers 5 writes RoPE as one object, and the kind of each layer.
    let newer = json!({
        "rope_theta": null, "rope_parameters": {"rope_type": "default", "rope_theta": 5e6},
        "no_rope_layers": [1, 1, 1, 0, 1], "layer_types": vec!["full_attention"; 5], "max_window_layers": 28,
    });
    assert_eq!(parse(&with("smollm3", newer)).unwrap(), config);
    refused("smollm3", json!({"no_rope_layers": [1, 0]}), "no_rope_layers", "5 layers");
    refused("smollm3", json!({"no_rope_layer_interval": 0}), "no_rope_layer_interval", "is 0");
    refused("smollm3", json!({"use_sliding_window": true}), "use_sliding_window", "window");
    refused("smollm3", json!({"attention_bias": true}), "attention_bias", "bias");
    refused("smollm3", json!({"mlp_bias": true}), "mlp_bias", "bias");
}

#[test]
fn granites_multipliers_are_read_from_configs() {
    let config = parse(&with("granite", json!({}))).unwrap();
    assert_eq!(config.attention_scale, Some(0.11));
    assert_eq!(config.multipliers, Multipliers { embedding: 3.0, residual: 0.22, logits: 0.7 });
    // The residual stream is kept divided by its multiplier.
    assert_eq!(config.embedding_scale(), (3.0 / 0.22) as f32);
    assert_eq!(config.stream_eps(), (f64::from(1e-2f32) / (0.22 * 0.22)) as f32);
    // What is absent is 1: scores are not divided by the root of the head's size either.
    let bare = parse(&with(
        "granite",
        json!({"attention_multiplier": null, "embedding_multiplier": null, "residual_multiplier": null, "logits_scaling": null}),
    ));
    let bare = bare.unwrap();
    assert_eq!(bare.attention_scale, Some(1.0));
    assert_eq!(bare.multipliers, Multipliers { embedding: 1.0, residual: 1.0, logits: 1.0 });
    for name in ["attention_multiplier", "embedding_multiplier", "residual_multiplier", "logits_scaling"] {
        refused("granite", json!({ name: 0 }), name, "0");
        refused("granite", json!({ name: -1.5 }), name, "");
    }
    refused("granite", json!({"attention_bias": true}), "attention_bias", "bias");
    refused("granite", json!({"num_local_experts": 8}), "num_local_experts", "8");
}

#[test]
fn a_family_that_is_not_here_is_refused_with_the_nearest() {
    for (other, nearest) in [
        ("Gemma2ForCausalLM", "Gemma3ForCausalLM"),
        ("GraniteMoeForCausalLM", "GraniteMoeHybridForCausalLM"),
        ("Qwen2MoeForCausalLM", "Qwen2ForCausalLM"),
    ] {
        let problem = format!("nearest that is known is {nearest}");
        refused("llama", json!({"architectures": [other]}), "architectures", &problem);
    }
    refused("llama", json!({"architectures": ["MambaForCausalLM"]}), "architectures", "\"MambaForCausalLM\"");
}

/// A configuration as GGUF metadata say it, of a model that has nothing but an embedding of 64 rows.
fn gguf(family: &'static Family, keys: &[(&str, Item)]) -> Result<ModelConfig, Error> {
    gguf_with(family, keys, RopeTensors::new())
}

/// The same with tensors of RoPE.
fn gguf_with(
    family: &'static Family,
    keys: &[(&str, Item)],
    of_rope: RopeTensors,
) -> Result<ModelConfig, Error> {
    let architecture = family.gguf_architecture;
    let whole = |name: &str, number| (format!("{architecture}.{name}"), Item::Int(number));
    let mut values = vec![
        whole("block_count", 4),
        whole("context_length", 256),
        whole("embedding_length", 64),
        whole("feed_forward_length", 64),
        whole("attention.head_count", 4),
        (format!("{architecture}.attention.layer_norm_rms_epsilon"), Item::Float(1e-5)),
    ];
    values.extend(keys.iter().map(|(name, value)| (format!("{architecture}.{name}"), value.clone())));
    let embedding = TensorInfo { name: "token_embd.weight".into(), dtype: Dtype::F32, shape: vec![64, 64] };
    let metadata = Metadata::new(Path::new("m.gguf"), values);
    config::gguf::parse(family, &metadata, std::iter::once(&embedding), &of_rope)
}

#[test]
fn granites_multipliers_are_read_from_gguf_files() {
    let logits = ("logit_scale", Item::Float(8.0));
    let config = gguf(&granite::FAMILY, std::slice::from_ref(&logits)).unwrap();
    // Without a key scores are divided by the root of the head's size: GGUF's default is not that of a config.json.
    assert_eq!((config.attention_scale, config.local_rope), (None, None));
    assert_eq!(config.multipliers, Multipliers { embedding: 1.0, residual: 1.0, logits: 8.0 });
    let nothing =
        ["attention.scale", "residual_scale", "embedding_scale"].map(|name| (name, Item::Float(0.0)));
    let zeros = gguf(&granite::FAMILY, &[&nothing[..], std::slice::from_ref(&logits)].concat()).unwrap();
    assert_eq!((zeros.attention_scale, zeros.multipliers), (None, config.multipliers));
    let message = gguf(&granite::FAMILY, &[]).unwrap_err().to_string();
    assert!(message.contains("granite.logit_scale") && message.contains("missing"), "{message}");
    // Granite 4's switch for models without position embedding.
    let off = ("rope.scaling.finetuned", Item::Bool(false));
    let config = gguf(&granite::FAMILY, &[logits.clone(), off]).unwrap().local_rope.unwrap();
    assert_eq!((config.rope, config.layers), (None, vec![true; 4]));
    let on = gguf(&granite::FAMILY, &[logits, ("rope.scaling.finetuned", Item::Bool(true))]).unwrap();
    assert_eq!(on.local_rope, None);
}

#[test]
fn mistrals_defaults_are_those_of_its_class() {
    let changes = json!({"architectures": ["MistralForCausalLM"], "num_attention_heads": 8, "num_key_value_heads": null,
        "max_position_embeddings": null, "rope_scaling": null});
    let config = parse(&with("llama", changes.clone())).unwrap();
    assert_eq!((config.num_kv_heads, config.max_position_embeddings), (8, 131_072));
    // A window that a file does not name is 4096, one of null is none; Ministral 8B is of a class of its own.
    assert_eq!(config.window_size(), Some(4096));
    let mut named = with("llama", changes);
    named["sliding_window"] = Value::Null;
    assert_eq!(parse(&named).unwrap().window_size(), None);
    (named["architectures"], named["sliding_window"]) = (json!(["MinistralForCausalLM"]), json!(32_768));
    assert_eq!(parse(&named).unwrap().window_size(), Some(32_768));
    // GGUF files do not name it, and llama.cpp has none.
    let size = ("attention.sliding_window", Item::Int(64));
    assert!(gguf(&llama::FAMILY, &[size]).unwrap_err().to_string().contains("sliding_window"));
}

#[test]
fn the_text_of_ministral_3_is_found() {
    let rope = json!({"type": "yarn", "rope_type": "yarn", "rope_theta": 1e6, "factor": 16.0, "beta_fast": 32.0, "beta_slow": 1.0,
        "original_max_position_embeddings": 16_384, "max_position_embeddings": 262_144, "mscale": 1.0, "mscale_all_dim": 1.0,
        "llama_4_scaling_beta": 0.1});
    let config = json!({
        "architectures": ["Mistral3ForConditionalGeneration"], "model_type": "mistral3", "image_token_index": 10,
        "projector_hidden_act": "gelu", "vision_feature_layer": -1, "spatial_merge_size": 2,
        "multimodal_projector_bias": false, "dtype": "bfloat16", "vision_config": {"hidden_size": 1024},
        "text_config": {
            "model_type": "ministral3", "hidden_size": 3072, "intermediate_size": 9216, "num_hidden_layers": 26,
            "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 131_072,
            "hidden_act": "silu", "tie_word_embeddings": true, "rope_parameters": rope,
        },
    });
    let read = parse(&config).unwrap();
    assert_eq!((read.rms_norm_eps, read.rope.theta, read.rope.attention_factor()), (1e-5, 1e6, 1.0));
    assert_eq!((read.num_kv_heads, read.tie_word_embeddings, read.window_size()), (8, true, None));
    // Beyond the original context queries have another temperature, which is not computed here.
    assert_eq!(read.max_position_embeddings, 16_384);
    let mut bare = config.clone();
    bare["text_config"].as_object_mut().unwrap().remove("rope_parameters");
    assert_eq!(parse(&bare).unwrap(), read);
    let mut small = config;
    small["text_config"]["model_type"] = json!("mistral");
    let message = parse(&small).unwrap_err().to_string();
    assert!(message.contains("model_type") && message.contains("\"mistral\""), "{message}");
    let even = parse(&with(
        "ministral3",
        json!({"rope_parameters": {"rope_type": "default", "llama_4_scaling_beta": 0}}),
    ));
    assert_eq!(even.unwrap().max_position_embeddings, 1024);
    let changes =
        json!({"rope_parameters": {"rope_type": "linear", "factor": 2.0, "llama_4_scaling_beta": 0.1}});
    refused("ministral3", changes, "llama_4_scaling_beta", "yarn");
}

#[test]
fn olmo_3_scales_rope_only_where_there_is_no_window() {
    let config = parse(&with("olmo3", json!({}))).unwrap();
    let local = config.local_rope.clone().unwrap();
    assert_eq!(local.rope, Some(Rope { theta: 5e5, scaling: RopeScaling::None }));
    assert_eq!(local.layers, [true, true, true, false, true]);
    assert_eq!(
        (0..5).map(|layer| config.window(layer)).collect::<Vec<_>>(),
        [Some(4), Some(4), Some(4), None, Some(4)]
    );
    assert_eq!((config.rope.theta, config.rope.attention_factor(), config.rms_norm_eps), (5e5, 1.3, 1e-5));
    let sliding = ["sliding_attention"; 3];
    let kinds = [&sliding[..], &["full_attention", "sliding_attention"]].concat();
    let newer = json!({"rope_theta": null, "rope_scaling": null, "layer_types": kinds, "rope_parameters": {
        "full_attention": {"rope_type": "yarn", "rope_theta": 5e5, "factor": 4.0, "original_max_position_embeddings": 64,
            "beta_fast": 8.0, "beta_slow": 1.0, "attention_factor": 1.3},
        "sliding_attention": {"rope_type": "default", "rope_theta": 5e5},
    }});
    assert_eq!(parse(&with("olmo3", newer.clone())).unwrap(), config);
    let mut uncut = newer;
    uncut["rope_parameters"]["full_attention"]["truncate"] = json!(false);
    refused("olmo3", uncut, "rope_parameters.full_attention.truncate", "counts for nothing");
    refused("olmo3", json!({"attention_bias": true}), "attention_bias", "bias");
    let changes = json!({"sliding_window": null, "max_position_embeddings": 8192});
    assert_eq!(parse(&with("olmo3", changes)).unwrap().window_size(), Some(4096));
    // OLMo 2 has neither, and GGUF files call both by its name.
    let two = parse(&with("olmo2", json!({"max_position_embeddings": null}))).unwrap();
    assert_eq!((&two.local_rope, two.window_size(), two.max_position_embeddings), (&None, None, 2048));
    let file = Path::new("m.gguf");
    for (has_window, name) in [(true, "olmo3"), (false, "olmo2")] {
        assert_eq!(by_gguf_architecture(file, "olmo2", has_window).unwrap().name, name);
    }
    let size = ("attention.sliding_window", Item::Int(64));
    let base = ("rope.freq_base", Item::Float(1e6));
    let factor = Item::Float(0.1f64.mul_add(8f64.ln(), 1.0));
    let yarn = [
        ("rope.scaling.type", Item::Text("yarn".into())),
        ("rope.scaling.factor", Item::Float(8.0)),
        ("rope.scaling.attn_factor", factor),
    ];
    let config = gguf(&olmo::OLMO3, &[&[size, base][..], &yarn].concat()).unwrap();
    let local = config.local_rope.unwrap();
    assert_eq!(local.rope, Some(Rope { theta: 1e6, scaling: RopeScaling::None }));
    assert_eq!(local.layers, [true, true, true, false]);
    // What some converters wrote is the paper's factor once more, not one that multiplies it.
    assert!((config.rope.attention_factor() - (0.1 * 8f64.ln() + 1.0)).abs() < 1e-12);
}

#[test]
fn phis_rope_turns_a_part_of_each_head_by_the_short_list() {
    let config = parse(&with("phi3", json!({}))).unwrap();
    let RopeScaling::LongRope(long) = &config.rope.scaling else { panic!("{:?}", config.rope) };
    assert_eq!((long.short.len(), long.long[5], long.original, long.longest), (6, 12.0, 128, 512));
    assert!((long.attention_factor - (1.0 + 4f64.ln() / 128f64.ln()).sqrt()).abs() < 1e-12);
    assert!((f64::from(config.inv_freq()[5]) - 10_000f64.powf(-10.0 / 12.0) / 2.8).abs() < 1e-9);
    // transformers turns all keys by the long list as soon as a sequence is longer; here none is.
    assert_eq!((config.turned, config.max_position_embeddings, config.stated_length()), (12, 128, 512));
    assert_eq!((config.window(0), config.window(1)), (Some(7), Some(7)));
    let again = |kind: &str| {
        let mut old = with("phi3", json!({}));
        old["rope_scaling"]["type"] = json!(kind);
        old
    };
    for kind in ["su", "yarn", "longrope"] {
        assert_eq!(parse(&again(kind)).unwrap(), config, "{kind}");
    }
    let mut newer = again("longrope");
    newer["rope_parameters"] = newer.as_object_mut().unwrap().remove("rope_scaling").unwrap();
    newer["rope_parameters"]["partial_rotary_factor"] = json!(0.75);
    newer["rope_parameters"]["original_max_position_embeddings"] = json!(128);
    for outside in ["partial_rotary_factor", "rope_theta"] {
        newer.as_object_mut().unwrap().remove(outside);
        assert_eq!(parse(&newer).unwrap(), config, "{outside}");
    }
    // Its factors stand in the place of what the lengths say.
    for (name, value, want) in [("factor", 1.0, 1.0), ("attention_factor", 1.25, 1.25)] {
        let mut given = again("longrope");
        given["rope_scaling"][name] = json!(value);
        assert_eq!(parse(&given).unwrap().rope.attention_factor(), want, "{name}");
    }
    let plain = json!({"rope_scaling": null, "partial_rotary_factor": null, "original_max_position_embeddings": null,
        "sliding_window": null, "max_position_embeddings": null, "rms_norm_eps": null, "eos_token_id": 2});
    let plain = parse(&with("phi3", plain)).unwrap();
    assert_eq!((plain.turned, plain.window_size(), plain.max_position_embeddings), (16, None, 4096));
    assert_eq!((plain.rms_norm_eps, plain.tie_word_embeddings), (1e-5, true));
}

#[test]
fn what_phis_configs_may_not_say_is_refused() {
    let scaling = |changes: Value| {
        let mut scaling = with("phi3", json!({}))["rope_scaling"].clone();
        changes.as_object().unwrap().iter().for_each(|(name, value)| scaling[name] = value.clone());
        json!({ "rope_scaling": scaling })
    };
    for (changes, field, part) in [
        (scaling(json!({"short_factor": [1.0, 2.0]})), "rope_scaling.short_factor", "half as many"),
        (scaling(json!({"long_factor": "none"})), "rope_scaling.long_factor", "list of numbers"),
        (scaling(json!({"long_factor": [1, 1, 1, 1, 1, 0]})), "rope_scaling.long_factor", "positive"),
        (scaling(json!({"attention_factor": 0})), "rope_scaling.attention_factor", "above 0"),
        (scaling(json!({"partial_rotary_factor": 0.5})), "partial_rotary_factor", "contradicts"),
        (
            scaling(json!({"original_max_position_embeddings": 64})),
            "rope_scaling.original_max_position_embeddings",
            "contradicts",
        ),
        (
            json!({"partial_rotary_factor": 0.9, "rope_scaling": null}),
            "partial_rotary_factor",
            "turns 14 values",
        ),
        (json!({"partial_rotary_factor": 1.5}), "partial_rotary_factor", "at most 1"),
        (json!({"sliding_window": 0}), "sliding_window", "is 0"),
        (json!({"attention_bias": true}), "attention_bias", "bias"),
    ] {
        refused("phi3", changes, field, part);
    }
    // The classes of other families turn whole heads, and know LongRoPE too.
    refused("llama", json!({"partial_rotary_factor": 0.5}), "partial_rotary_factor", "only 1");
    let lists = json!({"rope_type": "longrope", "short_factor": vec![1.5; 8], "long_factor": vec![2.0; 8],
        "original_max_position_embeddings": 256, "factor": 2.0});
    let config = parse(&with("llama", json!({ "rope_scaling": lists }))).unwrap();
    assert_eq!((config.max_position_embeddings, config.turned), (256, 16));
    for other in ["PhiForCausalLM", "Phi3SmallForCausalLM", "PhimoeForCausalLM"] {
        refused(
            "phi3",
            json!({"architectures": [other]}),
            "architectures",
            "nearest that is known is Phi3ForCausalLM",
        );
    }
}
