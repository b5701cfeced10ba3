//! From tokens to the text of an answer: whole characters, ended before the first stop text, with the log-probabilities of the
//! tokens that it is made of.

use std::collections::VecDeque;

use crate::Result;
use crate::model::tokenizer::{StreamDecoder, Tokenizer};

/// A token as a client reads it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Word {
    /// Its text by itself, with U+FFFD for a part of a character.
    pub(super) text: String,
    /// Its bytes, if it has such a part.
    pub(super) part: Option<Vec<u8>>,
    /// As it stands in the vocabulary, where several tokens have one text: `▁a` and `a`.
    pub(super) spelled: String,
}

impl Word {
    fn of(tokenizer: &Tokenizer, token: u32) -> Result<Self> {
        let text = tokenizer.decode(&[token])?;
        let part = text.contains('\u{FFFD}').then(|| tokenizer.token_bytes(token)).flatten();
        Ok(Self { text, part, spelled: tokenizer.token(token).unwrap_or_default() })
    }
}

/// A token as a client is told of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Told {
    pub(super) word: Word,
    /// Characters of the answer before it; those of which only parts have come do not count.
    pub(super) offset: usize,
    /// Its log-probability in nats.
    pub(super) logprob: f32,
    /// The likeliest tokens in its place, the likeliest first.
    pub(super) likeliest: Vec<(Word, f32)>,
}

/// New text of an answer, and the tokens that begin in it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) tokens: Vec<Told>,
}

impl Piece {
    /// Adds what comes after it.
    pub(super) fn append(&mut self, other: Self) {
        self.text += &other.text;
        self.tokens.extend(other.tokens);
    }

    /// Whether there is nothing to tell.
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty() && self.tokens.is_empty()
    }
}

/// An answer as far as it is known. Text that may be the beginning of a stop text is held back.
pub(super) struct Answer<'a> {
    tokenizer: &'a Tokenizer,
    stream: Option<StreamDecoder<'a>>,
    stop: Vec<String>,
    /// Text that is not given out.
    held: String,
    /// Bytes that are, and their characters.
    given: usize,
    given_characters: usize,
    /// Tokens that are not given out, with the byte at which each begins.
    tokens: VecDeque<(usize, Told)>,
    /// Whether tokens are told at all.
    tells: bool,
    count: usize,
}

impl<'a> Answer<'a> {
    /// An answer that ends before any of the texts `stop`.
    pub(super) fn new(tokenizer: &'a Tokenizer, stop: Vec<String>, tells: bool) -> Self {
        Self {
            tokenizer,
            stream: Some(tokenizer.stream()),
            stop,
            held: String::new(),
            given: 0,
            given_characters: 0,
            tokens: VecDeque::new(),
            tells,
            count: 0,
        }
    }

    /// Tokens that were drawn for it.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Takes a token; `is_end` says that it is a stop token. The new text, and whether a stop text came.
    ///
    /// # Errors
    /// The tokenizer's.
    pub(super) fn push(
        &mut self,
        token: u32,
        logprob: f32,
        likeliest: &[(u32, f32)],
        is_end: bool,
    ) -> Result<(Piece, bool)> {
        self.count += 1;
        let start = self.given + self.held.len();
        let before = self.characters();
        if let Some(stream) = &mut self.stream {
            self.held += &stream.push(token)?;
        }
        // A stop token is no part of the text.
        if self.tells && !is_end {
            let word = |token: u32| Word::of(self.tokenizer, token);
            let likeliest = likeliest.iter().map(|&(token, logprob)| Ok((word(token)?, logprob)));
            let likeliest = likeliest.collect::<Result<_>>()?;
            let word = word(token)?;
            let text = &word.text;
            // Parts of characters before it that had not come whole have now.
            let is_whole = !text.contains('\u{FFFD}') && self.held.ends_with(text.as_str());
            let offset = if is_whole { self.characters() - text.chars().count() } else { before };
            let told = Told { word, offset, logprob, likeliest };
            self.tokens.push_back((start, told));
        }
        Ok(self.give())
    }

    /// Characters that have come.
    fn characters(&self) -> usize {
        self.given_characters + self.held.chars().count()
    }

    /// The text that was held back when the last token has come.
    ///
    /// # Errors
    /// The tokenizer's.
    pub(super) fn finish(&mut self) -> Result<(Piece, bool)> {
        if let Some(stream) = self.stream.take() {
            self.held += &stream.finish()?;
        }
        let (mut piece, stopped) = self.give();
        if !stopped {
            piece.text += &std::mem::take(&mut self.held);
            piece.tokens.extend(self.tokens.drain(..).map(|(_, told)| told));
        }
        Ok((piece, stopped))
    }

    /// What is certain now, and whether a stop text came.
    fn give(&mut self) -> (Piece, bool) {
        let found = self.stop.iter().filter_map(|stop| self.held.find(stop.as_str())).min();
        let certain = found.unwrap_or_else(|| self.held.len() - self.may_begin());
        let text: String = self.held.drain(..certain).collect();
        self.given += text.len();
        self.given_characters += text.chars().count();
        let given = self.given;
        let count = self.tokens.iter().take_while(|(start, _)| *start < given).count();
        let tokens = self.tokens.drain(..count).map(|(_, told)| told).collect();
        if found.is_some() {
            self.held.clear();
            self.tokens.clear();
        }
        (Piece { text, tokens }, found.is_some())
    }

    /// Bytes at the end of what is held that may be the beginning of a stop text.
    fn may_begin(&self) -> usize {
        let longest = |stop: &String| {
            let ends = stop.char_indices().map(|(end, _)| end).filter(|&end| end > 0).rev();
            ends.into_iter().find(|&end| self.held.ends_with(&stop[..end])).unwrap_or(0)
        };
        self.stop.iter().map(longest).max().unwrap_or(0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    /// The pieces of a text whose characters are tokens, and whether it was stopped.
    fn pieces(text: &str, stop: &[&str]) -> (Vec<String>, bool, usize) {
        let tiny = crate::model::open::open("tiny").unwrap();
        let tokens = tiny.tokenizer.encode(text, false).unwrap();
        let stop = stop.iter().map(|stop| (*stop).to_owned()).collect();
        let mut answer = Answer::new(&tiny.tokenizer, stop, true);
        let (mut out, mut told) = (Vec::new(), 0);
        for token in tokens {
            let (piece, stopped) = answer.push(token, -1.0, &[], false).unwrap();
            out.push(piece.text);
            told += piece.tokens.len();
            if stopped {
                return (out, true, told);
            }
        }
        let (piece, stopped) = answer.finish().unwrap();
        out.push(piece.text);
        (out, stopped, told + piece.tokens.len())
    }

    #[test]
    fn an_answer_ends_before_the_first_stop_text() {
        let whole = |text, stop: &[&str]| {
            let (pieces, stopped, told) = pieces(text, stop);
            (pieces.concat(), stopped, told)
        };
        assert_eq!(whole("x**2+3", &[]), ("x**2+3".into(), false, 6));
        assert_eq!(whole("x**2+3", &["2+"]), ("x**".into(), true, 3));
        assert_eq!(whole("x**2+3", &["3", "**"]), ("x".into(), true, 1));
        assert_eq!(whole("x**2+3", &["+4", "3x"]), ("x**2+3".into(), false, 6));
        assert_eq!(whole("x**2", &["x"]), (String::new(), true, 0));
    }

    #[test]
    fn what_may_begin_a_stop_text_is_held_back() {
        let (out, ..) = pieces("1+2+x", &["+x*"]);
        assert_eq!(out, ["1", "", "+2", "", "", "+x"]);
    }
}
