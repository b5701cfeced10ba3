//! A tokenizer and chat templates as GGUF metadata. What has no form there is refused: the keys are read back, and texts in many
//! scripts must become the same tokens.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value as Json;

use super::describe::metadata;
use super::layout::{Entries, Entry};
use crate::model::chat::ChatTemplate;
use crate::model::config::ModelConfig;
use crate::model::source::gguf_metadata::Value;
use crate::model::tokenizer::Tokenizer;
use crate::model::tokenizer::gguf::{CONTROL, UNKNOWN, USER_DEFINED, end_tokens};
use crate::model::tokenizer::pre_tokenizers::{GPT2, pre_tokenizer_name};
use crate::{Error, Result};

/// ggml's further types of tokens.
const NORMAL: i64 = 1;
const UNUSED: i64 = 5;
const BYTE: i64 = 6;

/// Texts whose tokens must stay: words, cases, digits, signs, spaces and lines, code, scripts with and without spaces, composed
/// characters, emoji.
const SAMPLES: [&str; 9] = [
    "The quick brown fox can't jump over 12345 lazy dogs; THEY'LL see. \"Well!\" she said (twice)...",
    "  two spaces,   three,\ttabs\t\tand\n\nlines\r\n    indented   \n",
    "fn main() { let x_1 += 3.14e-10; // 50% of $7 <= #9 @ [a|b] ~^&* \\n }",
    "Grüße aus Köln, façade, naïve, Ελληνικά, Русский текст №5, ÀÉÎõü",
    "中文字符和标点，日本語のテキスト。한국어 문장 ไทย",
    "עברית العربية हिन्दी தமிழ் বাংলা",
    "👍🏽 emoji 👨‍👩‍👧 ☕️ ≠ √2 → ∞ ½",
    "",
    "a",
];

/// The parts of a `tokenizer.json` that have a form in GGUF files.
#[derive(Deserialize)]
struct Document {
    added_tokens: Vec<Added>,
    normalizer: Json,
    pre_tokenizer: Json,
    model: Bpe,
}

#[derive(Deserialize)]
struct Added {
    id: u32,
    content: String,
    special: bool,
}

#[derive(Deserialize)]
struct Bpe {
    vocab: HashMap<String, u32>,
    merges: Vec<(String, String)>,
    unk_token: Option<String>,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
}

/// Metadata, and what is lost in them.
#[derive(Debug)]
pub struct Vocabulary {
    /// The keys that begin with `tokenizer.`.
    pub entries: Entries,
    /// A sentence for each loss.
    pub warnings: Vec<String>,
}

impl Vocabulary {
    /// Describes a tokenizer and the templates of the model of `config`.
    ///
    /// # Errors
    /// [`Error::Usage`] if GGUF files have no form for the tokenizer; those of writing and encoding it.
    pub fn of(tokenizer: &Tokenizer, config: &ModelConfig, chat: Option<&ChatTemplate>) -> Result<Self> {
        let document: Document = serde_json::from_str(&tokenizer.to_json()?)
            .map_err(|error| refused(&format!("it is no BPE ({error})")))?;
        let mut entries = match document.model.byte_fallback {
            true => sentence_piece(&document)?,
            false => byte_level(&document)?,
        };
        tokens(&document, config, &mut entries);
        ends(tokenizer, config, &mut entries)?;
        templates(chat, &mut entries);
        let mut all = entries.clone();
        all.push(("general.architecture".into(), config.family.gguf_architecture.into()));
        let read = metadata(Path::new("GGUF"), &all);
        let again = Tokenizer::from_gguf_metadata(&read)?;
        for sample in SAMPLES {
            if again.encode(sample, true)? != tokenizer.encode(sample, true)? {
                return Err(refused(&format!("it cuts {sample:?} as none of them does")));
            }
        }
        let mut warnings = Vec::new();
        for added in &document.added_tokens {
            let sample = format!("a {} \n b", added.content);
            if again.encode(&sample, true)? != tokenizer.encode(&sample, true)? {
                warnings.push(format!(
                    "GGUF files cannot say that a token such as {:?} swallows white space beside it: write texts without it there",
                    added.content
                ));
                break;
            }
        }
        let by_name = end_tokens(&read)?;
        let mut others = config.eos_token_ids.iter().skip(1).filter(|id| !by_name.contains(id));
        if let Some(&id) = others.next() {
            entries.push((key("eot_token_id"), id.into()));
        }
        for &id in others {
            let token = tokenizer.token(id).unwrap_or_default();
            warnings.push(format!(
                "GGUF files have no place for a third end token: texts do not end at {token:?}, token {id}"
            ));
        }
        Ok(Self { entries, warnings })
    }
}

