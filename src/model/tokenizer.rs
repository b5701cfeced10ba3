//! Text to token ids and back, by a model's own tokenizer.

mod added;
mod charsmap;
mod check;
pub mod config;
mod following;
pub mod gguf;
mod lacking;
mod least;
pub mod pre_tokenizers;
mod stream;
mod token_bytes;

use std::path::{Path, PathBuf};

use following::without_prefix;
pub use lacking::Lacking;
pub use stream::StreamDecoder;

use super::config::ModelConfig;
use crate::model::guarded::guarded;
use crate::{Error, Result};

/// Tokens that may be more than the model has rows, such as a `[PAD]` that was added without resizing the embedding.
const MAX_WITHOUT_ROW: usize = 16;

/// A model's tokenizer.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// The same without the space that it puts before a text, if it does.
    continuing: Option<Box<tokenizers::Tokenizer>>,
    /// Rows of the model's embedding, once they are known.
    rows: Option<usize>,
    /// Its longest tokens.
    longest: least::Longest,
    file: PathBuf,
}

impl Tokenizer {
    /// Reads the text of a `tokenizer.json`; `file` is for messages.
    ///
    /// # Errors
    /// `Input` if it is not one.
    pub fn from_bytes(file: &Path, bytes: &[u8]) -> Result<Self> {
        check::check(file, bytes)?;
        let inner = guarded(|| {
            let mut inner = tokenizers::Tokenizer::from_bytes(bytes)?;
            // Both would silently change what the model sees; lengths are this program's business.
            inner.with_padding(None);
            inner.with_truncation(None)?;
            Ok::<_, tokenizers::Error>(inner)
        });
        let inner = inner.map_err(|problem| {
            let hint = "take the model's original tokenizer.json";
            Error::input(file, "tokenizer", format!("cannot be read: {problem}"), hint)
        })?;
        let continuing = without_prefix(&inner).map(Box::new);
        let longest = least::Longest::default();
        Ok(Self { inner, continuing, rows: None, longest, file: file.to_path_buf() })
    }

    /// Token ids of `text`. With `add_special`, the model's own begin (and end) tokens are added; leave it off for
    /// text that a chat template made, which contains them. Special tokens written out in `text` become their ids.
    ///
    /// # Errors
    /// `Input` if the tokenizer cannot encode the text.
    pub fn encode(&self, text: &str, add_special: bool) -> Result<Vec<u32>> {
        self.encode_by(&self.inner, text, add_special)
    }

    fn encode_by(
        &self,
        tokenizer: &tokenizers::Tokenizer,
        text: &str,
        add_special: bool,
    ) -> Result<Vec<u32>> {
        let tokens =
            guarded(|| tokenizer.encode_fast(text, add_special).map(|tokens| tokens.get_ids().to_vec()));
        let tokens = tokens.map_err(|problem| self.failed("cannot encode the text", &problem))?;
        self.check_rows(&tokens)?;
        Ok(tokens)
    }

    /// Refuses tokens that the model's embedding has no row for.
    fn check_rows(&self, tokens: &[u32]) -> Result<()> {
        match self.rows.and_then(|rows| tokens.iter().find(|&&token| token as usize >= rows)) {
            None => Ok(()),
            Some(&token) => {
                let (name, rows) = (self.token(token).unwrap_or_default(), self.rows.unwrap_or(0));
                Err(Error::usage(
                    "text",
                    format!("holds `{name}`, token {token}, for which the model's {rows} rows have none"),
                    "leave it out, or take the model with the embedding that was resized for it",
                ))
            }
        }
    }

    /// The whole tokenizer as the text of a `tokenizer.json`.
    ///
    /// # Errors
    /// `Input` if it has no such form.
    pub fn to_json(&self) -> Result<String> {
        self.inner.to_string(false).map_err(|error| self.failed("cannot be written", &error.to_string()))
    }

    /// Text of `tokens`, special tokens left out; incomplete characters become U+FFFD.
    ///
    /// # Errors
    /// `Input` if the tokenizer's decoder fails.
    pub fn decode(&self, tokens: &[u32]) -> Result<String> {
        let text = guarded(|| self.inner.decode(tokens, true));
        text.map_err(|problem| self.failed("cannot decode the tokens", &problem))
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

    /// Whether [`decode`](Self::decode) passes over `id`: a special token, by name or by id, or none of this tokenizer.
    fn leaves_out(&self, id: u32) -> bool {
        self.token(id).is_none_or(|token| self.inner.get_added_vocabulary().is_special_token(&token))
    }

    /// Checks that this tokenizer and a model's embedding can belong together: every id has a row, except a few tokens that
    /// were added to it, and no more rows are unused than padding explains (63, or a 32nd of the vocabulary). From then on
    /// texts with a token that has no row are refused.
    ///
    /// # Errors
    /// `Input` with both sizes.
    pub fn fit(&mut self, config: &ModelConfig) -> Result<()> {
        let (tokens, rows) = (self.vocab_size(), config.vocab_size);
        self.rows = Some(rows);
        let padding = (rows / 32).max(63);
        let added = self.inner.get_added_vocabulary().get_added_tokens_decoder();
        let without_row = tokens.saturating_sub(rows);
        let only_added = without_row <= MAX_WITHOUT_ROW
            && (rows..tokens).all(|id| u32::try_from(id).is_ok_and(|id| added.contains_key(&id)));
        if without_row > 0 && !only_added || tokens + padding < rows {
            return Err(Error::input(
                &self.file,
                "vocabulary",
                format!("the tokenizer has {tokens} tokens where the model has {rows}"),
                "take the tokenizer that belongs to the model",
            ));
        }
        Ok(())
    }

    fn failed(&self, what: &str, problem: &str) -> Error {
        Error::input(
            &self.file,
            "tokenizer",
            format!("{what}: {problem}"),
            "take the model's original tokenizer",
        )
    }
}
