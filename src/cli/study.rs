//! `stepladder study`: arms, seeds and baselines at equal token budgets, described in a file.

use std::collections::BTreeMap;
mod lessons;

use std::path::{Path, PathBuf};
use std::time::Instant;

use pollster::block_on;
use serde::Serialize;
use serde::de::DeserializeOwned;
use stepladder::ladder::events::Event;
use stepladder::ladder::learner::Learner;
use stepladder::ladder::policy::{Policy, PolicyInfo};
use stepladder::ladder::settings::Settings;
use stepladder::ladder::state::{Host, MemoryStore};
use stepladder::ladder::study::lab::Lab;
use stepladder::ladder::study::plan::{Kind, Study};
use stepladder::ladder::study::results::Results;
use stepladder::ladder::study::run::{self, Progress};
use stepladder::ladder::study::table;
use stepladder::lessons::study::plan::Study as LessonStudy;
use stepladder::session::Session;
use stepladder::task::{self, Origin};
use stepladder::train::adapter::dims;
use stepladder::train::files::{read, read_adapter, write_atomic};
use stepladder::train::fingerprint::Base;
use stepladder::train::output::{Gate, contents, expect_folder};
use stepladder::train::peft::AdapterFile;
use stepladder::{Error, Result};

use super::args::DeviceArgs;
use super::checker_files;
use super::context::Context;
use super::ladder_view::View;
use super::session::{adapter, load, open, print_profile, read_text, tie, worded};
use super::signals::say;
use super::tuning::choose_kernels;

/// What a study file holds, for the help text.
pub(super) const FILE_HELP: &str = "A study file is TOML: name, question, model, task, problems, held_out, preset, seeds, \
token_budget, samples, hard_levels, easy_levels, reference, optional problem_levels, adapter, text and [settings] (by path, as `ladder --set`), \
and one [[arm]] for each arm: name, label, kind (evaluate, sample, train, ttrl), optional ablation, seeds, settings, \
problems, shots and shot_problems, from (the training arm to go on from), questions. `studies/tiny.toml` is an example. A study of lessons has [[lesson]] (name, label, kind, count, of), orders, subject, rival, \
optional skill, text and settings, and arms of the kinds sequence, joint, apart, slao, ties, notes, retrieve: \
`studies/lessons.toml`.";

/// Options of `study`.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct Args {
    /// The study
    #[arg(value_name = "FILE.toml")]
    pub(super) file: PathBuf,
    /// Use this model instead of the one that the study names, which stays its name in the results
    #[arg(short, long)]
    pub(super) model: Option<String>,
    /// PEFT adapter that every arm starts from, instead of the study's
    #[arg(long, value_name = "DIR")]
    pub(super) adapter: Option<PathBuf>,
    /// Folder of its jobs and results; a study that was stopped goes on there [default: the file's name without .toml]
    #[arg(long, value_name = "DIR")]
    pub(super) output: Option<PathBuf>,
    /// Begin the jobs of these arms alone; may be given several times
    #[arg(long, value_name = "NAME")]
    pub(super) arm: Vec<String>,
    /// Folder that results.json, table.md and the plots are written to as well, such as one that is kept in version control
    #[arg(long, value_name = "DIR")]
    pub(super) publish: Option<PathBuf>,
    /// Markdown page whose part between `<!-- study NAME -->` (or `<!-- study NAME summary -->`) and `<!-- end study -->` becomes the table
    #[arg(long, value_name = "FILE")]
    pub(super) page: Vec<PathBuf>,
    /// Run nothing: make table, plots and pages anew from the results.json in --publish, or else in --output
    #[arg(long)]
    pub(super) render: bool,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
}

/// Does what is left of a study, then writes what it came to.
pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let text = read_text(&args.file)?;
    let output = args.output.clone().unwrap_or_else(|| args.file.with_extension(""));
    if LessonStudy::is_one(&text) {
        return lessons::run(args, context, &output);
    }
    let name = || Ok(Study::read(&args.file)?.plan.name);
    args.check_outputs::<Results>(context, &output, &name, |results| &results.study)?;
    let results = if args.render {
        read_results(args.publish.as_ref().unwrap_or(&output))?
    } else {
        do_jobs(args, context, &output)?
    };
    args.publish(context, &output, &results, (&results.study, &table::parts(&results)), &run::write)
}

