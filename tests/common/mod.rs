//! What every GPU test shares, natively and in a browser: the one place of tolerances, seeded random numbers; natively also
//! the test device.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "each test binary uses a part of this file")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[cfg(not(target_arch = "wasm32"))]
mod device;

#[cfg(not(target_arch = "wasm32"))]
pub use device::{gpu, gpu_default_limits, open, read, read_words, run};

use half::f16;
use stepladder::Result;
use stepladder::gpu::{Gpu, Recorder, Recording};

/// The arithmetic that a kernel runs in. Storage formats do not matter: references get the values as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    F32,
    F16,
}

impl Dtype {
    /// Half the distance from 1 to the next number.
    fn epsilon(self) -> f64 {
        match self {
            Self::F32 => f64::from(f32::EPSILON) / 2.0,
            Self::F16 => 2f64.powi(-11),
        }
    }
}

/// What dominates a kernel's error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Rounding of a sum of products.
    Sum,
    /// `exp`, `log` and divisions, which WGSL lets be off by several units in the last place, before a sum.
    Exp,
}

/// (kind, c of the bound c·ε·√k·scale). Worst error ÷ bound seen: llvmpipe (Mesa 22.3) 0.40 for sums, 0.35 for exp.
const CONSTANTS: [(Kind, f64); 2] = [(Kind::Sum, 8.0), (Kind::Exp, 16.0)];

/// A bound above this share of the values' size would accept nonsense.
const SILLY: f64 = 0.02;

/// The relative L2 error of a whole tensor may be this share of the elementwise bound: errors must not all be large.
const WHOLE: f64 = 0.5;

/// How far a result may be from its f64 reference: |got − want| ≤ c·ε·√k·scale, scale = RMS of `want` in the row.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    relative: f64,
    row: Option<usize>,
    least: f64,
}

impl Policy {
    /// Sums of `k` products.
    pub fn of(dtype: Dtype, k: usize) -> Self {
        Self::new(Kind::Sum, dtype, k)
    }

    /// Sums of `k` terms with exponentials, logarithms or divisions.
    pub fn with_exp(dtype: Dtype, k: usize) -> Self {
        Self::new(Kind::Exp, dtype, k)
    }

    /// Sums of products of numbers rounded to f16, in which 4 products are added in f16 and the rest in f32: the error
    /// grows with the number of terms as the sum does, so that their ratio has no √k. The 2 is for operands and sums, both
    /// of which are rounded.
    /// Cooperative matrices add in f32 and are held to the same. Worst error ÷ bound seen: 0.34 on llvmpipe (Mesa 26.1).
    pub fn f16_products() -> Self {
        Self::of(Dtype::F16, 2)
    }

    fn new(kind: Kind, dtype: Dtype, k: usize) -> Self {
        assert!(k > 0, "a policy needs the number of terms");
        let c = CONSTANTS.iter().find(|entry| entry.0 == kind).unwrap().1;
        Self { relative: c * dtype.epsilon() * (k as f64).sqrt(), row: None, least: 0.0 }
    }

    /// Takes the scale from each row of `cols` values instead of from the whole tensor.
    pub fn rows(self, cols: usize) -> Self {
        Self { row: Some(cols), ..self }
    }

    /// Takes `scale` where the reference is smaller: for results in which numbers of that size cancel.
    pub fn at_least(self, scale: f64) -> Self {
        Self { least: scale, ..self }
    }
}

/// Compares a result with its reference. Gives the worst error ÷ bound, or says what is wrong and where.
///
/// # Errors
/// If a value is out of bounds or not finite, if the lengths differ, or if the comparison could not fail: no values,
/// a reference that is not finite, a bound near the values' own size.
pub fn close(got: &[f32], want: &[f64], policy: Policy) -> std::result::Result<f64, String> {
    if got.len() != want.len() || want.is_empty() {
        return Err(format!("{} values, reference has {}", got.len(), want.len()));
    }
    if let Some(index) = want.iter().position(|value| !value.is_finite()) {
        return Err(format!("reference at {index} is {}", want[index]));
    }
    if policy.relative > SILLY {
        return Err(format!("a bound of {:.1e} of the values' size accepts nonsense", policy.relative));
    }
    let cols = policy.row.unwrap_or(want.len());
    if cols == 0 || !want.len().is_multiple_of(cols) {
        return Err(format!("{} values are not rows of {cols}", want.len()));
    }
    let rms = |values: &[f64]| (values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64).sqrt();
    let ratio = |error: f64, bound: f64| if error == 0.0 { 0.0 } else { error / bound };
    let (mut worst, mut at, mut squares) = (0.0, 0, 0.0);
    for (row, (got, want)) in got.chunks(cols).zip(want.chunks(cols)).enumerate() {
        let bound = policy.relative * rms(want).max(policy.least);
        for (col, (&g, &w)) in got.iter().zip(want).enumerate() {
            let error = f64::from(g) - w;
            squares += error * error;
            let this = ratio(error.abs(), bound);
            // A result that is not a number is worse than any other.
            if this > worst || this.is_nan() {
                (worst, at) = (if this.is_nan() { f64::INFINITY } else { this }, row * cols + col);
            }
        }
    }
    let whole = (squares / want.len() as f64).sqrt();
    let whole = ratio(whole, policy.relative * WHOLE * rms(want).max(policy.least));
    let place = format!("worst at {at} of {}: got {:e}, want {:e}", want.len(), got[at], want[at]);
    if worst > 1.0 {
        return Err(format!("{place}, error / bound {worst:.3}"));
    }
    if whole.is_nan() || whole > 1.0 {
        return Err(format!("relative L2 error / bound {whole:.3}; {place}, error / bound {worst:.3}"));
    }
    Ok(worst.max(whole))
}

