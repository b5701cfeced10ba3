//! The scalings of RoPE: frequencies of transformers, and what GGUF files say of them.

use serde_json::{Value, json};
use stepladder::model::config::scaling::{LONG, RopeTensors, SHORT};
use stepladder::model::config::{LongRope, RopeScaling, Yarn};
use stepladder::model::family::{llama, mistral, phi3};
use stepladder::model::source::gguf::Value as Item;

use crate::{gguf, gguf_with, parse, refused, with};

#[test]
fn yarn_is_that_of_transformers() {
    // ROPE_INIT_FUNCTIONS["yarn"] of transformers 5.23 for heads of 32 and 4096 positions: every third frequency, and the factor.
    let cases = [
        (
            json!({"rope_theta": 1e6, "factor": 4.0, "original_max_position_embeddings": 1024}),
            [1.0, 5.249_259_3e-2, 1.405_853_3e-3, 1.054_241_2e-4, 7.905_694e-6, 5.928_434_4e-7],
            1.138_629_436_111_989,
        ),
        (
            json!({"rope_theta": 1e4, "factor": 8.0, "original_max_position_embeddings": 512, "beta_fast": 16, "beta_slow": 2,
                "truncate": false}),
            [1.0, 1.704_140_3e-1, 7.324_998_3e-3, 7.029_266_6e-4, 1.25e-4, 2.222_849_3e-5],
            1.207_944_154_167_983_6,
        ),
        (
            json!({"rope_theta": 1e6, "factor": null, "original_max_position_embeddings": 256}),
            [1.0, 3.280_786_8e-2, 3.514_633_3e-4, 2.635_603e-5, 1.976_423_4e-6, 1.482_108_6e-7],
            1.277_258_872_223_978_2,
        ),
        (
            json!({"rope_theta": 5e5, "factor": 16.0, "original_max_position_embeddings": 256, "mscale": 1.0,
                "mscale_all_dim": 0.5}),
            [1.0, 3.736_122_7e-2, 4.557_915_7e-4, 3.892_327_7e-5, 3.323_934_8e-6, 2.838_544e-7],
            1.121_751_143_713_058,
        ),
        (
            json!({"rope_theta": 5e5, "factor": 16.0, "original_max_position_embeddings": 256, "mscale": 1.0,
                "mscale_all_dim": 0.5, "attention_factor": 1.5}),
            [1.0, 3.736_122_7e-2, 4.557_915_7e-4, 3.892_327_7e-5, 3.323_934_8e-6, 2.838_544e-7],
            1.5,
        ),
    ];
    for (mut scaling, frequencies, factor) in cases {
        let theta = scaling.as_object_mut().unwrap().remove("rope_theta").unwrap();
        let sizes = json!({"head_dim": 32, "max_position_embeddings": 4096, "rope_theta": null, "rope_scaling": null});
        let mut old = with("llama", sizes);
        let mut new = old.clone();
        (old["rope_theta"], old["rope_scaling"]) = (theta.clone(), scaling.clone());
        old["rope_scaling"]["type"] = json!("yarn");
        (scaling["rope_type"], scaling["rope_theta"]) = (json!("yarn"), theta);
        new["rope_parameters"] = scaling;
        let config = parse(&new).unwrap();
        assert_eq!(parse(&old).unwrap(), config);
        let got = config.inv_freq();
        for (index, want) in frequencies.into_iter().enumerate() {
            assert!((got[3 * index] - want).abs() <= want * 3e-7, "{index}: {} for {want}", got[3 * index]);
        }
        assert!((config.rope.attention_factor() - factor).abs() < 1e-12);
        // What an export from GGUF would write is the same.
        let written = config.rope.scaling.config_json().unwrap();
        let again = json!({"head_dim": 32, "max_position_embeddings": 4096, "rope_theta": config.rope.theta,
            "rope_scaling": written});
        assert_eq!(parse(&with("llama", again)).unwrap().rope, config.rope);
    }
    let yarn = |changes: Value| {
        let mut scaling = json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64});
        changes.as_object().unwrap().iter().for_each(|(name, value)| scaling[name] = value.clone());
        json!({ "rope_scaling": scaling })
    };
    refused("llama", yarn(json!({"factor": 0})), "rope_scaling", "above 0");
    refused("llama", yarn(json!({"beta_fast": 0.5})), "rope_scaling.beta_fast", "beta_slow");
    refused("llama", yarn(json!({"something": 2})), "rope_scaling.something", "not known");
    refused(
        "llama",
        yarn(json!({"partial_rotary_factor": 0.5})),
        "rope_scaling.partial_rotary_factor",
        "partial",
    );
}