impl Args {
    /// Writes what a study came to into its folders and pages, and shows it; `parts` are its name and its texts for pages.
    fn publish<R: Serialize>(
        &self,
        context: &Context,
        output: &Path,
        results: &R,
        (study, parts): (&str, &[(&str, String)]),
        write: &dyn Fn(&R, &Path) -> Result<Vec<PathBuf>>,
    ) -> Result<()> {
        let mut files = Vec::new();
        if !self.render {
            files.extend(write(results, output)?);
        }
        if let Some(folder) = &self.publish {
            files.extend(write(results, folder)?);
        }
        for path in &self.page {
            let page = read_text(path)?;
            let marks = format!("<!-- study {study} --> and <!-- end study -->");
            let new = table::into_page(&page, study, parts).ok_or_else(|| {
                Error::input(path, "contents", format!("no {marks}"), "put both marks where the table goes")
            })?;
            write_atomic(path, new.as_bytes())?;
            files.push(path.clone());
        }
        context.answer(results, || {
            let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
            format!("{}\nwritten: {}", parts[0].1, files.join(", "))
        })
    }
    /// Results are made anew in folders that hold those of the same study; others are not written over.
    fn check_outputs<R: DeserializeOwned>(
        &self,
        context: &Context,
        output: &Path,
        name: &dyn Fn() -> Result<String>,
        study_of: impl Fn(&R) -> &String,
    ) -> Result<()> {
        let name = if self.render { None } else { Some(name()?) };
        for (option, folder) in [("--output", Some(output)), ("--publish", self.publish.as_deref())] {
            let Some(folder) = folder else { continue };
            expect_folder(option, folder)?;
            if !folder.exists() {
                continue;
            }
            if contents(folder)?.is_empty() {
                continue;
            }
            // What the command reads is not among the files that results are written to.
            let own = ["results.json", "table.md"].map(|file| folder.join(file));
            let inputs = Gate { overwrite: true, ..context.gate.clone() };
            own.iter().try_for_each(|file| inputs.file(option, file))?;
            let foreign = match read_results::<R>(folder) {
                Ok(results) => name.as_ref().is_some_and(|name| name != study_of(&results)),
                Err(_) => own.iter().any(|file| file.exists()),
            };
            if foreign && !context.gate.overwrite {
                let problem = format!("{} holds results of something else", folder.display());
                let hint = "choose another folder, or add --overwrite to replace them";
                return Err(Error::usage(option, problem, hint));
            }
        }
        Ok(())
    }

    /// Fails for a name in `--arm` that none of the study's arms has.
    fn expect_arms<'a>(&self, known: impl Iterator<Item = &'a str>) -> Result<()> {
        let known: Vec<&str> = known.collect();
        match self.arm.iter().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => Err(Error::usage(
                "--arm",
                format!("there is no arm `{name}`"),
                format!("use {}", known.join(", ")),
            )),
        }
    }
}

fn read_results<R: DeserializeOwned>(folder: &Path) -> Result<R> {
    let file = folder.join("results.json");
    serde_json::from_slice(&read(&file)?).map_err(|error| {
        let hint = "run the study without --render";
        Error::input(&file, format!("line {}", error.line()), error.to_string(), hint)
    })
}

