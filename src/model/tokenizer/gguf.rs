//! A tokenizer from GGUF metadata: the `tokenizer.json` that the metadata stand for is written and read.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::Tokenizer;
use super::pre_tokenizers::PRE_TOKENIZERS;
use crate::Result;
use crate::model::source::gguf::Metadata;

/// The token of what has no other.
pub const UNKNOWN: i64 = 2;
/// A token that is never in a text by its spelling, such as the end of a text.
pub const CONTROL: i64 = 3;
/// A token that is cut out of texts before anything else.
pub const USER_DEFINED: i64 = 4;

impl Tokenizer {
    /// Builds the tokenizer that `tokenizer.ggml.*` describe: byte-level BPE (`gpt2`) or SentencePiece BPE (`llama`).
    ///
    /// # Errors
    /// `Input` naming the key if one is missing, contradictory or of a kind that is not known.
    pub fn from_gguf_metadata(metadata: &Metadata) -> Result<Self> {
        let hint = "use a GGUF file with a BPE tokenizer, or a Hugging Face folder";
        let missing = |key: &str| metadata.error(key, "is missing", hint);
        let tokens =
            metadata.texts("tokenizer.ggml.tokens")?.ok_or_else(|| missing("tokenizer.ggml.tokens"))?;
        let kinds = metadata.ints("tokenizer.ggml.token_type")?.unwrap_or_default();
        if !kinds.is_empty() && kinds.len() != tokens.len() {
            let problem = format!("has {} entries for {} tokens", kinds.len(), tokens.len());
            return Err(metadata.error("tokenizer.ggml.token_type", problem, hint));
        }
        let mut vocab: HashMap<&str, usize> = HashMap::with_capacity(tokens.len());
        for (id, token) in tokens.iter().enumerate() {
            if vocab.insert(token, id).is_some_and(|_| !is_special(kinds, id)) {
                let problem = format!("token {id} ({token:?}) occurs twice");
                return Err(metadata.error("tokenizer.ggml.tokens", problem, hint));
            }
        }
        // Phi-3's special tokens swallow the white space behind them, which files cannot say. llama.cpp knows it by the model's name.
        let phi = metadata.text("general.architecture")? == Some("phi3")
            && metadata.text("tokenizer.ggml.model")? == Some("llama");
        let swallows = |token: &str| phi && !["<unk>", "<s>", "<|endoftext|>"].contains(&token);
        let added: Vec<Value> = (0..kinds.len())
            .filter(|&id| is_special(kinds, id) && vocab[tokens[id].as_str()] == id)
            .map(|id| {
                json!({"id": id, "content": tokens[id], "single_word": false, "lstrip": false,
                    "rstrip": swallows(&tokens[id]), "normalized": false, "special": kinds[id] != USER_DEFINED})
            })
            .collect();
        let mut document = match metadata.text("tokenizer.ggml.model")? {
            Some("gpt2") => byte_level(metadata, &vocab)?,
            Some("llama") => sentence_piece(metadata, &vocab, tokens)?,
            Some(other) => {
                let problem = format!("tokenizers of kind {other:?} are not supported");
                return Err(metadata.error("tokenizer.ggml.model", problem, hint));
            }
            None => return Err(missing("tokenizer.ggml.model")),
        };
        document.insert("version".into(), json!("1.0"));
        document.insert("added_tokens".into(), Value::Array(added));
        Self::from_bytes(Path::new(&metadata.file), Value::Object(document).to_string().as_bytes())
    }
}

/// Tokens at which a text ends whatever `eos_token_id` says, by the names that models give them. Converters write one or two
/// ids where models have more. The list is that of llama.cpp (`src/llama-vocab.cpp`, tokens that end generation).
const END_TOKENS: [&str; 27] = [
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "<｜end▁of▁sentence｜>",
    "[e~[",
    // Ends of what a model of code fills in.
    "<|fim_pad|>",
    "<fim_pad>",
    "<|fim_repo|>",
    "<|repo_name|>",
    "<|file_sep|>",
];

