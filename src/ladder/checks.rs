//! The checks of a run's settings.

use crate::ladder::settings::{Preset, Rewards, Settings};
use crate::{Error, Result};

/// Largest number of anything that a run makes or holds at once.
const MAX_SIZE: usize = 1 << 20;

/// The path of the first value that is null where `usual` has a number.
fn not_a_number(value: &serde_json::Value, usual: &serde_json::Value) -> Option<String> {
    use serde_json::Value;
    match (value, usual) {
        (Value::Null, Value::Number(_)) => Some(String::new()),
        (Value::Object(fields), Value::Object(others)) => fields.iter().find_map(|(name, value)| {
            let below = not_a_number(value, others.get(name)?)?;
            Some(if below.is_empty() { name.clone() } else { format!("{name}.{below}") })
        }),
        _ => None,
    }
}

/// Largest reward and weight: beyond, 32-bit sums no longer tell the rewards of a group apart.
const MAX_REWARD: f64 = 1e6;

impl Settings {
    /// Checks every number.
    ///
    /// # Errors
    /// [`Error::Usage`] that names the setting, by its option where it has one.
    pub fn check(&self) -> Result<()> {
        let positive = [
            ("--steps", self.steps as f64),
            ("--prompts-per-step", self.prompts_per_step as f64),
            ("passes_per_step", self.passes_per_step as f64),
            ("--learning-rate", self.learning_rate),
            ("checkpoint_every", self.checkpoint_every as f64),
            ("evaluation.samples", self.evaluation.samples as f64),
            ("token_budget", self.token_budget.unwrap_or(1) as f64),
            ("curriculum.prior_strength", self.curriculum.prior_strength),
            ("curriculum.sharpness", self.curriculum.sharpness),
        ];
        for (option, value) in positive {
            if value.is_nan() || value <= 0.0 || value.is_infinite() {
                return Err(Error::usage(
                    option,
                    format!("{value} is not a positive number"),
                    "give a larger one",
                ));
            }
        }
        self.check_sizes()?;
        if self.group_size < 2 {
            return Err(Error::usage(
                "--group-size",
                format!("{} completions cannot be compared with each other", self.group_size),
                "use 2 or more",
            ));
        }
        for sampling in [&self.sampling, &self.evaluation.sampling, &self.variants.sampling] {
            sampling.validate()?;
        }
        if self.sampling.temperature == 0.0 {
            return Err(Error::usage(
                "--temperature",
                "at 0 all completions of a group are equal, so nothing can be learned from them",
                "use 1",
            ));
        }
        self.loss.validate()?;
        self.lora.validate()?;
        self.check_rewards()?;
        self.check_variants()?;
        self.check_curriculum()
    }

    /// Nothing is larger than what could be computed, and nothing is not finite: such numbers would have no form in
    /// `run.json` or take memory without bound.
    fn check_sizes(&self) -> Result<()> {
        let (v, c) = (&self.variants, &self.curriculum);
        let sizes = [
            ("--prompts-per-step", self.prompts_per_step),
            ("--group-size", self.group_size),
            ("passes_per_step", self.passes_per_step),
            ("evaluation.samples", self.evaluation.samples),
            ("--max-tokens", self.sampling.max_tokens),
            ("evaluation.sampling.max_tokens", self.evaluation.sampling.max_tokens),
            ("variants.sampling.max_tokens", v.sampling.max_tokens),
            ("variants.per_node", v.per_node),
            ("variants.per_completion", v.per_completion),
            ("variants.initial_levels", v.initial_levels as usize),
            ("variants.parents_per_level", v.parents_per_level),
            ("variants.transformations", v.transformations[1]),
            ("variants.extend_library", v.extend_library),
            ("variants.limits.nodes", v.limits.nodes),
            ("variants.limits.problem_bytes", v.limits.problem_bytes),
            ("curriculum.refill_rounds", c.refill_rounds),
            ("curriculum.grow_per_step", c.grow_per_step),
        ];
        if let Some((option, size)) = sizes.iter().find(|(_, size)| *size > MAX_SIZE) {
            let problem = format!("{size} is more than can be computed");
            return Err(Error::usage(*option, problem, format!("use at most {MAX_SIZE}")));
        }
        let attempts = self.prompts_per_step * self.group_size;
        if attempts > MAX_SIZE {
            let problem = format!("{attempts} attempts in an update are more than can be computed");
            return Err(Error::usage("--prompts-per-step", problem, "use fewer, or a smaller --group-size"));
        }
        // What is not finite becomes null on the way to a file, and does not come back as what it was.
        let whole = serde_json::to_value(self).and_then(serde_json::from_value::<Self>);
        if whole.is_ok_and(|whole| whole == *self) {
            return Ok(());
        }
        let text = serde_json::to_value(self).unwrap_or_default();
        let usual = serde_json::to_value(Self::preset(Preset::Small)).unwrap_or_default();
        let path = not_a_number(&text, &usual).unwrap_or_else(|| "settings".into());
        Err(Error::usage(path, "is not a finite number", "give a smaller one"))
    }

