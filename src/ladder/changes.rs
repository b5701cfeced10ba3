//! How settings are changed by path and text, and the text that lists them with the presets' values.

use std::fmt::Write;

use serde_json::Value;

use crate::ladder::presets::Preset;
use crate::ladder::settings::Settings;
use crate::settings::{Change, LADDER, Table, Tabled, at, expect_one_value, put, setter, shortest};
use crate::train::loss::{Aggregation, KlConfig, KlEstimator, LossConfig, LossName};
use crate::{Error, Result};

/// What a user asks of a run's settings.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// The preset, and what the user calls its option.
    pub preset: Option<(String, Preset)>,
    /// Changes, in the order in which they are made.
    pub changes: Vec<Change>,
    /// Probes are at most as many as a group has, unless they are asked for: test-time learning may have small groups.
    pub few_probes: bool,
}

impl Asked {
    /// Makes every change.
    ///
    /// # Errors
    /// As [`Change::make`] and [`expect_one_value`].
    pub fn make(&self, settings: &mut Settings) -> Result<()> {
        expect_one_value(LADDER, &self.changes)?;
        self.changes.iter().try_for_each(|change| change.make(settings))?;
        if self.few_probes && self.setter("curriculum.probe_samples").is_none() {
            let probes = &mut settings.curriculum.probe_samples;
            *probes = (*probes).min(settings.group_size);
        }
        Ok(())
    }

    /// The last change that sets what is at `path`.
    pub fn setter(&self, path: &str) -> Option<&Change> {
        setter(&self.changes, path)
    }
}

/// Where the weights of rewards are; the names behind it are the task's.
const WEIGHTS: &str = "reward.weights.";

impl Tabled for Settings {
    const TABLE: Table = LADDER;

    fn set_value(&mut self, path: &str, value: Value) -> Result<()> {
        let setting = LADDER.find(path)?;
        if setting.path == path {
            setting.check(&value)?;
        }
        match (path, &value) {
            ("loss", Value::String(name)) => return self.set_loss(name.parse()?),
            ("loss.kl.coef", Value::Number(coef)) => {
                self.set_kl_coef(coef.as_f64().unwrap_or_default());
                return Ok(());
            }
            _ => {}
        }
        if path == "loss.kl" && value.is_object() {
            let coef = self.loss.kl.map_or(0.0, |kl| kl.coef);
            self.loss.kl.get_or_insert(KlConfig { coef, ..DEFAULT_KL });
        }
        match path.strip_prefix(WEIGHTS) {
            Some(name) => self.set_weight(path, name, &value)?,
            // The weights of rewards are a list, which is replaced whole.
            None => *self = put(self, path, value, path == "lora" || path == "loss.kl")?,
        }
        if path == "sampling.max_tokens"
            && let Aggregation::DrGrpo { max_completion } = &mut self.loss.aggregation
        {
            *max_completion = self.sampling.max_tokens;
        }
        Ok(())
    }
}

impl Settings {
    fn set_weight(&mut self, path: &str, name: &str, value: &Value) -> Result<()> {
        let fail = |problem: String, hint: &str| Error::usage(path, problem, hint);
        if name.is_empty() {
            return Err(fail("the reward has no name".into(), "give reward.weights.NAME=NUMBER"));
        }
        let Some(weight) = value.as_f64() else {
            let shown: String = value.to_string().chars().take(60).collect();
            return Err(fail(format!("`{shown}` cannot be used"), "give a number"));
        };
        self.reward.weights.insert(name.to_owned(), weight);
        Ok(())
    }

    /// Takes the parts of another loss; the KL term stays.
    fn set_loss(&mut self, name: LossName) -> Result<()> {
        if name == LossName::Sft {
            let problem = "sft learns from given answers, not from rewards";
            return Err(Error::usage("loss", problem, "use grpo, dapo, dr_grpo, gspo or cispo"));
        }
        self.loss = LossConfig { kl: self.loss.kl, ..name.config(self.sampling.max_tokens) };
        Ok(())
    }

