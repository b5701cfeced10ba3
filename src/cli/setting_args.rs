//! The options that change settings: one for each row of the table that has one, and `--set` for all.

use std::fmt::Debug;
use std::marker::PhantomData;

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde::Serialize;
use stepladder::ladder::changes::{Asked, Change};
use stepladder::ladder::presets::Preset;
use stepladder::settings::{self, Setting, TABLE, Takes};
use stepladder::{Error, Result};

use super::args::name_value;

/// Which rows of the table are options of a command.
pub(super) trait Rows: Debug {
    /// What `--preset` says of the preset that is taken without it.
    const DEFAULT_PRESET: &'static str;
    /// See [`Asked::few_probes`].
    const FEW_PROBES: bool = false;

    /// Why the command has no use for a setting, as in `--set PATH: REASON`; `None` if it has one.
    fn unused(_path: &str) -> Option<&'static str> {
        None
    }

    /// Whether this one is an option.
    fn take(setting: &Setting) -> bool {
        setting.option.is_some()
    }
}

/// A preset and what is changed of it.
#[derive(Debug, Serialize)]
pub(super) struct SettingArgs<R> {
    /// Name of the preset.
    preset: Option<String>,
    /// Changes, in the order in which they are made.
    changes: Vec<Change>,
    #[serde(skip)]
    rows: PhantomData<R>,
}

impl<R: Rows> SettingArgs<R> {
    /// All changes, in the order in which they are made.
    pub(super) fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The preset that was asked for.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown name.
    pub(super) fn preset(&self) -> Result<Option<Preset>> {
        self.preset.as_deref().map(|name| name.parse().map_err(worded)).transpose()
    }

    /// What the options ask of settings.
    ///
    /// # Errors
    /// [`Error::Usage`] for a preset of an unknown name, and for a setting that the command has no use for.
    pub(super) fn asked(&self) -> Result<Asked> {
        for change in &self.changes {
            let set = change.name.strip_prefix("--set ").filter(|path| settings::find(path).is_ok());
            if let Some(reason) = set.and_then(R::unused) {
                return Err(Error::usage(&change.name, reason, "leave it out"));
            }
        }
        let preset = self.preset()?.map(|preset| ("--preset".to_owned(), preset));
        Ok(Asked { preset, changes: self.changes.clone(), few_probes: R::FEW_PROBES })
    }
}

/// An error of settings with the option in place of a path.
pub(super) fn worded(error: Error) -> Error {
    let Error::Usage { option, problem, hint } = error else { return error };
    let setting = TABLE.iter().find(|setting| setting.path == option);
    let option = match setting.and_then(|setting| setting.option) {
        Some(name) => format!("--{name}"),
        // Of test-time learning, and of the choice of a preset.
        None if ["preset", "votes", "confident"].contains(&option.as_str()) => format!("--{option}"),
        None if settings::find(&option).is_ok() => format!("--set {option}"),
        None => option,
    };
    Error::Usage { option, problem, hint }
}

fn option_of(setting: &'static Setting, name: &'static str) -> Arg {
    let mut letters = setting.doc.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    let names = match setting.takes {
        Takes::Word(_) => format!(": {}", setting.takes.words()),
        _ => String::new(),
    };
    Arg::new(name)
        .long(name)
        .value_name(setting.takes.value_name())
        .help(first + letters.as_str() + &names)
        .value_parser(move |text: &str| match setting.takes.fits(&setting.read(text)) {
            true => Ok(text.to_owned()),
            false => Err(format!("expected {}", setting.takes.words())),
        })
}

