//! The options that change settings: one for each row of the table that has one, and `--set` for all.

use std::fmt::Debug;
use std::marker::PhantomData;

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde::Serialize;
use serde_json::Value;
use stepladder::ladder::changes::Asked;
use stepladder::ladder::presets::Preset;
use stepladder::settings::{Change, LADDER, Setting, Table, Takes, expect_one_value};
use stepladder::train::resume::words;
use stepladder::{Error, Result};

use super::args::name_value;

/// Which rows of the table are options of a command.
pub(super) trait Rows: Debug {
    /// The table.
    const TABLE: Table = LADDER;
    /// What `--preset` says of the preset that is taken without it; `None` where there are no presets.
    const DEFAULT_PRESET: Option<&'static str>;
    /// See [`Asked::few_probes`].
    const FEW_PROBES: bool = false;

    /// Why the command has no use for a setting, as in `--set PATH: REASON`; `None` if it has one.
    fn unused(_path: &str) -> Option<&'static str> {
        None
    }

    /// What the help of its option says of the value that is taken without it.
    fn default_words(_setting: &Setting) -> Option<String> {
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
    ///
    /// # Errors
    /// [`Error::Usage`] for a setting that the command has no use for, or that gets two values.
    pub(super) fn changes(&self) -> Result<&[Change]> {
        expect_one_value(R::TABLE, &self.changes)?;
        for change in &self.changes {
            let set = change.name.strip_prefix("--set ").filter(|path| R::TABLE.find(path).is_ok());
            if let Some(reason) = set.and_then(R::unused) {
                return Err(Error::usage(&change.name, reason, "leave it out"));
            }
        }
        Ok(&self.changes)
    }

    /// The preset that was asked for.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown name.
    pub(super) fn preset(&self) -> Result<Option<Preset>> {
        self.preset.as_deref().map(|name| name.parse()).transpose()
    }

    /// What the options ask of settings.
    ///
    /// # Errors
    /// [`Error::Usage`] for a preset of an unknown name; those of [`SettingArgs::changes`].
    pub(super) fn asked(&self) -> Result<Asked> {
        let changes = self.changes()?.to_vec();
        let preset = self.preset()?.map(|preset| ("--preset".to_owned(), preset));
        Ok(Asked { preset, changes, few_probes: R::FEW_PROBES })
    }
}

/// Every setting of a table by its path: the option that it has, or what it does, with the value that `default` says of it.
pub(super) fn table_help(table: Table, default: impl Fn(&Setting) -> String) -> String {
    let mut text = String::from("with their options, defaults and sources:");
    for setting in table.rows {
        let option = setting.option.map(|name| format!("--{name}"));
        let words = option.as_deref().unwrap_or(setting.doc);
        text += &format!("\n  {:<24} {words} [{}; {}]", setting.path, default(setting), setting.source);
    }
    text
}

/// A value as it is typed: whole numbers without `.0`.
pub(super) fn typed(value: &Value) -> String {
    value.as_f64().map_or_else(|| words(value), |number| number.to_string())
}

/// The help of `--resume`: `what` it does, and what may differ from the run that it goes on with.
pub(super) fn resume_help<R: Rows>(what: &str) -> String {
    format!("{what}. {}; anything else that differs is refused", anew::<R>())
}

/// What a run that goes on may be given another value of, as its user writes it.
fn anew<R: Rows>() -> String {
    let has_option = |row: &Setting| R::take(row).then_some(row.option).flatten();
    let (mut options, mut paths) = (Vec::new(), Vec::new());
    for row in R::TABLE.rows.iter().filter(|row| row.anew) {
        match has_option(row) {
            Some(name) => options.push(format!("--{name}")),
            None => paths.push(row.path),
        }
    }
    match paths.is_empty() {
        true => format!("{} may be given anew", options.join(", ")),
        false => format!("{}, and by --set {} may be given anew", options.join(", "), paths.join(", ")),
    }
}

