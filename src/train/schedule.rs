//! Learning rate by step: linear warm-up, then constant, linear or cosine decay.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The course after warm-up. With p = (step - warm-up) / (total - warm-up) in [0, 1):
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum ScheduleKind {
    /// 1
    #[default]
    Constant,
    /// 1 - p
    Linear,
    /// (1 + cos(pi p)) / 2 (Loshchilov and Hutter 2016, one period, no restart)
    Cosine,
}

impl FromStr for ScheduleKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "constant" => Ok(Self::Constant),
            "linear" => Ok(Self::Linear),
            "cosine" => Ok(Self::Cosine),
            _ => Err(Error::usage(
                "schedule",
                format!("unknown schedule `{name}`"),
                "use constant, linear or cosine",
            )),
        }
    }
}

/// A learning rate for every step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// The course after warm-up.
    pub kind: ScheduleKind,
    /// The highest learning rate.
    pub learning_rate: f64,
    /// Steps of linear warm-up.
    pub warmup_steps: u64,
    /// Steps of the whole run, warm-up included.
    pub total_steps: u64,
}

impl Schedule {
    /// One learning rate for every step.
    pub fn constant(learning_rate: f64) -> Self {
        Self { kind: ScheduleKind::Constant, learning_rate, warmup_steps: 0, total_steps: 0 }
    }

    /// What the user should know of it: that it never gets to its learning rate.
    pub fn note(&self) -> Option<String> {
        let Self { warmup_steps, total_steps, .. } = self;
        (warmup_steps > total_steps).then(|| {
            format!(
                "the warm-up has {warmup_steps} steps and the run {total_steps}: it ends before the learning rate is at its full value"
            )
        })
    }

    /// The learning rate of `step`, the first of which is 0.
    ///
    /// Warm-up is (step + 1) / (warm-up + 1): unlike in `transformers`, whose first step has learning rate 0, no step
    /// is wasted. The last step, like there, still learns; steps beyond `total_steps` have 0 where there is a decay.
    pub fn at(&self, step: u64) -> f64 {
        if step < self.warmup_steps {
            return self.learning_rate * (step + 1) as f64 / (self.warmup_steps as f64 + 1.0);
        }
        let decay_steps = self.total_steps.saturating_sub(self.warmup_steps).max(1);
        let progress = ((step - self.warmup_steps) as f64 / decay_steps as f64).min(1.0);
        self.learning_rate
            * match self.kind {
                ScheduleKind::Constant => 1.0,
                ScheduleKind::Linear => 1.0 - progress,
                ScheduleKind::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
            }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn course(kind: ScheduleKind, warmup_steps: u64, total_steps: u64) -> Vec<f64> {
        let schedule = Schedule { kind, learning_rate: 2.0, warmup_steps, total_steps };
        (0..total_steps + 2).map(|step| schedule.at(step)).collect()
    }

    fn assert_close(got: &[f64], want: &[f64]) {
        assert_eq!(got.len(), want.len());
        assert!(got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-12), "{got:?}, expected {want:?}");
    }

    #[test]
    fn worked_by_hand() {
        assert_close(&course(ScheduleKind::Constant, 3, 4), &[0.5, 1.0, 1.5, 2.0, 2.0, 2.0]);
        assert_close(&course(ScheduleKind::Linear, 1, 5), &[1.0, 2.0, 1.5, 1.0, 0.5, 0.0, 0.0]);
        let half = std::f64::consts::FRAC_1_SQRT_2;
        assert_close(&course(ScheduleKind::Cosine, 0, 4), &[2.0, 1.0 + half, 1.0, 1.0 - half, 0.0, 0.0]);
        assert_eq!(Schedule::constant(1e-4).at(u64::MAX), 1e-4);
        let endless = Schedule { warmup_steps: u64::MAX, ..Schedule::constant(1.0) };
        assert!((endless.at(0) - 0.5f64.powi(64)).abs() < 1e-30);
    }

    #[test]
    fn a_warm_up_without_an_end_is_told() {
        let note = |warmup_steps, total_steps| {
            Schedule { warmup_steps, total_steps, ..Schedule::constant(1.0) }.note()
        };
        assert!(note(5, 3).is_some_and(|note| note.contains("has 5 steps and the run 3")));
        assert_eq!((note(3, 3), note(0, 1)), (None, None));
    }

    #[test]
    fn names() {
        assert_eq!("cosine".parse::<ScheduleKind>().unwrap(), ScheduleKind::Cosine);
        assert!(
            "cos".parse::<ScheduleKind>().unwrap_err().to_string().contains("constant, linear or cosine")
        );
    }

    proptest! {
        #[test]
        fn stays_between_zero_and_the_peak_and_never_rises_after_warm_up(
            kind in prop::sample::select(vec![ScheduleKind::Constant, ScheduleKind::Linear, ScheduleKind::Cosine]),
            warmup_steps in 0u64..20, total_steps in 0u64..40
        ) {
            let rates = course(kind, warmup_steps, total_steps);
            prop_assert!(rates.iter().all(|&rate| (0.0..=2.0).contains(&rate)));
            prop_assert!(total_steps == 0 || rates[0] > 0.0);
            for (step, pair) in rates.windows(2).enumerate() {
                prop_assert!((step as u64) < warmup_steps || pair[1] <= pair[0]);
            }
        }
    }
}
