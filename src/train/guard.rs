//! What to do with a step whose loss or gradient is not finite: skip it, and stop after several in a row.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Non-finite steps in a row that stop a run.
pub const MAX_NON_FINITE: u32 = 3;

/// Counts non-finite steps. Part of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FiniteGuard {
    /// Non-finite steps since the last finite one.
    pub in_a_row: u32,
    /// All steps skipped so far.
    pub skipped: u64,
}

impl FiniteGuard {
    /// Whether the optimizer may take the step with this loss and gradient norm.
    ///
    /// Errors: [`Error::Diverged`] at the third step in a row that may not be taken.
    pub fn admits(&mut self, loss: f64, grad_norm: f64) -> Result<bool> {
        if loss.is_finite() && grad_norm.is_finite() {
            self.in_a_row = 0;
            return Ok(true);
        }
        self.in_a_row += 1;
        self.skipped += 1;
        match self.in_a_row < MAX_NON_FINITE {
            true => Ok(false),
            false => Err(Error::Diverged { steps: self.in_a_row }),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn skips_single_steps_and_stops_at_the_third_in_a_row() {
        let mut guard = FiniteGuard::default();
        assert!(guard.admits(1.0, 2.0).unwrap());
        assert!(!guard.admits(f64::NAN, 2.0).unwrap());
        assert!(!guard.admits(1.0, f64::INFINITY).unwrap());
        assert!(guard.admits(1.0, 0.0).unwrap());
        assert!(!guard.admits(f64::NAN, f64::NAN).unwrap());
        assert!(!guard.admits(f64::NEG_INFINITY, 1.0).unwrap());
        let error = guard.admits(f64::NAN, 1.0).unwrap_err();
        assert_eq!(error.code(), "diverged");
        assert!(error.to_string().starts_with("3 steps in a row"), "{error}");
        assert_eq!(guard, FiniteGuard { in_a_row: 3, skipped: 5 });
    }
}
