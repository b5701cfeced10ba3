//! What the cache holds when a call ends, for a next one that begins alike: a turn of a conversation computes only what is
//! new. Token ids are compared and nothing else, so that an edited turn or a branch keeps what both begin with.

use super::super::forest::common_length;
use crate::kernel::attention::PAGE;

/// Keys that a token which goes on from the cache may read until that costs as much as the rest of a token does; measured on
/// lavapipe with SmolLM2's shape: of 384 tokens, 24 kept ones cost 1.3 times as much as none, 96 as much, 288 half.
const READS: u64 = 512;
/// So much dearer are its reads than those of tokens that are computed together and share them, in the same measurement.
const ALONE: u64 = 4;

/// Whether it is less work to go on from `kept` tokens with `new` ones than to compute all of them together: a few words
/// before a long text are not worth that each of its tokens reads all before it by itself.
pub(super) fn is_less(kept: usize, new: usize) -> bool {
    let (kept, new) = (kept as u64, new as u64);
    let (alone, together) = (new * (kept + new / 2), (kept + new).pow(2) / 2);
    alone <= READS * kept + together / ALONE
}

/// A sequence whose keys and values are in the cache.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// Its tokens from position 0 on, as far as their keys and values are there.
    pub(super) tokens: Vec<u32>,
    /// Their pages in order of positions.
    pub(super) table: Vec<u32>,
}

impl Kept {
    /// As much of it as `prompt` begins with, or nothing where that is not worth it. The last token of a prompt never belongs
    /// to it: its logits are needed.
    pub(super) fn beginning(mut self, prompt: &[u32]) -> Self {
        let most = prompt.len().saturating_sub(1);
        let common = common_length(&self.tokens, &prompt[..most]);
        let common = if is_less(common, most - common) { common } else { 0 };
        self.tokens.truncate(common);
        self.table.truncate(common.div_ceil(PAGE));
        self
    }

    /// Adds what the decode loop fed to the row after it: the prompt's last token, and those it made before the last,
    /// whose keys and values nobody asked for yet.
    pub(super) fn extend(&mut self, last: Option<&u32>, made: &[u32]) {
        if let [fed @ .., _] = made {
            self.tokens.extend(last);
            self.tokens.extend_from_slice(fed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(tokens: usize) -> Kept {
        let table = (0..tokens.div_ceil(PAGE)).map(|page| 7 + page as u32).collect();
        Kept { tokens: (0..tokens as u32).collect(), table }
    }

    #[test]
    fn the_longest_common_beginning_and_its_pages() {
        let begins = |prompt: &[u32]| {
            let Kept { tokens, table } = kept(40).beginning(prompt);
            (tokens.len(), table)
        };
        let prompt: Vec<u32> = (0..60).collect();
        assert_eq!(begins(&prompt), (40, vec![7, 8, 9]));
        assert_eq!(begins(&prompt[..33]), (32, vec![7, 8]), "the last token is always computed");
        assert_eq!(begins(&prompt[..40]), (39, vec![7, 8, 9]));
        assert_eq!(begins(&[0, 1, 2, 90, 4]), (3, vec![7]), "an edited turn");
        assert_eq!(begins(&prompt[1..]), (0, vec![]));
        assert_eq!(begins(&[]), (0, vec![]));
        assert_eq!(begins(&[0]), (0, vec![]));
    }

    #[test]
    fn a_long_text_after_a_few_words_is_computed_as_a_whole() {
        for (kept, new) in [(10, 80), (40, 120), (100, 250), (300, 350), (4_000, 1_000), (30_000, 2)] {
            assert!(is_less(kept, new), "{kept} and {new}");
        }
        for (kept, new) in [(24, 360), (60, 400), (100, 2_000)] {
            assert!(!is_less(kept, new), "{kept} and {new}");
        }
        let mut prompt: Vec<u32> = (0..40).collect();
        prompt.resize(2_000, 7);
        assert_eq!(kept(40).beginning(&prompt), Kept::default());
    }

    #[test]
    fn the_last_token_made_is_not_in_the_cache() {
        let mut of = kept(2);
        of.extend(Some(&2), &[]);
        assert_eq!(of.tokens, [0, 1], "the row had not begun");
        of.extend(Some(&2), &[30]);
        assert_eq!(of.tokens, [0, 1, 2]);
        of.extend(Some(&30), &[40, 50, 60]);
        assert_eq!(of.tokens, [0, 1, 2, 30, 40, 50]);
    }
}
