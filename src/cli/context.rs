//! What every command gets beside its own options: how to answer, which GPU was asked for, where it may write, and whether
//! to stop.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::ArgMatches;
use clap::parser::ValueSource;
use serde::Serialize;
use stepladder::model::tiny;
use stepladder::train::output::Gate;
use stepladder::{Error, Result};

use super::signals::Stop;
use super::{Global, signals};

/// Options and arguments whose values are read, by name: none of them is ever written to. The tests hold all options with
/// paths to be here or in [`OUTPUTS`].
const INPUTS: &[&str] = &[
    "model",
    "adapter",
    "adapters",
    "adapter_folder",
    "api_key_file",
    "credentials",
    "library",
    "archive",
    "data",
    "pairs",
    "run",
    "feedback",
    "document",
    "author",
    "neighbours",
    "problems",
    "eval_problems",
    "shot_problems",
    "exclude",
    "schema",
    "grammar",
    "file",
    "task_option",
];

/// Options whose values are written to. A page is read and written: a part of it is replaced.
#[cfg(test)]
const OUTPUTS: &[&str] = &["html", "output", "keep", "publish", "page", "trace", "report"];

/// Commands that run no kernels whose time is kept.
const UNTIMED: &[&str] = &[
    "info",
    "examples",
    "verify",
    "export",
    "board",
    "accept",
    "reject",
    "rollback",
    "pack",
    "unpack",
    "report",
    "models",
    "swarm",
    "completions",
    "man",
];

/// Settings of this call of the program.
#[derive(Debug)]
pub(super) struct Context {
    /// Standard output is for programs.
    pub(super) json: bool,
    /// Part of the name of the GPU to use, from `--gpu`, else from `WGPU_ADAPTER_NAME`.
    pub(super) gpu: Option<String>,
    /// Multiply in 16-bit floats where the GPU can.
    pub(super) f16: bool,
    /// Time every kernel.
    pub(super) profile: bool,
    /// Where to write when each kernel ran.
    pub(super) trace: Option<PathBuf>,
    /// What may be written to.
    pub(super) gate: Gate,
    /// Options that were given, by name.
    given: BTreeSet<String>,
    stop: Arc<Stop>,
}

impl Context {
    /// Reads the environment and takes over the signals that stop a program: once a command is [`Context::stoppable`] the
    /// first asks it to stop, and the second ends it.
    pub(super) fn new(global: &Global, matches: &ArgMatches) -> Result<Self> {
        let from_environment = || std::env::var("WGPU_ADAPTER_NAME").ok();
        let gpu = global.gpu.clone().or_else(from_environment).filter(|name| !name.is_empty());
        let (given, inputs) = matches.subcommand().map(|(_, of)| (given(of), inputs(of))).unwrap_or_default();
        matches.subcommand().map_or(Ok(()), |(_, of)| check_pairs(of))?;
        check_unicode(matches)?;
        if global.overwrite && given.contains("resume") {
            let problem = "--resume goes on with what is there";
            return Err(Error::usage("--overwrite", problem, "leave one of them out"));
        }
        let gate = Gate { inputs, overwrite: global.overwrite };
        let option = if global.trace.is_some() { "--trace" } else { "--profile" };
        if let Some(name) = matches.subcommand_name().filter(|name| UNTIMED.contains(name))
            && (global.trace.is_some() || global.profile)
        {
            return Err(Error::usage(
                option,
                format!("`{name}` runs no kernels whose time is kept"),
                "leave it out",
            ));
        }
        if let Some(file) = &global.trace {
            gate.file("--trace", file)?;
            let inside = |folder: &OsString| {
                let (file, folder) = (std::path::absolute(file), std::path::absolute(folder));
                file.ok().zip(folder.ok()).is_some_and(|(file, folder)| file.starts_with(folder))
            };
            let output = matches.subcommand().and_then(|(_, of)| of.try_get_raw("output").ok().flatten());
            if output.into_iter().flatten().any(|folder| inside(&folder.to_owned())) {
                let problem = format!("{} is in the --output of the same command", file.display());
                return Err(Error::usage("--trace", problem, "choose another place"));
            }
        }
        let stop = Arc::new(Stop::new());
        signals::handle(Arc::clone(&stop))?;
        Ok(Self {
            json: global.json,
            gpu,
            f16: global.f16,
            profile: global.profile || global.trace.is_some(),
            trace: global.trace.clone(),
            gate,
            given,
            stop,
        })
    }

    /// Whether the option of this name (`batch_size`) was given in this call, and does not have its default.
    pub(super) fn is_given(&self, name: &str) -> bool {
        self.given.contains(name)
    }

