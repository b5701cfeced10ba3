//! Texts that go on after other tokens, and texts after which others follow.

use serde_json::Value;
use tokenizers::{AddedToken, Encoding, Token};

use super::Tokenizer;
use super::config::TokenizerConfig;
use crate::Result;
use crate::model::guarded::guarded;

impl Tokenizer {
    /// Token ids of a text that something is to follow: as [`encode`](Self::encode) with special tokens, without those that
    /// the post-processor puts behind a text, such as an end token.
    ///
    /// # Errors
    /// `Input` if the tokenizer cannot encode the text.
    pub fn encode_prompt(&self, text: &str) -> Result<Vec<u32>> {
        let mut tokens = self.encode(text, true)?;
        let behind = self.tokens_behind()?;
        tokens.truncate(tokens.len().saturating_sub(behind));
        Ok(tokens)
    }

    /// How many tokens the post-processor puts behind a text.
    fn tokens_behind(&self) -> Result<usize> {
        let text = Encoding::from_tokens(vec![Token::new(0, "a".into(), (0, 1))], 0);
        let whole = guarded(|| self.inner.post_process(text, None, true));
        let whole = whole.map_err(|problem| self.failed("cannot add special tokens", &problem))?;
        Ok(whole.get_special_tokens_mask().iter().rev().take_while(|&&special| special == 1).count())
    }

    /// Token ids of a text that goes on after other tokens, the last of which is `before`: those that it would have within the
    /// whole text. Nothing is added, not even the space that SentencePiece tokenizers put before a text; but what they put
    /// after each special token, `before` too, stays.
    ///
    /// # Errors
    /// `Input` if the tokenizer cannot encode the text.
    pub fn encode_continuation(&self, before: Option<u32>, text: &str) -> Result<Vec<u32>> {
        if let Some(token) = before.and_then(|id| self.apart(id)) {
            let mut tokens = self.encode(&(token.content.clone() + text), false)?;
            // Special tokens in a text may be spelled out.
            if tokens.first().copied() == before {
                tokens.remove(0);
                return Ok(tokens);
            }
        }
        let Some(continuing) = &self.continuing else { return self.encode(text, false) };
        let whole = guarded(|| self.inner.encode(text, false));
        let whole = whole.map_err(|problem| self.failed("cannot encode the text", &problem))?;
        let mut places = whole.get_ids().iter().zip(whole.get_offsets());
        let apart = places.find(|&(&id, _)| self.apart(id).is_some());
        let start = apart.map_or(text.len(), |(_, &(start, _))| start);
        let (Some(head), Some(rest)) = (text.get(..start), text.get(start..)) else {
            return Err(self.failed("cannot encode the text", "a token begins within a character"));
        };
        let mut tokens = self.encode_by(continuing, head, false)?;
        if !rest.is_empty() {
            tokens.extend(self.encode(rest, false)?);
        }
        Ok(tokens)
    }

    /// What of `config` the tokenizer does otherwise than transformers may, in words.
    pub fn contradicts(&self, config: &TokenizerConfig) -> Option<String> {
        let steps = serde_json::to_value(self.inner.get_pre_tokenizer()).ok()?;
        let (here, there) = (steps["add_prefix_space"].as_bool()?, config.add_prefix_space?);
        (here != there).then(|| {
            format!(
                "add_prefix_space is {there}, which transformers follows, and {here} in tokenizer.json, which decides here: set both \
                 alike"
            )
        })
    }

    /// How the token `id` is written in a text, if it is an added one that is found before the text is normalised.
    pub fn written(&self, id: u32) -> Option<String> {
        Some(self.apart(id)?.content.clone())
    }

    /// The added token `id`, if it is found in a text before the text is normalised: texts on its two sides do not touch. The
    /// unknown token is none, since mostly it stands for what the vocabulary lacks.
    fn apart(&self, id: u32) -> Option<&AddedToken> {
        let added = self.inner.get_added_vocabulary().get_added_tokens_decoder();
        added.get(&id).filter(|token| {
            !token.normalized && !token.content.is_empty() && self.unknown_token() != Some(id)
        })
    }
}

/// `tokenizer` without the steps that put a space before a text; `None` if it has none.
pub(super) fn without_prefix(tokenizer: &tokenizers::Tokenizer) -> Option<tokenizers::Tokenizer> {
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
