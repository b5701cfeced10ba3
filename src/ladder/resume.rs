//! What a run of LADDER or test-time learning that goes on is held to, and what of it may change.

use serde_json::Value;

use crate::ladder::changes::Asked;
use crate::ladder::settings::Settings;
use crate::settings::LADDER;
use crate::task::{Problem, TaskOptions};
use crate::train::resume::{Owner, before, differences, differs};
use crate::{Error, Result};

/// Makes what is `asked` of the settings of a run that goes on after `done` steps. `steps` is what the user calls their number.
///
/// # Errors
/// [`Error::Usage`] that names the option and both values for a change of what may not change, and for an end that the run is past;
/// those of the changes and of [`Settings::check`].
pub fn change(
    settings: &mut Settings,
    asked: &Asked,
    (steps, done): (&str, u64),
    owner: Owner<'_>,
) -> Result<()> {
    let end = settings.steps;
    let mut new = match &asked.preset {
        Some((_, preset)) => with_own(&Settings::preset(*preset), settings)?,
        None => settings.clone(),
    };
    asked.make(&mut new)?;
    let changed = differences(&json(settings)?, &json(&new)?);
    if let Some((path, old, new)) = changed.iter().find(|(path, ..)| !may_change(path)) {
        let preset = asked.preset.as_ref().map(|(name, _)| name);
        let name = asked.setter(path).map(|change| &change.name).or(preset);
        let name = name.map_or(path.as_str(), String::as_str);
        let name = if name.ends_with(path) { name.to_owned() } else { format!("{name} ({path})") };
        return Err(differs(&name, owner, old, new));
    }
    new.check()?;
    if new.steps != end && new.steps < done {
        return Err(before(steps, new.steps, done));
    }
    *settings = new;
    Ok(())
}

/// Whether a run that goes on may be given another value.
fn may_change(path: &str) -> bool {
    LADDER.rows.iter().any(|setting| setting.path == path && setting.anew)
}

/// The settings of a preset for a run that has `settings`: what may change, the seed, and the shape of the adapter, which may be
/// that of another run, are the run's own.
///
/// # Errors
/// [`Error::Usage`] if they have no form in JSON.
pub fn with_own(preset: &Settings, settings: &Settings) -> Result<Settings> {
    let (mut value, own) = (json(preset)?, json(settings)?);
    let anew = LADDER.rows.iter().filter(|setting| setting.anew).map(|setting| setting.path);
    for path in anew.chain(["seed", "lora"]) {
        let place = format!("/{}", path.replace('.', "/"));
        if let (Some(new), Some(own)) = (value.pointer_mut(&place), own.pointer(&place)) {
            new.clone_from(own);
        }
    }
    serde_json::from_value(value).map_err(|error| no_json(&error))
}

/// Holds a task that is named, and those of its options that are given, each with what the user calls it, to a run's own.
///
/// # Errors
/// [`Error::Usage`] that names the option and both values.
pub fn expect_task(
    (task, options): (&str, &TaskOptions),
    named: Option<(&str, &str)>,
    given: impl IntoIterator<Item = (String, String, String)>,
    owner: Owner<'_>,
) -> Result<()> {
    if let Some((option, name)) = named.filter(|(_, name)| *name != task) {
        return Err(differs(option, owner, &task.into(), &name.into()));
    }
    for (option, name, value) in given {
        let default = || {
            let parameter = crate::task::parameters(task).iter().find(|parameter| parameter.name == name);
            parameter.map(|parameter| parameter.default).filter(|default| !default.is_empty())
        };
        let own = options.get(&name).map(String::as_str).or_else(default);
        if own != Some(value.as_str()) {
            let old = own.map_or(Value::Null, Value::from);
            return Err(differs(&option, owner, &old, &value.into()));
        }
    }
    Ok(())
}

