//! What a `tokenizer.json` may hold: parts at which the `tokenizers` library panics, or makes a text grow without bound, are
//! refused by name before it sees them. A browser cannot catch a panic.

use std::path::Path;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::charsmap;
use crate::{Error, Result};

/// Times that a normalizer or decoder may make a text longer. Those of known models make a space three bytes.
const MAX_GROWTH: u64 = 256;
/// Pieces that a template may add to a text.
const MAX_PIECES: usize = 64;

/// The largest id of a token; known models have 262,144 tokens. The library lists the ids that none has when it writes a tokenizer.
const MAX_ID: u64 = 1 << 22;

/// Bytes of all added tokens; those of known models have 200,000. The search for them is built anew when some are added.
const MAX_ADDED: usize = 1 << 20;

const DECODERS: &[&str] = &[
    "BPEDecoder",
    "ByteLevel",
    "WordPiece",
    "Metaspace",
    "CTC",
    "Sequence",
    "Replace",
    "Fuse",
    "Strip",
    "ByteFallback",
];

/// The kinds of steps that each part may be made of, by their `type`.
const KINDS: [(&str, &[&str]); 4] = [
    (
        "normalizer",
        &[
            "BertNormalizer",
            "Strip",
            "StripAccents",
            "NFC",
            "NFD",
            "NFKC",
            "NFKD",
            "Sequence",
            "Lowercase",
            "Nmt",
            "Precompiled",
            "Replace",
            "Prepend",
            "ByteLevel",
        ],
    ),
    (
        "pre_tokenizer",
        &[
            "BertPreTokenizer",
            "ByteLevel",
            "CharDelimiterSplit",
            "Metaspace",
            "Whitespace",
            "Sequence",
            "Split",
            "Punctuation",
            "WhitespaceSplit",
            "Digits",
            "UnicodeScripts",
            "FixedLength",
        ],
    ),
    (
        "post_processor",
        &["RobertaProcessing", "BertProcessing", "ByteLevel", "TemplateProcessing", "Sequence"],
    ),
    ("decoder", DECODERS),
];

/// The parts that are looked at; the others only have to be JSON.
#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    added_tokens: Vec<Added>,
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    post_processor: Value,
    #[serde(default)]
    decoder: Value,
    #[serde(default)]
    model: Model,
}

#[derive(Deserialize)]
struct Added {
    #[serde(default)]
    content: String,
    #[serde(default)]
    id: u64,
}

#[derive(Deserialize, Default)]
struct Model {
    #[serde(default)]
    continuing_subword_prefix: Option<String>,
    #[serde(default)]
    dropout: Option<f64>,
    #[serde(default)]
    vocab: LargestId,
}

/// The largest id of a vocabulary that gives tokens their ids; one that is a list gives them by their places.
#[derive(Default)]
struct LargestId(u64);

impl<'de> Deserialize<'de> for LargestId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Ids;

        impl<'de> Visitor<'de> for Ids {
            type Value = LargestId;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a vocabulary")
            }

            fn visit_unit<E>(self) -> std::result::Result<LargestId, E> {
                Ok(LargestId(0))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<LargestId, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(LargestId(0))
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut entries: A,
            ) -> std::result::Result<LargestId, A::Error> {
                let mut largest = 0;
                while let Some((_, id)) = entries.next_entry::<IgnoredAny, u64>()? {
                    largest = id.max(largest);
                }
                Ok(LargestId(largest))
            }
        }

        deserializer.deserialize_any(Ids)
    }
}

/// Merges alone, which few tokenizers need looked at.
#[derive(Deserialize)]
struct Merges {
    model: MergesOfModel,
}

#[derive(Deserialize)]
struct MergesOfModel {
    #[serde(default)]
    merges: Vec<Value>,
}

