//! Which examples are learnt, and which are held out to measure what learning does to what was not seen.

use std::collections::HashMap;

use crate::random;
use crate::train::data::{Dataset, Example};
use crate::train::fingerprint::sha256;

/// Fewer examples are all learnt.
pub const LEAST: usize = 10;
/// Most examples that are held out: enough for a loss to two digits.
const MOST: usize = 200;

/// The purpose of the random stream that chooses.
const HELD_OUT_STREAM: u64 = 0x6865_6c64;

/// Examples by their places in the data, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Split {
    /// What is learnt.
    pub learnt: Vec<usize>,
    /// What is not.
    pub held_out: Vec<usize>,
}

impl Split {
    /// Holds out about a share of the examples, at least one and at most `MOST`, chosen by `seed`; none where there are fewer
    /// than [`LEAST`], or where every prompt is so frequent that all its examples would be too many. Examples of the same
    /// prompt stay together, and so do equal texts: what is held out was never seen.
    pub fn new(data: &Dataset, share: f64, seed: u64) -> Self {
        let count = data.examples.len();
        let all = || Self { learnt: (0..count).collect(), held_out: Vec::new() };
        if count < LEAST || share.is_nan() || share <= 0.0 {
            return all();
        }
        let most = ((share * count as f64).round() as usize).clamp(1, MOST.min(count - 1));
        let mut groups: Vec<Vec<usize>> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        for (index, example) in data.examples.iter().enumerate() {
            let place = *places.entry(key(example)).or_insert(groups.len());
            if place == groups.len() {
                groups.push(Vec::new());
            }
            groups[place].push(index);
        }
        let (mut count, mut is_held_out) = (0, vec![false; data.examples.len()]);
        for group in random::permutation(&mut random::stream(seed, &[HELD_OUT_STREAM]), groups.len()) {
            if count + groups[group].len() <= most {
                count += groups[group].len();
                groups[group].iter().for_each(|&index| is_held_out[index] = true);
            }
        }
        let side =
            |held_out: bool| (0..is_held_out.len()).filter(|&index| is_held_out[index] == held_out).collect();
        Self { learnt: side(false), held_out: side(true) }
    }
}

/// The hash of what examples that belong together have in common: the prompt, or where there is none everything.
fn key(example: &Example) -> String {
    let common = match example.prompt {
        0 => example.tokens.len(),
        prompt => prompt.min(example.tokens.len()),
    };
    sha256(bytemuck::cast_slice(&example.tokens[..common]))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    /// Examples with these prompts; 0 is a text, of which the second token is its number.
    fn data(prompts: impl IntoIterator<Item = u32>) -> Dataset {
        let example = |(index, prompt): (usize, u32)| match prompt {
            0 => Example::completion(&[], &[1, index as u32 + 100]),
            prompt => Example::completion(&[1, prompt], &[index as u32 + 100]),
        };
        Dataset { examples: prompts.into_iter().enumerate().map(example).collect(), ..Dataset::default() }
    }

    #[test]
    fn the_share_is_held_to_its_bounds() {
        for (count, share, held_out) in [
            (9, 0.5, 0),
            (10, 0.1, 1),
            (10, 1e-9, 1),
            (48, 0.1, 5),
            (48, 0.0, 0),
            (48, f64::NAN, 0),
            (10, 1.0, 9),
            (5000, 0.1, 200),
        ] {
            let split = Split::new(&data(1..=count), share, 3);
            assert_eq!(split.held_out.len(), held_out, "{share} of {count}");
            assert_eq!(split.learnt.len() + held_out, count as usize);
        }
        // Chosen by the seed, and not the first ones.
        let of = |seed| Split::new(&data(1..=48), 0.1, seed).held_out;
        assert_eq!(of(3), of(3));
        assert_ne!(of(3), of(4));
    }

    #[test]
    fn twins_are_never_parted() {
        // Two prompts only: either side would be too large.
        assert!(Split::new(&data((0..40).map(|index| index % 2 + 1)), 0.1, 0).held_out.is_empty());
        // Equal texts are one; those that only begin alike are not.
        let mut texts = data([0; 20]);
        for index in 10..20 {
            texts.examples[index] = texts.examples[index - 10].clone();
        }
        let split = Split::new(&texts, 0.2, 1);
        assert_eq!(split.held_out.len(), 4);
        assert!(split.held_out[..2].iter().zip(&split.held_out[2..]).all(|(one, twin)| one + 10 == *twin));
    }

    proptest! {
        #[test]
        fn every_example_is_on_one_side_and_every_prompt_too(
            prompts in prop::collection::vec(0u32..12, 0..60), share in 0.0..1.0f64, seed: u64
        ) {
            let data = data(prompts.iter().copied());
            let Split { learnt, held_out } = Split::new(&data, share, seed);
            let mut both = [learnt.clone(), held_out.clone()].concat();
            both.sort_unstable();
            prop_assert_eq!(both, (0..prompts.len()).collect::<Vec<_>>());
            prop_assert!(learnt.is_empty() == prompts.is_empty());
            let of = |side: &[usize]| -> HashSet<u32> {
                side.iter().map(|&index| prompts[index]).filter(|&prompt| prompt != 0).collect()
            };
            prop_assert!(of(&learnt).is_disjoint(&of(&held_out)));
        }
    }
}