fn key(name: &str) -> String {
    format!("tokenizer.ggml.{name}")
}

fn refused(problem: &str) -> Error {
    Error::usage(
        "model",
        format!("GGUF files have no form for its tokenizer: {problem}"),
        "export it as safetensors",
    )
}

/// A step or the steps of a sequence, by its field; none for null.
fn steps<'a>(value: &'a Json, field: &str) -> Vec<&'a Json> {
    match value[field].as_array() {
        Some(list) => list.iter().flat_map(|step| steps(step, field)).collect(),
        None if value.is_null() => Vec::new(),
        None => vec![value],
    }
}

/// Bytes as printable characters, cut by patterns that GGUF files name.
fn byte_level(document: &Document) -> Result<Entries> {
    let mut patterns: Vec<&str> = Vec::new();
    for step in steps(&document.pre_tokenizer, "pretokenizers") {
        let kept = step["behavior"] == "Isolated" && step["invert"] == false;
        // A pattern that matches everything: what is removed is what lies between the matches.
        let matched = step["behavior"] == "Removed" && step["invert"] == true;
        match step["type"].as_str() {
            Some("Split") if kept || matched => {
                let pattern = step["pattern"]["Regex"].as_str();
                patterns.push(pattern.ok_or_else(|| refused("it cuts at a text"))?);
            }
            Some("Digits") if step["individual_digits"] == true => patterns.push(r"\p{N}"),
            Some("ByteLevel") if step["add_prefix_space"] != true => {
                patterns.extend((step["use_regex"] != false).then_some(GPT2));
            }
            _ => return Err(refused(&format!("its step {step} is none of theirs"))),
        }
    }
    let mut nfc = false;
    for step in steps(&document.normalizer, "normalizers") {
        nfc |= step["type"] == "NFC";
        if step["type"] != "NFC" {
            return Err(refused(&format!("its step {step} is none of theirs")));
        }
    }
    let name = pre_tokenizer_name(&patterns, document.model.ignore_merges, nfc);
    let name = name.ok_or_else(|| refused(&format!("none cuts texts by {patterns:?}")))?;
    let merges = document.model.merges.iter().map(|(left, right)| format!("{left} {right}")).collect();
    Ok(vec![
        (key("model"), "gpt2".into()),
        (key("pre"), name.into()),
        (key("merges"), Entry::Value(Value::Texts(merges))),
    ])
}

/// Spaces as `▁` and characters without a token as bytes. Scores put merges into their order.
fn sentence_piece(document: &Document) -> Result<Entries> {
    let Bpe { vocab, merges, unk_token, .. } = &document.model;
    let mut ranks: HashMap<String, usize> = HashMap::with_capacity(merges.len());
    for (rank, (left, right)) in merges.iter().enumerate() {
        ranks.entry(format!("{left}{right}")).or_insert(rank);
    }
    let mut scores: Vec<f32> = Vec::new();
    for (token, &id) in vocab {
        let id = id as usize;
        if scores.len() <= id {
            scores.resize(id + 1, 0.0);
        }
        // What no merge makes goes last.
        scores[id] = -(ranks.get(token).copied().unwrap_or(merges.len() + 1000) as f32);
    }
    let normalizers = steps(&document.normalizer, "normalizers");
    let prepends = normalizers.iter().any(|step| step["type"] == "Prepend");
    let before = steps(&document.pre_tokenizer, "pretokenizers");
    let prefix = |step: &Json| step["type"] == "Metaspace" && step["prepend_scheme"] != "never";
    let prefix = prepends || before.into_iter().any(prefix);
    let unknown = unk_token.as_ref().and_then(|token| vocab.get(token)).copied();
    let mut entries = vec![
        (key("model"), "llama".into()),
        (key("pre"), "default".into()),
        (key("scores"), Entry::Value(Value::Floats(scores))),
        (key("add_space_prefix"), prefix.into()),
    ];
    entries.extend(unknown.map(|id| (key("unknown_token_id"), id.into())));
    Ok(entries)
}

