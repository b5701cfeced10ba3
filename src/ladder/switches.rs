//! Every setting of a run by its path: what it does, where its value comes from, and how a text changes it.
//!
//! The paths are those of [`Settings`] as JSON, so `--set`, `run.json` and study files speak of the same things; a test holds
//! the list below to the fields that there are.

use std::fmt::Write;

use serde_json::Value;

use crate::ladder::settings::{Preset, Settings};
use crate::{Error, Result};

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Switch {
    /// Names from the outermost field inwards, with dots.
    pub path: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// Where the values of the presets come from.
    pub source: &'static str,
}

/// The paper's text (arXiv 2503.00735), by section.
const PAPER_VARIANTS: &str = "LADDER 3.1.2";
const PAPER_RL: &str = "LADDER 3.1.4";
/// The training scripts that were released with it; the paper does not give the number.
const SCRIPTS: &str = "its scripts";
/// Found here; `models/tiny/README.md` and `studies/` have the runs.
const OURS: &str = "measured here";
const CHOICE: &str = "our choice";
const LORA: &str = "LoRA Without Regret";

macro_rules! switches {
    ($($path:literal, $source:expr, $doc:literal;)*) => {
        &[$(Switch { path: $path, doc: $doc, source: $source }),*]
    };
}

/// Every setting.
pub const SWITCHES: &[Switch] = switches! {
    "seed", CHOICE, "seed of everything random";
    "method", PAPER_RL, "policy_gradient, or expert_iteration: supervised steps on the model's own right answers";
    "prompt_style", CHOICE, "instruct (full sentences in the chat template) or terse (the task's notation); null is as the model";
    "steps", PAPER_RL, "optimizer steps";
    "token_budget", CHOICE, "stop when this many training tokens are generated, variants included; null is no limit";
    "prompts_per_step", SCRIPTS, "groups with signal that a step aims for";
    "group_size", SCRIPTS, "attempts at a problem in a step (G of GRPO)";
    "passes_per_step", SCRIPTS, "optimizer steps on the groups of a step (mu of GRPO)";
    "sampling.max_tokens", SCRIPTS, "longest attempt";
    "sampling.temperature", SCRIPTS, "temperature of attempts";
    "sampling.top_k", SCRIPTS, "keep this many likely tokens; 0 is all";
    "sampling.top_p", SCRIPTS, "keep likely tokens up to this probability";
    "sampling.min_p", SCRIPTS, "keep tokens of at least this share of the largest probability";
    "learning_rate", LORA, "highest learning rate: ten times the scripts' 1e-6, as LoRA needs";
    "schedule", SCRIPTS, "constant, linear or cosine";
    "warmup_steps", SCRIPTS, "steps of linear warm-up";
    "optimizer.beta1", SCRIPTS, "AdamW's decay of the first moment";
    "optimizer.beta2", SCRIPTS, "AdamW's decay of the second moment";
    "optimizer.eps", SCRIPTS, "added to the root of the second moment";
    "optimizer.weight_decay", SCRIPTS, "decoupled weight decay";
    "optimizer.max_grad_norm", SCRIPTS, "bound of the gradient norm; 0 is none";
    "lora", LORA, "a new adapter: rank, alpha, targets and so on, as one JSON object";
    "loss.objective", PAPER_RL, "what a token contributes, as JSON; --loss sets it with the next two";
    "loss.advantage", PAPER_RL, "how rewards become advantages";
    "loss.aggregation", SCRIPTS, "how tokens are averaged";
    "loss.kl", PAPER_RL, "the pull towards the base as JSON {coef, estimator, bias_correction}, or null";
    "loss.mask_truncated", SCRIPTS, "leave attempts out that ran into the token limit";
    "reward.correct", SCRIPTS, "reward of a right answer, where the task gives no number";
    "reward.wrong", SCRIPTS, "reward of a wrong answer, likewise";
    "reward.malformed", SCRIPTS, "reward of a text without an answer; unverifiable answers have none";
    "reward.weights", SCRIPTS, "weights of named rewards, as JSON or one by one as reward.weights.NAME=X: reward (the answer's own), format (1 for an answer in the task's notation), length (0, falling to -1 at the token limit), and those that the task names, which count 1 without a weight";
    "reward.length_from", "DAPO", "share of the longest attempt from which the reward length falls";
    "variants.enabled", PAPER_VARIANTS, "false is plain RL on the roots";
    "variants.per_node", SCRIPTS, "variants asked for when a node grows";
    "variants.per_completion", PAPER_VARIANTS, "variants that one completion is asked to list";
    "variants.initial_levels", PAPER_VARIANTS, "levels of the tree made before the first step";
    "variants.parents_per_level", SCRIPTS, "most nodes of a level that grow before the first step";
    "variants.limits.depth", PAPER_VARIANTS, "largest distance from a root";
    "variants.limits.children", SCRIPTS, "most children of a node";
    "variants.limits.nodes", PAPER_VARIANTS, "most nodes";
    "variants.limits.problem_bytes", CHOICE, "longest variant in bytes";
    "variants.mix.easier", PAPER_VARIANTS, "share of requests for easier variants";
    "variants.mix.equivalent", PAPER_VARIANTS, "share of requests for equivalent ones";
    "variants.mix.harder", PAPER_VARIANTS, "share of requests for harder ones";
    "variants.transformations", PAPER_VARIANTS, "fewest and most transformations that a prompt offers";
    "variants.temperatures", PAPER_VARIANTS, "temperatures that requests cycle through";
    "variants.sampling.max_tokens", SCRIPTS, "longest list of variants";
    "variants.sampling.temperature", CHOICE, "not used: the cycle above is";
    "variants.sampling.top_k", SCRIPTS, "keep this many likely tokens; 0 is all";
    "variants.sampling.top_p", CHOICE, "keep likely tokens up to this probability";
    "variants.sampling.min_p", CHOICE, "keep tokens of at least this share of the largest probability";
    "variants.personas", PAPER_VARIANTS, "personas that prompts cycle through; [] is none";
    "variants.extend_library", PAPER_VARIANTS, "transformations of each kind that the model adds to the library; 0 is none";
    "variants.check_solvable", "LADDER 3.1.2 keeps them", "refuse variants that have no answer or none that could be confirmed";
    "curriculum.adaptive", "LADDER: static", "draw by p(1-p), grow unsolved nodes, rest solved ones; false is a static tree";
    "curriculum.sharpness", OURS, "exponent on the expected p(1-p)";
    "curriculum.root_share", OURS, "share of a batch from the roots and their children, half of it from the roots";
    "curriculum.probe_samples", OURS, "attempts that decide on a full group; 0 gives every problem one";
    "curriculum.probe_until", OURS, "attempts after which a promising problem is not probed";
    "curriculum.probe_threshold", OURS, "chance of a signal that makes a problem promising";
    "curriculum.refill_rounds", "DAPO", "rounds of further problems for groups without signal";
    "curriculum.prior_strength", OURS, "attempts that a node's prior, taken from its relatives, is worth";
    "curriculum.memory", OURS, "factor on older attempts at each visit";
    "curriculum.solved_rate", OURS, "estimated pass rate from which a node rests";
    "curriculum.rest_steps", OURS, "steps that a solved node rests";
    "curriculum.grow_after", OURS, "attempts without success after which a node grows variants";
    "curriculum.grow_per_step", OURS, "most nodes that grow after a step";
    "curriculum.promote_share", OURS, "share of solved children that promotes a parent";
    "evaluation.every", SCRIPTS, "steps between evaluations; 0 is only before and after";
    "evaluation.samples", CHOICE, "attempts at each held-out problem";
    "evaluation.sampling.max_tokens", SCRIPTS, "longest attempt";
    "evaluation.sampling.temperature", SCRIPTS, "temperature";
    "evaluation.sampling.top_k", SCRIPTS, "keep this many likely tokens; 0 is all";
    "evaluation.sampling.top_p", SCRIPTS, "keep likely tokens up to this probability";
    "evaluation.sampling.min_p", SCRIPTS, "keep tokens of at least this share of the largest probability";
    "checkpoint_every", CHOICE, "steps between checkpoints";
};

