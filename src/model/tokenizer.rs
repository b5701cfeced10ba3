//! Text to token ids and back, by a model's own tokenizer.

pub mod gguf;
mod stream;

use std::path::{Path, PathBuf};

pub use stream::StreamDecoder;

use super::config::ModelConfig;
use crate::{Error, Result};

/// A model's tokenizer.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
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
        Ok(Self { inner, file: file.to_path_buf() })
    }

    /// Reads `tokenizer.json` in `folder`.
    ///
    /// # Errors
    /// `Io` if there is none, `Input` if it is not a tokenizer.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn from_folder(folder: &Path) -> Result<Self> {
        let file = folder.join("tokenizer.json");
        let bytes = std::fs::read(&file).map_err(|source| Error::read(&file, source))?;
        Self::from_bytes(&file, &bytes)
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

    /// Token ids of `text` where it goes on after other text: nothing is added, not even the space that SentencePiece
    /// puts before a text.
    ///
    /// # Errors
    /// `Input` if the tokenizer cannot encode the text.
    pub fn encode_continuation(&self, text: &str) -> Result<Vec<u32>> {
        let starts_with_space = |ids: &[u32]| {
            let first = ids.first().and_then(|&id| self.token(id));
            first.is_some_and(|token| token.starts_with(['\u{2581}', '\u{120}']))
        };
        if text.is_empty() || !starts_with_space(&self.encode("a", false)?) {
            return self.encode(text, false);
        }
        // The space goes before an anchor, which is then taken off.
        let anchor = self.encode("\n", false)?;
        let whole = self.encode(&format!("\n{text}"), false)?;
        match whole.strip_prefix(anchor.as_slice()) {
            Some(rest) => Ok(rest.to_vec()),
            None => self.encode(text, false),
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
