//! The configurations of families in the forms that they have, and what is refused of them: a test or more for each family but
//! Gemma 3, which has a file of its own.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixture_models;

use std::path::Path;

use fixture_models::{folder, read};
use serde_json::{Value, json};
use stepladder::Error;
use stepladder::model::config::ModelConfig;

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
