//! Adapters of several lessons as one: the rivals that learn each lesson alone and merge what came of it.

use nalgebra::DMatrix;

use crate::train::peft::{AdapterFile, LoraPair};

/// Share of a change's entries that TIES keeps, the largest (its default, arXiv 2306.01708, section 4).
const DENSITY: f64 = 0.2;

/// What SLAO (arXiv 2512.23017, algorithm 1) learns the next lesson from: A becomes Q^T of A^T = Q R, orthonormal rows of the same
/// span, and B stays.
pub fn slao_start(tuned: &AdapterFile) -> AdapterFile {
    let tensors = tuned.tensors.iter().map(|(&key, pair)| {
        let rank = tuned.config.rank_of(key.0, key.1);
        let inputs = pair.a.len() / rank;
        let q =
            DMatrix::from_fn(inputs, rank, |row, column| f64::from(pair.a[column * inputs + row])).qr().q();
        let a = (0..rank).flat_map(|row| (0..inputs).map(move |input| (row, input)));
        let a = a.map(|(row, input)| q[(input, row)] as f32).collect();
        (key, LoraPair { a, b: pair.b.clone() })
    });
    AdapterFile { config: tuned.config.clone(), tensors: tensors.collect() }
}

/// SLAO's merge after lesson `number`, from 1: A is the newest, B moves by 1/sqrt(number) of the way to the newest.
pub fn slao(merged: Option<&AdapterFile>, tuned: &AdapterFile, number: usize) -> AdapterFile {
    let step = 1.0 / (number.max(1) as f64).sqrt();
    let tensors = tuned.tensors.iter().map(|(&key, new)| {
        let b = match merged.and_then(|merged| merged.tensors.get(&key)) {
            Some(old) => old
                .b
                .iter()
                .zip(&new.b)
                .map(|(&old, &new)| (f64::from(old) + step * (f64::from(new) - f64::from(old))) as f32)
                .collect(),
            None => new.b.clone(),
        };
        (key, LoraPair { a: new.a.clone(), b })
    });
    AdapterFile { config: tuned.config.clone(), tensors: tensors.collect() }
}

/// TIES (arXiv 2306.01708) over the changes of the weights: of each change the largest fifth stays, an entry takes the sign that
/// weighs more, and becomes the mean of the changes that have it. What comes of it is cut to the adapters' rank by its singular
/// values.
pub fn ties(adapters: &[AdapterFile]) -> Option<AdapterFile> {
    let first = adapters.first()?;
    let tensors = first.tensors.keys().map(|&key| {
        let rank = first.config.rank_of(key.0, key.1);
        let changes: Vec<DMatrix<f64>> = adapters
            .iter()
            .filter_map(|adapter| adapter.tensors.get(&key))
            .map(|pair| trim(change(pair, rank)))
            .collect();
        let (rows, columns) = changes[0].shape();
        let merged = DMatrix::from_fn(rows, columns, |row, column| {
            let entries = changes.iter().map(|change| change[(row, column)]);
            let sign = entries.clone().sum::<f64>();
            let (sum, count) = entries
                .filter(|entry| entry * sign > 0.0)
                .fold((0.0, 0), |(sum, count), entry| (sum + entry, count + 1));
            sum / f64::from(count.max(1))
        });
        (key, cut(&merged, rank))
    });
    Some(AdapterFile { config: first.config.clone(), tensors: tensors.collect() })
}

/// B A, `[out, in]`.
fn change(pair: &LoraPair, rank: usize) -> DMatrix<f64> {
    let (inputs, outputs) = (pair.a.len() / rank, pair.b.len() / rank);
    let a = DMatrix::from_fn(rank, inputs, |row, column| f64::from(pair.a[row * inputs + column]));
    let b = DMatrix::from_fn(outputs, rank, |row, column| f64::from(pair.b[row * rank + column]));
    b * a
}

fn trim(mut change: DMatrix<f64>) -> DMatrix<f64> {
    let mut sizes: Vec<f64> = change.iter().map(|entry| entry.abs()).collect();
    let kept = ((sizes.len() as f64 * DENSITY) as usize).max(1);
    let place = sizes.len() - kept;
    let (_, &mut least, _) = sizes.select_nth_unstable_by(place, f64::total_cmp);
    change.iter_mut().filter(|entry| entry.abs() < least).for_each(|entry| *entry = 0.0);
    change
}

