//! Autotune: which tile of a kernel this adapter runs fastest. A few seconds, once for each adapter and weight format.

use std::collections::BTreeMap;

use super::measure::Work;
use super::shape::{random_values, random_weight};
use crate::gpu::{Buffer, Gpu, Recorder};
use crate::kernel::product::{self, Product, ROW_CLASSES};
use crate::kernel::weight::{Format, Weight};
use crate::{Error, Result};

/// Sides of the measured products: those of SmolLM2-135M's attention, small enough for any adapter; and for many rows on a GPU
/// enough for all of its cores.
const SIDES: [usize; 2] = [576, 2_048];

/// Another tile must be this much faster than the default to replace it, so that noise changes nothing.
const MARGIN: f64 = 0.9;

/// Measurements of each tile.
const ROUNDS: usize = 3;

/// A product to tune: which, the weights' format, the rows.
type Tuned = (Product, Format, usize);

/// What [`tune`] chooses for weights of these formats, by name.
fn choices(gpu: &Gpu, formats: &[Format]) -> Vec<(String, Tuned)> {
    let products = [Product::Forward, Product::BackwardX];
    let rows = |(product, format)| ROW_CLASSES.map(|m| (product, format, m));
    let all = formats.iter().flat_map(|&format| products.map(|product| (product, format))).flat_map(rows);
    all.map(|(product, format, m)| (product::choice_key(gpu, product, format, m), (product, format, m)))
        .collect()
}

/// Names of what would have to be measured.
pub fn missing(gpu: &Gpu, formats: &[Format], known: &BTreeMap<String, usize>) -> Vec<String> {
    let all = choices(gpu, formats).into_iter().map(|(key, _)| key);
    all.filter(|key| !known.contains_key(key)).collect()
}

/// Chooses the tiles of the products with weights of these formats. What `known` has is taken from there; what had
/// to be measured is added to it.
pub async fn tune(gpu: &Gpu, formats: &[Format], known: &mut BTreeMap<String, usize>) -> Result<()> {
    for (key, (product, format, m)) in choices(gpu, formats) {
        let index = match known.get(&key) {
            Some(&index) => index,
            None => fastest(gpu, product, format, m, &key).await?,
        };
        gpu.choose(&key, index);
        known.insert(key, index);
    }
    Ok(())
}

/// How far a tile's numbers may be from the default's, over their RMS: what products in f16 are off, with room for both to be
/// (see `Policy::f16_products` of the tests). A tile that mixes up its numbers is off by about 1.
const AGREE: f64 = 0.01;

/// Whether two results differ by rounding at most.
fn agree(got: &[f32], want: &[f32]) -> bool {
    let square: f64 = want.iter().map(|&want| f64::from(want).powi(2)).sum();
    let bound = AGREE * (square / want.len() as f64).sqrt();
    got.len() == want.len()
        && got.iter().zip(want).all(|(&got, &want)| (f64::from(got) - f64::from(want)).abs() <= bound)
}

/// Alternates between the tiles and compares their best times: noise only ever adds to a time. A tile that does not run on
/// this adapter or gives other numbers than the default is left out: some use features that are experimental.
async fn fastest(gpu: &Gpu, product: Product, format: Format, m: usize, key: &str) -> Result<usize> {
    let side = SIDES[usize::from(!gpu.is_software() && m > 32)];
    let weight = random_weight(gpu, "tune.w", format, side, side)?;
    let x = gpu.upload("tune.x", &[m, side], &random_values(m * side, 1))?;
    let y = gpu.buffer("tune.y", &[m, side])?;
    let (mut works, mut want) = (Vec::new(), Vec::new());
    for index in 0..product::choices(gpu, product, m) {
        gpu.choose(key, index);
        match tried(gpu, product, &weight, &x, &y).await {
            Ok((work, got)) if index == 0 || agree(&got, &want) => {
                if index == 0 {
                    want = got;
                }
                works.push((index, work));
            }
            Ok(_) => {
                tracing::warn!("{key}: tile {index} gives other numbers than the default on this adapter")
            }
            Err(error) if index == 0 || matches!(error, Error::DeviceLost(_)) => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "{key}: tile {index} does not run on this adapter");
                // What else came of it.
                let _ = gpu.check();
            }
        }
    }
    for _ in 0..ROUNDS {
        for (_, work) in &mut works {
            work.sample(gpu).await?;
        }
    }
    let times: Vec<(usize, f64)> = works.iter().map(|(index, work)| (*index, work.best())).collect();
    let mut best = times[0];
    for &(index, time) in &times {
        if time < best.1 && time < MARGIN * times[0].1 {
            best = (index, time);
        }
    }
    Ok(best.0)
}

/// A product by the tile that is chosen, ready to be timed, and its numbers.
async fn tried(
    gpu: &Gpu,
    product: Product,
    weight: &Weight,
    x: &Buffer,
    y: &Buffer,
) -> Result<(Work, Vec<f32>)> {
    // What is not written shows.
    gpu.write(y, 0, &vec![f32::NAN; y.len()])?;
    let mut rec = Recorder::new(gpu);
    match product {
        Product::Forward => product::forward(&mut rec, weight, x, y, None, false)?,
        Product::BackwardX => product::backward_x(&mut rec, weight, x, y, None, false)?,
    }
    let mut work = Work::new(rec, y)?;
    work.calibrate(gpu, 0.01).await?;
    let got = gpu.read(y).await?;
    Ok((work, got))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_numbers_agree() {
        let want: Vec<f32> = random_values(1_000, 0);
        let off = |share: f32| -> Vec<f32> { want.iter().map(|value| value + share * 0.577).collect() };
        assert!(agree(&want, &want) && agree(&off(0.008), &want));
        assert!(!agree(&off(0.012), &want));
        assert!(!agree(&want[1..], &want));
        let mut one = want.clone();
        one[999] = f32::NAN;
        assert!(!agree(&one, &want));
        one[999] = -want[999] + 0.1;
        assert!(!agree(&one, &want));
    }
}
