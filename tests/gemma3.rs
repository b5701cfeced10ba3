//! Gemma 3's configurations in all forms that they have, what is refused of them, and checkpoints that hold more than text.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixture_models;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use fixture_models::{checks, folder, gpu, read};
use pollster::block_on;
use serde_json::{Value, json};
use stepladder::Error;
use stepladder::model::Model;
use stepladder::model::config::{ModelConfig, Rope, RopeScaling};
use stepladder::model::files;
use stepladder::model::open::open;

/// The fixture's `config.json`, as transformers 4 writes it.
fn fixture() -> Value {
    serde_json::from_slice(&read(&folder("gemma3").join("config.json"))).unwrap()
}

fn parse(config: &Value) -> Result<ModelConfig, Error> {
    ModelConfig::from_json(Path::new("config.json"), &config.to_string())
}

/// The fixture with other values; null takes a key away.
fn with(changes: Value) -> Value {
    let mut config = fixture();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(config.as_object_mut().unwrap().remove(name)),
            value => config[name] = value.clone(),
        }
    }
    config
}

#[track_caller]
fn refused(changes: Value, field: &str, part: &str) {
    match parse(&with(changes)) {
        Err(Error::Input { field: got, problem, .. }) => {
            assert_eq!(got, field, "{problem}");
            assert!(problem.contains(part), "{problem:?} does not say {part:?}");
        }
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("accepted"),
    }
}

/// transformers 5 moves all of RoPE into one object for each kind of layer, and writes every layer's kind.
fn of_transformers_5() -> Value {
    let kinds: Vec<&str> =
        (1..=7).map(|layer| if layer == 6 { "full_attention" } else { "sliding_attention" }).collect();
    with(json!({
        "rope_theta": null, "rope_local_base_freq": null, "rope_scaling": null, "sliding_window_pattern": null,
        "_sliding_window_pattern": 6, "layer_types": kinds, "use_bidirectional_attention": false,
        "rope_parameters": {
            "full_attention": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e6},
            "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
        },
    }))
}

#[test]
fn both_generations_of_configs_say_the_same() {
    let config = parse(&fixture()).unwrap();
    let local = config.local_rope.clone().unwrap();
    assert_eq!((config.rope.theta, &config.rope.scaling), (1e6, &RopeScaling::Linear { factor: 2.0 }));
    assert_eq!(local.rope, Some(Rope { theta: 1e4, scaling: RopeScaling::None }));
    assert_eq!(local.layers, [true, true, true, true, true, false, true]);
    assert_eq!((config.window(4), config.window(5), config.window(6)), (Some(4), None, Some(4)));
    assert_eq!(config.attention_scale, Some(24f64.powf(-0.5) as f32));
    assert_eq!(config.embedding_scale(), 40f32.sqrt());
    assert!(config.tie_word_embeddings);
    assert_eq!(parse(&of_transformers_5()).unwrap(), config);
    // A base that is not there is the class's, of either kind.
    let mut bare = of_transformers_5();
    bare["rope_parameters"] = json!({"full_attention": {"rope_type": "linear", "factor": 2.0}});
    assert_eq!(parse(&bare).unwrap(), config);
    // The last layers of a pattern that does not come out even slide.
    let pattern = parse(&with(json!({"sliding_window_pattern": 3}))).unwrap().local_rope.unwrap();
    assert_eq!(pattern.layers, [true, true, false, true, true, false, true]);
    // Where the window holds every sequence nothing is cut off, but RoPE stays the layers' own.
    let wide = parse(&with(json!({"sliding_window": 512}))).unwrap();
    assert_eq!((wide.window_size(), wide.local_rope.as_ref()), (None, Some(&local)));
    // What `hidden_act` says counts for nothing, and no activation is GELU.
    for changes in [json!({"hidden_act": "silu"}), json!({"hidden_activation": null})] {
        assert_eq!(parse(&with(changes)).unwrap(), config);
    }
}

#[test]
fn what_is_absent_is_the_classs() {
    let config = parse(&json!({"architectures": ["Gemma3ForCausalLM"]})).unwrap();
    assert_eq!((config.vocab_size, config.hidden_size, config.intermediate_size), (262_208, 2304, 9216));
    assert_eq!((config.num_layers, config.num_heads, config.num_kv_heads, config.head_dim), (26, 8, 4, 256));
    assert_eq!((config.max_position_embeddings, config.rms_norm_eps), (131_072, 1e-6));
    assert_eq!((config.rope.theta, &config.rope.scaling), (1e6, &RopeScaling::None));
    assert_eq!((config.window_size(), config.attention_scale), (Some(4096), None));
    assert_eq!((config.bos_token_id, config.eos_token_ids.as_slice()), (Some(2), [1].as_slice()));
    assert!(config.tie_word_embeddings);
    assert_eq!(config.local_rope.unwrap().layers.iter().filter(|sliding| !**sliding).count(), 4);
}

