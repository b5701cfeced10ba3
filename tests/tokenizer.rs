//! Tokenizers: SmolLM2's from its GGUF metadata against transformers and llama.cpp (fixtures/tokenizer/make.py), the
//! SentencePiece kind, and decoding in pieces.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use proptest::prelude::*;
use serde_json::{Value, json};
use stepladder::model::config::ModelConfig;
use stepladder::model::source::bytes::File;
use stepladder::model::source::gguf::{Gguf, Metadata, Value as Item};
use stepladder::model::source::{TensorSource, check};
use stepladder::model::tokenizer::gguf::end_tokens;
use stepladder::model::tokenizer::{Lacking, Tokenizer};

/// The file that `make models` fetches.
fn smollm2() -> PathBuf {
    let folder = |variable: &str| std::env::var_os(variable).map(PathBuf::from);
    let cache = folder("STEPLADDER_CACHE")
        .or_else(|| folder("XDG_CACHE_HOME").map(|path| path.join("stepladder")))
        .or_else(|| folder("HOME").map(|path| path.join(".cache/stepladder")))
        .unwrap();
    let file = cache.join("models/SmolLM2-135M-Instruct.Q4_1.gguf");
    assert!(file.exists(), "{} is missing: run `make models`", file.display());
    file
}

/// SmolLM2's tokenizer, built once.
fn tokenizer() -> &'static Tokenizer {
    static TOKENIZER: OnceLock<Tokenizer> = OnceLock::new();
    TOKENIZER.get_or_init(|| {
        let source = Gguf::open(File::open(smollm2()).unwrap()).unwrap();
        Tokenizer::from_gguf_metadata(source.metadata()).unwrap()
    })
}

#[test]
fn smollm2_opens_and_fits_itself() {
    let mut source = Gguf::open(File::open(smollm2()).unwrap()).unwrap();
    let config = source.config().clone();
    assert_eq!(
        (config.num_layers, config.hidden_size, config.head_dim, config.num_kv_heads),
        (30, 576, 64, 3)
    );
    assert_eq!((config.rope.theta, config.eos_token_ids.as_slice()), (100_000.0, [2].as_slice()));
    check(&config, &source).unwrap();
    tokenizer().clone().fit(&config).unwrap();
    let mut out = Vec::new();
    for index in 0..source.tensors().len() {
        let last = source.tensors()[index].rows() - 1;
        source.read(index, last, 1, &mut out).unwrap();
        assert_eq!(out.len(), source.tensors()[index].row_bytes());
    }
}