fn do_jobs(args: &Args, context: &Context, output: &Path) -> Result<Results> {
    let mut study = Study::read(&args.file)?;
    if let Some(folder) = &args.adapter {
        study.adapter = Some(folder.clone());
    }
    args.expect_arms(study.plan.arms.iter().map(|arm| arm.name.as_str()))?;
    let task = task::create(&study.plan.task, &study.plan.task_options)?;
    let training = study.plan.arms.iter().filter(|arm| arm.kind == Kind::Train);
    for problems in training.map(|arm| study.problems(arm)).chain([&study.held_out[..]]) {
        task::check_problems(&*task, Origin::File(&args.file), problems)?;
    }
    let mut checker = checker_files::hashes(&*task);
    if let Some(problem) = study.held_out.first() {
        task.try_out(problem)?;
        // What judging changes is a log, and no part of the checker.
        let after = checker_files::hashes(&*task);
        checker.retain(|file, hash| after.get(file) == Some(hash));
    }
    let opened = open(context, args.model.as_deref().unwrap_or(&study.plan.model), &args.device)?;
    let opened = worded(opened, study.prompt_style()?);
    for arm in &study.plan.arms {
        let settings = study.settings(arm, 0)?;
        let adapter = opened.trainable(study.adapter.as_deref(), &settings.lora, 0)?;
        let problems = [study.problems(arm), &study.held_out];
        opened.tell_lacking_of(problems);
        opened.check_run(&format!("arm `{}`", arm.name), &settings, &*task, problems, &adapter.config)?;
    }
    // A copy of the embedding that was saved with it is compared with the weights, which are at hand only here.
    let adapter = adapter(&opened, study.adapter.as_deref())?;
    let given = study.adapter.clone().zip(adapter);
    let mut base = None;
    tie(&opened, &mut base, &args.device, context, true, "run")?;
    context.stoppable();
    let session = load(opened)?;
    choose_kernels(session.model())?;
    let mut bench = Bench { session: &session, given, base, checker, info: None };
    let mut view = View::quiet(context, "study");
    let began = Instant::now();
    let clock = move || began.elapsed().as_secs_f64();
    let mut sink = |event: &Event| view.event(event);
    let mut store = MemoryStore::default();
    let cancel = context.cancelled();
    let mut host = Host { store: &mut store, sink: &mut sink, clock: &clock, cancel };
    let mut watch = |progress: Progress<'_>| say(&line(&progress));
    let results = block_on(run::run(&mut bench, &study, &*task, (output, &args.arm), &mut host, &mut watch));
    if let Err(Error::Cancelled) = results {
        say(&format!("stopped; what is done is in {}, and the same command goes on", output.display()));
    }
    let results = results?;
    print_profile(context, session.model().gpu())?;
    Ok(results)
}

/// A line on what happens.
fn line(progress: &Progress<'_>) -> String {
    match progress {
        Progress::Began { arm, seed, index, jobs } => {
            format!("[{}/{jobs}] {}, seed {seed}", index + 1, arm.label)
        }
        Progress::Done { arm, outcome, before } => {
            let asked: Vec<f64> = outcome.scores.iter().flatten().copied().collect();
            let mean = 100.0 * asked.iter().sum::<f64>() / asked.len().max(1) as f64;
            let when = if *before { "done before" } else { "done" };
            format!(
                "{when}: {}, seed {}: {mean:.1} % of {} held-out problems, {} training tokens, {:.0} s",
                arm.label,
                outcome.seed,
                asked.len(),
                outcome.training_tokens,
                outcome.training_seconds + outcome.answer_seconds
            )
        }
    }
}

/// One model on one device, from which every job gets its learner.
struct Bench<'a> {
    session: &'a Session,
    /// The adapter of the study, and its folder.
    given: Option<(PathBuf, AdapterFile)>,
    base: Option<Base>,
    checker: BTreeMap<String, String>,
    info: Option<PolicyInfo>,
}

impl Lab for Bench<'_> {
    type Policy = Learner;

    fn policy(&mut self, settings: &Settings, folder: Option<&Path>) -> Result<Learner> {
        let opened = self.session.opened();
        let file = match folder {
            Some(folder) => {
                let file = match &self.given {
                    Some((given, file)) if given == folder => file.clone(),
                    _ => read_adapter(folder, &dims(&opened.config))?,
                };
                file.expect_no_dropout(folder)?;
                file
            }
            None => opened.fresh_adapter(&settings.lora, settings.seed)?,
        };
        let learner = self.session.learner(&file)?;
        self.info = Some(learner.info());
        Ok(learner)
    }

    fn info(&self) -> Option<PolicyInfo> {
        self.info.clone()
    }

    fn base(&self) -> Option<Base> {
        self.base.clone()
    }

    fn checker(&self) -> BTreeMap<String, String> {
        self.checker.clone()
    }
}