fn option_of(setting: &'static Setting, name: &'static str, default: Option<String>) -> Arg {
    let doc = setting.switch.map_or(setting.doc, |(_, doc)| doc);
    let mut letters = doc.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    let names = match setting.takes {
        Takes::Word(_) => format!(": {}", setting.takes.words()),
        _ => String::new(),
    };
    let default = default.map(|default| format!(" [default: {default}]")).unwrap_or_default();
    let arg = Arg::new(name).long(name).help(first + letters.as_str() + &names + &default);
    if setting.switch.is_some() {
        return arg.action(ArgAction::SetTrue);
    }
    // A list may also be given a word at a time.
    let action = if matches!(setting.takes, Takes::Words(_)) { ArgAction::Append } else { ArgAction::Set };
    arg.action(action).value_name(setting.value_name()).value_parser(move |text: &str| {
        let value = setting.takes.read(text);
        match setting.takes.fits(&value) {
            true => Ok(text.to_owned()),
            false => Err(format!("expected {}", setting.takes.words_for(&value))),
        }
    })
}

/// The rows that are options, with their names.
fn options<R: Rows>() -> impl Iterator<Item = (&'static Setting, &'static str)> {
    let rows = R::TABLE.rows.iter().filter(|setting| R::take(setting));
    rows.filter_map(|setting| Some((setting, setting.option?)))
}