#[test]
fn smollm2_gives_the_reference_ids_and_text() {
    let rows: Vec<Value> = serde_json::from_str(include_str!("fixtures/tokenizer/smollm2.json")).unwrap();
    assert!(rows.len() > 10);
    for row in rows {
        let text = row["text"].as_str().unwrap();
        let want: Vec<u32> =
            row["ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect();
        let got = tokenizer().encode(text, true).unwrap();
        assert_eq!(got, want, "{text:?}");
        if !got.iter().any(|&id| tokenizer().is_special(id)) {
            assert_eq!(tokenizer().decode(&got).unwrap(), text);
        }
    }
    assert_eq!(tokenizer().encode_continuation(None, "Hello").unwrap(), [19556]);
    assert_eq!(tokenizer().decode(&[1, 19556, 2]).unwrap(), "Hello");
    assert_eq!((tokenizer().token_id("<|im_end|>"), tokenizer().vocab_size()), (Some(2), 49152));
}

#[test]
fn pieces_are_whole_characters() {
    let tokenizer = tokenizer();
    let ids = tokenizer.encode("a🙂b∫", false).unwrap();
    assert!(ids.len() > 5, "the characters need several tokens each");
    let mut stream = tokenizer.stream();
    let pieces: Vec<String> = ids.iter().map(|&id| stream.push(id).unwrap()).collect();
    assert!(pieces.iter().all(|piece| !piece.contains('\u{FFFD}')), "{pieces:?}");
    assert_eq!(pieces.concat() + &stream.finish().unwrap(), "a🙂b∫");
    let mut stream = tokenizer.stream();
    assert_eq!(stream.push(ids[1]).unwrap(), "");
    assert_eq!(stream.finish().unwrap(), "\u{FFFD}");
}

#[test]
fn bytes_that_are_no_character_neither_stall_nor_repeat() {
    let tokenizer = sentence_piece();
    let id = |name: &str| tokenizer.token_id(name).unwrap();
    let mut stream = tokenizer.stream();
    let mut push = |name: &str| stream.push(id(name)).unwrap();
    assert_eq!(["▁a", "<0x21>", "<0xF0>", "<0x9F>"].map(&mut push), ["a", "!", "", ""]);
    assert_eq!([push("b"), push("c")], ["\u{FFFD}\u{FFFD}b", "c"]);
    assert_eq!(push("<0xE2>"), "");
    assert_eq!(stream.finish().unwrap(), "\u{FFFD}");
}

/// Long runs without a token that makes text alone: the pieces add up, and no window grows with its text.
#[test]
fn long_runs_are_streamed() {
    let sentence_piece = sentence_piece();
    let byte = sentence_piece.token_id("<0xF0>").unwrap();
    let emoji = tokenizer().encode(&"🙂".repeat(3000), false).unwrap();
    assert!(emoji.len() >= 6000, "the character needs several tokens");
    let runs = [(tokenizer(), emoji), (tokenizer(), vec![2; 100_000]), (&sentence_piece, vec![byte; 3000])];
    for (tokenizer, ids) in runs {
        let began = std::time::Instant::now();
        let mut stream = tokenizer.stream();
        let mut text = String::new();
        for &id in &ids {
            text += &stream.push(id).unwrap();
        }
        text += &stream.finish().unwrap();
        assert_eq!(text, tokenizer.decode(&ids).unwrap());
        // Decoding the whole run at each of its tokens takes minutes.
        assert!(began.elapsed().as_secs() < 20, "{:?} for {} tokens", began.elapsed(), ids.len());
    }
}

/// A SentencePiece-like tokenizer with scores that prefer `▁ab` over `bc`.
fn sentence_piece() -> Tokenizer {
    let mut tokens: Vec<String> = ["<unk>", "<s>", "</s>"].map(String::from).to_vec();
    let mut kinds = vec![2, 3, 3];
    let mut scores = vec![0.0; 3];
    for byte in 0..256 {
        tokens.push(format!("<0x{byte:02X}>"));
        kinds.push(6);
        scores.push(0.0);
    }
    for (token, score) in
        [("▁a", -1.0), ("▁ab", -2.0), ("bc", -3.0), ("▁", -9.0), ("a", -10.0), ("b", -11.0), ("c", -12.0)]
    {
        tokens.push(token.into());
        kinds.push(1);
        scores.push(score);
    }
    let values = [
        ("tokenizer.ggml.model", Item::Text("llama".into())),
        ("tokenizer.ggml.tokens", Item::Texts(tokens)),
        ("tokenizer.ggml.token_type", Item::Ints(kinds)),
        ("tokenizer.ggml.scores", Item::Floats(scores)),
        ("tokenizer.ggml.bos_token_id", Item::Int(1)),
    ];
    let metadata = Metadata::new(Path::new("m.gguf"), values.map(|(key, value)| (key.to_string(), value)));
    Tokenizer::from_gguf_metadata(&metadata).unwrap()
}

#[test]
fn sentence_piece_joins_by_score_and_falls_back_to_bytes() {
    let tokenizer = sentence_piece();
    let ids = |names: &[&str]| names.iter().map(|name| tokenizer.token_id(name).unwrap()).collect::<Vec<_>>();
    assert_eq!(tokenizer.encode("abc", true).unwrap(), ids(&["<s>", "▁ab", "c"]));
    assert_eq!(tokenizer.encode("bc é", false).unwrap(), ids(&["▁", "bc", "▁", "<0xC3>", "<0xA9>"]));
    assert_eq!(tokenizer.encode_continuation(None, "bc a").unwrap(), ids(&["bc", "▁a"]));
    for text in ["abc", "bc é", " a", "日本 b"] {
        assert_eq!(tokenizer.decode(&tokenizer.encode(text, true).unwrap()).unwrap(), text);
    }
}

/// What llama.cpp ends at, whatever `eos_token_id` says: tokens by name that are no plain text.
#[test]
fn gguf_texts_end_by_the_names_of_tokens() {
    let ends = |tokens: &[(&str, i64)]| {
        let (tokens, kinds): (Vec<String>, Vec<i64>) =
            tokens.iter().map(|&(token, kind)| (token.to_string(), kind)).unzip();
        let values = [
            ("tokenizer.ggml.tokens", Item::Texts(tokens)),
            ("tokenizer.ggml.token_type", Item::Ints(kinds)),
        ];
        let values = values.map(|(key, value)| (key.to_string(), value));
        end_tokens(&Metadata::new(Path::new("m.gguf"), values)).unwrap()
    };
    let qwen = [("<|endoftext|>", 3), ("<|im_start|>", 3), ("<|im_end|>", 3), ("</s>", 1), ("<|eot_id|>", 4)];
    assert_eq!(ends(&qwen), [0, 2, 4]);
    assert_eq!(ends(&[("<|end|>", 3), ("<|return|>", 3)]), [0, 1]);
    assert_eq!(ends(&[("<|end|>", 3), ("<|return|>", 3), ("<|call|>", 3)]), [1, 2]);
}

/// Tokenizers at which the library panics, or that make a text grow without bound.
#[test]
fn hostile_tokenizers_are_refused() {
    let model = json!({"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]});
    let grow = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "a".repeat(64)});
    let template = |single: Value| json!({"type": "TemplateProcessing", "single": single, "pair": [], "special_tokens": {}});
    let text = json!({"Sequence": {"id": "A", "type_id": 0}});
    let precompiled = |map: &str| json!({"type": "Precompiled", "precompiled_charsmap": map});
    let prefixed = json!({"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": [["a", "b"]],
        "continuing_subword_prefix": "####"});
    for (part, value, words) in [
        ("normalizer", json!({"type": "Sequence", "normalizers": vec![grow; 6]}), "longer"),
        ("normalizer", json!({"type": "Replace", "pattern": {"String": ""}, "content": "x"}), "empty text"),
        ("normalizer", json!({"type": "Replace", "pattern": {"Regex": "b*"}, "content": "x"}), "empty text"),
        ("normalizer", precompiled(""), "precompiled_charsmap"),
        ("normalizer", precompiled("/////w=="), "precompiled_charsmap"),
        ("normalizer", precompiled("BAAAAP////8="), "precompiled_charsmap"),
        ("pre_tokenizer", json!({"type": "FixedLength", "length": 0}), "length 0"),
        (
            "post_processor",
            template(json!([text, {"SpecialToken": {"id": "x", "type_id": 0}}])),
            "special_tokens",
        ),
        ("post_processor", template(json!([{"Sequence": {"id": "B", "type_id": 0}}])), "not A"),
        ("post_processor", template(json!(vec![text.clone(); 2000])), "pieces"),
        ("post_processor", template(json!([])), "0 times"),
        ("decoder", json!({"type": "Strip", "content": "a", "start": 0, "stop": u64::MAX}), "Strip"),
        ("model", prefixed, "merge"),
        ("added_tokens", json!([{"id": 3, "content": "a".repeat(5_000_000)}]), "more than"),
        ("model", json!({"type": "BPE", "vocab": {"a": 0}, "merges": [], "dropout": 0.5}), "model.dropout"),
    ] {
        let mut document = json!({"version": "1.0", "added_tokens": [], "model": model});
        document[part] = value;
        let text = document.to_string();
        let error =
            Tokenizer::from_bytes(Path::new("tokenizer.json"), text.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("tokenizer.json: ") && error.contains(words), "{part}: {error}");
    }
    // The library expects a decoder to be whole JSON.
    let control = b"{\"added_tokens\": [], \"decoder\": {\"type\": \"Fu\x01se\"}, \"model\": {}}";
    assert!(Tokenizer::from_bytes(Path::new("tokenizer.json"), control).is_err());
}

/// A token that the model has no row for, wherever it comes from, and characters that become the unknown token.
#[test]
fn what_a_model_cannot_see_is_told() {
    let document = json!({"version": "1.0", "added_tokens": [],
        "post_processor": {"type": "TemplateProcessing", "pair": [],
            "single": [{"SpecialToken": {"id": "x", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "special_tokens": {"x": {"id": "x", "ids": [4294967295u32], "tokens": ["a"]}}},
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": [], "unk_token": "a"}});
    let mut tokenizer = Tokenizer::from_bytes(Path::new("t"), document.to_string().as_bytes()).unwrap();
    let text = include_str!("fixtures/models/llama/config.json");
    let mut config = ModelConfig::from_json(Path::new("config.json"), text).unwrap();
    config.vocab_size = 2;
    tokenizer.fit(&config).unwrap();
    let error = tokenizer.encode("b", true).unwrap_err().to_string();
    assert!(error.contains("token 4294967295") && error.contains("2 rows"), "{error}");
    let lacking = Lacking::of(&tokenizer, ["ab", "b", "bü.", "ü"]);
    assert_eq!(
        lacking.to_string(),
        "2 texts have characters that the model's vocabulary lacks: \".\", \"ü\"; it sees a instead"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Any tokens, sense or not: the pieces and the rest are the text of all tokens.
    #[test]
    fn pieces_add_up(ids in proptest::collection::vec(0u32..49152, 0..60)) {
        let mut stream = tokenizer().stream();
        let mut text = String::new();
        for &id in &ids {
            text += &stream.push(id).unwrap();
        }
        text += &stream.finish().unwrap();
        prop_assert_eq!(text, tokenizer().decode(&ids).unwrap());
    }

    #[test]
    fn text_survives_encoding(text in "\\PC{0,40}") {
        prop_assume!(!text.contains(['<', '\u{FFFD}']));
        let ids = tokenizer().encode(&text, false).unwrap();
        prop_assert_eq!(tokenizer().decode(&ids).unwrap(), text.clone());
        let tokenizer = sentence_piece();
        let ids = tokenizer.encode(&text, false).unwrap();
        let mut stream = tokenizer.stream();
        let mut pieces = String::new();
        for &id in &ids {
            pieces += &stream.push(id).unwrap();
        }
        pieces += &stream.finish().unwrap();
        prop_assert_eq!(&pieces, &tokenizer.decode(&ids).unwrap());
        if !text.contains('▁') {
            prop_assert_eq!(pieces, text);
        }
    }
}

/// What the special tokens of Phi-3's `tokenizer.json` do (`rstrip`), which a GGUF file cannot say.
#[test]
fn phi_3s_special_tokens_swallow_white_space_in_gguf_files_too() {
    let tokens = ["<unk>", "<s>", "</s>", "<|end|>", "<|endoftext|>", "\u{2581}", "\n", "a", "\u{2581}a"];
    let read = |architecture: &str| {
        let values = [
            ("general.architecture", Item::Text(architecture.into())),
            ("tokenizer.ggml.model", Item::Text("llama".into())),
            ("tokenizer.ggml.tokens", Item::Texts(tokens.map(Into::into).into())),
            ("tokenizer.ggml.token_type", Item::Ints(vec![2, 3, 3, 3, 3, 1, 1, 1, 1])),
            ("tokenizer.ggml.scores", Item::Floats(vec![0.0; 9])),
            ("tokenizer.ggml.add_bos_token", Item::Bool(false)),
        ];
        let values = values.map(|(key, value)| (key.to_owned(), value));
        Tokenizer::from_gguf_metadata(&Metadata::new(Path::new("m.gguf"), values)).unwrap()
    };
    let ids = |architecture: &str, text: &str| read(architecture).encode(text, true).unwrap();
    assert_eq!(ids("phi3", "<|end|> \n a"), [3, 8]);
    assert_eq!(ids("phi3", "<|endoftext|>\na"), [4, 5, 6, 7]);
    assert_eq!(ids("llama", "<|end|> \n a"), [3, 5, 5, 6, 8]);
}
