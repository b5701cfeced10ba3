//! The bytes of tokens that are parts of characters.

use std::ops::RangeInclusive;

use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;

use super::Tokenizer;

/// Characters that stand for bytes, as byte-level tokenizers write them (GPT-2's `bytes_to_unicode`).
pub(super) const BYTES: [RangeInclusive<char>; 4] =
    ['!'..='~', '\u{a1}'..='\u{ac}', '\u{ae}'..='\u{ff}', '\u{100}'..='\u{143}'];

impl Tokenizer {
    /// The bytes of a token of bytes; `None` for others, whose texts are whole.
    pub fn token_bytes(&self, id: u32) -> Option<Vec<u8>> {
        let token = self.token(id)?;
        let digits = token.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
        if let Some(byte) = digits.filter(|digits| digits.len() == 2) {
            return u8::from_str_radix(byte, 16).ok().map(|byte| vec![byte]);
        }
        if !are_bytes(&self.inner) || self.is_special(id) { None } else { token.chars().map(byte).collect() }
    }
}

/// Whether a tokenizer's tokens are of bytes that are written as characters.
pub(super) fn are_bytes(inner: &tokenizers::Tokenizer) -> bool {
    inner.get_pre_tokenizer().is_some_and(of_bytes)
        || matches!(inner.get_normalizer(), Some(NormalizerWrapper::ByteLevel(_)))
}

fn of_bytes(step: &PreTokenizerWrapper) -> bool {
    match step {
        PreTokenizerWrapper::ByteLevel(_) => true,
        PreTokenizerWrapper::Sequence(steps) => steps.as_ref().iter().any(of_bytes),
        _ => false,
    }
}

/// The byte that a character stands for. Those that are no signs of Latin-1 have the characters from U+0100 on.
fn byte(character: char) -> Option<u8> {
    let code = u32::from(character);
    if !BYTES.iter().any(|range| range.contains(&character)) {
        return None;
    }
    u8::try_from(match code {
        0..=0xff => code,
        0x100..=0x120 => code - 0x100,
        0x121..=0x142 => code - 0x121 + 0x7f,
        _ => 0xad,
    })
    .ok()
}

#[cfg(test)]
mod tests {
    use super::{BYTES, byte};

    #[test]
    fn every_byte_has_one_character() {
        let mut bytes: Vec<u8> = BYTES.into_iter().flatten().filter_map(byte).collect();
        bytes.sort_unstable();
        assert_eq!(bytes, (0..=255).collect::<Vec<u8>>());
        // GPT-2 writes a space, a line feed, the lead of Chinese characters and a byte that continues one so.
        assert_eq!(
            ['Ġ', 'Ċ', 'ä', 'Ń', '中'].map(byte),
            [Some(b' '), Some(b'\n'), Some(0xe4), Some(0xad), None]
        );
    }
}