impl<R: Rows> clap::Args for SettingArgs<R> {
    fn augment_args(command: Command) -> Command {
        let mut command = command;
        if let Some(default) = R::DEFAULT_PRESET {
            let presets = format!("Set of defaults for the options below: {}", Preset::names());
            let preset = Arg::new("preset").long("preset").value_name("NAME");
            command = command.arg(preset.help(format!("{presets} [default: {default}]")));
        }
        for (setting, name) in options::<R>() {
            let mut arg = option_of(setting, name, R::default_words(setting));
            if let Some((_, other)) = options::<R>().find(|(other, _)| setting.instead == Some(other.path)) {
                arg = arg.conflicts_with(other);
            }
            command = command.arg(arg);
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
        for (setting, name) in options::<R>() {
            let (called, value) = match setting.switch {
                Some((value, _)) if matches.get_flag(name) => {
                    let of = if value { String::new() } else { format!(" ({})", setting.path) };
                    (format!("--{name}{of}"), Value::from(value))
                }
                Some(_) => continue,
                None => {
                    let Some(texts) = matches.get_many::<String>(name) else { continue };
                    let texts: Vec<&str> = texts.map(String::as_str).collect();
                    (format!("--{name}"), texts.join(",").into())
                }
            };
            for path in [Some(setting.path), setting.also].into_iter().flatten() {
                changes.push(Change::new(&*called, path, value.clone()));
            }
        }
        for (path, text) in matches.get_many::<(String, String)>("set").into_iter().flatten() {
            changes.push(Change::new(format!("--set {path}"), path, text.as_str().into()));
        }
        let preset = R::DEFAULT_PRESET.and_then(|_| matches.get_one("preset").cloned());
        Ok(Self { preset, changes, rows: PhantomData })
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
    use stepladder::model::module::Module;
    use stepladder::settings::SFT;
    use stepladder::train::sft::SftOptions;

    use super::*;

    #[derive(Debug)]
    struct All;

    impl Rows for All {
        const DEFAULT_PRESET: Option<&'static str> = Some("tiny");
    }

    fn parse(args: &[&str]) -> Result<SettingArgs<All>, clap::Error> {
        let command = SettingArgs::<All>::augment_args(Command::new("x"));
        let matches = command.try_get_matches_from([&["x"], args].concat())?;
        SettingArgs::from_arg_matches(&matches)
    }

    #[test]
    fn every_option_of_the_table_changes_its_setting() {
        let mut args = Vec::new();
        for setting in LADDER.rows {
            let Some(option) = setting.option else { continue };
            let value = match setting.takes {
                Takes::Word(words) => words[2],
                Takes::Whole(..) => "3",
                _ => ".25",
            };
            args.extend([format!("--{option}"), value.to_owned()]);
        }
        args.extend(["--set", "variants.per_node=7", "--set", "steps=3"].map(str::to_owned));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut settings = Settings::preset(Preset::Tiny);
        let given = parse(&args).unwrap();
        given.asked().unwrap().make(&mut settings).unwrap();
        assert_eq!((settings.seed, settings.steps, settings.group_size), (3, 3, 3));
        assert_eq!((settings.sampling.max_tokens, settings.evaluation.sampling.max_tokens), (3, 3));
        assert_eq!((settings.learning_rate, settings.sampling.temperature), (0.25, 0.25));
        assert_eq!(settings.loss.kl.unwrap().coef, 0.25);
        assert_eq!(settings.variants.per_node, 7);
        assert!(given.preset().unwrap().is_none());
    }

    #[derive(Debug)]
    struct Training;

    impl Rows for Training {
        const TABLE: Table = SFT;
        const DEFAULT_PRESET: Option<&'static str> = None;
    }

    fn training(args: &[&str]) -> Result<SftOptions, String> {
        let command = SettingArgs::<Training>::augment_args(Command::new("x"));
        let matches =
            command.try_get_matches_from([&["x"], args].concat()).map_err(|error| error.to_string())?;
        let given = SettingArgs::<Training>::from_arg_matches(&matches).map_err(|error| error.to_string())?;
        let asked = given.changes().and_then(|changes| SftOptions::default().with(changes));
        asked.map_err(|error| error.to_string())
    }

    #[test]
    fn lists_and_switches_are_options_too() {
        assert_eq!(training(&[]), Ok(SftOptions::default()));
        for targets in [
            &["--target-modules", "q_proj,v_proj"][..],
            &["--target-modules", "q_proj", "--target-modules", "v_proj"],
        ] {
            let got =
                training(&[targets, &["--rslora", "--no-shuffle", "--set", "optimizer.eps=1e-6"]].concat())
                    .unwrap();
            assert_eq!(got.lora.targets, [Module::Q, Module::V].into());
            assert!(got.lora.rslora && !got.shuffle && got.optimizer.eps == 1e-6);
        }
        for (args, words) in [
            (&["--target-modules", "q_proj,head"][..], "expected a list of q_proj"),
            (&["--learning-rate", "1e300"], "expected a number above 0 that fits 32-bit floats"),
            (&["--steps", "2", "--epochs", "1"], "cannot be used with"),
            (&["--steps", "2", "--set", "epochs=1"], "--set epochs: is 1, but --steps is 2 in the same call"),
            (
                &["--rank", "2", "--set", "lora.rank=3"],
                "--set lora.rank: is 3, but --rank is 2 in the same call",
            ),
            (
                &["--no-shuffle", "--set", "shuffle=true"],
                "--set shuffle: is true, but --no-shuffle (shuffle) is false",
            ),
            (&["--set", "rank=3"], "--set rank: there is no such setting; did you mean lora.rank?"),
        ] {
            let error = training(args).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn what_may_be_given_anew_is_said_of_the_rows() {
        let words = "--steps, --epochs, --learning-rate, --schedule, --warmup-steps, --weight-decay, --max-grad-norm, \
                     --checkpoint-every may be given anew";
        assert_eq!(anew::<Training>(), words);
        let words = anew::<All>();
        assert!(
            words.starts_with("--steps, --learning-rate, and by --set token_budget, schedule, "),
            "{words}"
        );
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
        let error = parse(&["--preset", "pape"]).unwrap().preset().unwrap_err().to_string();
        assert!(error.starts_with("preset") && error.contains("paper, small, software or tiny"), "{error}");
    }
}
