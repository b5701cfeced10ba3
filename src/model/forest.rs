//! Which neighbouring sequences of a pack share the rows of their common beginning.
//!
//! What a token becomes depends on those before it alone, so sequences that begin alike have equal rows there. A pack holds such
//! rows once: it is a row of trees, each a beginning and what follows it in every sequence of the tree.

use std::ops::Range;

/// The fewest tokens that are shared. The keys of a beginning are read by every row of its tree, one thread of a kernel following
/// them all, which a few rows saved are not worth.
pub const LEAST_SHARED: usize = 16;

/// Neighbouring sequences that begin with the same tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The sequences.
    pub sequences: Range<usize>,
    /// Tokens that all of them begin with and whose rows they share; 0 for a single sequence.
    pub shared: usize,
}

/// Sequences divided into trees that have as few rows as can be.
#[derive(Debug, Clone)]
pub struct Forest<'a> {
    sequences: Vec<&'a [u32]>,
    /// Tokens that each sequence has in common with the one before it.
    common: Vec<usize>,
    /// Of the best division of the sequences up to each: rows that it saves, and its last tree.
    best: Vec<(usize, Tree)>,
    tokens: usize,
    /// The longest sequence that shares rows.
    longest: usize,
}

impl<'a> Forest<'a> {
    /// No sequences yet; of those that come, longer ones than `longest` lie by themselves. What a row sees through a sliding window
    /// is one piece only where its sequence is.
    pub fn new(longest: usize) -> Self {
        Self { sequences: Vec::new(), common: Vec::new(), best: Vec::new(), tokens: 0, longest }
    }

    /// All of `sequences`.
    pub fn of(longest: usize, sequences: impl IntoIterator<Item = &'a [u32]>) -> Self {
        let mut forest = Self::new(longest);
        sequences.into_iter().for_each(|sequence| forest.push(sequence));
        forest
    }

    /// Adds a sequence.
    pub fn push(&mut self, sequence: &'a [u32]) {
        let at = self.sequences.len();
        let shares = |before: &&&[u32]| before.len().max(sequence.len()) <= self.longest;
        let before = self.sequences.last().filter(shares);
        self.common.push(before.map_or(0, |before| common_length(before, sequence)));
        self.sequences.push(sequence);
        self.tokens += sequence.len();
        let saved = |before: usize| if before == 0 { 0 } else { self.best[before - 1].0 };
        let mut best = (saved(at), Tree { sequences: at..at + 1, shared: 0 });
        let mut shared = sequence.len();
        for first in (0..at).rev() {
            shared = shared.min(self.common[first + 1]);
            if shared < LEAST_SHARED {
                break;
            }
            let saves = saved(first) + (at - first) * shared;
            if saves > best.0 {
                best = (saves, Tree { sequences: first..at + 1, shared });
            }
        }
        self.best.push(best);
    }

    /// Rows of the pack.
    pub fn rows(&self) -> usize {
        self.tokens - self.best.last().map_or(0, |best| best.0)
    }

    /// The trees, in the order of the sequences.
    pub fn trees(&self) -> Vec<Tree> {
        let mut trees = Vec::new();
        let mut end = self.best.len();
        while end > 0 {
            let tree = self.best[end - 1].1.clone();
            end = tree.sequences.start;
            trees.push(tree);
        }
        trees.reverse();
        trees
    }
}

/// The most rows of `count` sequences that begin with the same `shared` tokens or fewer and go on with up to `own` each, in a forest
/// where those up to `longest` share rows.
pub fn most_rows(longest: usize, count: usize, shared: usize, own: usize) -> usize {
    if shared + own > longest {
        return count * (shared + own);
    }
    // As many as share nothing may have more rows than more that do.
    count * own + shared.max(count * shared.min(LEAST_SHARED - 1))
}

/// Tokens at the beginning of both `a` and `b`.
pub fn common_length(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A beginning of so many tokens and what follows.
    fn sequence(beginning: u32, shared: usize, own: &[u32]) -> Vec<u32> {
        [vec![beginning; shared].as_slice(), own].concat()
    }

    fn trees(sequences: &[Vec<u32>]) -> (usize, Vec<(Range<usize>, usize)>) {
        let forest = Forest::of(usize::MAX, sequences.iter().map(Vec::as_slice));
        let trees = forest.trees().into_iter().map(|tree| (tree.sequences, tree.shared)).collect();
        (forest.rows(), trees)
    }

    #[test]
    fn answers_share_the_rows_of_their_prompt() {
        let answers: Vec<_> = (0..8).map(|answer| sequence(1, 128, &[100 + answer; 32])).collect();
        assert_eq!(trees(&answers), (128 + 8 * 32, vec![(0..8, 128)]));
        assert_eq!(trees(&[]), (0, vec![]));
        assert_eq!(trees(&answers[..1]), (160, vec![(0..1, 0)]));
        assert_eq!(trees(&vec![sequence(1, 20, &[]); 3]), (20, vec![(0..3, 20)]), "one sequence three times");
    }

    #[test]
    fn what_saves_most_is_shared() {
        let system = [7; 20];
        let with = |prompt: u32, shared: usize, answers: Range<u32>| -> Vec<Vec<u32>> {
            answers.map(|own| [&system[..], &sequence(prompt, shared, &[own; 4])].concat()).collect()
        };
        // Long prompts divide sequences that all begin alike, short ones do not.
        let [a, b] = [with(1, 100, 50..54), with(2, 100, 60..64)];
        assert_eq!(trees(&[a, b].concat()).1, [(0..4, 120), (4..8, 120)]);
        let [a, b] = [with(1, 3, 50..52), with(2, 3, 60..62)];
        assert_eq!(trees(&[a, b].concat()), (20 + 4 * 7, vec![(0..4, 20)]));
    }

    #[test]
    fn no_group_has_more_rows_than_are_planned() {
        for (count, most) in [(1, 40), (3, 16), (8, 128)] {
            let planned = most_rows(usize::MAX, count, most, 5);
            for shared in 0..=most {
                let group: Vec<_> =
                    (0..count).map(|own| sequence(1, shared, &[100 + own as u32; 5])).collect();
                assert!(trees(&group).0 <= planned, "{count} of {shared}, {planned} planned");
            }
        }
        assert_eq!(most_rows(160, 8, 128, 32), 128 + 8 * 32);
        assert_eq!(most_rows(159, 8, 128, 32), 8 * (128 + 32));
    }

    #[test]
    fn long_sequences_lie_by_themselves() {
        let answers = [sequence(1, 20, &[2]), sequence(1, 20, &[3]), sequence(1, 20, &[4; 9])];
        let forest = Forest::of(21, answers.iter().map(Vec::as_slice));
        assert_eq!(forest.rows(), 20 + 2 + 29);
    }

    #[test]
    fn a_few_tokens_are_not_shared() {
        let pair = |shared| [sequence(1, shared, &[2]), sequence(1, shared, &[3, 4])];
        assert_eq!(trees(&pair(LEAST_SHARED - 1)), (33, vec![(0..1, 0), (1..2, 0)]));
        assert_eq!(trees(&pair(LEAST_SHARED)), (19, vec![(0..2, 16)]));
    }
}
