//! The tokens that several prompts begin with, whose keys and values are computed once.

use super::super::forest::common_length;
use crate::kernel::attention::PAGE;

/// The tokens that all of at least two prompts begin with, cut to whole cache pages. The last token of a prompt never
/// belongs to it: the decode loop feeds it.
pub fn common_prefix<'a>(prompts: impl IntoIterator<Item = &'a [u32]>) -> &'a [u32] {
    let mut prompts = prompts.into_iter();
    let (Some(first), Some(second)) = (prompts.next(), prompts.next()) else { return &[] };
    let mut common = first.len().saturating_sub(1);
    for prompt in std::iter::once(second).chain(prompts) {
        let most = common.min(prompt.len().saturating_sub(1));
        common = common_length(&first[..most], prompt);
    }
    &first[..common / PAGE * PAGE]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(prompts: &[Vec<u32>]) -> usize {
        common_prefix(prompts.iter().map(Vec::as_slice)).len()
    }

    #[test]
    fn whole_pages_that_all_prompts_begin_with() {
        let prompt = |shared: usize, own: u32| -> Vec<u32> {
            (0..shared).map(|i| i as u32).chain([1000 + own, 5]).collect()
        };
        for (shared, want) in [(0, 0), (15, 0), (16, 16), (31, 16), (32, 32), (40, 32)] {
            assert_eq!(of(&[prompt(shared, 0), prompt(shared, 1), prompt(shared, 2)]), want, "{shared}");
        }
        assert_eq!(of(&[prompt(40, 0)]), 0, "one prompt has its own pages");
        assert_eq!(of(&[]), 0);
        assert_eq!(of(&[prompt(40, 0), prompt(20, 1)]), 16);
        assert_eq!(of(&[prompt(40, 0), vec![7]]), 0);
    }

    #[test]
    fn the_last_token_is_left_for_the_decode_loop() {
        for (len, want) in [(1, 0), (16, 0), (17, 16), (32, 16), (33, 32)] {
            assert_eq!(of(&[vec![3; len], vec![3; len], vec![3; 60]]), want, "{len}");
        }
    }
}