impl Settings {
    /// Sets the value at `path`: `text` is JSON, or a bare word. The result is not checked as a whole
    /// ([`Settings::check`]), so that several settings can be changed one after the other.
    ///
    /// # Errors
    /// [`Error::Usage`] for a path that there is not, or a value of another type than it takes.
    pub fn set(&mut self, path: &str, text: &str) -> Result<()> {
        let value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
        self.set_value(path, value)
    }

    /// [`Settings::set`] with a value that is JSON already.
    ///
    /// # Errors
    /// As [`Settings::set`].
    pub fn set_value(&mut self, path: &str, value: Value) -> Result<()> {
        let option = format!("--set {path}");
        if !SWITCHES.iter().any(|switch| switch.path == path || inside(switch.path, path)) {
            return Err(unknown(option, path));
        }
        if let Some(name) = path.strip_prefix(WEIGHTS) {
            return self.set_weight(name, option, &value);
        }
        let failed =
            |problem: String, hint: &str| Error::Usage { option: option.clone(), problem, hint: hint.into() };
        let mut whole =
            serde_json::to_value(&*self).map_err(|error| failed(error.to_string(), "report this"))?;
        let mut place = &mut whole;
        for name in path.split('.') {
            // Text of the user's never makes a field: a path inside of `lora` or `loss` may be misspelt.
            let Some(found) = place.get_mut(name) else { return Err(unknown(option.clone(), path)) };
            place = found;
        }
        let shown = value.to_string();
        *place = value;
        *self = serde_json::from_value(whole).map_err(|error| {
            let shown: String = shown.chars().take(60).collect();
            failed(
                format!("`{shown}` cannot be used ({error})"),
                "`stepladder ladder --help` lists what it takes",
            )
        })?;
        Ok(())
    }

