//! Tokens that a model's other files name and its `tokenizer.json` lacks.

use tokenizers::AddedToken;

use super::Tokenizer;
use super::config::{TokenizerConfig, WantedToken};
use super::following::without_prefix;
use crate::model::guarded::guarded;
use crate::{Error, Result};

impl Tokenizer {
    /// Adds the tokens of the files beside `tokenizer.json` that it lacks, in the order in which transformers does.
    ///
    /// # Errors
    /// `Input` for a token whose id is another token's, or cannot be the next one.
    pub fn add(&mut self, config: &TokenizerConfig) -> Result<()> {
        let mut missing: Vec<AddedToken> = Vec::new();
        for wanted in &config.tokens {
            match missing.iter_mut().find(|token| token.content == wanted.token.content) {
                Some(token) => token.special |= wanted.token.special,
                None => missing.extend(self.lacks(wanted)?),
            }
        }
        self.inner.set_encode_special_tokens(config.split_special_tokens);
        if !missing.is_empty() || config.split_special_tokens {
            // All at once: each time, the search for added tokens is made anew.
            let added = guarded(|| self.inner.add_tokens(missing));
            added.map_err(|problem| self.failed("cannot take the tokens beside it", &problem))?;
            self.continuing = without_prefix(&self.inner).map(Box::new);
        }
        for wanted in &config.tokens {
            if let (Some(got), Some(id)) = (self.token_id(&wanted.token.content), wanted.id)
                && got != id
            {
                return Err(wrong(
                    wanted,
                    format!("has token id {id}, but the tokens before it end at {got}"),
                ));
            }
        }
        Ok(())
    }

    /// The token that is to be added for `wanted`, if there is none or one with other flags.
    fn lacks(&self, wanted: &WantedToken) -> Result<Option<AddedToken>> {
        let token = &wanted.token;
        if token.content.is_empty() {
            return Ok(None);
        }
        let known = self.token_id(&token.content);
        match (wanted.id, known) {
            (Some(id), Some(known)) if id != known => {
                return Err(wrong(wanted, format!("has token id {id} here and {known} in tokenizer.json")));
            }
            (Some(id), None) => {
                if let Some(other) = self.token(id) {
                    return Err(wrong(
                        wanted,
                        format!("has token id {id}, which is {other:?} in tokenizer.json"),
                    ));
                }
            }
            _ => {}
        }
        let added = self.inner.get_added_vocabulary().get_added_tokens_decoder();
        let Some(has) = known.and_then(|id| added.get(&id)) else { return Ok(Some(token.clone())) };
        let token = match wanted.keep_flags {
            true => AddedToken { special: has.special || token.special, ..has.clone() },
            false => token.clone(),
        };
        Ok((*has != token).then_some(token))
    }
}

fn wrong(wanted: &WantedToken, problem: String) -> Error {
    let hint = "take tokenizer.json and the files beside it from the same model";
    Error::input(&wanted.file, &wanted.token.content, problem, hint)
}
