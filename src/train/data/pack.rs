//! Packing: sequences of any length side by side in one buffer, without padding.

use std::ops::Range;

use super::encode::Example;
use crate::{Error, Result};

/// Sequences laid end to end. Row t holds a token and predicts the one after it in the same sequence.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PackedBatch {
    /// Tokens of all sequences, `[total]`.
    pub tokens: Vec<u32>,
    /// Where each sequence begins, and the total at the end, `[sequences + 1]`.
    pub offsets: Vec<u32>,
    /// 1 where row t's prediction of `tokens[t + 1]` is scored, else 0, `[total]`; 0 on each sequence's last row.
    pub weights: Vec<f32>,
    /// Which example each sequence is, `[sequences]`.
    pub examples: Vec<usize>,
}

impl PackedBatch {
    /// Number of sequences.
    pub fn sequences(&self) -> usize {
        self.examples.len()
    }

    /// Position of each row in its sequence, `[total]`.
    pub fn positions(&self) -> Vec<u32> {
        self.offsets.windows(2).flat_map(|pair| 0..pair[1] - pair[0]).collect()
    }

    /// The scored rows in order, `[scored]`: the loss's log-probabilities and coefficients follow this order.
    pub fn scored_rows(&self) -> Vec<u32> {
        (0u32..).zip(&self.weights).filter(|&(_, &weight)| weight != 0.0).map(|(row, _)| row).collect()
    }

    /// The token that each scored row predicts, `[scored]`.
    pub fn targets(&self) -> Vec<u32> {
        self.scored_rows().into_iter().map(|row| self.tokens[row as usize + 1]).collect()
    }

    /// For each sequence its part of [`scored_rows`](Self::scored_rows), `[sequences]`.
    pub fn scored_ranges(&self) -> Vec<Range<usize>> {
        let mut end = 0;
        let count = |pair: &[u32]| {
            let start = end;
            let rows = &self.weights[pair[0] as usize..pair[1] as usize];
            end += rows.iter().filter(|&&weight| weight != 0.0).count();
            start..end
        };
        self.offsets.windows(2).map(count).collect()
    }

    fn push(&mut self, index: usize, example: &Example) {
        if self.offsets.is_empty() {
            self.offsets.push(0);
        }
        self.tokens.extend_from_slice(&example.tokens);
        self.weights.extend(example.scored.iter().skip(1).map(|&scored| f32::from(u8::from(scored))));
        self.weights.resize(self.tokens.len(), 0.0);
        // Fits: `pack` holds the budget to u32.
        self.offsets.push(self.tokens.len() as u32);
        self.examples.push(index);
    }
}

/// Packs all `examples`, longest first, each into the first batch that has room for it (first-fit decreasing, at most
/// 11/9 of the best possible number of batches). The order inside an optimizer step means nothing to its gradient.
/// Sequences without tokens are left out.
///
/// Errors: [`Error::Usage`] if an example is longer than `token_budget`.
pub fn pack(examples: &[&Example], token_budget: usize) -> Result<Vec<PackedBatch>> {
    let token_budget = token_budget.min(u32::MAX as usize);
    let mut order: Vec<usize> =
        (0..examples.len()).filter(|&index| !examples[index].tokens.is_empty()).collect();
    order.sort_by_key(|&index| (std::cmp::Reverse(examples[index].tokens.len()), index));
    let mut batches: Vec<PackedBatch> = Vec::new();
    for index in order {
        let length = examples[index].tokens.len();
        if length > token_budget {
            return Err(Error::usage(
                "max_length",
                format!("a sequence has {length} tokens, but a pass holds {token_budget}"),
                "use a smaller number, or a larger budget of tokens per pass",
            ));
        }
        let room = batches.iter().position(|batch| batch.tokens.len() + length <= token_budget);
        let room = room.unwrap_or_else(|| {
            batches.push(PackedBatch::default());
            batches.len() - 1
        });
        batches[room].push(index, examples[index]);
    }
    Ok(batches)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rows_predict_the_next_token_of_their_sequence() {
        let (a, b) = (Example::completion(&[10, 11], &[12, 13]), Example::completion(&[20], &[21]));
        let batches = pack(&[&b, &a], 6).unwrap();
        let expected = PackedBatch {
            tokens: vec![10, 11, 12, 13, 20, 21],
            offsets: vec![0, 4, 6],
            weights: vec![0.0, 1.0, 1.0, 0.0, 1.0, 0.0],
            examples: vec![1, 0],
        };
        assert_eq!(batches, [expected]);
        let batch = &batches[0];
        assert_eq!(batch.positions(), [0, 1, 2, 3, 0, 1]);
        assert_eq!(batch.scored_rows(), [1, 2, 4]);
        assert_eq!(batch.targets(), [12, 13, 21]);
        assert_eq!(batch.scored_ranges(), [0..2, 2..3]);
        assert_eq!(batch.sequences(), 2);
    }

    #[test]
    fn fills_batches_longest_first() {
        let of = |length: u32| Example::completion(&[], &(0..length).collect::<Vec<_>>());
        let examples = [of(3), of(7), of(5), of(0), of(3), of(2)];
        let batches = pack(&examples.iter().collect::<Vec<_>>(), 10).unwrap();
        let ids: Vec<_> = batches.iter().map(|batch| batch.examples.clone()).collect();
        assert_eq!(ids, [vec![1, 0], vec![2, 4, 5]]);
        assert!(pack(&[], 10).unwrap().is_empty());
    }

    #[test]
    fn too_long_a_sequence_is_a_usage_error() {
        let error = pack(&[&Example::completion(&[1, 2], &[3])], 2).unwrap_err();
        assert_eq!(error.code(), "usage");
        assert!(error.to_string().contains("3 tokens"), "{error}");
    }

    proptest! {
        #[test]
        fn every_example_is_packed_once_and_whole(
            shapes in prop::collection::vec((0usize..12, 0usize..12), 0..30), budget in 24usize..60
        ) {
            let mut next = 0u32..;
            let mut draw = |n: usize| next.by_ref().take(n).collect::<Vec<_>>();
            let examples: Vec<_> = shapes.iter().map(|&(p, c)| Example::completion(&draw(p), &draw(c))).collect();
            let batches = pack(&examples.iter().collect::<Vec<_>>(), budget).unwrap();
            let mut seen = vec![0; examples.len()];
            for batch in &batches {
                prop_assert!(batch.tokens.len() <= budget && batch.weights.len() == batch.tokens.len());
                prop_assert_eq!(batch.positions().len(), batch.tokens.len());
                let (rows, targets, ranges) = (batch.scored_rows(), batch.targets(), batch.scored_ranges());
                for (sequence, &id) in batch.examples.iter().enumerate() {
                    seen[id] += 1;
                    let (start, end) = (batch.offsets[sequence], batch.offsets[sequence + 1]);
                    prop_assert_eq!(&batch.tokens[start as usize..end as usize], &examples[id].tokens[..]);
                    prop_assert!(rows[ranges[sequence].clone()].iter().all(|&row| start <= row && row + 1 < end));
                    let scored = examples[id].tokens.iter().zip(&examples[id].scored).filter(|(_, s)| **s);
                    let scored: Vec<u32> = scored.map(|(token, _)| *token).collect();
                    prop_assert_eq!(&targets[ranges[sequence].clone()], &scored[..]);
                }
            }
            for (example, seen) in examples.iter().zip(seen) {
                prop_assert_eq!(seen, usize::from(!example.tokens.is_empty()));
            }
        }
    }
}