/// Compares a derivative with central differences of step [`STEP`], which are good to about its square.
///
/// # Errors
/// Like [`close`].
pub fn derivative_close(got: &[f64], differences: &[f64]) -> std::result::Result<f64, String> {
    let got: Vec<f32> = got.iter().map(|&value| value as f32).collect();
    let policy = Policy { relative: DIFFERENCES, row: None, least: 0.0 };
    close(&got, differences, policy)
}

/// Step of central differences in f64, and their error relative to the RMS of the gradient.
pub const STEP: f64 = 1e-4;
const DIFFERENCES: f64 = 1e-6;

/// Whether counts could come from these probabilities: Pearson's χ² within four standard deviations of its mean.
/// Cells with fewer than five expected counts are pooled.
///
/// # Errors
/// If they differ by more, or there are fewer than two cells.
pub fn chi_square(counts: &[usize], probabilities: &[f64]) -> std::result::Result<f64, String> {
    let total = counts.iter().sum::<usize>() as f64;
    let (mut cells, mut rest) = (Vec::new(), (0.0, 0.0));
    for (&count, &p) in counts.iter().zip(probabilities) {
        if p * total >= 5.0 {
            cells.push((count as f64, p * total));
        } else {
            rest = (rest.0 + count as f64, rest.1 + p * total);
        }
    }
    if rest.1 >= 5.0 {
        cells.push(rest);
    }
    if cells.len() < 2 {
        return Err("too few cells for a test".into());
    }
    let statistic: f64 = cells.iter().map(|(got, want)| (got - want).powi(2) / want).sum();
    let freedom = (cells.len() - 1) as f64;
    let deviations = (statistic - freedom) / (2.0 * freedom).sqrt();
    if deviations > 4.0 {
        return Err(format!("chi-square {statistic:.1} with {freedom} degrees of freedom"));
    }
    Ok(deviations)
}

/// Records work and makes the recording.
pub fn recording(gpu: &Gpu, record: impl FnOnce(&mut Recorder<'_>) -> Result<()>) -> Result<Recording> {
    let mut rec = Recorder::new(gpu);
    record(&mut rec)?;
    rec.finish()
}

/// f32 values as the f64 that references take.
pub fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

/// The bits of f32 values.
pub fn words(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Values rounded to 16-bit floats, and these packed two a word.
pub fn halved(values: &[f32]) -> (Vec<f32>, Vec<u32>) {
    let halves: Vec<f16> = values.iter().map(|&value| f16::from_f32(value)).collect();
    let word = |pair: &[f16]| u32::from(pair[0].to_bits()) | u32::from(pair[1].to_bits()) << 16;
    (halves.iter().map(|half| half.to_f32()).collect(), halves.chunks_exact(2).map(word).collect())
}

/// Seeded random numbers: SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn word(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 32) as u32
    }

    /// Uniform in 0 .. limit.
    pub fn below(&mut self, limit: usize) -> usize {
        ((u64::from(self.word()) * limit as u64) >> 32) as usize
    }

    /// Uniform in (0, 1).
    pub fn uniform(&mut self) -> f64 {
        (f64::from(self.word()) + 0.5) / 4_294_967_296.0
    }

    /// Standard normal numbers (Box and Muller, 1958).
    pub fn normal(&mut self, count: usize) -> Vec<f32> {
        let mut one = || (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos();
        (0..count).map(|_| one() as f32).collect()
    }

    /// The numbers 0 .. count in random order.
    pub fn permutation(&mut self, count: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..count as u32).collect();
        for i in (1..count).rev() {
            order.swap(i, self.below(i + 1));
        }
        order
    }
}
