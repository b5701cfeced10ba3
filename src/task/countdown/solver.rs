//! Whether a target can be reached: dynamic programming over subsets of the numbers.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};

use crate::task::rational::Rational;

/// Pairs of partial results that are combined before the search gives up.
const MAX_PAIRS: usize = 2_000_000;

/// The outcome of the search.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Solvable {
    /// With a solution.
    Yes(String),
    No,
    /// The work limit was reached.
    Unknown,
}

/// How a value of a subset is made: a number, or two values of disjoint subsets and an operator.
#[derive(Clone, Copy)]
enum Origin {
    Number(u32),
    Combination { left: (usize, Rational), operator: char, right: (usize, Rational) },
}

/// The values of a subset with one way to make each. The hasher has no random seed, so that a search can be repeated.
type Values = HashMap<Rational, Origin, BuildHasherDefault<DefaultHasher>>;
/// The values of each subset, by bit mask.
type Table = Vec<Values>;

/// Searches expressions over `numbers` (all of them, or any) for `target`.
pub(super) fn solve(numbers: &[u32], target: u32, use_all: bool) -> Solvable {
    let full = (1usize << numbers.len()) - 1;
    let target = Rational::integer(target);
    let mut table: Table = vec![Values::default(); full + 1];
    let mut pairs = 0;
    // In order of the number of elements, so that parts come before wholes and short solutions first.
    let mut masks: Vec<usize> = (1..=full).collect();
    masks.sort_by_key(|mask| mask.count_ones());
    for mask in masks {
        let mut values = Values::default();
        if mask.count_ones() == 1 {
            let number = numbers[mask.trailing_zeros() as usize];
            values.insert(Rational::integer(number), Origin::Number(number));
        }
        let counts = mask == full || !use_all;
        let mut left_mask = (mask - 1) & mask;
        while left_mask > 0 {
            let right_mask = mask ^ left_mask;
            // Each split once; the operators below are applied in both orders.
            if left_mask > right_mask {
                for &left in table[left_mask].keys() {
                    for &right in table[right_mask].keys() {
                        pairs += 1;
                        if pairs > MAX_PAIRS {
                            return Solvable::Unknown;
                        }
                        let (l, r) = ((left_mask, left), (right_mask, right));
                        for (left, operator, right) in
                            [(l, '+', r), (l, '*', r), (l, '-', r), (r, '-', l), (l, '/', r), (r, '/', l)]
                        {
                            let Some(value) = left.1.apply(operator, right.1) else { continue };
                            // The last subset is only asked for the target.
                            if mask != full || value == target {
                                values.entry(value).or_insert(Origin::Combination { left, operator, right });
                            }
                        }
                    }
                }
            }
            left_mask = (left_mask - 1) & mask;
        }
        table[mask] = values;
        if counts && table[mask].contains_key(&target) {
            return Solvable::Yes(write(&table, mask, target));
        }
    }
    Solvable::No
}

/// The expression behind a value; its depth is at most the number of numbers.
fn write(table: &Table, mask: usize, value: Rational) -> String {
    match table[mask].get(&value) {
        Some(&Origin::Number(number)) => number.to_string(),
        Some(&Origin::Combination { left, operator, right }) => {
            let part = |(mask, value): (usize, Rational)| {
                let text = write(table, mask, value);
                if mask.count_ones() > 1 { format!("({text})") } else { text }
            };
            format!("{}{operator}{}", part(left), part(right))
        }
        None => String::new(),
    }
}
