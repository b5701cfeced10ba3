//! Autotune: which tile of a kernel this adapter runs fastest. A few seconds, once for each adapter and weight format.

use std::collections::BTreeMap;

use super::measure::Work;
use crate::Result;
use crate::gpu::{Gpu, Recorder};
use crate::kernel::matmul::{self, Product, ROW_CLASSES};
use crate::kernel::weight::{Format, Weight};

/// Sides of the measured products: those of SmolLM2-135M's attention, small enough for any adapter.
const SIDE: usize = 576;

/// Another tile must be this much faster than the default to replace it, so that noise changes nothing.
const MARGIN: f64 = 0.9;

/// Measurements of each tile.
const ROUNDS: usize = 3;

/// Chooses the tiles of the products with weights of these formats. What `known` has is taken from there; what had
/// to be measured is added to it.
pub async fn tune(gpu: &Gpu, formats: &[Format], known: &mut BTreeMap<String, usize>) -> Result<()> {
    for &format in formats {
        for product in [Product::Forward, Product::BackwardX] {
            for m in ROW_CLASSES {
                let key = matmul::choice_key(gpu, product, format, m);
                let index = match known.get(&key) {
                    Some(&index) => index,
                    None => fastest(gpu, product, format, m, &key).await?,
                };
                gpu.choose(&key, index);
                known.insert(key, index);
            }
        }
    }
    Ok(())
}

/// Alternates between the tiles and compares their best times: noise only ever adds to a time.
async fn fastest(gpu: &Gpu, product: Product, format: Format, m: usize, key: &str) -> Result<usize> {
    let weight = Weight::new(gpu, "tune.w", format, SIDE, SIDE)?;
    let (x, y) = (gpu.buffer("tune.x", &[m, SIDE])?, gpu.buffer("tune.y", &[m, SIDE])?);
    let mut works = Vec::new();
    for index in 0..matmul::choices(gpu, product, m) {
        gpu.choose(key, index);
        let mut rec = Recorder::new(gpu);
        match product {
            Product::Forward => matmul::forward(&mut rec, &weight, &x, &y, None, false)?,
            Product::BackwardX => matmul::backward_x(&mut rec, &weight, &x, &y, None, false)?,
        }
        let mut work = Work::new(rec, &y)?;
        work.calibrate(gpu, 0.01).await?;
        works.push(work);
    }
    for _ in 0..ROUNDS {
        for work in &mut works {
            work.sample(gpu).await?;
        }
    }
    let times: Vec<f64> = works.iter().map(Work::best).collect();
    let mut best = 0;
    for (index, &time) in times.iter().enumerate() {
        if time < times[best] && time < MARGIN * times[0] {
            best = index;
        }
    }
    Ok(best)
}
