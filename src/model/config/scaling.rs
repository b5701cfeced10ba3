//! RoPE's frequencies, and how they are stretched for longer contexts.

use std::collections::BTreeMap;
use std::f64::consts::{PI, TAU};
use std::path::Path;

use serde_json::{Value, json};

use crate::{Error, Result};

/// YaRN (Peng et al. 2023): fast turns kept, slow ones divided, those between blended, and queries and keys multiplied.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Yarn {
    /// Divisor of the lowest frequencies.
    pub factor: f64,
    /// Context length of the pretraining.
    pub original: usize,
    /// Frequencies with more turns than this within the original context are kept.
    pub beta_fast: f64,
    /// Those with fewer than this are divided.
    pub beta_slow: f64,
    /// The frequencies between which is blended are whole numbers.
    pub truncate: bool,
    /// What queries and keys are multiplied with.
    pub attention_factor: f64,
}

impl Yarn {
    /// The paper's factor of queries and keys for frequencies divided by `factor`: 0.1·scale·ln(factor) + 1.
    pub fn magnitude(factor: f64, scale: f64) -> f64 {
        if factor <= 1.0 { 1.0 } else { 0.1 * scale * factor.ln() + 1.0 }
    }

    /// Whether it differs from the other at most by the rounding of a file with 32-bit floats.
    pub fn is_about(&self, other: &Self) -> bool {
        let numbers = |yarn: &Self| [yarn.factor, yarn.beta_fast, yarn.beta_slow, yarn.attention_factor];
        let close = |(one, other): (f64, f64)| (one - other).abs() <= 1e-6 * other.abs();
        (self.original, self.truncate) == (other.original, other.truncate)
            && numbers(self).into_iter().zip(numbers(other)).all(close)
    }

    /// Frequency number `i` of heads of this size, which is `base` without scaling.
    fn stretched(&self, theta: f64, head_dim: usize, i: usize, base: f64) -> f64 {
        let size = head_dim as f64;
        let number = |turns: f64| size * (self.original as f64 / (turns * TAU)).ln() / (2.0 * theta.ln());
        let (low, high) = (number(self.beta_fast), number(self.beta_slow));
        let (low, high) = if self.truncate { (low.floor(), high.ceil()) } else { (low, high) };
        let (low, high) = (low.max(0.0), high.min(size - 1.0));
        // transformers' and llama.cpp's way around a division by 0.
        let width = if low == high { 0.001 } else { high - low };
        let divided = ((i as f64 - low) / width).clamp(0.0, 1.0);
        base * (1.0 - divided) + base / self.factor * divided
    }
}

/// LongRoPE (Ding et al. 2024): a divisor for each frequency, of which there are two lists: transformers takes the long one for all
/// positions of a sequence that is longer than the original context. Sequences are no longer than that here, so that the
/// short one serves.
#[derive(Debug, Clone, PartialEq)]
pub struct LongRope {
    /// Divisors within the original context. `[turned values / 2]`
    pub short: Vec<f32>,
    /// Divisors beyond it, for other programs.
    pub long: Vec<f32>,
    /// Context length of the pretraining.
    pub original: usize,
    /// The longest sequence that the model's files allow.
    pub longest: usize,
    /// What queries and keys are multiplied with, whichever list is taken.
    pub attention_factor: f64,
}

impl LongRope {
    /// The paper's factor of queries and keys for contexts that are `factor` times as long.
    pub fn magnitude(factor: f64, original: usize) -> f64 {
        if factor <= 1.0 { 1.0 } else { (1.0 + factor.ln() / (original as f64).ln()).sqrt() }
    }
}

/// What GGUF files have of RoPE as tensors, by the names of those: [`FREQS`], [`SHORT`] and [`LONG`].
pub type RopeTensors = BTreeMap<&'static str, Vec<f32>>;

/// Divisors of frequencies.
pub const FREQS: &str = "rope_freqs.weight";
/// Divisors of [`LongRope::short`].
pub const SHORT: &str = "rope_factors_short.weight";
/// Divisors of [`LongRope::long`].
pub const LONG: &str = "rope_factors_long.weight";