/// The tokens that end a text by their name, among those that are no plain text.
///
/// # Errors
/// `Input` if the metadata have tokens of another type.
pub fn end_tokens(metadata: &Metadata) -> Result<Vec<u32>> {
    let tokens = metadata.texts("tokenizer.ggml.tokens")?.unwrap_or_default();
    let kinds = metadata.ints("tokenizer.ggml.token_type")?.unwrap_or_default();
    let named =
        |name: &str| tokens.iter().enumerate().any(|(id, token)| token == name && is_special(kinds, id));
    // In these formats a message ends with <|end|> and the turn goes on.
    let harmony = named("<|return|>") && named("<|call|>") || named("<|calls|>") && named("<|flush|>");
    let ends = |token: &str| END_TOKENS.contains(&token) && !(harmony && token == "<|end|>");
    let ids = tokens.iter().enumerate().filter(|&(id, token)| is_special(kinds, id) && ends(token));
    Ok(ids.filter_map(|(id, _)| u32::try_from(id).ok()).collect())
}

fn is_special(kinds: &[i64], id: usize) -> bool {
    kinds.get(id).is_some_and(|kind| [UNKNOWN, CONTROL, USER_DEFINED].contains(kind))
}

/// Adds the begin and end tokens where the metadata, or else the kind of tokenizer, asks for them.
fn post_processor(metadata: &Metadata, add_bos: bool, inner: Value) -> Result<Value> {
    let mut single = vec![json!({"Sequence": {"id": "A", "type_id": 0}})];
    let mut specials = Map::new();
    for (add, key, fallback) in
        [("add_bos_token", "bos_token_id", add_bos), ("add_eos_token", "eos_token_id", false)]
    {
        if !metadata.flag(&format!("tokenizer.ggml.{add}"))?.unwrap_or(fallback) {
            continue;
        }
        let key = format!("tokenizer.ggml.{key}");
        let id = metadata.required_count(&key)?;
        let tokens = metadata.texts("tokenizer.ggml.tokens")?.unwrap_or_default();
        let Some(token) = tokens.get(id) else {
            let problem = format!("token {id} is outside the vocabulary of {}", tokens.len());
            return Err(metadata.error(&key, problem, "use a file converted without errors"));
        };
        specials.insert(token.clone(), json!({"id": token, "ids": [id], "tokens": [token]}));
        let piece = json!({"SpecialToken": {"id": token, "type_id": 0}});
        if add == "add_bos_token" { single.insert(0, piece) } else { single.push(piece) }
    }
    if specials.is_empty() {
        return Ok(inner);
    }
    let pair = [single.clone(), vec![json!({"Sequence": {"id": "B", "type_id": 1}})]].concat();
    let template =
        json!({"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": specials});
    Ok(match inner {
        Value::Null => template,
        inner => json!({"type": "Sequence", "processors": [inner, template]}),
    })
}