    fn check_rewards(&self) -> Result<()> {
        let Rewards { correct, wrong, malformed, weights, length_from } = &self.reward;
        let by_verdict = [("correct", correct), ("wrong", wrong), ("malformed", malformed)];
        let by_verdict = by_verdict.map(|(name, &value)| (format!("reward.{name}"), f64::from(value)));
        let weights = weights.iter().map(|(name, &weight)| (format!("reward.weights.{name}"), weight));
        for (option, value) in by_verdict.into_iter().chain(weights) {
            if value.is_nan() || value.abs() > MAX_REWARD {
                let hint = "give a number from -1000000 to 1000000";
                return Err(Error::usage(option, format!("{value} cannot be a reward or a weight"), hint));
            }
        }
        if !(0.0..1.0).contains(length_from) {
            return Err(Error::usage(
                "reward.length_from",
                format!("{length_from} is not a share below 1"),
                "use a number from 0 to 0.99",
            ));
        }
        Ok(())
    }

    fn check_variants(&self) -> Result<()> {
        let variants = &self.variants;
        if !variants.enabled {
            return Ok(());
        }
        let mix = [variants.mix.easier, variants.mix.equivalent, variants.mix.harder];
        if mix.iter().any(|share| !(0.0..=1.0).contains(share))
            || (mix.iter().sum::<f64>() - 1.0).abs() > 1e-6
        {
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

    fn check_curriculum(&self) -> Result<()> {
        let c = &self.curriculum;
        let shares = [
            ("curriculum.root_share", c.root_share),
            ("curriculum.probe_threshold", c.probe_threshold),
            ("curriculum.memory", c.memory),
            ("curriculum.solved_rate", c.solved_rate),
            ("curriculum.promote_share", c.promote_share),
        ];
        for (option, value) in shares {
            if !(0.0..=1.0).contains(&value) {
                return Err(Error::usage(
                    option,
                    format!("{value} is not a share"),
                    "use a number from 0 to 1",
                ));
            }
        }
        if c.probe_samples > self.group_size {
            return Err(Error::usage(
                "curriculum.probe_samples",
                format!("{} probes for groups of {}", c.probe_samples, self.group_size),
                "use fewer probes than --group-size",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_bad_number_is_named() {
        let bad = |change: fn(&mut Settings)| {
            let mut settings = Settings::preset(Preset::Tiny);
            change(&mut settings);
            settings.check().unwrap_err().to_string()
        };
        assert!(bad(|s| s.group_size = 1).starts_with("--group-size"));
        assert!(bad(|s| s.steps = 0).starts_with("--steps"));
        assert!(bad(|s| s.learning_rate = f64::NAN).starts_with("--learning-rate"));
        assert!(bad(|s| s.sampling.temperature = 0.0).starts_with("--temperature"));
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
        assert!(bad(|s| s.prompts_per_step = i64::MAX as usize).starts_with("--prompts-per-step"));
        assert!(bad(|s| s.group_size = 1 << 19).starts_with("--prompts-per-step"));
        assert!(bad(|s| s.variants.limits.nodes = usize::MAX).starts_with("variants.limits.nodes"));
        assert!(bad(|s| s.variants.sampling.max_tokens = usize::MAX).contains("max_tokens"));
    }
}
