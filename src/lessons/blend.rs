//! A share of an update, exactly: (1 - s) times the head before it plus s times the head after it, as one adapter of the
//! same rank.

use nalgebra::DMatrix;

use crate::train::peft::{AdapterFile, LoraPair};

/// Squared singular values below this share of the largest are rounding.
const NOTHING: f64 = 1e-14;

/// The adapter that changes the weights by (1 - s) B0 A0 + s B1 A1, with the adapters' common scale; and the largest share of a
/// module's change (of its squared Frobenius norm) that the rank could not hold. Where the old head is none or does nothing the
/// blend is exact. Else both are stacked, B = [(1 - s) B0, s B1] and A = [A0; A1], orthogonalised by QR and cut to the rank by the
/// singular values of R_B R_A^T, which loses the least (Eckart and Young 1936).
pub fn blend(old: Option<&AdapterFile>, new: &AdapterFile, share: f64) -> (AdapterFile, f64) {
    let mut lost = 0.0_f64;
    let tensors = new.tensors.iter().map(|(&key, pair)| {
        let before =
            old.and_then(|old| old.tensors.get(&key)).filter(|before| before.b.iter().any(|&b| b != 0.0));
        let rank = new.config.rank_of(key.0, key.1);
        let blended = match before {
            None => LoraPair {
                a: pair.a.clone(),
                b: pair.b.iter().map(|&b| (f64::from(b) * share) as f32).collect(),
            },
            Some(before) => {
                let (pair, loss) = fold(before, pair, rank, share);
                lost = lost.max(loss);
                pair
            }
        };
        (key, blended)
    });
    (AdapterFile { config: new.config.clone(), tensors: tensors.collect() }, lost)
}

fn fold(old: &LoraPair, new: &LoraPair, rank: usize, share: f64) -> (LoraPair, f64) {
    let (inputs, outputs) = (new.a.len() / rank, new.b.len() / rank);
    let old_rank = old.a.len() / inputs;
    // Columns of A^T and of B, the old before the new.
    let a = DMatrix::from_fn(inputs, old_rank + rank, |row, column| match column.checked_sub(old_rank) {
        None => f64::from(old.a[column * inputs + row]),
        Some(column) => f64::from(new.a[column * inputs + row]),
    });
    let b = DMatrix::from_fn(outputs, old_rank + rank, |row, column| match column.checked_sub(old_rank) {
        None => (1.0 - share) * f64::from(old.b[row * old_rank + column]),
        Some(column) => share * f64::from(new.b[row * rank + column]),
    });
    let (a, b) = (a.qr(), b.qr());
    let core = b.r() * a.r().transpose();
    // Singular vectors by the symmetric problem: half of the digits of f64 are more than an f32 holds.
    let eigen = (&core * core.transpose()).symmetric_eigen();
    let square = |place: usize| eigen.eigenvalues[place].max(0.0);
    let mut order: Vec<usize> = (0..eigen.eigenvalues.len()).collect();
    order.sort_by(|&one, &other| square(other).total_cmp(&square(one)));
    let largest = order.first().map_or(0.0, |&place| square(place));
    let kept = &order[..rank.min(order.len())];
    let all: f64 = order.iter().map(|&place| square(place)).sum();
    let lost =
        order[kept.len()..].iter().map(|&place| square(place)).sum::<f64>() / all.max(f64::MIN_POSITIVE);
    // U^T (R_B R_A^T) Q_A^T = S V^T.
    let (left, right) =
        (b.q() * &eigen.eigenvectors, eigen.eigenvectors.transpose() * core * a.q().transpose());
    let mut pair = LoraPair { a: vec![0.0; rank * inputs], b: vec![0.0; outputs * rank] };
    for (column, &place) in kept.iter().enumerate().filter(|&(_, &place)| square(place) > NOTHING * largest) {
        // Half of each singular value on either side keeps the two factors alike in size.
        let root = square(place).sqrt().sqrt();
        for input in 0..inputs {
            pair.a[column * inputs + input] = (right[(place, input)] / root) as f32;
        }
        for output in 0..outputs {
            pair.b[output * rank + column] = (root * left[(output, place)]) as f32;
        }
    }
    (pair, lost)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::random::{stream, uniform};
    use crate::train::lora_config::{LoraConfig, Module};

    const SHAPE: (usize, usize) = (12, 20);

    fn adapter(seed: u64, rank: usize) -> AdapterFile {
        let config = LoraConfig { rank, targets: [Module::Q, Module::Down].into(), ..LoraConfig::default() };
        let mut file = AdapterFile::init(config, &|layer, _| (layer < 2).then_some(SHAPE), seed).unwrap();
        let mut rng = stream(seed, &[9]);
        for b in file.tensors.values_mut().flat_map(|pair| &mut pair.b) {
            *b = (uniform(&mut rng) - 0.5) as f32;
        }
        file
    }

    fn change(pair: &LoraPair, rank: usize) -> Vec<f64> {
        let (outputs, inputs) = SHAPE;
        let entry = |o: usize, i: usize| {
            (0..rank).map(|k| f64::from(pair.b[o * rank + k]) * f64::from(pair.a[k * inputs + i])).sum()
        };
        (0..outputs).flat_map(|o| (0..inputs).map(move |i| (o, i))).map(|(o, i)| entry(o, i)).collect()
    }

    fn distance(one: &[f64], other: &[f64]) -> f64 {
        one.iter().zip(other).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
    }

    #[test]
    fn a_share_of_the_first_lesson_is_exact() {
        let new = adapter(1, 3);
        for old in [
            None,
            Some(AdapterFile::init(new.config.clone(), &|layer, _| (layer < 2).then_some(SHAPE), 5).unwrap()),
        ] {
            let (half, lost) = blend(old.as_ref(), &new, 0.5);
            assert_eq!(lost, 0.0);
            for (key, pair) in &half.tensors {
                let whole: Vec<f64> = change(&new.tensors[key], 3).iter().map(|x| 0.5 * x).collect();
                assert!(distance(&whole, &change(pair, 3)) < 1e-6);
            }
        }
    }

    #[test]
    fn what_the_rank_cannot_hold_is_told() {
        let (old, new) = (adapter(1, 3), adapter(2, 3));
        let (blended, lost) = blend(Some(&old), &new, 0.3);
        let mut worst = 0.0_f64;
        for (key, pair) in &blended.tensors {
            let (before, after) = (change(&old.tensors[key], 3), change(&new.tensors[key], 3));
            let exact: Vec<f64> = before.iter().zip(&after).map(|(b, a)| 0.7 * b + 0.3 * a).collect();
            let zero = vec![0.0; exact.len()];
            worst = worst.max((distance(&exact, &change(pair, 3)) / distance(&exact, &zero)).powi(2));
        }
        assert!(lost > 0.0 && (worst - lost).abs() < 1e-6, "{worst} {lost}");
    }

    /// A head that the next one was trained on from shares most of it: ends of the line come back as they are.
    #[test]
    fn the_ends_are_the_heads() {
        let (old, new) = (adapter(1, 3), adapter(2, 3));
        for (share, end) in [(0.0, &old), (1.0, &new)] {
            let (blended, lost) = blend(Some(&old), &new, share);
            assert!(lost < 1e-12);
            for (key, pair) in &blended.tensors {
                let distance = distance(&change(&end.tensors[key], 3), &change(pair, 3));
                assert!(distance < 1e-5, "{share} {distance}");
            }
        }
    }
}
