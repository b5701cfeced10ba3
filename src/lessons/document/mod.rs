//! A document as a lesson: a model that can use a text asks itself questions about it, answers them with the text in view, and
//! what it agrees with itself on and did not know without the text is learnt.
//!
//! Whether it can use a text, the [`teacher`] test says; small models cannot, and what they would teach themselves is made up. The
//! text is data: it stands between fences and is never an instruction (`prompts`).

mod chunks;
mod prompts;
pub mod study;
pub mod teacher;

pub use chunks::{Chunk, MAX_BYTES, chunks};

use std::path::Path;

use super::anchors::sample;
use crate::ladder::learner::Learner;
use crate::ladder::policy::{Policy, Request, Sampling};
use crate::{Error, Result};

/// What to do where a model cannot teach itself.
pub const REMEDY: &str =
    "give questions and answers by <pairs>, or a larger model on this machine that writes them by <author>";

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The model that writes the lesson.
    Author,
    /// The base of the library, which is to learn it.
    Reader,
}

/// What a lesson from a document needs of models: answers to prompts, each a user's message.
#[allow(async_fn_in_trait, reason = "one caller, which never sends the futures to another thread")]
pub trait Models {
    /// `samples` answers to each prompt, of at most `max_tokens` tokens. A prompt that does not fit the context has none.
    ///
    /// # Errors
    /// [`Error::Cancelled`]; GPU errors.
    async fn answers(
        &mut self,
        by: By,
        what: &str,
        prompts: &[String],
        samples: usize,
        temperature: f32,
        max_tokens: usize,
    ) -> Result<Vec<Vec<String>>>;

    /// Tokens of a text as the author reads it.
    ///
    /// # Errors
    /// The tokenizer's.
    fn count(&self, text: &str) -> Result<usize>;
}

/// A document's text.
///
/// # Errors
/// [`Error::Input`] for one that is too long, is no text, or is empty.
pub fn text<'a>(bytes: &'a [u8], file: &Path) -> Result<&'a str> {
    let bad = |problem: String, hint: &str| Err(Error::input(file, "content", problem, hint));
    if bytes.len() > MAX_BYTES {
        let problem = format!("has more than {} kB, the most that a lesson takes", MAX_BYTES / 1024);
        return bad(problem, "cut it into parts, a lesson each");
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) if text.trim().is_empty() => bad("is empty".into(), "give a text"),
        Ok(text) if text.contains('\0') => bad("is no text".into(), "save it as plain text or Markdown"),
        Ok(text) => Ok(text),
        Err(_) => bad("is not UTF-8".into(), "save it as plain text or Markdown in UTF-8"),
    }
}

/// Models on this machine.
pub struct Learners<'a> {
    /// The author, where that is not the reader.
    pub author: Option<&'a mut Learner>,
    /// The base of the library.
    pub reader: &'a mut Learner,
    /// Takes (done, all, what) and may ask to stop by `false`.
    pub progress: &'a mut dyn FnMut(usize, usize, &str) -> bool,
    /// Seed of what is drawn.
    pub seed: u64,
}

impl Models for Learners<'_> {
    async fn answers(
        &mut self,
        by: By,
        what: &str,
        prompts: &[String],
        samples: usize,
        temperature: f32,
        max_tokens: usize,
    ) -> Result<Vec<Vec<String>>> {
        let Self { author, reader, progress, seed } = self;
        let learner = match (by, author) {
            (By::Author, Some(author)) => &mut **author,
            _ => &mut **reader,
        };
        let context = learner.trainer().model().context();
        let sampling = Sampling { max_tokens, temperature, ..Sampling::default() };
        let (mut requests, mut places) = (Vec::new(), Vec::new());
        for (place, text) in prompts.iter().enumerate() {
            match learner.encode_prompt(text) {
                Ok(prompt) if prompt.len() + max_tokens <= context => {
                    let seed = seed.wrapping_add(place as u64);
                    requests.push(Request { prompt, samples, sampling, seed });
                    places.push(place);
                }
                Ok(_) | Err(Error::Context { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let said = sample(learner, &requests, &mut |done, all| progress(done, all, what)).await?;
        let mut answers = vec![Vec::new(); prompts.len()];
        for (place, said) in places.into_iter().zip(said) {
            answers[place] = said.into_iter().map(|sample| sample.text).collect();
        }
        Ok(answers)
    }

    fn count(&self, text: &str) -> Result<usize> {
        let author = self.author.as_deref().unwrap_or(self.reader);
        Ok(author.language().tokenizer.encode(text, false)?.len())
    }
}

#[cfg(test)]
mod tests;
