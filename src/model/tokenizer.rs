//! Text to token ids and back, by a model's own tokenizer.

pub mod gguf;
mod stream;

use std::path::{Path, PathBuf};

use serde_json::Value;
pub use stream::StreamDecoder;

use super::config::ModelConfig;
use crate::{Error, Result};

/// A model's tokenizer.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// The same without the space that it puts before a text, if it does.
    continuing: Option<Box<tokenizers::Tokenizer>>,
    file: PathBuf,
}

impl Tokenizer {
    /// Reads the text of a `tokenizer.json`; `file` is for messages.
    ///
    /// # Errors
    /// `Input` if it is not one.
    pub fn from_bytes(file: &Path, bytes: &[u8]) -> Result<Self> {
        let mut inner = tokenizers::Tokenizer::from_bytes(bytes).map_err(|error| {
            let hint = "take the model's original tokenizer.json";
            Error::input(file, "tokenizer", format!("cannot be read: {error}"), hint)
        })?;
        // Both would silently change what the model sees; lengths are this program's business.
        inner.with_padding(None);
        inner
            .with_truncation(None)
            .map_err(|error| Error::input(file, "truncation", error.to_string(), "remove the field"))?;
        let continuing = without_prefix(&inner).map(Box::new);
        Ok(Self { inner, continuing, file: file.to_path_buf() })
    }

    /// Token ids of `text`. With `add_special`, the model's own begin (and end) tokens are added; leave it off for
    /// text that a chat template made, which contains them. Special tokens written out in `text` become their ids.
    ///
    /// # Errors
    /// `Input` if the tokenizer cannot encode the text.
    pub fn encode(&self, text: &str, add_special: bool) -> Result<Vec<u32>> {
        match self.inner.encode_fast(text, add_special) {
            Ok(encoding) => Ok(encoding.get_ids().to_vec()),
            Err(error) => Err(self.failed("cannot encode the text", &error)),
        }
    }

    /// Token ids of a text that goes on after other tokens: nothing is added, not even the space that SentencePiece
    /// tokenizers put before a text.
    ///
    /// # Errors
    /// `Input` if the tokenizer cannot encode the text.
    pub fn encode_continuation(&self, text: &str) -> Result<Vec<u32>> {
        match self.continuing.as_deref().unwrap_or(&self.inner).encode_fast(text, false) {
            Ok(encoding) => Ok(encoding.get_ids().to_vec()),
            Err(error) => Err(self.failed("cannot encode the text", &error)),
        }
    }

    /// The whole tokenizer as the text of a `tokenizer.json`.
    ///
    /// # Errors
    /// `Input` if it has no such form.
    pub fn to_json(&self) -> Result<String> {
        self.inner.to_string(false).map_err(|error| self.failed("cannot be written", &error))
    }

    /// Text of `tokens`, special tokens left out; incomplete characters become U+FFFD.
    ///
    /// # Errors
    /// `Input` if the tokenizer's decoder fails.
    pub fn decode(&self, tokens: &[u32]) -> Result<String> {
        self.inner.decode(tokens, true).map_err(|error| self.failed("cannot decode the tokens", &error))
    }

    /// A decoder that is given one token after the other.
    pub fn stream(&self) -> StreamDecoder<'_> {
        StreamDecoder::new(self)
    }

    /// The largest token id plus one.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab(true).values().max().map_or(0, |&id| id as usize + 1)
    }

    /// The id of a token as written in the vocabulary.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// A token as written in the vocabulary (not decoded).
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// Whether `id` is a special token, which [`decode`](Self::decode) leaves out.
    pub fn is_special(&self, id: u32) -> bool {
        self.inner
            .get_added_vocabulary()
            .get_added_tokens_decoder()
            .get(&id)
            .is_some_and(|token| token.special)
    }

    /// Checks that this tokenizer and a model's embedding can belong together: every id has a row, and no more rows are
    /// unused than padding explains (63, or a 32nd of the vocabulary).
    ///
    /// # Errors
    /// `Input` with both sizes.
    pub fn check(&self, config: &ModelConfig) -> Result<()> {
        let (tokens, rows) = (self.vocab_size(), config.vocab_size);
        let padding = (rows / 32).max(63);
        if tokens > rows || tokens + padding < rows {
            return Err(Error::input(
                &self.file,
                "vocabulary",
                format!("the tokenizer has {tokens} tokens where the model has {rows}"),
                "take the tokenizer that belongs to the model",
            ));
        }
        Ok(())
    }

    fn failed(&self, what: &str, error: &tokenizers::Error) -> Error {
        Error::input(
            &self.file,
            "tokenizer",
            format!("{what}: {error}"),
            "take the model's original tokenizer",
        )
    }
}

/// `tokenizer` without the steps that put a space before a text; `None` if it has none.
fn without_prefix(tokenizer: &tokenizers::Tokenizer) -> Option<tokenizers::Tokenizer> {
    let mut normalizer = serde_json::to_value(tokenizer.get_normalizer()).ok()?;
    let mut pre_tokenizer = serde_json::to_value(tokenizer.get_pre_tokenizer()).ok()?;
    if !(drop_prefix(&mut normalizer) | drop_prefix(&mut pre_tokenizer)) {
        return None;
    }
    let normalizer: Option<tokenizers::NormalizerWrapper> = serde_json::from_value(normalizer).ok()?;
    let pre_tokenizer: Option<tokenizers::PreTokenizerWrapper> =
        serde_json::from_value(pre_tokenizer).ok()?;
    let mut changed = tokenizer.clone();
    changed.with_normalizer(normalizer).ok()?;
    changed.with_pre_tokenizer(pre_tokenizer);
    Some(changed)
}

/// Removes `Prepend`, and the prefixes of `Metaspace` and `ByteLevel`, from a step or a sequence of steps in the notation
/// of `tokenizer.json`. Says whether there was any.
fn drop_prefix(step: &mut Value) -> bool {
    if step["type"] == "Prepend" {
        *step = Value::Null;
        return true;
    }
    let mut changed = false;
    for list in ["normalizers", "pretokenizers"] {
        if let Some(steps) = step.get_mut(list).and_then(Value::as_array_mut) {
            for step in steps.iter_mut() {
                changed |= drop_prefix(step);
            }
            steps.retain(|step| !step.is_null());
        }
    }
    for (field, none) in [("prepend_scheme", Value::from("never")), ("add_prefix_space", Value::from(false))]
    {
        if let Some(value) = step.get_mut(field).filter(|value| **value != none) {
            *value = none;
            changed = true;
        }
    }
    changed
}