/// Checks the text of a `tokenizer.json`; `file` is for messages.
pub(super) fn check(file: &Path, bytes: &[u8]) -> Result<()> {
    let wrong = |field: &str, problem: String| {
        Error::input(file, field, problem, "take the model's original tokenizer.json")
    };
    let cannot = |error: serde_json::Error| wrong("tokenizer", format!("cannot be read: {error}"));
    let document: Document = serde_json::from_slice(bytes).map_err(cannot)?;
    let added: usize = document.added_tokens.iter().map(|token| token.content.len()).sum();
    if added > MAX_ADDED {
        return Err(wrong("added_tokens", format!("have {added} bytes in all, more than {MAX_ADDED}")));
    }
    let largest = document.added_tokens.iter().map(|token| token.id).chain([document.model.vocab.0]).max();
    if let Some(id) = largest.filter(|&id| id > MAX_ID) {
        return Err(wrong("vocab", format!("has a token with id {id}, more than {MAX_ID}")));
    }
    let parts = [&document.normalizer, &document.pre_tokenizer, &document.post_processor, &document.decoder];
    for (&(name, kinds), part) in KINDS.iter().zip(parts) {
        let mut growth = 1;
        check_step(kinds, part, &mut growth).map_err(|problem| wrong(name, problem))?;
    }
    let prefix = document.model.continuing_subword_prefix.unwrap_or_default().len();
    if let Some(share) = document.model.dropout.filter(|&share| share != 0.0) {
        let problem = format!("is {share}: texts would be cut at random");
        return Err(Error::input(file, "model.dropout", problem, "set it to null"));
    }
    if prefix > 0 {
        let merges: Merges = serde_json::from_slice(bytes).map_err(cannot)?;
        for merge in &merges.model.merges {
            let right = match merge {
                Value::String(line) => line.split_once(' ').map(|(_, right)| right),
                pair => pair[1].as_str(),
            };
            if right.is_some_and(|right| !right.is_char_boundary(prefix)) {
                let problem = format!("the merge {merge} is shorter than continuing_subword_prefix");
                return Err(wrong("model.merges", problem));
            }
        }
    }
    Ok(())
}

/// Checks one step of one of `kinds`, or a sequence of them; `growth` is how many times longer the steps before make a text.
fn check_step(kinds: &[&str], step: &Value, growth: &mut u64) -> std::result::Result<(), String> {
    if step.is_null() {
        return Ok(());
    }
    for list in ["normalizers", "pretokenizers", "processors", "decoders"] {
        for step in step.get(list).and_then(Value::as_array).into_iter().flatten() {
            check_step(kinds, step, growth)?;
        }
    }
    // Where the library does not know a type it takes the first kind whose fields are there.
    let kind = step["type"].as_str().unwrap_or_default();
    if !kinds.contains(&kind) {
        return Err(format!("has a step of type {}, expected one of {}", step["type"], kinds.join(", ")));
    }
    // Where its fields do not fit the type, too: so what a step may do is told by its fields.
    if let Some(content) = step["content"].as_str() {
        let content = content.len() as u64;
        let (string, regex) = (step["pattern"]["String"].as_str(), step["pattern"]["Regex"].as_str());
        if string == Some("") || regex.is_some_and(matches_nothing) {
            return Err("Replace has a pattern that matches the empty text".into());
        }
        // A regex may match between any two bytes.
        let times = string.map_or(1 + content, |pattern| content.div_ceil(pattern.len() as u64).max(1));
        *growth = growth.saturating_mul(times);
    }
    if let Some(text) = step["prepend"].as_str() {
        *growth = growth.saturating_mul(1 + text.len() as u64);
    }
    if kind == "Precompiled" || step.get("precompiled_charsmap").is_some() {
        charsmap::check(step["precompiled_charsmap"].as_str().unwrap_or_default())
            .map_err(|problem| format!("Precompiled: precompiled_charsmap {problem}"))?;
    }
    if step["length"] == 0 {
        return Err("FixedLength has length 0".into());
    }
    if kinds == DECODERS && kind == "Strip" && step["stop"].as_u64() != Some(0) {
        return Err(format!("Strip with stop {} is not supported", step["stop"]));
    }
    if kind == "TemplateProcessing" || step.get("single").is_some() {
        check_template(step)?;
    }
    if *growth > MAX_GROWTH {
        return Err(format!("{kind} makes a text more than {MAX_GROWTH} times longer"));
    }
    Ok(())
}

/// Whether the regex matches the empty text, at which a replacement would not end.
fn matches_nothing(regex: &str) -> bool {
    fancy_regex::Regex::new(regex).is_ok_and(|regex| regex.is_match("").unwrap_or(true))
}

fn check_template(step: &Value) -> std::result::Result<(), String> {
    let pieces = step["single"].as_array().map(Vec::as_slice).unwrap_or_default();
    if pieces.len() > MAX_PIECES {
        return Err(format!("TemplateProcessing has {} pieces, more than {MAX_PIECES}", pieces.len()));
    }
    let mut sequences = 0;
    for piece in pieces {
        if let Some(sequence) = piece.get("Sequence") {
            sequences += 1;
            if sequence["id"] != "A" {
                return Err("TemplateProcessing: single holds a sequence that is not A".into());
            }
        } else if let Some(id) = piece["SpecialToken"]["id"].as_str()
            && step["special_tokens"].get(id).is_none()
        {
            return Err(format!("TemplateProcessing: special_tokens lacks {id:?}"));
        }
    }
    if sequences != 1 {
        return Err(format!("TemplateProcessing: single holds the text {sequences} times, expected once"));
    }
    Ok(())
}