    fn set_weight(&mut self, name: &str, option: String, value: &Value) -> Result<()> {
        let fail = |problem: String, hint: &str| Error::Usage { option, problem, hint: hint.into() };
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
}

/// Where the weights of rewards are; the names behind it are the task's.
const WEIGHTS: &str = "reward.weights.";

/// Whether `path` is a field of the object at `outer`.
fn inside(outer: &str, path: &str) -> bool {
    path.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'))
}

fn unknown(option: String, path: &str) -> Error {
    let last = path.rsplit('.').next().unwrap_or(path);
    let near: Vec<&str> = SWITCHES
        .iter()
        .map(|switch| switch.path)
        .filter(|known| known.ends_with(last) && !last.is_empty())
        .take(3)
        .collect();
    let hint = match near.is_empty() {
        true => "`stepladder ladder --help` lists all".to_owned(),
        false => format!("did you mean {}?", near.join(" or ")),
    };
    Error::Usage { option, problem: "there is no such setting".into(), hint }
}

/// All settings as lines of help: path, what it does, the presets' values, their source.
pub fn help() -> String {
    let presets = [Preset::Paper, Preset::Small, Preset::Software, Preset::Tiny]
        .map(|preset| serde_json::to_value(Settings::preset(preset)).unwrap_or_default());
    let mut text = String::from(
        "Settings (--set PATH=VALUE, several times; values are JSON or a word), with the values of the presets paper | small | \
         software | tiny and their source:",
    );
    for switch in SWITCHES {
        let mut values: Vec<String> = presets.iter().map(|preset| shown(preset, switch.path)).collect();
        if values.iter().all(|value| *value == values[0]) {
            values.truncate(1);
        }
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n  {}\n      {} [{}; {}]",
            switch.path,
            switch.doc,
            values.join(" | "),
            switch.source
        );
    }
    text
}

/// The value at `path`, shortened.
fn shown(settings: &Value, path: &str) -> String {
    let value = path.split('.').try_fold(settings, |place, name| place.get(name));
    let text = match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) if items.iter().any(Value::is_string) => format!("{} of them", items.len()),
        Some(Value::Object(fields)) => {
            let brief = |(name, value): (&String, &Value)| format!("{name} {}", brief(value));
            fields.iter().filter(|(_, value)| !value.is_null()).map(brief).collect::<Vec<_>>().join(", ")
        }
        Some(value) => value.to_string(),
        None => String::new(),
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
        for preset in [Preset::Paper, Preset::Tiny] {
            let mut found = Vec::new();
            leaves("", &serde_json::to_value(Settings::preset(preset)).unwrap(), &whole, &mut found);
            let mut listed: Vec<_> = SWITCHES.iter().map(|switch| switch.path.to_owned()).collect();
            assert!(SWITCHES.iter().all(|switch| !switch.doc.is_empty() && !switch.source.is_empty()));
            found.sort();
            listed.sort();
            assert_eq!(found, listed);
        }
        let help = help();
        assert!(SWITCHES.iter().all(|switch| help.contains(switch.path)));
        assert!(help.contains("0.7 |") || help.contains("[0.7;"), "{help}");
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
    fn what_cannot_be_set_is_said() {
        let mut settings = Settings::preset(Preset::Tiny);
        let before = settings.clone();
        for (path, value, words) in [
            ("variants.temprature", "1", "no such setting"),
            ("temperatures", "[1]", "variants.temperatures"),
            ("", "1", "no such setting"),
            ("lora.rnk", "4", "no such setting"),
            ("steps", "many", "`\"many\"` cannot be used"),
            ("variants.enabled", "1", "cannot be used"),
            ("method", "magic", "cannot be used"),
            ("reward.weights.style", "much", "cannot be used"),
            ("reward.weights.", "1", "has no name"),
            ("reward.weight.style", "1", "no such setting"),
            ("reward.weights", "[1]", "cannot be used"),
        ] {
            let message = settings.set(path, value).unwrap_err().to_string();
            assert!(message.starts_with("--set") && message.contains(words), "{message}");
        }
        assert_eq!(settings, before);
    }
}
