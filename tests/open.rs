//! Opening models: a folder, a GGUF file, and folders whose files contradict each other.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod gguf_writer;

use std::path::Path;

use serde_json::{Value, json};
use stepladder::model::chat::{Conversation, Message};
use stepladder::model::config::ModelConfig;
use stepladder::model::config::advice::SamplingAdvice;
use stepladder::model::open::{OpenModel, Texts, open};
use stepladder::model::source::expected;

/// A folder with a Llama of one layer, hidden 8, 12 words, in one safetensors file.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "vocab_size": 12, "hidden_size": 8, "intermediate_size": 16,
        "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "rms_norm_eps": 1e-5,
        "max_position_embeddings": 32, "rope_theta": 10000.0, "tie_word_embeddings": true, "bos_token_id": 1,
        "eos_token_id": 2
    });
    let vocab: serde_json::Map<String, Value> = (0..12).map(|id| (format!("w{id}"), json!(id))).collect();
    let tokenizer = json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": null, "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "w0"}});
    let mut header = serde_json::Map::new();
    let mut size = 0;
    for (name, shape) in expected(&ModelConfig::from_json(Path::new("c"), &config.to_string()).unwrap()) {
        let bytes = 4 * shape.iter().product::<usize>();
        header.insert(name, json!({"dtype": "F32", "shape": shape, "data_offsets": [size, size + bytes]}));
        size += bytes;
    }
    let header = Value::Object(header).to_string();
    let weights = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; size]].concat();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("config.json", config.to_string().as_bytes());
    write("tokenizer.json", tokenizer.to_string().as_bytes());
    write("model.safetensors", &weights);
    write("generation_config.json", br#"{"eos_token_id": [2, 3]}"#);
    write("tokenizer_config.json", br#"{"chat_template": "{{ bos_token }}{{ messages[0].content }}"}"#);
    folder
}

fn open_folder(folder: &tempfile::TempDir) -> stepladder::Result<OpenModel> {
    open(folder.path().to_str().unwrap())
}

#[test]
fn a_folder_is_opened() {
    let folder = folder();
    let mut model = open_folder(&folder).unwrap();
    assert_eq!(model.config.eos_token_ids, [2, 3]);
    assert_eq!(model.tokenizer.encode("w3 w4", true).unwrap(), [3, 4]);
    let index =
        model.source.tensors().iter().position(|tensor| tensor.name.ends_with("q_proj.weight")).unwrap();
    let mut out = Vec::new();
    model.source.read(index, 2, 3, &mut out).unwrap();
    assert_eq!(out.len(), 3 * 8 * 4);
    let render = |model: &OpenModel| {
        model.chat_template.as_ref().unwrap().render(&[Message::user("w5")], true).unwrap()
    };
    // config.json has a begin token; the tokenizer's own file does not name one, and then it is none.
    assert_eq!(render(&model), "w5");
    // A file of its own comes first.
    std::fs::write(folder.path().join("chat_template.jinja"), "[{{ bos_token is defined }}]").unwrap();
    assert_eq!(render(&open_folder(&folder).unwrap()), "[False]");
    std::fs::remove_file(folder.path().join("tokenizer_config.json")).unwrap();
    std::fs::write(folder.path().join("chat_template.jinja"), "[{{ bos_token }}{{ eos_token }}]").unwrap();
    assert_eq!(render(&open_folder(&folder).unwrap()), "[w1w2]");
}

/// What a `generation_config.json` advises is there for a chat; what means nothing is named.
#[test]
fn advice_on_sampling_is_read() {
    let folder = folder();
    let advised = |text: &str| {
        std::fs::write(folder.path().join("generation_config.json"), text).unwrap();
        let model = open_folder(&folder).unwrap();
        (model.advice, model.warnings)
    };
    let (advice, warnings) =
        advised(r#"{"do_sample": true, "temperature": 0.6, "top_k": 20, "top_p": 0.95, "min_p": null}"#);
    let wanted = SamplingAdvice {
        temperature: Some(0.6),
        top_k: Some(20),
        top_p: Some(0.95),
        ..SamplingAdvice::default()
    };
    assert_eq!((advice, warnings), (wanted, Vec::new()));
    let (advice, _) = advised(r#"{"do_sample": false, "temperature": 0.6}"#);
    assert_eq!(advice.temperature, Some(0.0));
    let (advice, warnings) = advised(r#"{"temperature": -1, "top_p": 0, "top_k": "x", "min_p": 2}"#);
    assert!(!advice.is_some());
    for name in ["temperature", "top_p", "top_k", "min_p"] {
        assert!(warnings.iter().any(|warning| warning.contains(name)), "{name}: {warnings:?}");
    }
}

/// A text ends with the tokenizer's end token, as in TRL, whatever else ends one.
#[test]
fn the_tokenizers_end_token_is_the_one_that_is_learnt() {
    let folder = folder();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let told = |model: &OpenModel| model.warnings.iter().any(|warning| warning.contains("eos_token"));
    for (end, ends, warned) in
        [("w7", vec![7, 2, 3], true), ("w3", vec![3, 2], false), ("w2", vec![2, 3], false)]
    {
        write("tokenizer_config.json", &json!({ "eos_token": end }).to_string());
        let model = open_folder(&folder).unwrap();
        assert_eq!((&model.config.eos_token_ids, told(&model)), (&ends, warned), "{:?}", model.warnings);
    }
    // A token without a row is none.
    write("tokenizer_config.json", r#"{"eos_token": "<new>"}"#);
    let model = open_folder(&folder).unwrap();
    assert_eq!((model.config.eos_token_ids.as_slice(), told(&model)), ([2, 3].as_slice(), false));
    // Classes have a token of their own where the file names none.
    let tokenizer = std::fs::read_to_string(folder.path().join("tokenizer.json")).unwrap();
    write("tokenizer.json", &tokenizer.replace("\"w9\"", "\"</s>\""));
    for (config, end) in [
        ("{}", 9),
        (r#"{"tokenizer_class": "LlamaTokenizerFast"}"#, 9),
        (r#"{"tokenizer_class": "PreTrainedTokenizerFast"}"#, 2),
        (r#"{"eos_token": null}"#, 2),
    ] {
        write("tokenizer_config.json", config);
        assert_eq!(open_folder(&folder).unwrap().config.eos_token_ids[0], end, "{config}");
    }
}

/// transformers puts a space before a text where `tokenizer_config.json` says so; here the pre-tokenizer decides.
#[test]
fn a_contradicted_prefix_space_is_told() {
    let folder = folder();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let tokenizer = std::fs::read_to_string(folder.path().join("tokenizer.json")).unwrap();
    let bytes = r#"{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true}"#;
    write("tokenizer.json", &tokenizer.replace(r#"{"type":"Whitespace"}"#, bytes));
    for (said, warned) in [("true", true), ("false", false), ("null", false)] {
        write("tokenizer_config.json", &format!(r#"{{"add_prefix_space": {said}}}"#));
        let warnings = open_folder(&folder).unwrap().warnings;
        assert_eq!(
            warnings.iter().any(|warning| warning.contains("add_prefix_space")),
            warned,
            "{warnings:?}"
        );
    }
}

/// The sizes that transformers takes where the keys are missing.
#[test]
fn missing_sizes_are_those_of_the_family() {
    let config = |architecture: &str, more: Value| {
        let mut config = json!({"architectures": [architecture], "vocab_size": 12, "hidden_size": 8192,
            "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 64, "max_position_embeddings": 32});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let config = ModelConfig::from_json(Path::new("c"), &config.to_string()).unwrap();
        (config.num_kv_heads, config.head_dim)
    };
    assert_eq!(config("LlamaForCausalLM", json!({})), (64, 128));
    assert_eq!(config("Qwen2ForCausalLM", json!({})), (32, 128));
    assert_eq!(config("Qwen2ForCausalLM", json!({"num_key_value_heads": null})), (64, 128));
    assert_eq!(config("Qwen3ForCausalLM", json!({"hidden_size": 4096})), (32, 128));
    assert_eq!(config("Qwen3ForCausalLM", json!({"hidden_size": 4096, "head_dim": 64})), (32, 64));
}

/// A template that cannot be compiled is an error of what renders, and of nothing else.
#[test]
fn a_template_is_compiled_when_it_renders() {
    let folder = folder();
    let message = [Message::user("w5")];
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let render = || open_folder(&folder).unwrap().chat_template.unwrap().render(&message, true);
    for (name, text, file) in [
        (
            "tokenizer_config.json",
            r#"{"chat_template": "{% if %}"}"#,
            "tokenizer_config.json: chat_template: ",
        ),
        (
            "tokenizer_config.json",
            r#"{"chat_template": [{"name": "rag", "template": "x"}]}"#,
            "named \"default\"",
        ),
        ("chat_template.jinja", "{% frobnicate %}", "chat_template.jinja: chat_template: "),
    ] {
        write(name, text);
        let error = render().unwrap_err().to_string();
        assert!(error.contains(file) && error.lines().count() == 1, "{error}");
    }
    std::fs::remove_file(folder.path().join("chat_template.jinja")).unwrap();
    write("tokenizer_config.json", r#"{"chat_template": {"default": "[{{ messages[0].content }}]"}}"#);
    assert_eq!(render().unwrap(), "[w5]");
}

/// Templates by names, in each of the places that transformers reads.
#[test]
fn conversations_with_tools_have_a_template_of_their_own() {
    let folder = folder();
    let messages = [Message::user("w5")];
    let tools = json!([]);
    let render = || {
        let chat = open_folder(&folder).unwrap().chat_template.unwrap();
        let with_tools = Conversation { tools: Some(&tools), ..Conversation::new(&messages) };
        (chat.render(&messages, false).unwrap(), chat.render_conversation(&with_tools, false).unwrap())
    };
    let named = json!([{"name": "default", "template": "d"}, {"name": "tool_use", "template": "t"}]);
    let config = json!({"chat_template": named}).to_string();
    std::fs::write(folder.path().join("tokenizer_config.json"), config).unwrap();
    assert_eq!(render(), ("d".into(), "t".into()));
    std::fs::write(folder.path().join("chat_template.jinja"), "D").unwrap();
    std::fs::create_dir(folder.path().join("additional_chat_templates")).unwrap();
    std::fs::write(folder.path().join("additional_chat_templates/tool_use.jinja"), "T").unwrap();
    assert_eq!(render(), ("D".into(), "T".into()));
}

/// Tokens that `tokenizer.json` lacks, as transformers 5.24 adds them.
#[test]
fn tokens_of_the_other_files_are_added() {
    for (file, text) in [
        ("added_tokens.json", r#"{"<|x|>": 12}"#),
        ("tokenizer_config.json", r#"{"additional_special_tokens": ["<|x|>"]}"#),
        ("tokenizer_config.json", r#"{"extra_special_tokens": {"x_token": "<|x|>"}}"#),
        ("tokenizer_config.json", r#"{"pad_token": {"content": "<|x|>", "lstrip": false}}"#),
        (
            "tokenizer_config.json",
            r#"{"added_tokens_decoder": {"12": {"content": "<|x|>", "special": true}}}"#,
        ),
        ("special_tokens_map.json", r#"{"additional_special_tokens": [{"content": "<|x|>"}]}"#),
    ] {
        let folder = folder();
        std::fs::write(folder.path().join(file), text).unwrap();
        let model = open_folder(&folder).unwrap();
        assert_eq!(model.tokenizer.token_id("<|x|>"), Some(12), "{file}: {text}");
        assert_eq!(model.tokenizer.encode("w3 w4", true).unwrap(), [3, 4]);
        // The model has 12 rows: the token is known, and a text with it refused.
        let error = model.tokenizer.encode("w3<|x|>", true).unwrap_err().to_string();
        assert!(error.contains("`<|x|>`, token 12") && error.contains("12 rows"), "{error}");
    }
    for (text, words) in [
        (r#"{"<|x|>": 3}"#, "token id 3, which is \"w3\""),
        (r#"{"w3": 5}"#, "token id 5 here and 3"),
        (r#"{"<|x|>": 14}"#, "end at 12"),
    ] {
        let folder = folder();
        std::fs::write(folder.path().join("added_tokens.json"), text).unwrap();
        let error = open_folder(&folder).unwrap_err().to_string();
        assert!(error.contains("added_tokens.json: ") && error.contains(words), "{error}");
    }
}

#[test]
fn keys_that_nobody_knows_are_told() {
    let folder = folder();
    let text = r#"{"add_bos_token": true, "model_max_length": 5, "image_token": "<i>", "frobnicate": 1}"#;
    std::fs::write(folder.path().join("tokenizer_config.json"), text).unwrap();
    let warnings = open_folder(&folder).unwrap().warnings;
    assert!(matches!(warnings.as_slice(), [one] if one.contains("frobnicate")), "{warnings:?}");
}

#[test]
fn a_model_in_memory_is_opened() {
    let folder = folder();
    let text = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let weights: &'static [u8] = std::fs::read(folder.path().join("model.safetensors")).unwrap().leak();
    let (config, tokenizer) = (text("config.json"), text("tokenizer.json"));
    let texts = Texts { config: &config, tokenizer: tokenizer.as_bytes(), ..Texts::default() };
    let model = OpenModel::from_static("embedded", texts, weights, 0).unwrap();
    assert_eq!((model.name.as_str(), model.chat_template.is_none()), ("embedded", true));
    let damaged = OpenModel::from_static("embedded", texts, &weights[..weights.len() - 1], 0).unwrap_err();
    assert!(damaged.to_string().starts_with("embedded/model.safetensors: "), "{damaged}");
}

#[test]
fn the_embedded_model_is_opened() {
    let model = open("tiny").unwrap();
    assert!(model.chat_template.is_none());
    let ids = model.tokenizer.encode("?3*x^2=", false).unwrap();
    assert_eq!(model.tokenizer.decode(&ids).unwrap(), "?3*x^2=");
}

#[test]
fn a_gguf_file_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.gguf");
    let mut writer = gguf_writer::llama();
    writer.text("tokenizer.chat_template", "{{ bos_token }}{{ messages[0].content }}");
    std::fs::write(&path, writer.bytes()).unwrap();
    let model = open(path.to_str().unwrap()).unwrap();
    let text = model.chat_template.unwrap().render(&[Message::user("ab")], true).unwrap();
    assert_eq!(text, "<s>ab");
    assert_eq!(model.tokenizer.encode(&text, false).unwrap(), [1, 5]);
}

#[test]
fn the_parts_of_a_split_gguf_file_are_one_model() {
    let whole = gguf_writer::llama();
    let split = |number: u16, count: u16, tensors: std::ops::Range<usize>| {
        let mut part = whole.clone();
        if number > 0 {
            part = part.with_metadata_of(&gguf_writer::Writer::default());
        }
        part.raw("split.no", 2, &number.to_le_bytes());
        part.raw("split.count", 2, &count.to_le_bytes());
        part.raw("split.tensors.count", 5, &11i32.to_le_bytes());
        part.tensors = whole.tensors[tensors].to_vec();
        part.bytes()
    };
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let names = [1, 2, 3].map(|number| path(&format!("m-0000{number}-of-00003.gguf")));
    for (number, tensors) in [(0u16, 0..3), (1, 3..3), (2, 3..11)] {
        std::fs::write(&names[usize::from(number)], split(number, 3, tensors)).unwrap();
    }
    std::fs::write(path("whole.gguf"), whole.bytes()).unwrap();
    let read = |spec: &str| {
        let mut model = open(spec).unwrap();
        let mut tensors = Vec::new();
        for index in 0..model.source.tensors().len() {
            let info = model.source.tensors()[index].clone();
            let mut bytes = Vec::new();
            model.source.read(index, 0, info.rows(), &mut bytes).unwrap();
            tensors.push((info, bytes));
        }
        (model.config, tensors)
    };
    let want = read(&path("whole.gguf"));
    for name in &names {
        assert_eq!(read(name), want);
    }
    // A browser gives the files themselves, in any order.
    let memory =
        |name: &String| stepladder::model::source::bytes::Memory::new(name, std::fs::read(name).unwrap());
    let files: Vec<_> = names.iter().rev().map(memory).collect();
    assert_eq!(OpenModel::from_files("m", files, 0).unwrap().config, want.0);
    let some = names[1..].iter().map(memory).collect();
    let error = OpenModel::from_files("m", some, 0).unwrap_err().to_string();
    assert!(
        error.contains("split.no: is part 2 of 3, and 2 files are given") && error.contains("all parts"),
        "{error}"
    );

    std::fs::rename(&names[2], path("other.gguf")).unwrap();
    let error = open(&names[0]).unwrap_err().to_string();
    assert!(error.contains("m-00003-of-00003.gguf is missing, a part of the same model"), "{error}");
    let error = open(&path("other.gguf")).unwrap_err().to_string();
    assert!(error.contains("other.gguf: split.no: is part 3 of 3, and 1 files are given"), "{error}");
}

#[test]
fn no_key_of_a_tokenizer_is_passed_over() {
    let opened = |change: &dyn Fn(&mut gguf_writer::Writer)| {
        let mut writer = gguf_writer::llama();
        change(&mut writer);
        let file = stepladder::model::source::bytes::Memory::new("m.gguf", writer.bytes());
        OpenModel::from_gguf("m.gguf", vec![file], 0)
    };
    opened(&|w| {
        w.u32("tokenizer.ggml.padding_token_id", 0);
        w.u32("tokenizer.ggml.fim_pre_token_id", 3);
        w.text("tokenizer.huggingface.json", "{}");
        w.text("tokenizer.chat_template.tool_use", "x");
        w.raw("tokenizer.ggml.add_space_prefix", 7, &[0]);
    })
    .unwrap();
    let error = opened(&|w| w.raw("tokenizer.ggml.lowercase", 7, &[1])).unwrap_err().to_string();
    assert!(error.starts_with("m.gguf: tokenizer.ggml.lowercase: "), "{error}");
}

/// Templates that go by names become files of a folder, as transformers reads them.
#[test]
fn a_gguf_files_named_templates_are_written() {
    let mut writer = gguf_writer::llama();
    writer.text("tokenizer.chat_template", "d");
    writer.text("tokenizer.chat_template.tool_use", "t");
    let file = stepladder::model::source::bytes::Memory::new("m.gguf", writer.bytes());
    let model = OpenModel::from_gguf("m.gguf", vec![file], 0).unwrap();
    let made = stepladder::model::files::made(&model.config, &model.tokenizer, model.chat_template.as_ref());
    let made = made.unwrap();
    let template = made.iter().find(|(name, _)| name == "additional_chat_templates/tool_use.jinja").unwrap();
    assert_eq!(template.1, b"t");
}

#[test]
fn every_wrong_file_is_named() {
    let cases: [(&str, &[u8], &str); 8] = [
        ("config.json", b"{", "config.json: line 1: "),
        ("tokenizer.json", b"{}", "tokenizer.json: tokenizer: cannot be read"),
        ("model.safetensors", b"123", "model.safetensors: header length: "),
        (
            "generation_config.json",
            br#"{"eos_token_id": 99}"#,
            "generation_config.json: eos_token_id: token 99",
        ),
        ("generation_config.json", br#"{"eos_token_id": "x"}"#, "generation_config.json: eos_token_id: "),
        ("tokenizer_config.json", b"[]", "tokenizer_config.json: line 1: "),
        ("tokenizer_config.json", br#"{"chat_template": 3}"#, "tokenizer_config.json: chat_template: "),
        ("added_tokens.json", br#"{"<x>": "1"}"#, "added_tokens.json: <x>: has no token id"),
    ];
    for (name, bytes, part) in cases {
        let folder = folder();
        std::fs::write(folder.path().join(name), bytes).unwrap();
        let error = open_folder(&folder).unwrap_err().to_string();
        assert!(error.contains(part) && error.contains("; ") && error.lines().count() == 1, "{error}");
    }
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        let folder = folder();
        std::fs::remove_file(folder.path().join(name)).unwrap();
        let error = open_folder(&folder).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }
    for spec in ["/nowhere/model", "/nowhere/model.bin", "hf:x", ""] {
        assert_eq!(open(spec).unwrap_err().code(), "usage", "{spec}");
    }
    assert_eq!(open("/nowhere/model.gguf").unwrap_err().code(), "io");
}
