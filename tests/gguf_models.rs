//! The small models of tests/fixtures as GGUF files, made by the rules of llama.cpp's converter (conversion/*.py): they say
//! what PyTorch says, have the same tokens, and come back as they were.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "gguf_models/exported.rs"]
mod exported;
mod fixture_models;
mod gguf_writer;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use fixture_models::checks::{self, max_error};
use fixture_models::{Expected, FAMILIES, adapter_file, folder, gpu, read};
use gguf_writer::Writer;
use pollster::block_on;
use serde_json::Value;
use stepladder::model::Model;
use stepladder::model::files;
use stepladder::model::open::{OpenModel, Texts};
use stepladder::model::source::bytes::Memory;
use stepladder::model::source::safetensors::SafeTensors;
use stepladder::train::merge::write_merged;

/// Stems of names, Hugging Face's and GGUF's; `post_attention_layernorm` depends on the family.
const NAMES: [(&str, &str); 19] = [
    ("model.embed_tokens", "token_embd"),
    ("model.norm", "output_norm"),
    ("lm_head", "output"),
    ("input_layernorm", "attn_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
    ("self_attn.qkv_proj", "attn_qkv"),
    ("self_attn.o_proj", "attn_output"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.gate_up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
    ("pre_feedforward_layernorm", "ffn_norm"),
    ("post_feedforward_layernorm", "post_ffw_norm"),
    ("post_attention_layernorm", "ffn_norm"),
    ("post_attention_layernorm", "post_attention_norm"),
];

/// Fixtures whose q and k the converter writes with the two halves of each head in turn.
const INTERLEAVED: [&str; 4] = ["llama", "smollm3", "granite", "ministral3"];

fn json(name: &str, file: &str) -> Value {
    serde_json::from_slice(&read(&folder(name).join(file))).unwrap()
}

fn gguf_name(name: &str, behind: bool) -> String {
    let (stem, ending) = name.rsplit_once('.').unwrap();
    let (block, stem) = match stem.strip_prefix("model.layers.").and_then(|rest| rest.split_once('.')) {
        Some((layer, stem)) => (format!("blk.{layer}."), stem),
        None => (String::new(), stem),
    };
    let mut names = NAMES.iter().filter(|(hf, _)| *hf == stem).map(|(_, gguf)| *gguf);
    let name = if behind { names.next_back() } else { names.next() };
    format!("{block}{}.{ending}", name.unwrap_or_else(|| panic!("{stem} has no name")))
}

/// Rows of the two halves of each head in turn, as the converter writes Llama's q and k.
fn interleaved(values: &[f32], heads: usize, rows: usize) -> Vec<f32> {
    let (cols, half) = (values.len() / rows, rows / heads / 2);
    let row = |row: usize| &values[row * cols..(row + 1) * cols];
    let order =
        (0..heads).flat_map(|head| (0..half).flat_map(move |i| [0, half].map(|at| head * 2 * half + at + i)));
    order.flat_map(|at| row(at).to_vec()).collect()
}

/// Llama 3's scaling as divisors of the frequencies.
fn divisors(scaling: &Value, head_dim: usize, theta: f64) -> Vec<f32> {
    let [factor, low, high, original] =
        ["factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"]
            .map(|name| scaling[name].as_f64().unwrap());
    let divisor = |i: usize| {
        let wavelength = std::f64::consts::TAU * theta.powf(2.0 * i as f64 / head_dim as f64);
        let smooth = (original / wavelength - low) / (high - low);
        match () {
            () if wavelength < original / high => 1.0,
            () if wavelength > original / low => factor,
            () => 1.0 / ((1.0 - smooth) / factor + smooth),
        }
    };
    (0..head_dim / 2).map(|i| divisor(i) as f32).collect()
}

fn metadata(name: &str, writer: &mut Writer, config: &Value) {
    let arch = match name {
        "ministral3" => "mistral3",
        "olmo3" => "olmo2",
        _ => name,
    };
    writer.text("general.architecture", arch);
    let number = |field: &str| config[field].as_u64().unwrap() as u32;
    let head_dim = config["head_dim"]
        .as_u64()
        .map_or(number("hidden_size") / number("num_attention_heads"), |d| d as u32);
    for (key, value) in [
        ("block_count", number("num_hidden_layers")),
        ("context_length", number("max_position_embeddings")),
        ("embedding_length", number("hidden_size")),
        ("feed_forward_length", number("intermediate_size")),
        ("attention.head_count", number("num_attention_heads")),
        ("attention.head_count_kv", number("num_key_value_heads")),
        ("attention.key_length", head_dim),
        ("attention.value_length", head_dim),
    ] {
        writer.u32(&format!("{arch}.{key}"), value);
    }
    let float = |value: &Value| value.as_f64().unwrap() as f32;
    writer.f32(
        &format!("{arch}.attention.layer_norm_rms_epsilon"),
        config["rms_norm_eps"].as_f64().unwrap_or(1e-5) as f32,
    );
    let theta = if config["rope_theta"].is_null() {
        &config["rope_parameters"]["rope_theta"]
    } else {
        &config["rope_theta"]
    };
    writer.f32(&format!("{arch}.rope.freq_base"), float(theta));
    if name == "ministral3" {
        let rope = &config["rope_parameters"];
        writer.text("mistral3.rope.scaling.type", "yarn");
        writer.u32(
            "mistral3.rope.scaling.original_context_length",
            rope["original_max_position_embeddings"].as_u64().unwrap() as u32,
        );
        for (key, field) in [
            ("rope.scaling.factor", "factor"),
            ("rope.scaling.yarn_beta_fast", "beta_fast"),
            ("rope.scaling.yarn_beta_slow", "beta_slow"),
            ("rope.scaling.yarn_log_multiplier", "mscale_all_dim"),
            ("attention.temperature_scale", "llama_4_scaling_beta"),
        ] {
            writer.f32(&format!("mistral3.{key}"), float(&rope[field]));
        }
    }
    if name == "granite" {
        for (key, field) in [
            ("attention.scale", "attention_multiplier"),
            ("embedding_scale", "embedding_multiplier"),
            ("residual_scale", "residual_multiplier"),
            ("logit_scale", "logits_scaling"),
        ] {
            writer.f32(&format!("granite.{key}"), float(&config[field]));
        }
    }
    if name == "olmo3" {
        let rope = &config["rope_scaling"];
        writer.u32("olmo2.attention.sliding_window", number("sliding_window"));
        // An array of truth values.
        let pattern = [&7u32.to_le_bytes()[..], &5u64.to_le_bytes(), &[1, 1, 1, 0, 1]].concat();
        writer.raw("olmo2.attention.sliding_window_pattern", 9, &pattern);
        writer.text("olmo2.rope.scaling.type", "yarn");
        let original = rope["original_max_position_embeddings"].as_u64().unwrap();
        writer.u32("olmo2.rope.scaling.original_context_length", original as u32);
        for (key, field) in
            [("factor", "factor"), ("yarn_beta_fast", "beta_fast"), ("yarn_beta_slow", "beta_slow")]
        {
            writer.f32(&format!("olmo2.rope.scaling.{key}"), float(&rope[field]));
        }
        // No key says the whole of it: llama.cpp multiplies this with the paper's.
        let own = 0.1 * rope["factor"].as_f64().unwrap().ln() + 1.0;
        let factor = rope["attention_factor"].as_f64().unwrap() / own;
        writer.f32("olmo2.rope.scaling.attn_factor", factor as f32);
    }
    if name == "phi3" {
        writer.u32("phi3.attention.sliding_window", number("sliding_window"));
        let [longest, original] = ["max_position_embeddings", "original_max_position_embeddings"]
            .map(|field| f64::from(number(field)));
        writer.u32("phi3.rope.scaling.original_context_length", original as u32);
        let factor = (1.0 + (longest / original).ln() / original.ln()).sqrt();
        writer.f32("phi3.rope.scaling.attn_factor", factor as f32);
        let part = config["partial_rotary_factor"].as_f64().unwrap();
        writer.u32("phi3.rope.dimension_count", (part * f64::from(head_dim)) as u32);
        for (end, field) in [("long", "long_factor"), ("short", "short_factor")] {
            let list = config["rope_scaling"][field].as_array().unwrap();
            let list: Vec<f32> = list.iter().map(float).collect();
            let tensor = format!("rope_factors_{end}.weight");
            writer.tensor_of(&tensor, &[list.len() as u64], 0, bytemuck::cast_slice(&list));
        }
    }
    if name == "gemma3" {
        writer.u32("gemma3.attention.sliding_window", number("sliding_window"));
        writer.text("gemma3.rope.scaling.type", "linear");
        writer.f32("gemma3.rope.scaling.factor", float(&config["rope_scaling"]["factor"]));
    }
}

/// The tokenizer's metadata: byte-level BPE, or SentencePiece with scores in the order of the merges.
fn tokenizer(name: &str, writer: &mut Writer, config: &Value) {
    let file = json(name, "tokenizer.json");
    let added: BTreeMap<u64, &str> = file["added_tokens"]
        .as_array()
        .unwrap()
        .iter()
        .map(|token| (token["id"].as_u64().unwrap(), token["content"].as_str().unwrap()))
        .collect();
    let mut tokens: BTreeMap<u64, &str> = file["model"]["vocab"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(token, id)| (id.as_u64().unwrap(), token.as_str()))
        .collect();
    tokens.extend(added.clone());
    let padding: Vec<String> =
        (0..config["vocab_size"].as_u64().unwrap()).map(|id| format!("[PAD{id}]")).collect();
    let texts: Vec<&str> =
        (0..padding.len()).map(|id| tokens.get(&(id as u64)).copied().unwrap_or(&padding[id])).collect();
    let merges: Vec<String> = file["model"]["merges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| [pair[0].as_str().unwrap(), pair[1].as_str().unwrap()].join(" "))
        .collect();
    let spm = file["model"]["byte_fallback"] == true;
    let kind = |id: usize| match texts[id] {
        _ if !tokens.contains_key(&(id as u64)) => 5,
        "<unk>" => 2,
        _ if added.contains_key(&(id as u64)) => 3,
        text if spm && text.starts_with("<0x") => 6,
        // What the converter takes for user-defined is spelt with spaces.
        text if spm && text.len() > "▁".len() && text.chars().all(|character| "▁\n".contains(character)) => {
            4
        }
        _ => 1,
    };
    let kinds: Vec<i32> = (0..texts.len()).map(kind).collect();
    let spelt: Vec<String> = texts
        .iter()
        .zip(&kinds)
        .map(|(text, kind)| if *kind == 4 { text.replace('▁', " ") } else { text.to_string() })
        .collect();
    writer.texts("tokenizer.ggml.tokens", &spelt.iter().map(String::as_str).collect::<Vec<_>>());
    writer.ints("tokenizer.ggml.token_type", &kinds);
    if spm {
        writer.text("tokenizer.ggml.model", "llama");
        writer.text("tokenizer.ggml.pre", "default");
        let rank = |text: &str| merges.iter().position(|merge| merge.replacen(' ', "", 1) == text);
        let scores: Vec<f32> =
            texts.iter().map(|text| rank(text).map_or(-1000.0, |rank| -(rank as f32))).collect();
        writer.floats("tokenizer.ggml.scores", &scores);
        writer.raw("tokenizer.ggml.add_space_prefix", 7, &[0]);
        writer.u32("tokenizer.ggml.unknown_token_id", 259);
    } else {
        writer.text("tokenizer.ggml.model", "gpt2");
        // The fixtures have no merges, so that what cuts the text before them changes nothing.
        writer.text(
            "tokenizer.ggml.pre",
            match name {
                "smollm3" => "smaug-bpe",
                "granite" | "olmo2" | "olmo3" => "dbrx",
                _ => "gpt-2",
            },
        );
        writer.texts("tokenizer.ggml.merges", &merges.iter().map(String::as_str).collect::<Vec<_>>());
    }
    for key in ["bos_token_id", "eos_token_id"] {
        // Files name one end token.
        let id = &config[key];
        if let Some(id) = id.as_u64().or_else(|| id[0].as_u64()) {
            writer.u32(&format!("tokenizer.ggml.{key}"), id as u32);
        }
    }
    if let Some(template) = json(name, "tokenizer_config.json")["chat_template"].as_str() {
        writer.text("tokenizer.chat_template", template);
    }
}

/// A fixture as a GGUF file in F32.
fn converted(name: &str) -> Vec<u8> {
    let (config, mut writer, gemma) = (json(name, "config.json"), Writer::default(), name == "gemma3");
    metadata(name, &mut writer, &config);
    tokenizer(name, &mut writer, &config);
    let bytes = read(&folder(name).join("model.safetensors"));
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    for (tensor, view) in file.tensors() {
        let mut values: Vec<f32> = bytemuck::pod_collect_to_vec(view.data());
        if gemma && tensor.ends_with("norm.weight") {
            values.iter_mut().for_each(|value| *value += 1.0);
        }
        if gemma && tensor.contains("q_norm") {
            // GGUF has no key for query_pre_attn_scalar, and llama.cpp takes the head's size: what is between them goes into q.
            let factor = (config["head_dim"].as_f64().unwrap()
                / config["query_pre_attn_scalar"].as_f64().unwrap())
            .sqrt();
            values.iter_mut().for_each(|value| *value *= factor as f32);
        }
        let heads = |field: &str| config[field].as_u64().unwrap() as usize;
        for (module, field) in [("q_proj", "num_attention_heads"), ("k_proj", "num_key_value_heads")] {
            if INTERLEAVED.contains(&name) && tensor.contains(module) {
                values = interleaved(&values, heads(field), view.shape()[0]);
            }
        }
        let shape: Vec<u64> = view.shape().iter().map(|&size| size as u64).collect();
        writer.tensor_of(
            &gguf_name(&tensor, gemma || name.starts_with("olmo")),
            &shape,
            0,
            bytemuck::cast_slice(&values),
        );
    }
    if config["rope_scaling"]["rope_type"] == "llama3" {
        let head_dim = config["head_dim"].as_u64().unwrap() as usize;
        let divisors = divisors(&config["rope_scaling"], head_dim, config["rope_theta"].as_f64().unwrap());
        writer.tensor_of("rope_freqs.weight", &[divisors.len() as u64], 0, bytemuck::cast_slice(&divisors));
    }
    writer.bytes()
}

fn open(name: &str) -> OpenModel {
    let file = format!("{name}.gguf");
    OpenModel::from_gguf(&file, vec![Memory::new(&file, converted(name))], 0).unwrap()
}

fn load(opened: &mut OpenModel) -> Arc<Model> {
    Arc::new(
        Model::load(gpu(), opened.config.clone(), &mut *opened.source, None, 256, &mut |_, _| {}).unwrap(),
    )
}

#[test]
fn gguf_files_say_what_pytorch_says() {
    for name in FAMILIES {
        let model = load(&mut open(name));
        block_on(checks::logprobs(&model, name)).unwrap();
        block_on(checks::gradients(&model, name, 512)).unwrap();
        block_on(checks::greedy(&model, name)).unwrap();
    }
}

#[test]
fn gguf_files_have_the_tokens_of_the_folder() {
    for name in FAMILIES {
        let (opened, expected) = (open(name), Expected::read(name).json);
        let ids = |value: &Value| serde_json::from_value::<Vec<u32>>(value.clone()).unwrap();
        let sample = &expected["tokenizer"];
        let got = opened.tokenizer.encode(sample["text"].as_str().unwrap(), true).unwrap();
        assert_eq!(got, ids(&sample["ids"]), "{name}");
        let config = json(name, "config.json");
        let ends = &config["eos_token_id"];
        let ends = if ends.is_array() { ids(ends) } else { vec![ends.as_u64().unwrap() as u32] };
        // A file names one end; the others are known by what they are called.
        let mut found = opened.config.eos_token_ids.clone();
        found.sort_unstable();
        assert!(ends.iter().all(|end| found.contains(end)), "{name}: {found:?} {ends:?}");
        if let Some(chat) = expected.get("chat") {
            let messages: Vec<stepladder::model::chat::Message> =
                serde_json::from_value(chat["messages"].clone()).unwrap();
            let text = opened.chat_template.as_ref().unwrap().render(&messages, true).unwrap();
            assert_eq!(text, chat["rendered"].as_str().unwrap(), "{name}");
            assert_eq!(opened.tokenizer.encode(&text, false).unwrap(), ids(&chat["ids"]), "{name}");
        }
    }
}

/// Merged with no adapter at all, a GGUF file becomes the folder again, but for Llama's scaling, which has no form there.
#[test]
fn gguf_files_become_folders_again() {
    for name in FAMILIES.into_iter().filter(|name| *name != "llama") {
        let mut opened = open(name);
        let texts = files::made(&opened.config, &opened.tokenizer, opened.chat_template.as_ref()).unwrap();
        let mut weights = Vec::new();
        write_merged(&opened.config, &mut *opened.source, None, Path::new("m"), &mut weights, &mut |_, _| {})
            .unwrap();
        let text = |wanted: &str| {
            let found = texts.iter().find(|(name, _)| name == wanted).unwrap();
            std::str::from_utf8(&found.1).unwrap()
        };
        let all = Texts {
            config: text("config.json"),
            tokenizer: text("tokenizer.json").as_bytes(),
            generation_config: Some(text("generation_config.json")),
            tokenizer_config: Some(text("tokenizer_config.json")),
            ..Texts::default()
        };
        let source = SafeTensors::open(Memory::new("m/model.safetensors", weights.clone())).unwrap();
        let mut again = OpenModel::from_parts(name, Path::new("m"), all, Box::new(source), 0).unwrap();
        assert_eq!(again.config, opened.config, "{name}");
        let original = read(&folder(name).join("model.safetensors"));
        let original = safetensors::SafeTensors::deserialize(&original).unwrap();
        let merged = safetensors::SafeTensors::deserialize(&weights).unwrap();
        assert_eq!(original.len(), merged.len(), "{name}");
        for (tensor, view) in original.tensors().into_iter().filter(|(tensor, _)| !tensor.contains("q_norm"))
        {
            let values = |bytes: &[u8]| bytemuck::pod_collect_to_vec::<u8, f32>(bytes);
            let error = max_error(&values(merged.tensor(&tensor).unwrap().data()), &values(view.data()));
            assert!(error < 1e-6, "{name} {tensor}: {error}");
        }
        let model = load(&mut again);
        adapter_file(&model, &folder(name).join("adapter"));
        block_on(checks::scores(&model, name)).unwrap();
    }
}