/// Holds the problems that `option` gives to a run's own.
///
/// # Errors
/// [`Error::Usage`].
pub fn expect_problems(option: &str, own: &[Problem], given: &[Problem], owner: Owner<'_>) -> Result<()> {
    match own == given {
        true => Ok(()),
        false => Err(Error::usage(option, "gives other problems than the run was begun with", owner.hint)),
    }
}

fn json(settings: &Settings) -> Result<Value> {
    serde_json::to_value(settings).map_err(|error| no_json(&error))
}

fn no_json(error: &serde_json::Error) -> Error {
    Error::usage("settings", error.to_string(), "use plain values")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::ladder::presets::Preset;
    use crate::settings::Change;

    const RUN: Owner<'static> = Owner { name: "the run", hint: "leave it out" };

    fn changed(paths: &[(&str, &str)]) -> Result<Settings, String> {
        let mut settings = Settings { steps: 20, ..Settings::preset(Preset::Tiny) };
        let changes =
            paths.iter().map(|&(path, value)| Change::new(format!("--set {path}"), path, value.into()));
        let asked = Asked { changes: changes.collect(), ..Asked::default() };
        change(&mut settings, &asked, ("--steps", 10), RUN)
            .map(|()| settings)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn what_may_change_is_taken_and_the_rest_is_refused() {
        let settings =
            changed(&[("learning_rate", "0.5"), ("steps", "12"), ("evaluation.every", "3")]).unwrap();
        assert_eq!((settings.learning_rate, settings.steps, settings.evaluation.every), (0.5, 12, 3));
        let error = changed(&[("group_size", "5")]).unwrap_err();
        assert!(error.starts_with("--set group_size: is 5, but the run has "), "{error}");
        assert!(
            changed(&[("steps", "9")]).unwrap_err().starts_with("--steps: ends the run at step 9, but 10")
        );
        assert!(changed(&[("learning_rate", "-1")]).is_err());
        // What comes out at the end counts.
        let size = Settings::preset(Preset::Tiny).group_size.to_string();
        assert!(
            changed(&[("group_size", "9"), ("group_size", &size)]).unwrap_err().contains("in the same call")
        );
    }

    #[test]
    fn a_preset_leaves_what_may_change_as_it_is() {
        let own = Settings { steps: 7, learning_rate: 0.25, seed: 3, ..Settings::preset(Preset::Tiny) };
        let mut lora = own.lora.clone();
        lora.rank += 1;
        let own = Settings { lora: lora.clone(), ..own };
        let new = with_own(&Settings::preset(Preset::Tiny), &own).unwrap();
        assert_eq!((new.steps, new.learning_rate, &new.lora), (7, 0.25, &lora));
        assert_eq!((new.seed, new.group_size), (3, Settings::preset(Preset::Tiny).group_size));
    }

    #[test]
    fn task_and_problems_are_the_runs_own() {
        let own: TaskOptions = [("a".to_owned(), "1".to_owned())].into();
        let hold = |task, name: &str, value: &str| {
            let given = [(format!("--task-option {name}"), name.to_owned(), value.to_owned())];
            expect_task(("jsonl", &own), Some(("--task", task)), given, RUN)
                .map_err(|error| error.to_string())
        };
        assert_eq!(hold("jsonl", "a", "1"), Ok(()));
        assert!(
            hold("integral", "a", "1").unwrap_err().starts_with("--task: is integral, but the run has jsonl")
        );
        assert_eq!(hold("jsonl", "match", "auto"), Ok(()), "the default");
        assert!(hold("jsonl", "a", "2").unwrap_err().starts_with("--task-option a: is 2, but the run has 1"));
        assert!(
            hold("jsonl", "b", "2").unwrap_err().starts_with("--task-option b: is 2, but the run has none")
        );
        let problem = |text: &str| Problem::new(text);
        assert!(expect_problems("problems", &[problem("x")], &[problem("x")], RUN).is_ok());
        let error = expect_problems("problems", &[problem("x")], &[problem("y")], RUN).unwrap_err();
        assert!(error.to_string().starts_with("problems: gives other problems"), "{error}");
    }
}
