//! Characters that a vocabulary lacks: they become the unknown token, and the model sees another text.

use std::collections::BTreeSet;
use std::fmt;

use super::Tokenizer;
use crate::model::guarded::guarded;

/// Characters told by name.
const SHOWN: usize = 12;

/// What of some texts the vocabulary lacks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lacking {
    /// How many texts have something that it lacks.
    pub texts: usize,
    /// The characters, or the words of vocabularies that are made of words.
    pub pieces: BTreeSet<String>,
    /// What they become.
    unknown: String,
}

impl Lacking {
    /// Adds what `tokenizer` lacks of `text`, whose tokens are `tokens`.
    pub fn look(&mut self, tokenizer: &Tokenizer, text: &str, tokens: &[u32]) {
        let Some(unknown) = tokenizer.unknown_token().filter(|id| tokens.contains(id)) else { return };
        let Ok(encoding) = guarded(|| tokenizer.inner.encode(text, false)) else { return };
        let name = tokenizer.token(unknown).unwrap_or_default();
        let offsets = encoding.get_ids().iter().zip(encoding.get_offsets());
        let pieces: BTreeSet<String> = offsets
            .filter(|&(&id, _)| id == unknown)
            .filter_map(|(_, &(start, end))| text.get(start..end))
            // A text may name the unknown token itself.
            .filter(|piece| !piece.is_empty() && **piece != name)
            .flat_map(|piece| tokenizer.unknown_characters(piece, unknown))
            .collect();
        self.texts += usize::from(!pieces.is_empty());
        self.pieces.extend(pieces);
        self.unknown = name;
    }

    /// What `tokenizer` lacks of `texts`.
    pub fn of<'a>(tokenizer: &Tokenizer, texts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut lacking = Self::default();
        for text in texts {
            if let Ok(tokens) = tokenizer.encode(text, false) {
                lacking.look(tokenizer, text, &tokens);
            }
        }
        lacking
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.texts == 0
    }
}

impl fmt::Display for Lacking {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<String> = self.pieces.iter().take(SHOWN).map(|piece| format!("{piece:?}")).collect();
        let more = match self.pieces.len() - shown.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let texts = if self.texts == 1 { "1 text has".into() } else { format!("{} texts have", self.texts) };
        let (shown, unknown) = (shown.join(", "), &self.unknown);
        write!(
            formatter,
            "{texts} characters that the model's vocabulary lacks: {shown}{more}; it sees {unknown} instead"
        )
    }
}

impl Tokenizer {
    /// The token that stands for what the vocabulary lacks.
    pub(super) fn unknown_token(&self) -> Option<u32> {
        use tokenizers::ModelWrapper::{BPE, Unigram, WordLevel, WordPiece};
        match self.inner.get_model() {
            BPE(model) => self.token_id(model.unk_token.as_deref()?),
            WordLevel(model) => self.token_id(&model.unk_token),
            WordPiece(model) => self.token_id(&model.unk_token),
            Unigram(_) => self.token_id("<unk>"),
        }
    }

    /// The characters of `piece` that are unknown alone, or all of it if that is none.
    fn unknown_characters(&self, piece: &str, unknown: u32) -> BTreeSet<String> {
        let alone = |character: &String| {
            self.encode_continuation(None, character).is_ok_and(|tokens| tokens.contains(&unknown))
        };
        let characters: BTreeSet<String> = piece.chars().map(String::from).filter(alone).collect();
        if characters.is_empty() { BTreeSet::from([piece.to_string()]) } else { characters }
    }
}