impl<R: Rows> clap::Args for SettingArgs<R> {
    fn augment_args(command: Command) -> Command {
        let presets = format!("Set of defaults for the options below: {}", Preset::names());
        let preset = Arg::new("preset").long("preset").value_name("NAME");
        let mut command = command.arg(preset.help(format!("{presets} [default: {}]", R::DEFAULT_PRESET)));
        for setting in TABLE.iter().filter(|setting| R::take(setting)) {
            if let Some(name) = setting.option {
                command = command.arg(option_of(setting, name));
            }
        }
        let set = Arg::new("set").long("set").value_name("PATH=VALUE").value_parser(name_value);
        let help = "Change any setting listed below; may be given several times";
        command.arg(set.action(ArgAction::Append).help(help))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<R: Rows> clap::FromArgMatches for SettingArgs<R> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut changes = Vec::new();
        for setting in TABLE.iter().filter(|setting| R::take(setting)) {
            let Some(name) = setting.option else { continue };
            let Some(text) = matches.get_one::<String>(name) else { continue };
            for path in [Some(setting.path), setting.also].into_iter().flatten() {
                changes.push(Change::new(format!("--{name}"), path, text.as_str().into()));
            }
        }
        for (path, text) in matches.get_many::<(String, String)>("set").into_iter().flatten() {
            changes.push(Change::new(format!("--set {path}"), path, text.as_str().into()));
        }
        Ok(Self { preset: matches.get_one("preset").cloned(), changes, rows: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use clap::{Args, FromArgMatches};
    use stepladder::ladder::settings::Settings;

    use super::*;

    #[derive(Debug)]
    struct All;

    impl Rows for All {
        const DEFAULT_PRESET: &'static str = "tiny";
    }

    fn parse(args: &[&str]) -> Result<SettingArgs<All>, clap::Error> {
        let command = SettingArgs::<All>::augment_args(Command::new("x"));
        let matches = command.try_get_matches_from([&["x"], args].concat())?;
        SettingArgs::from_arg_matches(&matches)
    }

    #[test]
    fn every_option_of_the_table_changes_its_setting() {
        let mut args = Vec::new();
        for setting in TABLE {
            let Some(option) = setting.option else { continue };
            let value = match setting.takes {
                Takes::Word(words) => words[2],
                Takes::Whole(..) => "3",
                _ => ".25",
            };
            args.extend([format!("--{option}"), value.to_owned()]);
        }
        args.extend(["--set", "variants.per_node=7", "--set", "steps=9"].map(str::to_owned));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut settings = Settings::preset(Preset::Tiny);
        let given = parse(&args).unwrap();
        given.asked().unwrap().make(&mut settings).unwrap();
        assert_eq!((settings.seed, settings.steps, settings.group_size), (3, 9, 3));
        assert_eq!((settings.sampling.max_tokens, settings.evaluation.sampling.max_tokens), (3, 3));
        assert_eq!((settings.learning_rate, settings.sampling.temperature), (0.25, 0.25));
        assert_eq!(settings.loss.kl.unwrap().coef, 0.25);
        assert_eq!(settings.variants.per_node, 7);
        assert!(given.preset().unwrap().is_none());
    }

    #[test]
    fn what_cannot_be_is_refused_by_the_name_that_was_given() {
        for (args, words) in [
            (["--steps", "0"], "expected a whole number from 1 up"),
            (["--temperature", "0"], "expected a number above 0"),
            (["--learning-rate", "inf"], "expected a number above 0"),
            (["--loss", "sft"], "expected grpo, dapo, dr_grpo, gspo or cispo"),
        ] {
            let error = parse(&args).unwrap_err().to_string();
            assert!(error.contains(args[0]) && error.contains(words), "{error}");
        }
        let mut settings = Settings::preset(Preset::Tiny);
        let error = parse(&["--set", "variants.temprature=1"])
            .unwrap()
            .asked()
            .unwrap()
            .make(&mut settings)
            .unwrap_err();
        assert!(error.to_string().starts_with("--set variants.temprature: there is no"), "{error}");
        settings.group_size = 1;
        assert!(worded(settings.check().unwrap_err()).to_string().starts_with("--group-size: is 1"));
        let error = parse(&["--preset", "pape"]).unwrap().preset().unwrap_err().to_string();
        assert!(error.starts_with("--preset") && error.contains("paper, small, software or tiny"), "{error}");
    }
}