/// GPT-2's kind: bytes as printable characters, then ranked merges.
fn byte_level(metadata: &Metadata, vocab: &HashMap<&str, usize>) -> Result<Map<String, Value>> {
    let name = metadata.text("tokenizer.ggml.pre")?.unwrap_or("default");
    let Some(pre) = PRE_TOKENIZERS.iter().find(|pre| pre.names.contains(&name)) else {
        let known: Vec<&str> = PRE_TOKENIZERS.iter().flat_map(|pre| pre.names).copied().collect();
        return Err(metadata.error(
            "tokenizer.ggml.pre",
            format!("pre-tokenizer {name:?} is not supported"),
            format!("use a Hugging Face folder, or a GGUF file with one of {}", known.join(", ")),
        ));
    };
    let hint = "use a file converted without errors";
    let Some(lines) = metadata.texts("tokenizer.ggml.merges")? else {
        return Err(metadata.error("tokenizer.ggml.merges", "is missing", hint));
    };
    let merges = lines.iter().map(|line| match line.split_once(' ') {
        Some((left, right)) => Ok(json!([left, right])),
        None => Err(metadata.error("tokenizer.ggml.merges", format!("{line:?} is not two tokens"), hint)),
    });
    let merges = merges.collect::<Result<Vec<Value>>>()?;
    let mut steps: Vec<Value> = pre
        .splits
        .iter()
        .map(|pattern| {
            json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false})
        })
        .collect();
    let bytes =
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
    steps.push(bytes.clone());
    Ok(Map::from_iter([
        ("normalizer".into(), if pre.nfc { json!({"type": "NFC"}) } else { Value::Null }),
        ("pre_tokenizer".into(), json!({"type": "Sequence", "pretokenizers": steps})),
        ("post_processor".into(), post_processor(metadata, pre.add_bos, bytes.clone())?),
        ("decoder".into(), bytes),
        (
            "model".into(),
            json!({"type": "BPE", "vocab": vocab, "merges": merges, "ignore_merges": pre.ignore_merges}),
        ),
    ]))
}

/// SentencePiece's kind: spaces as `▁`, pieces joined in the order of their scores, unknown characters as bytes.
fn sentence_piece(
    metadata: &Metadata,
    vocab: &HashMap<&str, usize>,
    tokens: &[String],
) -> Result<Map<String, Value>> {
    let hint = "use a file converted without errors";
    // Converters write it of this kind too, which cuts nothing before it joins; llama.cpp does not look at it either.
    metadata.text("tokenizer.ggml.pre")?;
    let scores = metadata.floats("tokenizer.ggml.scores")?.unwrap_or_default();
    if scores.len() != tokens.len() {
        let problem = format!("has {} entries for {} tokens", scores.len(), tokens.len());
        return Err(metadata.error("tokenizer.ggml.scores", problem, hint));
    }
    let unknown = metadata.count("tokenizer.ggml.unknown_token_id")?.unwrap_or(0);
    let Some(unknown) = tokens.get(unknown) else {
        let problem = format!("token {unknown} is outside the vocabulary of {}", tokens.len());
        return Err(metadata.error("tokenizer.ggml.unknown_token_id", problem, hint));
    };
    // Joining two pieces is allowed where the result is a piece; the best-scored result goes first.
    let mut merges: Vec<(f32, usize, usize, usize)> = Vec::new();
    for (id, token) in tokens.iter().enumerate() {
        for (split, _) in token.char_indices().skip(1) {
            let (left, right) = token.split_at(split);
            if let (Some(&left), Some(&right)) = (vocab.get(left), vocab.get(right)) {
                merges.push((scores[id], id, left, right));
            }
        }
    }
    merges.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2, a.3).cmp(&(b.1, b.2, b.3))));
    let merges: Vec<Value> =
        merges.into_iter().map(|(_, _, left, right)| json!([tokens[left], tokens[right]])).collect();

    let prefix = metadata.flag("tokenizer.ggml.add_space_prefix")?.unwrap_or(true);
    let replace =
        |from: &str, to: &str| json!({"type": "Replace", "pattern": {"String": from}, "content": to});
    let mut normalizers = vec![replace(" ", "▁")];
    let mut decoders = vec![replace("▁", " "), json!({"type": "ByteFallback"}), json!({"type": "Fuse"})];
    if prefix {
        normalizers.insert(0, json!({"type": "Prepend", "prepend": "▁"}));
        decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    Ok(Map::from_iter([
        ("normalizer".into(), json!({"type": "Sequence", "normalizers": normalizers})),
        ("pre_tokenizer".into(), Value::Null),
        ("post_processor".into(), post_processor(metadata, true, Value::Null)?),
        ("decoder".into(), json!({"type": "Sequence", "decoders": decoders})),
        (
            "model".into(),
            json!({"type": "BPE", "vocab": vocab, "merges": merges, "unk_token": unknown, "fuse_unk": true,
                "byte_fallback": true}),
        ),
    ]))
}