/// The best approximation of a rank (Eckart and Young 1936), from the eigenvectors of M^T M or M M^T, whichever is smaller.
fn cut(matrix: &DMatrix<f64>, rank: usize) -> LoraPair {
    let (outputs, inputs) = matrix.shape();
    let wide = inputs >= outputs;
    let square = if wide { matrix * matrix.transpose() } else { matrix.transpose() * matrix };
    let eigen = square.symmetric_eigen();
    let mut order: Vec<usize> = (0..eigen.eigenvalues.len()).collect();
    order.sort_by(|&one, &other| eigen.eigenvalues[other].total_cmp(&eigen.eigenvalues[one]));
    let mut pair = LoraPair { a: vec![0.0; rank * inputs], b: vec![0.0; outputs * rank] };
    for (column, &place) in order.iter().take(rank).enumerate() {
        let vector = eigen.eigenvectors.column(place);
        // One factor is the singular vector, the other the matrix applied to it, which holds the singular value.
        let (left, right) = if wide {
            (vector.into_owned(), matrix.transpose() * vector)
        } else {
            (matrix * vector, vector.into_owned())
        };
        (0..inputs).for_each(|input| pair.a[column * inputs + input] = right[input] as f32);
        (0..outputs).for_each(|output| pair.b[output * rank + column] = left[output] as f32);
    }
    pair
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::random::{stream, uniform};
    use crate::train::lora_config::{LoraConfig, Module};

    fn adapter(seed: u64) -> AdapterFile {
        let config =
            LoraConfig { rank: 3, targets: [Module::Q, Module::Down].into(), ..LoraConfig::default() };
        let shape = |module| if module == Module::Q { (12, 20) } else { (20, 12) };
        let mut file =
            AdapterFile::init(config, &|layer, module| (layer < 1).then(|| shape(module)), seed).unwrap();
        let mut rng = stream(seed, &[9]);
        for b in file.tensors.values_mut().flat_map(|pair| &mut pair.b) {
            *b = (uniform(&mut rng) - 0.5) as f32;
        }
        file
    }

    fn distance(one: &DMatrix<f64>, other: &DMatrix<f64>) -> f64 {
        (one - other).norm() / one.norm()
    }

    #[test]
    fn slao_starts_from_orthonormal_rows_of_the_same_span() {
        let tuned = adapter(1);
        for (key, pair) in slao_start(&tuned).tensors {
            let inputs = pair.a.len() / 3;
            let rows =
                |pair: &LoraPair| DMatrix::from_fn(3, inputs, |r, c| f64::from(pair.a[r * inputs + c]));
            let (new, old) = (rows(&pair), rows(&tuned.tensors[&key]));
            assert!((&new * new.transpose() - DMatrix::identity(3, 3)).norm() < 1e-6);
            // Projecting the old rows on the new ones changes nothing.
            assert!(distance(&old, &(&old * new.transpose() * &new)) < 1e-6);
            assert_eq!(pair.b, tuned.tensors[&key].b);
        }
    }

    #[test]
    fn slao_moves_b_by_one_over_the_root() {
        let (old, new) = (adapter(1), adapter(2));
        assert_eq!(slao(None, &new, 1), new);
        let merged = slao(Some(&old), &new, 4);
        for (key, pair) in &merged.tensors {
            assert_eq!(pair.a, new.tensors[key].a);
            let half = old.tensors[key].b.iter().zip(&new.tensors[key].b).map(|(a, b)| 0.5 * (a + b));
            assert!(pair.b.iter().zip(half).all(|(a, b)| (a - b).abs() < 1e-6));
        }
    }

    #[test]
    fn a_matrix_of_the_rank_is_cut_to_itself() {
        for pair in adapter(5).tensors.values() {
            let whole = change(pair, 3);
            assert!(distance(&whole, &change(&cut(&whole, 3), 3)) < 1e-6);
        }
    }

    /// By hand, from the paper's figure 1: the sign that weighs more wins, and its holders are averaged.
    #[test]
    fn ties_by_hand() {
        let config = LoraConfig { rank: 1, targets: [Module::Q].into(), ..LoraConfig::default() };
        let with = |a: [f32; 5]| {
            let mut file =
                AdapterFile::init(config.clone(), &|layer, _| (layer < 1).then_some((1, 5)), 0).unwrap();
            file.tensors.values_mut().for_each(|pair| *pair = LoraPair { a: a.to_vec(), b: vec![1.0] });
            file
        };
        // A fifth of five entries is the largest of each.
        let merged = ties(&[
            with([9.0, 1.0, 1.0, 0.0, 0.0]),
            with([-4.0, 1.0, 0.0, 0.0, 1.0]),
            with([5.0, 4.0, 0.0, 0.0, 1.0]),
        ]);
        let pair = merged.unwrap().tensors.into_values().next().unwrap();
        let whole = change(&pair, 1);
        let expected = DMatrix::from_row_slice(1, 5, &[7.0, 0.0, 0.0, 0.0, 0.0]);
        assert!(distance(&expected, &whole) < 1e-6, "{whole}");
        assert!(ties(&[]).is_none());
    }
}
