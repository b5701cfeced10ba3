//! What the cache holds when a call ends, for a next one that begins alike: a turn of a conversation computes only what is
//! new. Token ids are compared and nothing else, so that an edited turn or a branch keeps what both begin with.

use crate::kernel::attention::PAGE;

/// A sequence whose keys and values are in the cache.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// Its tokens from position 0 on, as far as their keys and values are there.
    pub(super) tokens: Vec<u32>,
    /// Their pages in order of positions.
    pub(super) table: Vec<u32>,
}

impl Kept {
    /// As much of it as `prompt` begins with. The last token of a prompt never belongs to it: its logits are needed.
    pub(super) fn beginning(mut self, prompt: &[u32]) -> Self {
        let most = prompt.len().saturating_sub(1);
        let common = self.tokens.iter().zip(&prompt[..most]).take_while(|(a, b)| a == b).count();
        self.tokens.truncate(common);
        self.table.truncate(common.div_ceil(PAGE));
        self
    }

    /// Adds what the decode loop fed to the row after it: the prompt's last token, and those it made but for the last,
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
