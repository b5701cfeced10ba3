//! Decoding token by token, in whole characters.

use super::Tokenizer;
use crate::Result;

/// U+FFFD stands for a byte sequence that is not (yet) a character. A character has at most four bytes, so at most
/// three of these at the end of a text can still change.
const MAX_HELD: usize = 3;

/// Window length from which a decoder tries to forget tokens already shown.
const SHRINK_AT: usize = 16;

/// Tokens at the end of a window of which it may keep as few as make whole characters; one character has at most four.
const MAX_KEPT: usize = 4;

/// Window length at which all is returned as it is, since each token costs the decoding of the whole window.
const MAX_WINDOW: usize = 256;

/// Turns a stream of tokens into pieces of text that never end inside a character.
///
/// The pieces and the rest that [`finish`](Self::finish) returns add up to what [`Tokenizer::decode`] gives for all
/// tokens at once. Two things can differ. A SentencePiece decoder replaces a whole run of single-byte tokens if any part of it
/// is no character: characters of such a run that were returned stay, and a literal U+FFFD within one may show more than
/// once. And after 256 tokens that never end with a whole character, what is cut there shows as U+FFFD.
#[derive(Debug, Clone)]
pub struct StreamDecoder<'a> {
    tokenizer: &'a Tokenizer,
    /// Tokens whose text is not all returned, and a returned one before them: decoders treat the first token of a
    /// text differently.
    window: Vec<u32>,
    /// The part of the window's text that has been returned.
    returned: String,
}

impl<'a> StreamDecoder<'a> {
    pub(super) fn new(tokenizer: &'a Tokenizer) -> Self {
        Self { tokenizer, window: Vec::new(), returned: String::new() }
    }

    /// Adds a token and returns the text that is now certain, often empty.
    ///
    /// # Errors
    /// `Input` if the tokenizer's decoder fails.
    pub fn push(&mut self, token: u32) -> Result<String> {
        // A decoder never sees such a token; a long run of them would only be decoded again and again.
        if self.tokenizer.leaves_out(token) {
            return Ok(String::new());
        }
        self.window.push(token);
        let text = self.tokenizer.decode(&self.window)?;
        let mut certain = text.as_str();
        for _ in 0..MAX_HELD {
            certain = certain.strip_suffix('\u{FFFD}').unwrap_or(certain);
        }
        let full = self.window.len() >= MAX_WINDOW;
        if full {
            certain = &text;
        }
        let held = certain.len() < text.len();
        if held && !certain.starts_with(&self.returned) {
            // A byte that may begin a character makes its decoder doubt the bytes before it; the next ones tell.
            return Ok(String::new());
        }
        let piece = self.take(certain);
        if !held && self.window.len() >= SHRINK_AT {
            self.shrink(full)?;
        }
        Ok(piece)
    }

    /// The text held back, with U+FFFD for what never became a character.
    ///
    /// # Errors
    /// `Input` if the tokenizer's decoder fails.
    pub fn finish(mut self) -> Result<String> {
        let text = self.tokenizer.decode(&self.window)?;
        Ok(self.take(&text))
    }

    /// What of `text` has not been returned before.
    fn take(&mut self, text: &str) -> String {
        let piece: String = match text.strip_prefix(self.returned.as_str()) {
            Some(piece) => piece.to_string(),
            // The replaced bytes were one character each.
            None => text.chars().skip(self.returned.chars().count()).collect(),
        };
        self.returned = text.to_string();
        piece
    }

    /// Keeps the fewest last tokens that make text of whole characters, if some do, or, where it `must` forget, as many as
    /// one character may have.
    fn shrink(&mut self, must: bool) -> Result<()> {
        for count in 1..=MAX_KEPT.min(self.window.len()) {
            let last = &self.window[self.window.len() - count..];
            let text = self.tokenizer.decode(last)?;
            if must && count == MAX_KEPT || !text.is_empty() && !text.contains('\u{FFFD}') {
                self.window = last.to_vec();
                self.returned = text;
                break;
            }
        }
        Ok(())
    }
}