/// Adds the tokens with their types, as many as the embedding has rows, and scores of those that the model has not.
fn tokens(document: &Document, config: &ModelConfig, entries: &mut Entries) {
    let (model, pieces) = (&document.model, document.model.byte_fallback);
    let mut texts: Vec<Option<(String, i64)>> = vec![None; config.vocab_size];
    let is_byte = |token: &str| pieces && token.len() == 6 && token.starts_with("<0x");
    for (token, &id) in &model.vocab {
        let kind = if is_byte(token) { BYTE } else { NORMAL };
        // Tokens without a row are refused in texts, and so never reach the model.
        texts.get_mut(id as usize).into_iter().for_each(|place| *place = Some((token.clone(), kind)));
    }
    for added in &document.added_tokens {
        let kind = match added.special {
            _ if pieces && model.unk_token.as_ref() == Some(&added.content) => UNKNOWN,
            true => CONTROL,
            false => USER_DEFINED,
        };
        // The converter spells those of SentencePiece as they stand in texts.
        let spelt = pieces && kind == USER_DEFINED;
        let text = if spelt { added.content.replace('▁', " ") } else { added.content.clone() };
        texts.get_mut(added.id as usize).into_iter().for_each(|place| *place = Some((text.clone(), kind)));
    }
    let unused = |id: usize| (format!("[PAD{id}]"), UNUSED);
    let all = texts.into_iter().enumerate().map(|(id, text)| text.unwrap_or_else(|| unused(id)));
    let (texts, kinds): (Vec<String>, Vec<i64>) = all.unzip();
    if let Some((_, Entry::Value(Value::Floats(scores)))) =
        entries.iter_mut().find(|(name, _)| *name == key("scores"))
    {
        scores.resize(texts.len(), -((model.merges.len() + 1000) as f32));
    }
    entries.push((key("tokens"), Entry::Value(Value::Texts(texts))));
    entries.push((key("token_type"), Entry::Value(Value::Ints(kinds))));
}

/// Adds the begin and end tokens, and whether texts get them.
fn ends(tokenizer: &Tokenizer, config: &ModelConfig, entries: &mut Entries) -> Result<()> {
    let (plain, whole) = (tokenizer.encode("a", false)?, tokenizer.encode("a", true)?);
    let at = whole.windows(plain.len().max(1)).position(|tokens| tokens == plain);
    let (before, after) = match at {
        Some(at) => (&whole[..at], &whole[at + plain.len()..]),
        None => (&whole[..0], &whole[..0]),
    };
    // More tokens than these have no form, which the samples show.
    let begin = before.first().copied().or(config.bos_token_id);
    let end = after.first().copied().or(config.eos_token_ids.first().copied());
    for (name, id) in [("bos_token_id", begin), ("eos_token_id", end)] {
        entries.extend(id.map(|id| (key(name), id.into())));
    }
    for (name, added) in [("add_bos_token", before), ("add_eos_token", after)] {
        entries.push((key(name), (!added.is_empty()).into()));
    }
    Ok(())
}

/// Adds the chat templates.
fn templates(chat: Option<&ChatTemplate>, entries: &mut Entries) {
    const KEY: &str = "tokenizer.chat_template";
    let Some(chat) = chat else { return };
    entries.extend(chat.text().map(|text| (KEY.into(), text.as_str().into())));
    let named: Vec<(&str, &str)> = chat.named_texts().collect();
    if !named.is_empty() {
        let names = named.iter().map(|(name, _)| name.to_string()).collect();
        entries.push(("tokenizer.chat_templates".into(), Entry::Value(Value::Texts(names))));
    }
    entries.extend(named.into_iter().map(|(name, text)| (format!("{KEY}.{name}"), text.into())));
}
