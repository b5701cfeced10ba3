//! The order in which examples are visited, resumable from two numbers.

use serde::{Deserialize, Serialize};

use crate::random;
use crate::{Error, Result};

/// The purpose of the random stream that shuffles.
const SHUFFLE_STREAM: u64 = 0x7368_7566;

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cursor {
    /// Whole passes done.
    pub epoch: u64,
    /// Examples visited in the present pass.
    pub position: usize,
}

/// Visits every example once an epoch, each epoch in its own order.
#[derive(Debug, Clone)]
pub struct Order {
    length: usize,
    shuffle: Option<u64>,
    cursor: Cursor,
    /// Indices in this epoch's order.
    indices: Vec<usize>,
}

impl Order {
    /// The order over `length` examples from `cursor` on: that of the file, or shuffled by a seed.
    ///
    /// Errors: [`Error::Usage`] if there are no examples, or fewer than the cursor has visited.
    pub fn new(length: usize, shuffle: Option<u64>, cursor: Cursor) -> Result<Self> {
        if length == 0 {
            return Err(Error::usage("data", "has no examples", "give at least one"));
        }
        if cursor.position > length {
            return Err(Error::usage(
                "resume",
                format!("{} examples were visited, but the data has {length}", cursor.position),
                "use the data that the run was started with",
            ));
        }
        let mut order = Self { length, shuffle, cursor, indices: Vec::new() };
        order.arrange();
        Ok(order)
    }

    /// Where the next batch begins; store it to resume.
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// Whether every example of the present pass was visited.
    pub fn is_at_end(&self) -> bool {
        self.cursor.position == self.length
    }

    /// The next `size` (at least 1) examples' indices; fewer at the end of an epoch, never none. Then the next epoch begins.
    pub fn next_batch(&mut self, size: usize) -> &[usize] {
        if self.is_at_end() {
            self.cursor = Cursor { epoch: self.cursor.epoch + 1, position: 0 };
            self.arrange();
        }
        let start = self.cursor.position;
        let end = start.saturating_add(size.max(1)).min(self.length);
        self.cursor.position = end;
        &self.indices[start..end]
    }

    fn arrange(&mut self) {
        self.indices = match self.shuffle {
            None => (0..self.length).collect(),
            Some(seed) => random::permutation(
                &mut random::stream(seed, &[SHUFFLE_STREAM, self.cursor.epoch]),
                self.length,
            ),
        };
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn without_a_seed_the_files_order_and_a_short_last_batch() {
        let mut order = Order::new(5, None, Cursor::default()).unwrap();
        assert!(!order.is_at_end());
        assert_eq!(order.next_batch(2), [0, 1]);
        assert_eq!(order.next_batch(2), [2, 3]);
        assert_eq!(order.next_batch(2), [4]);
        assert!(order.is_at_end());
        assert_eq!(order.next_batch(2), [0, 1]);
        assert_eq!(order.cursor(), Cursor { epoch: 1, position: 2 });
        assert_eq!(order.next_batch(usize::MAX), [2, 3, 4]);
        assert_eq!(order.next_batch(0), [0]);
    }

    #[test]
    fn every_epoch_has_its_own_order() {
        let mut order = Order::new(50, Some(3), Cursor::default()).unwrap();
        let first = order.next_batch(50).to_vec();
        let second = order.next_batch(50).to_vec();
        assert_ne!(first, second);
        assert_ne!(first, Order::new(50, Some(4), Cursor::default()).unwrap().next_batch(50));
    }

    #[test]
    fn impossible_cursors_are_usage_errors() {
        assert_eq!(Order::new(0, None, Cursor::default()).unwrap_err().code(), "usage");
        assert_eq!(Order::new(3, None, Cursor { epoch: 0, position: 4 }).unwrap_err().code(), "usage");
    }

    proptest! {
        #[test]
        fn a_resumed_order_goes_on_as_if_never_stopped(
            length in 1usize..40, shuffle: Option<u64>, sizes in prop::collection::vec(1usize..9, 1..30), stop in 0usize..30
        ) {
            let mut whole = Order::new(length, shuffle, Cursor::default()).unwrap();
            let mut resumed = Order::new(length, shuffle, Cursor::default()).unwrap();
            let mut visits = vec![0u64; length];
            for (step, &size) in sizes.iter().enumerate() {
                if step == stop {
                    let text = serde_json::to_string(&resumed.cursor()).unwrap();
                    resumed = Order::new(length, shuffle, serde_json::from_str(&text).unwrap()).unwrap();
                }
                let batch = whole.next_batch(size).to_vec();
                prop_assert!(!batch.is_empty() && batch.len() <= size);
                prop_assert_eq!(resumed.next_batch(size), &batch[..]);
                batch.iter().for_each(|&index| visits[index] += 1);
            }
            let Cursor { epoch, position } = whole.cursor();
            prop_assert!(visits.iter().all(|&n| n == epoch || n == epoch + 1));
            prop_assert_eq!(visits.iter().filter(|&&n| n == epoch + 1).count(), position);
        }
    }
}