    /// Errors ([`Error::Cancelled`]) if the user has asked to stop.
    pub(super) fn check_cancelled(&self) -> Result<()> {
        if self.stop.cancelled.load(Ordering::Relaxed) { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// Becomes true when the user asks to stop; long work looks at it between slices.
    pub(super) fn cancelled(&self) -> &Arc<AtomicBool> {
        &self.stop.cancelled
    }

    /// From here on the command looks at [`Context::cancelled`], and a first signal does not end it.
    pub(super) fn stoppable(&self) {
        self.stop.idle.store(false, Ordering::Relaxed);
    }

    /// Runs `work`, which a first Ctrl-C stops, and nothing else: `None` if it did.
    pub(super) fn interruptible<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<Option<T>> {
        self.stop.interruptible.store(true, Ordering::Relaxed);
        let result = work();
        self.stop.interruptible.store(false, Ordering::Relaxed);
        // Also one that came when the work was done already.
        let interrupted = self.stop.interrupted.swap(false, Ordering::Relaxed);
        if interrupted {
            self.stop.cancelled.store(false, Ordering::Relaxed);
        }
        match result {
            Err(Error::Cancelled) if interrupted => Ok(None),
            result => result.map(Some),
        }
    }

    /// Runs `wait`, during which Ctrl-C ends the program at once.
    pub(super) fn idle<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.stop.idle.store(true, Ordering::Relaxed);
        let result = wait();
        self.stop.idle.store(false, Ordering::Relaxed);
        result
    }

    /// Answers with `value` as a line of JSON if `--json` was given, else with `text`, a newline added.
    ///
    /// Each answer is one JSON line, flushed, so that a reader sees events as they happen.
    pub(super) fn answer(&self, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<()> {
        let line = if self.json {
            serde_json::to_string(value).map_err(|error| Error::write("standard output", error.into()))?
        } else {
            text()
        };
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}")
            .and_then(|()| out.flush())
            .map_err(|error| Error::write("standard output", error))
    }
}

/// Names of what was given on the command line.
fn given(matches: &ArgMatches) -> BTreeSet<String> {
    let names = matches.ids().map(|id| id.as_str());
    names
        .filter(|name| matches.value_source(name) == Some(ValueSource::CommandLine))
        .map(str::to_owned)
        .collect()
}

/// What a command reads: the option, and a path if it is one.
fn inputs(matches: &ArgMatches) -> Vec<(String, PathBuf)> {
    let mut inputs = Vec::new();
    for name in INPUTS {
        let Ok(Some(values)) = matches.try_get_raw(name) else { continue };
        let option = option(name);
        for value in values.filter(|value| *value != tiny::NAME) {
            // NAME=VALUE of a task may be a file or a program, that of an adapter is its folder.
            let text = value.to_string_lossy();
            let path = match text.split_once('=') {
                Some((_, path)) if ["adapters", "task_option"].contains(name) => PathBuf::from(path),
                _ => PathBuf::from(value),
            };
            inputs.push((option.clone(), path));
        }
    }
    inputs
}

/// Fails at a path that is no text: runs, cards and answers name their files, and could not be written later.
fn check_unicode(matches: &ArgMatches) -> Result<()> {
    let mut of = Some(matches);
    while let Some(matches) = of {
        for id in matches.ids().map(|id| id.as_str()) {
            let values = matches.try_get_raw(id).ok().flatten().into_iter().flatten();
            if let Some(value) = values.into_iter().find(|value| value.to_str().is_none()) {
                let problem = format!("`{}` is not UTF-8", value.to_string_lossy());
                return Err(Error::usage(option(id), problem, "rename the file or folder"));
            }
        }
        of = matches.subcommand().map(|(_, of)| of);
    }
    match std::env::current_dir() {
        Ok(folder) if folder.to_str().is_none() => {
            let problem = format!("its name `{}` is not UTF-8", folder.display());
            Err(Error::usage("the current folder", problem, "work in a folder whose path is"))
        }
        _ => Ok(()),
    }
}

/// Fails where a parameter of the task gets two values: one of the two would be passed over in silence.
fn check_pairs(matches: &ArgMatches) -> Result<()> {
    let id = "task_option";
    let Ok(Some(pairs)) = matches.try_get_many::<(String, String)>(id) else { return Ok(()) };
    let mut known: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, value) in pairs {
        match known.insert(name, value) {
            Some(old) if !is_same(old, value) => {
                let this = format!("{} {name}", option(id));
                let problem = format!("is {value}, but {this} is {old} in the same call");
                return Err(Error::usage(this, problem, "give one of them"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether two texts give the same value, numbers in any notation.
fn is_same(one: &str, other: &str) -> bool {
    one == other || one.parse::<f64>().is_ok_and(|one| other.parse() == Ok(one))
}

/// An option as the user writes it.
pub(super) fn option(name: &str) -> String {
    format!("--{}", name.replace('_', "-"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use clap::builder::ValueParser;

    #[test]
    fn a_parameter_gets_one_value() {
        let check = |line: &str| {
            let words =
                "stepladder verify --task countdown --problem x --answer y".split(' ').chain(line.split(' '));
            let matches = super::super::definition().try_get_matches_from(words).unwrap();
            let (_, of) = matches.subcommand().unwrap();
            check_pairs(of).map_err(|error| error.to_string())
        };
        assert_eq!(
            check("--task-option a=1 --task-option a=2").unwrap_err(),
            "--task-option a: is 2, but --task-option a is 1 in the same call; give one of them"
        );
        assert_eq!(check("--task-option a=1 --task-option b=1 --task-option a=1.0"), Ok(()));
    }

    #[test]
    fn every_path_is_an_input_or_an_output() {
        let path = ValueParser::path_buf().type_id();
        for command in super::super::definition().get_subcommands() {
            for arg in command.get_arguments().filter(|arg| arg.get_value_parser().type_id() == path) {
                let name = arg.get_id().as_str();
                let known = INPUTS.contains(&name) != OUTPUTS.contains(&name);
                assert!(known, "{} {name}", command.get_name());
            }
        }
    }
}
