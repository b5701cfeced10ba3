//! The least tokens that a text can have, by its characters: what is far too long for a context is refused without being taken apart.

use std::sync::{Arc, OnceLock};

use tokenizers::models::ModelWrapper;
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::{NormalizerWrapper as Normalizer, SplitDelimiterBehavior};

use super::Tokenizer;
use super::token_bytes::{BYTES, are_bytes};
use crate::{Error, Result};

/// Texts of fewer bytes are taken apart at once.
const LONG: usize = 1 << 16;

/// The most characters of each kind that one token stands for.
#[derive(Debug, Clone, Copy)]
struct Most {
    /// Letters and digits.
    letters: usize,
    /// Bytes of characters beyond ASCII, or such characters where tokens are not of bytes.
    wide: usize,
    /// Whether tokens are of bytes that are written as characters.
    bytes: bool,
}

/// What is known of a tokenizer's longest tokens, once it was asked for; `None` where a token may stand for any length of text.
#[derive(Debug, Clone, Default)]
pub(super) struct Longest(Arc<OnceLock<Option<Most>>>);

impl Tokenizer {
    /// Refuses a text whose letters alone fill a context of `context` tokens; `what` names it. What passes may still be too long.
    ///
    /// # Errors
    /// [`Error::Context`].
    pub fn check_length(&self, what: &str, text: &str, context: usize) -> Result<()> {
        match self.least_tokens(text) {
            least if least >= context => {
                Err(Error::context(format!("{what}, by its letters alone,"), least, context))
            }
            _ => Ok(()),
        }
    }

    /// A number of tokens that `text` has at least; 0 where nothing is known, as of short texts.
    ///
    /// It counts characters that no normalizer takes away: ASCII letters and digits, and letters of Chinese, Japanese, Korean and
    /// Cyrillic. At most they become letters with their marks.
    fn least_tokens(&self, text: &str) -> usize {
        if text.len() < LONG {
            return 0;
        }
        let Some(most) = self.longest.0.get_or_init(|| most(&self.inner)) else { return 0 };
        let (mut letters, mut wide) = (0, 0);
        for character in text.chars() {
            letters += usize::from(character.is_ascii_alphanumeric());
            if matches!(character, '\u{400}'..='\u{45f}' | '\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30fa}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}')
            {
                wide += if most.bytes { character.len_utf8() } else { 1 };
            }
        }
        (letters / most.letters.max(1)).max(wide / most.wide.max(1))
    }
}

/// The longest tokens of a tokenizer of which each stands for a bounded piece of text.
fn most(inner: &tokenizers::Tokenizer) -> Option<Most> {
    let vocabulary = inner.get_vocab(true);
    let has = |name: &str| vocabulary.contains_key(name);
    let bytes = are_bytes(inner);
    // Unknown characters may become one token together, or none.
    let whole = match inner.get_model() {
        ModelWrapper::BPE(_) if bytes => BYTES.into_iter().flatten().all(|c| has(&c.to_string())),
        ModelWrapper::BPE(bpe) => {
            bpe.byte_fallback && (0..=255u8).all(|byte| has(&format!("<0x{byte:02X}>")))
                || bpe.unk_token.is_some() && !bpe.fuse_unk
        }
        _ => false,
    };
    let plain =
        inner.get_normalizer().is_none_or(keeps_letters) && inner.get_pre_tokenizer().is_none_or(keeps_all);
    if !whole || !plain {
        return None;
    }
    // A letter with its marks begins with a byte that is written as a letter of Latin-1.
    let is_letter = |c: &char| c.is_alphanumeric() && (!bytes || *c <= '\u{ff}');
    let is_wide = |c: &char| match bytes {
        true => !c.is_ascii() && !('\u{100}'..='\u{121}').contains(c),
        false => !c.is_ascii() && c.is_alphabetic(),
    };
    let longest = |of: &dyn Fn(&char) -> bool| {
        vocabulary.keys().map(|token| token.chars().filter(|c| of(c)).count()).max().unwrap_or(0)
    };
    Some(Most { letters: longest(&is_letter), wide: longest(&is_wide), bytes })
}

