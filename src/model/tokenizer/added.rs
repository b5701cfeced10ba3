//! Tokens that a model's other files name and its `tokenizer.json` lacks.

use tokenizers::AddedToken;

use super::config::{TokenizerConfig, WantedToken};
use super::guarded::guarded;
use super::{Tokenizer, without_prefix};
use crate::{Error, Result};

impl Tokenizer {
    /// Adds the tokens of the files beside `tokenizer.json` that it lacks, in the order in which transformers does.
    ///
    /// # Errors
    /// `Input` for a token whose id is another token's, or cannot be the next one.
    pub fn add(&mut self, config: &TokenizerConfig) -> Result<()> {
        let mut changed = config.split_special_tokens;
        self.inner.set_encode_special_tokens(config.split_special_tokens);
        for wanted in &config.tokens {
            changed |= self.add_one(wanted)?;
        }
        if changed {
            self.continuing = without_prefix(&self.inner).map(Box::new);
        }
        Ok(())
    }

    /// Adds a token, or gives it the flags it must have. Says whether anything changed.
    fn add_one(&mut self, wanted: &WantedToken) -> Result<bool> {
        let mut token = wanted.token.clone();
        if token.content.is_empty() {
            return Ok(false);
        }
        let wrong = |problem: String| {
            let hint = "take tokenizer.json and the files beside it from the same model";
            Error::input(&wanted.file, &wanted.token.content, problem, hint)
        };
        let known = self.token_id(&token.content);
        match (wanted.id, known) {
            (Some(id), Some(known)) if id != known => {
                return Err(wrong(format!("has token id {id} here and {known} in tokenizer.json")));
            }
            (Some(id), None) => {
                if let Some(other) = self.token(id) {
                    return Err(wrong(format!("has token id {id}, which is {other:?} in tokenizer.json")));
                }
            }
            _ => {}
        }
        let has = known
            .and_then(|id| self.inner.get_added_vocabulary().get_added_tokens_decoder().get(&id).cloned());
        if let (Some(has), true) = (&has, wanted.keep_flags) {
            token = AddedToken { special: has.special || token.special, ..has.clone() };
        }
        if has.as_ref() == Some(&token) {
            return Ok(false);
        }
        guarded(|| self.inner.add_tokens([token])).map_err(wrong)?;
        match (self.token_id(&wanted.token.content), wanted.id) {
            (Some(got), Some(id)) if got != id => {
                Err(wrong(format!("has token id {id}, but the tokens before it end at {got}")))
            }
            _ => Ok(true),
        }
    }
}