#[test]
fn yarn_of_gguf_files_is_that_of_llama_cpp() {
    let kind = ("rope.scaling.type", Item::Text("yarn".into()));
    let factor = ("rope.scaling.factor", Item::Float(16.0));
    let read = |more: &[(&str, Item)]| {
        let keys = [&[kind.clone(), factor.clone()], more].concat();
        gguf(&llama::FAMILY, &keys).map(|config| config.rope.scaling)
    };
    let ln = 0.1 * 16f64.ln();
    let plain = Yarn {
        factor: 16.0,
        original: 256,
        beta_fast: 32.0,
        beta_slow: 1.0,
        truncate: true,
        attention_factor: ln + 1.0,
    };
    // The original context is the file's own where it does not say.
    assert_eq!(read(&[]).unwrap(), RopeScaling::Yarn(plain));
    let all = [
        ("rope.scaling.original_context_length", Item::Int(64)),
        ("rope.scaling.yarn_beta_fast", Item::Float(16.0)),
        ("rope.scaling.yarn_beta_slow", Item::Float(2.0)),
        ("rope.scaling.yarn_log_multiplier", Item::Float(0.5)),
        ("rope.scaling.attn_factor", Item::Float(1.5)),
        ("rope.scaling.yarn_ext_factor", Item::Float(1.0)),
    ];
    let attention_factor = (ln + 1.0) / (0.5 * ln + 1.0) * 1.5;
    let want = Yarn { original: 64, beta_fast: 16.0, beta_slow: 2.0, attention_factor, ..plain };
    assert_eq!(read(&all).unwrap(), RopeScaling::Yarn(want));
    let message = read(&[("rope.scaling.yarn_ext_factor", Item::Float(0.5))]).unwrap_err().to_string();
    assert!(message.contains("yarn_ext_factor"), "{message}");
    let tempered = ("attention.temperature_scale", Item::Float(0.1));
    let message = gguf(&mistral::MINISTRAL3, &[tempered]).unwrap_err().to_string();
    assert!(message.contains("temperature_scale") && message.contains("yarn"), "{message}");
}

#[test]
fn dynamic_scaling_is_none_up_to_the_longest_sequence() {
    let scaled = |scaling: Value| {
        let config = parse(&with("llama", json!({ "rope_scaling": scaling }))).unwrap();
        (config.inv_freq(), config.rope.scaling)
    };
    let (frequencies, scaling) = scaled(json!({"type": "dynamic", "factor": 4.0}));
    assert_eq!(scaling, RopeScaling::Dynamic { factor: 4.0 });
    assert_eq!(frequencies, scaled(json!({"type": "default"})).0);
    refused("llama", json!({"rope_scaling": {"type": "dynamic"}}), "rope_scaling.factor", "missing");
}

#[test]
fn longrope_of_gguf_files_is_that_of_llama_cpp() {
    let lists = || -> RopeTensors { [(SHORT, vec![1.0, 1.5, 2.0, 3.0]), (LONG, vec![2.0; 4])].into() };
    let keys = [
        ("rope.dimension_count", Item::Int(8)),
        ("rope.scaling.original_context_length", Item::Int(64)),
        ("rope.scaling.attn_factor", Item::Float(1.25)),
        ("attention.sliding_window", Item::Int(32)),
    ];
    let config = gguf_with(&phi3::FAMILY, &keys, lists()).unwrap();
    let want = LongRope {
        short: vec![1.0, 1.5, 2.0, 3.0],
        long: vec![2.0; 4],
        original: 64,
        longest: 256,
        attention_factor: 1.25,
    };
    assert_eq!(config.rope.scaling, RopeScaling::LongRope(want));
    assert_eq!((config.turned, config.max_position_embeddings, config.stated_length()), (8, 64, 256));
    // llama.cpp computes no window for these models; transformers does.
    assert_eq!((0..4).map(|layer| config.window(layer)).collect::<Vec<_>>(), [Some(32); 4]);
    let open = gguf(&phi3::FAMILY, &[("attention.sliding_window", Item::Int(0))]).unwrap();
    assert_eq!((open.window_size(), open.turned, open.rope.scaling), (None, 16, RopeScaling::None));
    let mut half = lists();
    half.remove(LONG);
    let message = gguf_with(&phi3::FAMILY, &keys, half).unwrap_err().to_string();
    assert!(message.contains(LONG) && message.contains("missing"), "{message}");
    let twice = [&keys[..], &[("rope.scaling.factor", Item::Float(4.0))]].concat();
    let message = gguf_with(&phi3::FAMILY, &twice, lists()).unwrap_err().to_string();
    assert!(message.contains("rope.scaling.factor"), "{message}");
    let message = gguf(&llama::FAMILY, &keys[..1]).unwrap_err().to_string();
    assert!(message.contains("rope.dimension_count"), "{message}");
}