/// Whether a normalizer leaves at least a letter of every letter.
fn keeps_letters(step: &NormalizerWrapper) -> bool {
    match step {
        Normalizer::NFC(_) | Normalizer::NFD(_) | Normalizer::NFKC(_) | Normalizer::NFKD(_) => true,
        Normalizer::Lowercase(_) | Normalizer::Prepend(_) | Normalizer::ByteLevel(_) => true,
        Normalizer::Sequence(steps) => steps.as_ref().iter().all(keeps_letters),
        // The only pattern that is told from outside is that of the usual one.
        Normalizer::Replace(replace) => {
            serde_json::to_value(replace).is_ok_and(|step| step["pattern"]["String"] == " ")
        }
        _ => false,
    }
}

/// Whether a step takes no letter away.
fn keeps_all(step: &PreTokenizerWrapper) -> bool {
    match step {
        PreTokenizerWrapper::ByteLevel(_)
        | PreTokenizerWrapper::Metaspace(_)
        | PreTokenizerWrapper::Digits(_)
        | PreTokenizerWrapper::Whitespace(_)
        | PreTokenizerWrapper::WhitespaceSplit(_) => true,
        PreTokenizerWrapper::Split(split) => !matches!(split.behavior, SplitDelimiterBehavior::Removed),
        PreTokenizerWrapper::Sequence(steps) => steps.as_ref().iter().all(keeps_all),
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn tokenizer(change: impl FnOnce(&mut Value)) -> Tokenizer {
        let bytes: Vec<String> = BYTES.into_iter().flatten().map(|c| c.to_string()).collect();
        let more = ["ab", "abc", "ĠĠ", "ĠĠĠĠ", "ä¸", "ä¸Ń"].map(String::from);
        let vocab: serde_json::Map<String, Value> =
            bytes.into_iter().chain(more).enumerate().map(|(id, token)| (token, json!(id))).collect();
        let merges = [["a", "b"], ["ab", "c"], ["Ġ", "Ġ"], ["ĠĠ", "ĠĠ"], ["ä", "¸"], ["ä¸", "Ń"]];
        let mut json = json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": { "type": "NFC" },
            "pre_tokenizer": { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true },
            "post_processor": null, "decoder": { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true },
            "model": { "type": "BPE", "vocab": vocab, "merges": merges, "fuse_unk": false, "byte_fallback": false }
        });
        change(&mut json);
        Tokenizer::from_bytes("tokenizer.json".as_ref(), json.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn no_text_has_fewer_tokens() {
        let plain = tokenizer(|_| {});
        for piece in
            ["abc", "abc abc", "a\u{301}bc ", "    ", "中", "中 abc", "が\u{3099}", "ДИ\u{306}", "<|x|>", "é"]
        {
            let text = piece.repeat(LONG / piece.len() + 1);
            let (least, tokens) = (plain.least_tokens(&text), plain.encode(&text, false).unwrap().len());
            assert!(least <= tokens, "{piece}: {least} of {tokens}");
            assert!(
                least * 6 >= tokens || ["    ", "<|x|>", "é"].contains(&piece),
                "{piece}: {least} of {tokens}"
            );
        }
        assert_eq!(plain.least_tokens("abc"), 0);
        let long = "abc ".repeat(1 << 20);
        let error = plain.check_length("the prompt", &long, 131_072).unwrap_err();
        assert_eq!(
            (error.code(), error.to_string().contains("by its letters alone, has 1048576 tokens")),
            ("context", true)
        );
        assert!(plain.check_length("the prompt", &long, 2 << 20).is_ok());
    }

    #[test]
    fn nothing_is_said_where_text_may_vanish() {
        let text = "abc ".repeat(LONG);
        let tokens = |change: fn(&mut Value)| tokenizer(change).least_tokens(&text);
        assert!(tokens(|_| {}) >= LONG);
        for change in [
            |json: &mut Value| {
                json["normalizer"] =
                    json!({ "type": "Replace", "pattern": { "Regex": "abc" }, "content": "" })
            },
            |json: &mut Value| {
                json["normalizer"] = json!({ "type": "Strip", "strip_left": true, "strip_right": true })
            },
            |json: &mut Value| {
                json["pre_tokenizer"] = json!({ "type": "Sequence", "pretokenizers": [
                    { "type": "Split", "pattern": { "String": "abc" }, "behavior": "Removed", "invert": false },
                    json["pre_tokenizer"]
                ] });
            },
            |json: &mut Value| drop(json["model"]["vocab"].as_object_mut().unwrap().remove("z")),
        ] {
            assert_eq!(tokens(change), 0);
        }
    }
}