/// How RoPE's frequencies are stretched for longer contexts.
#[derive(Debug, Clone, PartialEq)]
pub enum RopeScaling {
    /// Positions as trained.
    None,
    /// Every frequency divided by `factor` (position interpolation).
    Linear {
        /// Divisor of the frequencies.
        factor: f64,
    },
    /// Llama 3.1: long wavelengths divided by `factor`, short ones kept, those between blended.
    Llama3 {
        /// Divisor of the lowest frequencies.
        factor: f64,
        /// Wavelengths above `original / low_freq_factor` are divided.
        low_freq_factor: f64,
        /// Wavelengths below `original / high_freq_factor` are kept.
        high_freq_factor: f64,
        /// Context length of the pretraining.
        original_max_position_embeddings: usize,
    },
    /// By the length of a sequence where that is beyond the longest of the configuration (NTK), which none here is; so it changes nothing.
    Dynamic {
        /// As the configuration has it.
        factor: f64,
    },
    /// [`Yarn`].
    Yarn(Yarn),
    /// [`LongRope`].
    LongRope(LongRope),
    /// A divisor for each frequency, as GGUF files carry it in [`FREQS`]. `[turned values / 2]`
    Divisors(Vec<f32>),
}

impl RopeScaling {
    /// As `rope_scaling` of a `config.json` has it; `None` for what has no form there.
    pub fn config_json(&self) -> Option<Value> {
        Some(match self {
            Self::None => Value::Null,
            Self::Linear { factor } => json!({ "rope_type": "linear", "factor": factor }),
            Self::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings } => {
                json!({
                    "rope_type": "llama3",
                    "factor": factor,
                    "low_freq_factor": low_freq_factor,
                    "high_freq_factor": high_freq_factor,
                    "original_max_position_embeddings": original_max_position_embeddings,
                })
            }
            Self::Dynamic { factor } => json!({ "rope_type": "dynamic", "factor": factor }),
            Self::Yarn(yarn) => json!({
                "rope_type": "yarn",
                "factor": yarn.factor,
                "original_max_position_embeddings": yarn.original,
                "beta_fast": yarn.beta_fast,
                "beta_slow": yarn.beta_slow,
                "truncate": yarn.truncate,
                "attention_factor": yarn.attention_factor,
            }),
            Self::LongRope(LongRope { short, long, original, attention_factor, .. }) => json!({
                "rope_type": "longrope",
                "short_factor": short,
                "long_factor": long,
                "original_max_position_embeddings": original,
                "attention_factor": attention_factor,
            }),
            Self::Divisors(_) => return None,
        })
    }

    /// As GGUF files have it, where they do in tensors.
    pub fn tensors(&self) -> RopeTensors {
        match self {
            Self::Divisors(divisors) => [(FREQS, divisors.clone())].into(),
            Self::LongRope(LongRope { short, long, .. }) => {
                [(SHORT, short.clone()), (LONG, long.clone())].into()
            }
            _ => RopeTensors::new(),
        }
    }
}

/// Rotary position embedding (Su et al. 2021), in the half-split layout of Hugging Face checkpoints.
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    /// Base of the frequencies.
    pub theta: f64,
    /// Stretching for longer contexts.
    pub scaling: RopeScaling,
}

impl Rope {
    /// Angular frequencies per position where so many values of a head turn, `[turned / 2]`: `theta^(-2i / turned)`, stretched as
    /// `scaling` says. Computed in f64 and rounded once.
    pub fn inv_freq(&self, turned: usize) -> Vec<f32> {
        let frequency = |i: usize| self.theta.powf(-(2.0 * i as f64) / turned as f64);
        (0..turned / 2)
            .map(|i| {
                let base = frequency(i);
                let stretched = match &self.scaling {
                    RopeScaling::None | RopeScaling::Dynamic { .. } => base,
                    RopeScaling::Yarn(yarn) => yarn.stretched(self.theta, turned, i, base),
                    RopeScaling::Linear { factor } => base / factor,
                    &RopeScaling::Llama3 {
                        factor,
                        low_freq_factor,
                        high_freq_factor,
                        original_max_position_embeddings,
                    } => {
                        // Turns within the original context decide: few turns are stretched, many are kept.
                        let turns = original_max_position_embeddings as f64 * base / (2.0 * PI);
                        let keep = ((turns - low_freq_factor) / (high_freq_factor - low_freq_factor))
                            .clamp(0.0, 1.0);
                        keep * base + (1.0 - keep) * base / factor
                    }
                    RopeScaling::LongRope(LongRope { short: divisors, .. })
                    | RopeScaling::Divisors(divisors) => base / f64::from(divisors[i]),
                };
                stretched as f32
            })
            .collect()
    }