/// Google's config of the 4B model has little more than this below `text_config`.
#[test]
fn the_text_of_a_model_that_sees_is_found() {
    let config = json!({
        "architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "eos_token_id": [1, 106],
        "boi_token_index": 255_999, "eoi_token_index": 256_000, "image_token_index": 262_144,
        "mm_tokens_per_image": 256, "initializer_range": 0.02, "torch_dtype": "bfloat16",
        "transformers_version": "4.50.0.dev0",
        "text_config": {
            "hidden_size": 2560, "intermediate_size": 10_240, "model_type": "gemma3_text", "num_hidden_layers": 34,
            "rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "sliding_window": 1024,
        },
        "vision_config": {"hidden_size": 1152, "model_type": "siglip_vision_model", "vision_use_head": false},
    });
    let read = parse(&config).unwrap();
    assert_eq!((read.hidden_size, read.num_heads, read.num_kv_heads, read.head_dim), (2560, 8, 4, 256));
    assert_eq!(read.rope.scaling, RopeScaling::Linear { factor: 8.0 });
    assert_eq!(read.local_rope.unwrap().rope.unwrap().scaling, RopeScaling::None);
    assert_eq!(read.eos_token_ids, [1, 106]);
    let mut unknown = config;
    unknown["logit_bias"] = json!(3);
    let error = parse(&unknown).unwrap_err().to_string();
    assert!(error.contains("logit_bias"), "{error}");
}

#[test]
fn what_would_change_the_result_is_refused_by_name() {
    refused(json!({"final_logit_softcapping": 30.0}), "final_logit_softcapping", "30");
    refused(json!({"attn_logit_softcapping": 50.0}), "attn_logit_softcapping", "50");
    refused(json!({"use_bidirectional_attention": true}), "use_bidirectional_attention", "later tokens");
    refused(json!({"attention_bias": true}), "attention_bias", "bias");
    refused(json!({"hidden_activation": "gelu"}), "hidden_activation", "gelu");
    refused(json!({"query_pre_attn_scalar": 0}), "query_pre_attn_scalar", "above 0");
    refused(json!({"layer_types": ["full_attention"]}), "layer_types", "7 layers");
    // One base for all layers is not what transformers would take from this.
    let flat = json!({"rope_scaling": null, "rope_parameters": {"rope_type": "default", "rope_theta": 5e5}});
    refused(flat, "rope_parameters.rope_type", "not known");
    let both = json!({"rope_parameters": {"full_attention": {"rope_type": "default"}}});
    refused(both, "rope_scaling", "beside rope_parameters");
    refused(json!({"architectures": ["Gemma2ForCausalLM"]}), "architectures", "Gemma2ForCausalLM");
}

/// A copy of the fixture in which text is one part of several, under the names of transformers before and after 4.52.
fn seeing(decoder: &str, other: &str) -> tempfile::TempDir {
    let (place, from) = (tempfile::tempdir().unwrap(), folder("gemma3"));
    let write = |name: &str, bytes: &[u8]| std::fs::write(place.path().join(name), bytes).unwrap();
    for name in ["tokenizer.json", "tokenizer_config.json", "generation_config.json"] {
        write(name, &read(&from.join(name)));
    }
    let mut text = fixture();
    let ends = text["eos_token_id"].take();
    text.as_object_mut().unwrap().retain(|name, _| name != "architectures" && name != "eos_token_id");
    let config = json!({
        "architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "text_config": text,
        "vision_config": {"hidden_size": 8}, "eos_token_id": ends, "torch_dtype": "float32",
    });
    write("config.json", config.to_string().as_bytes());
    let bytes = read(&from.join("model.safetensors"));
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors: BTreeMap<String, _> =
        file.tensors().into_iter().map(|(name, view)| (name.replacen("model.", decoder, 1), view)).collect();
    let some = tensors.values().next().unwrap().clone();
    for name in [
        "vision_tower.vision_model.encoder.layers.0.layer_norm1.weight",
        "multi_modal_projector.mm_input_projection_weight",
    ] {
        tensors.insert(format!("{other}{name}"), some.clone());
    }
    write("model.safetensors", &safetensors::serialize(tensors, None).unwrap());
    place
}

#[test]
fn what_is_not_text_is_passed_over() {
    for (decoder, other) in [("language_model.model.", ""), ("model.language_model.", "model.")] {
        let place = seeing(decoder, other);
        let mut opened = open(place.path().to_str().unwrap()).unwrap();
        assert_eq!(opened.config, parse(&fixture()).unwrap());
        let model = Model::load(gpu(), opened.config.clone(), &mut *opened.source, None, 256, &mut |_, _| {});
        block_on(checks::scores(&Arc::new(model.unwrap()), "gemma3")).unwrap();
        // What an export writes has the text only, and says so.
        let texts = files::copied(place.path(), opened.config.family, true).unwrap();
        let config: Value = serde_json::from_slice(&texts[0].1).unwrap();
        assert_eq!(
            (&config["architectures"], &config["model_type"]),
            (&json!(["Gemma3ForCausalLM"]), &json!("gemma3_text"))
        );
        assert_eq!(parse(&config).unwrap(), opened.config);
    }
}

#[test]
fn the_template_begins_the_text_itself() {
    let opened = open(folder("gemma3").to_str().unwrap()).unwrap();
    let expected: Value = serde_json::from_slice(&read(&folder("gemma3").join("expected.json"))).unwrap();
    let messages: Vec<stepladder::model::chat::Message> =
        serde_json::from_value(expected["chat"]["messages"].clone()).unwrap();
    let text = opened.chat_template.as_ref().unwrap().render(&messages, true).unwrap();
    assert_eq!(text, expected["chat"]["rendered"].as_str().unwrap());
    let ids = opened.tokenizer.encode(&text, false).unwrap();
    assert_eq!(json!(ids), expected["chat"]["ids"]);
    assert_eq!(ids.iter().filter(|&&id| Some(id) == opened.config.bos_token_id).count(), 1);
    let end = opened.tokenizer.token_id("<end_of_turn>").unwrap();
    assert!(opened.config.eos_token_ids.contains(&end));
}
