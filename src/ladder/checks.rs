//! The checks of a run's settings.

use crate::ladder::settings::Settings;
use crate::settings::{LADDER, MOST};
use crate::{Error, Result};

impl Settings {
    /// Checks every number, and those that depend on each other.
    ///
    /// # Errors
    /// [`Error::Usage`] that names the setting by its path.
    pub fn check(&self) -> Result<()> {
        // What is not finite is null there: it would not come back from a file as what it was.
        let whole = serde_json::to_value(self);
        let whole = whole.map_err(|error| Error::usage("settings", error.to_string(), "report this"))?;
        LADDER.check(&whole)?;
        let attempts = self.prompts_per_step.saturating_mul(self.group_size);
        if attempts as u64 > MOST {
            let problem = format!("{attempts} attempts in an update are more than can be computed");
            return Err(Error::usage("prompts_per_step", problem, "use fewer, or a smaller group_size"));
        }
        self.loss.validate()?;
        self.lora.validate()?;
        if self.lora.dropout != 0.0 {
            let problem = format!("is {}, and training with dropout is not supported", self.lora.dropout);
            return Err(Error::usage("lora.dropout", problem, "leave it at 0"));
        }
        self.check_weights()?;
        self.check_variants()?;
        let (probes, group) = (self.curriculum.probe_samples, self.group_size);
        if probes > group {
            let problem = format!("{probes} probes for groups of {group}");
            return Err(Error::usage("curriculum.probe_samples", problem, "use fewer than group_size"));
        }
        Ok(())
    }

    fn check_weights(&self) -> Result<()> {
        let correct = LADDER.find("reward.correct")?;
        for (name, weight) in &self.reward.weights {
            if !correct.takes.fits(&(*weight).into()) {
                let problem = format!("{weight} cannot be a weight");
                let hint = format!("give {}", correct.takes.words());
                return Err(Error::usage(format!("reward.weights.{name}"), problem, hint));
            }
        }
        Ok(())
    }

    fn check_variants(&self) -> Result<()> {
        let variants = &self.variants;
        if !variants.enabled {
            return Ok(());
        }
        let mix = [variants.mix.easier, variants.mix.equivalent, variants.mix.harder];
        if (mix.iter().sum::<f64>() - 1.0).abs() > 1e-6 {
            return Err(Error::usage(
                "variants.mix",
                format!("{mix:?} are not shares"),
                "give three numbers from 0 to 1 that add up to 1",
            ));
        }
        if variants.per_node == 0 || variants.per_completion == 0 {
            return Err(Error::usage(
                "variants",
                "per_node and per_completion must be positive",
                "set variants.enabled to false to train without variants",
            ));
        }
        if variants.temperatures.is_empty()
            || variants.temperatures.iter().any(|t| !(0.0..=100.0).contains(t))
        {
            return Err(Error::usage(
                "variants.temperatures",
                format!("{:?}", variants.temperatures),
                "give at least one temperature from 0 to 100",
            ));
        }
        if variants.transformations[0] > variants.transformations[1] {
            return Err(Error::usage(
                "variants.transformations",
                format!(
                    "at least {} and at most {}",
                    variants.transformations[0], variants.transformations[1]
                ),
                "give the smaller number first",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::ladder::presets::Preset;

    #[test]
    fn a_bad_number_is_named() {
        let bad = |change: fn(&mut Settings)| {
            let mut settings = Settings::preset(Preset::Tiny);
            change(&mut settings);
            settings.check().unwrap_err().to_string()
        };
        assert!(bad(|s| s.group_size = 1).starts_with("group_size"));
        assert!(bad(|s| s.steps = 0).starts_with("steps"));
        assert!(bad(|s| s.learning_rate = f64::NAN).starts_with("learning_rate"));
        assert!(bad(|s| s.sampling.temperature = 0.0).starts_with("sampling.temperature"));
        assert!(bad(|s| s.token_budget = Some(0)).starts_with("token_budget"));
        assert!(bad(|s| s.variants.mix.easier = 0.9).starts_with("variants.mix"));
        assert!(bad(|s| s.reward.correct = f32::INFINITY).starts_with("reward.correct"));
        assert!(bad(|s| s.reward.malformed = -1e7).starts_with("reward.malformed"));
        assert!(
            bad(|s| _ = s.reward.weights.insert("style".into(), 1e300)).starts_with("reward.weights.style")
        );
        assert!(bad(|s| s.reward.length_from = 1.0).starts_with("reward.length_from"));
        assert!(bad(|s| s.curriculum.memory = 2.0).starts_with("curriculum.memory"));
        assert!(bad(|s| s.curriculum.probe_samples = 99).starts_with("curriculum.probe_samples"));
        assert!(bad(|s| s.reward.correct = f32::INFINITY).starts_with("reward.correct: is not a finite"));
        assert!(bad(|s| s.optimizer.eps = f64::NAN).starts_with("optimizer.eps"));
        assert!(bad(|s| s.prompts_per_step = i64::MAX as usize).starts_with("prompts_per_step"));
        assert!(bad(|s| s.group_size = 1 << 19).starts_with("prompts_per_step"));
        assert!(bad(|s| s.variants.limits.nodes = usize::MAX).starts_with("variants.limits.nodes"));
        assert!(bad(|s| s.variants.sampling.max_tokens = usize::MAX).contains("max_tokens"));
    }
}