    /// What cos and sin, and with them queries and keys, are multiplied with.
    pub fn attention_factor(&self) -> f64 {
        match &self.scaling {
            RopeScaling::Yarn(yarn) => yarn.attention_factor,
            RopeScaling::LongRope(long) => long.attention_factor,
            _ => 1.0,
        }
    }

    /// The longest sequence of which all positions turn with these frequencies, where that is not any.
    pub fn reach(&self) -> Option<usize> {
        match &self.scaling {
            RopeScaling::LongRope(long) => Some(long.original),
            _ => None,
        }
    }

    /// Checks the numbers where so many values of a head turn; `file` is for messages.
    ///
    /// # Errors
    /// `Input` naming the field.
    pub fn validate(&self, file: &Path, turned: usize) -> Result<()> {
        let wrong = |field: &str, problem: &str| {
            Err(Error::input(file, field, problem.to_string(), "take the model's original files"))
        };
        if !(self.theta.is_finite() && self.theta > 1.0) {
            return wrong("rope_theta", "must be a number above 1");
        }
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let list = |field: &str, divisors: &[f32]| {
            if divisors.len() != turned / 2 {
                wrong(field, "must have half as many values as turn of a head")
            } else if !divisors.iter().all(|&divisor| positive(f64::from(divisor))) {
                wrong(field, "must hold positive numbers")
            } else {
                Ok(())
            }
        };
        match &self.scaling {
            RopeScaling::None => Ok(()),
            RopeScaling::Linear { factor } | RopeScaling::Dynamic { factor } if positive(*factor) => Ok(()),
            RopeScaling::Linear { .. } | RopeScaling::Dynamic { .. } => {
                wrong("rope_scaling.factor", "must be above 0")
            }
            &RopeScaling::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_position_embeddings,
            } => {
                if !positive(factor) || !positive(low_freq_factor) || !positive(high_freq_factor) {
                    wrong("rope_scaling", "factor, low_freq_factor and high_freq_factor must be above 0")
                } else if high_freq_factor <= low_freq_factor {
                    wrong("rope_scaling.high_freq_factor", "must be above low_freq_factor")
                } else if original_max_position_embeddings == 0 {
                    wrong("rope_scaling.original_max_position_embeddings", "must be above 0")
                } else {
                    Ok(())
                }
            }
            RopeScaling::Yarn(Yarn { factor, original, beta_fast, beta_slow, attention_factor, .. }) => {
                let numbers = [factor, beta_fast, beta_slow, attention_factor];
                if !numbers.into_iter().all(|&number| positive(number)) {
                    let problem = "factor, beta_fast, beta_slow and attention_factor must be above 0";
                    wrong("rope_scaling", problem)
                } else if *original == 0 {
                    wrong("rope_scaling.original_max_position_embeddings", "must be above 0")
                } else if beta_fast < beta_slow {
                    wrong("rope_scaling.beta_fast", "must not be below beta_slow")
                } else {
                    Ok(())
                }
            }
            RopeScaling::Divisors(divisors) => list(FREQS, divisors),
            RopeScaling::LongRope(LongRope { short, long, original, attention_factor, .. }) => {
                if *original < 2 {
                    return wrong("original_max_position_embeddings", "must be above 1");
                }
                if !positive(*attention_factor) {
                    return wrong("rope_scaling.attention_factor", "must be above 0");
                }
                list("rope_scaling.short_factor", short).and_then(|()| list("rope_scaling.long_factor", long))
            }
        }
    }
}