    /// Sets the weight of the KL term; 0 takes it out, so that the base model's log-probabilities are not computed.
    fn set_kl_coef(&mut self, coef: f64) {
        let kl = self.loss.kl.unwrap_or(DEFAULT_KL);
        self.loss.kl = (coef != 0.0).then_some(KlConfig { coef, ..kl });
    }
}

/// The KL term where only a part of it is given; without a coefficient it has no weight.
const DEFAULT_KL: KlConfig = KlConfig { coef: 0.0, estimator: KlEstimator::K3, bias_correction: false };

/// The name of the recipe that `loss` is, whatever its KL term.
fn loss_name(settings: &Settings) -> Option<&'static str> {
    let plain = LossConfig { kl: None, ..settings.loss.clone() };
    let mut names = LossName::ALL.into_iter();
    names.find(|name| name.config(settings.sampling.max_tokens) == plain).map(LossName::as_str)
}

/// All settings as lines of help: path, what it does, the presets' values, their source.
pub fn help() -> String {
    let presets = Preset::ALL.map(|preset| {
        let settings = Settings::preset(preset);
        let mut json = shortest(&serde_json::to_value(&settings).unwrap_or_default());
        json["loss"]["name"] = loss_name(&settings).into();
        json
    });
    let names = Preset::ALL.map(Preset::as_str).join(" | ");
    let mut text = format!("with the values of the presets {names} and their source:");
    for setting in LADDER.rows {
        let place = if setting.path == "loss" { "loss.name" } else { setting.path };
        let mut values: Vec<String> = presets.iter().map(|preset| shown(at(preset, place))).collect();
        if values.iter().all(|value| *value == values[0]) {
            values.truncate(1);
        }
        // Writing to a string cannot fail.
        let (path, doc, values) = (setting.path, setting.doc, values.join(" | "));
        let _ = write!(text, "\n  {path}\n      {doc} [{values}; {}]", setting.source);
    }
    text
}

/// A value, shortened.
fn shown(value: Option<&Value>) -> String {
    let text = match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) if items.iter().any(Value::is_string) => format!("{} of them", items.len()),
        Some(Value::Object(fields)) => {
            let brief = |(name, value): (&String, &Value)| format!("{name} {}", brief(value));
            fields.iter().filter(|(_, value)| !value.is_null()).map(brief).collect::<Vec<_>>().join(", ")
        }
        Some(value) => value.to_string(),
        None => "none".into(),
    };
    text.replace("[]", "none")
}

