//! The configurations of families in the forms that they have, and what is refused of them: a test or more for each family but
//! Gemma 3, which has a file of its own.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixture_models;

use std::path::Path;

use fixture_models::{folder, read};
use serde_json::{Value, json};
use stepladder::Error;
use stepladder::model::config::{self, ModelConfig, Multipliers};
use stepladder::model::family::{Family, granite};
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
        ("GraniteMoeForCausalLM", "GraniteForCausalLM"),
        ("Qwen2MoeForCausalLM", "Qwen2ForCausalLM"),
    ] {
        let problem = format!("nearest that is known is {nearest}");
        refused("llama", json!({"architectures": [other]}), "architectures", &problem);
    }
    refused("llama", json!({"architectures": ["MambaForCausalLM"]}), "architectures", "\"MambaForCausalLM\"");
}

/// A configuration as GGUF metadata say it, of a model that has nothing but an embedding of 64 rows.
fn gguf(family: &'static Family, keys: &[(&str, Item)]) -> Result<ModelConfig, Error> {
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
    config::gguf::parse(family, &metadata, std::iter::once(&embedding), None)
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