/// A value inside of another, in few characters.
fn brief(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("{} of them", items.len()),
        Value::Object(fields) => fields.keys().cloned().collect::<Vec<_>>().join(" "),
        value => value.to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    /// Paths of all values that are no objects, not looking into `whole`.
    fn leaves(prefix: &str, value: &Value, whole: &[&str], found: &mut Vec<String>) {
        match value {
            Value::Object(fields) if !whole.contains(&prefix) => {
                for (name, value) in fields {
                    let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                    leaves(&path, value, whole, found);
                }
            }
            _ => found.push(prefix.to_owned()),
        }
    }

    #[test]
    fn the_list_is_what_there_is() {
        let whole =
            ["lora", "reward.weights", "loss.objective", "loss.advantage", "loss.aggregation", "loss.kl"];
        for preset in Preset::ALL {
            let mut found = Vec::new();
            leaves("", &serde_json::to_value(Settings::preset(preset)).unwrap(), &whole, &mut found);
            let rows = LADDER.rows.iter().filter(|setting| !setting.shorthand);
            let mut listed: Vec<_> = rows.map(|setting| setting.path.to_owned()).collect();
            found.sort();
            listed.sort();
            assert_eq!(found, listed);
        }
        let help = help();
        assert!(LADDER.rows.iter().all(|setting| help.contains(setting.path)));
        assert!(help.contains("[grpo | dapo | dapo | grpo;"), "{help}");
        assert!(help.contains("0.7 |") || help.contains("[0.7;"), "{help}");
        assert!(help.contains("[[0.8,1.0,1.2,1.4]; ") && !help.contains("00000"), "{help}");
    }

    #[test]
    fn values_are_set_by_path() {
        let mut settings = Settings::preset(Preset::Tiny);
        for (path, value) in [
            ("variants.enabled", "false"),
            ("method", "expert_iteration"),
            ("variants.temperatures", "[1.0]"),
            ("token_budget", "5000"),
            ("lora.rank", "4"),
            ("loss.kl", r#"{"coef": 0.01, "estimator": "k3", "bias_correction": false}"#),
            ("loss.kl.coef", "0.02"),
            ("reward.weights.style", "0.2"),
            ("reward.weights.a.b", "-1"),
        ] {
            settings.set(path, value).unwrap();
        }
        assert!(!settings.variants.enabled && settings.variants.temperatures == [1.0]);
        assert_eq!(settings.method, crate::ladder::settings::Method::ExpertIteration);
        assert_eq!((settings.token_budget, settings.lora.rank), (Some(5000), 4));
        assert_eq!(settings.loss.kl.unwrap().coef, 0.02);
        let weights = &settings.reward.weights;
        assert_eq!((weights["style"], weights["a.b"], settings.reward.weight("other")), (0.2, -1.0, 1.0));
        settings.set("reward.weights", r#"{"style": 3}"#).unwrap();
        assert_eq!(settings.reward.weights, [("style".to_owned(), 3.0)].into());
    }

    #[test]
    fn a_list_is_a_value_as_text_and_as_json() {
        for value in [serde_json::json!([0.5, 1.0]), Value::from("[0.5, 1.0]")] {
            let mut settings = Settings::preset(Preset::Tiny);
            let change = Change::new("settings.variants.temperatures", "variants.temperatures", value);
            change.make(&mut settings).unwrap();
            assert_eq!(settings.variants.temperatures, [0.5, 1.0]);
        }
    }

    #[test]
    fn what_cannot_be_set_is_said() {
        let mut settings = Settings::preset(Preset::Tiny);
        let before = settings.clone();
        for (path, value, words) in [
            ("variants.temprature", "1", "no such setting"),
            ("temperatures", "[1]", "variants.temperatures"),
            ("", "1", "no such setting"),
            ("lora.rnk", "4", "no such setting"),
            ("steps", "many", "is \"many\"; give a whole number from 1 up"),
            ("variants.enabled", "1", "give true or false"),
            ("method", "magic", "policy_gradient or expert_iteration"),
            ("loss", "sft", "give grpo, dapo, dr_grpo, gspo or cispo"),
            ("lora.rank", "many", "cannot be used"),
            ("reward.weights.style", "much", "cannot be used"),
            ("reward.weights.", "1", "has no name"),
            ("reward.weight.style", "1", "no such setting"),
            ("reward.weights", "[1]", "cannot be used"),
        ] {
            let message = settings.set(path, value).unwrap_err().to_string();
            assert!(message.starts_with(path) && message.contains(words), "{message}");
        }
        assert_eq!(settings, before);
    }

    #[test]
    fn a_loss_takes_the_answers_length_and_leaves_the_kl_term() {
        let mut settings = Settings::preset(Preset::Paper);
        settings.set("loss", "dr_grpo").unwrap();
        settings.set("sampling.max_tokens", "77").unwrap();
        assert_eq!(settings.loss.aggregation, Aggregation::DrGrpo { max_completion: 77 });
        assert_eq!(settings.loss.kl.unwrap().coef, 1e-3);
        settings.set("loss.kl.coef", "0").unwrap();
        assert!(!settings.loss.needs_reference());
        settings.set("loss.kl.coef", "0.5").unwrap();
        assert_eq!(settings.loss.kl.unwrap().coef, 0.5);
        assert_eq!(loss_name(&settings), Some("dr_grpo"));
    }
}
