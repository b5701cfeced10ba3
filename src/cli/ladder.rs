//! `stepladder ladder`: a model teaches itself.

use std::path::{Path, PathBuf};
use std::time::Instant;

use pollster::block_on;
use serde::Serialize;
use serde_json::Value;
use stepladder::ladder::events::Event;
use stepladder::ladder::policy::Policy;
use stepladder::ladder::presets::Preset;
use stepladder::ladder::resume::{self, expect_problems, expect_task};
use stepladder::ladder::run::{self, RunCard};
use stepladder::ladder::run_folder::RunFolder;
use stepladder::ladder::settings::Settings;
use stepladder::ladder::state::{Host, Snapshot};
use stepladder::session::{Opened, suiting_preset};
use stepladder::settings::Change;
use stepladder::task::{self, Origin, Task};
use stepladder::train::peft::AdapterFile;
use stepladder::train::resume::{differences, differs};
use stepladder::{Error, Result};

use super::args::{DeviceArgs, name_value};
use super::checker_files;
use super::context::Context;
use super::ladder_view::{Summary, View};
use super::resume::{ADAPTER, RUN, expect_computed, expect_model};
use super::session::{load, open, open_gpu, print_profile, read_problems, tie, worded};
use super::setting_args::{Rows, SettingArgs, resume_help};
use super::signals::{quoted, say};
use super::tuning::choose_kernels;

/// Options of `ladder`. What is not given comes from the preset, or, with `--resume`, from the run.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct Args {
    /// `tiny` (built in), a Hugging Face folder, a .gguf file, or hf:OWNER/NAME[@REV]
    #[arg(short, long, required_unless_present = "resume")]
    pub(super) model: Option<String>,
    /// PEFT adapter to go on from
    #[arg(long, value_name = "DIR")]
    pub(super) adapter: Option<PathBuf>,
    /// Kind of problem: what is asked, and who judges answers (see below)
    #[arg(long, value_name = "NAME", required_unless_present = "resume")]
    pub(super) task: Option<String>,
    /// A parameter of the task; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = name_value)]
    pub(super) task_option: Vec<(String, String)>,
    /// Problems to learn to solve, one JSON object a line
    #[arg(long, value_name = "FILE", required_unless_present = "resume")]
    pub(super) problems: Option<PathBuf>,
    /// Folder of the run, new or empty: settings, events, adapter, tree, report
    #[arg(long, value_name = "DIR")]
    pub(super) output: PathBuf,
    /// Go on with the run in --output, on the same model and problems; what may differ the help says
    #[arg(long, help = resume_help::<LadderRows>("Go on with the run in --output, on the same model and problems"))]
    pub(super) resume: bool,
    #[command(flatten)]
    pub(super) settings: SettingArgs<LadderRows>,
    /// Held-out problems, never learnt from, that progress is measured on
    #[arg(long, value_name = "FILE")]
    pub(super) eval_problems: Option<PathBuf>,
    /// Draw the completions of each problem by themselves: slower, and with the same bits as by the workers of a swarm
    #[arg(long)]
    pub(super) draw_alone: bool,
    #[cfg(feature = "swarm")]
    #[command(flatten)]
    pub(super) swarm: super::swarm::SwarmArgs,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
}

/// Every setting that has an option.
#[derive(Debug)]
pub(super) struct LadderRows;

impl Rows for LadderRows {
    const DEFAULT_PRESET: Option<&'static str> =
        Some("tiny for the model `tiny`, software where the GPU is a program on the CPU, else small");
}

/// Runs LADDER, or goes on with a run.
pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    // Everything that can be wrong with the call shows before the model is loaded, and before anything is written.
    let resumed = if args.resume { Some(args.resumed(context)?) } else { None };
    let mut card = match &resumed {
        Some((_, _, card)) => card.clone(),
        None => args.card(context)?,
    };
    let task = task::create(&card.task, &card.task_options)?;
    for (file, problems) in [(&args.problems, &card.problems), (&args.eval_problems, &card.held_out)] {
        if let Some(file) = file.as_ref().filter(|_| !args.resume) {
            task::check_problems(&*task, Origin::File(file), problems)?;
        }
    }
    if let Some(problem) = card.problems.first() {
        task.try_out(problem)?;
    }
    let device = args.device.as_in(card.base.as_ref());
    let opened = worded(open(context, &card.model, &device)?, card.settings.prompt_style);
    let has_base = card.base.is_some();
    let begun = matches!(&resumed, Some((_, Some(_), _)));
    let checker = checker_files::hashes(&*task);
    checker_files::tell_changes(&card.checker, &checker, "the run was last begun");
    card.checker = checker;
    tie(&opened, &mut card.base, &device, context, true, "run")?;
    let adapter = if begun && has_base {
        // The checkpoint has the values; the card has the shape, also of an adapter that the run went on from.
        opened.trainable(None, &card.settings.lora, card.settings.seed)?
    } else {
        let folder = card.adapter.as_deref().map(Path::new);
        opened.trainable(folder, &card.settings.lora, card.settings.seed)?
    };
    if card.adapter.is_some() && !args.resume {
        expect_lora(args.settings.changes()?, &card.settings, &adapter)?;
    }
    card.settings.lora = adapter.config.clone();
    let problems = [&card.problems[..], &card.held_out];
    opened.tell_lacking_of(problems);
    opened.check_run("LADDER", &card.settings, &*task, problems, &adapter.config)?;
    #[cfg(feature = "swarm")]
    {
        args.swarm.note(&mut card)?;
        if let Some(trainer) = args.swarm.join(context, &card, &opened)? {
            let outcome = climb(args, context, card, (&*task, adapter), opened, resumed, Some(&trainer));
            trainer.finish()?;
            return outcome;
        }
    }
    climb(args, context, card, (&*task, adapter), opened, resumed, None)
}

/// Who leads a run on a server.
#[cfg(feature = "swarm")]
type Trainer = stepladder::swarm::Trainer;
/// Nobody leads one.
#[cfg(not(feature = "swarm"))]
type Trainer = std::convert::Infallible;

/// Runs what was found sound.
fn climb(
    args: &Args,
    context: &Context,
    card: RunCard,
    (task, adapter): (&dyn Task, AdapterFile),
    opened: Opened,
    resumed: Option<(RunFolder, Option<Snapshot>, RunCard)>,
    trainer: Option<&Trainer>,
) -> Result<()> {
    let (mut folder, saved) = match resumed {
        Some((mut folder, saved, _)) => {
            folder.set_card(card.clone())?;
            (folder, saved)
        }
        None if context.gate.overwrite => {
            (RunFolder::replace(&args.output, card.clone(), &context.gate)?, None)
        }
        None => (RunFolder::create(&args.output, card.clone())?, None),
    };
    for warning in folder.warnings() {
        say(warning);
    }
    context.stoppable();
    let session = load(opened)?;
    choose_kernels(session.model())?;
    let mut learner = session.learner(&adapter)?;
    folder.set_policy(learner.info())?;
    if card.alone {
        learner.draw_alone();
    }

    let began = Instant::now();
    let clock = move || began.elapsed().as_secs_f64();
    let mut view = View::new(context, "LADDER", card.settings.steps);
    let mut sink = |event: &Event| view.event(event);
    let mut host = Host { store: &mut folder, sink: &mut sink, clock: &clock, cancel: context.cancelled() };
    let outcome = match trainer {
        None => block_on(run::run(&mut learner, task, &card, saved, &mut host)),
        #[cfg(not(feature = "swarm"))]
        Some(never) => match *never {},
        #[cfg(feature = "swarm")]
        Some(trainer) => {
            super::swarm::lead(trainer, learner, session.opened(), (task, &card), saved, &mut host)
        }
    };
    if let Err(Error::Cancelled) = outcome {
        let output = args.output.display();
        say(&match folder.is_staged() {
            true => format!("stopped before the first step; the run in {output} is as it was"),
            false => format!(
                "stopped, and saved; go on with: stepladder ladder --output {} --resume",
                quoted(&args.output)
            ),
        });
    }
    let outcome = outcome?;
    print_profile(context, session.model().gpu())?;
    let report = folder.write_report(&outcome.nodes)?;
    if context.json {
        return Ok(());
    }
    // A run that went on was measured before, too.
    let text = Summary::told_by(&folder.events()?).of(&outcome.finished, outcome.nodes.len());
    context.answer(&(), || format!("{text}\nreport: {}", report.display()))
}

/// Holds settings of a new adapter that were given to the adapter that a run goes on from.
pub(super) fn expect_lora(changes: &[Change], settings: &Settings, adapter: &AdapterFile) -> Result<()> {
    let (asked, has) = (json(&settings.lora)?, json(&adapter.config)?);
    for (path, old, new) in differences(&has, &asked).into_iter().filter(|(path, ..)| path != "base_model") {
        let path = format!("lora.{path}");
        if let Some(change) = changes.iter().find(|change| change.touches(&path)) {
            return Err(differs(&change.name, ADAPTER, &old, &new));
        }
    }
    Ok(())
}

/// The preset that suits a model and the device if none is asked for.
pub(super) fn default_preset(context: &Context, model: &str, device: &DeviceArgs) -> Result<Preset> {
    suiting_preset(model, || Ok(open_gpu(context, device)?.is_software()))
}

impl Args {
    /// The run to go on with, its last checkpoint, and its card with what the options change of it.
    fn resumed(&self, context: &Context) -> Result<(RunFolder, Option<Snapshot>, RunCard)> {
        let (folder, saved) = RunFolder::open(&self.output)?;
        let mut card = folder.card().clone();
        let done = saved.as_ref().map_or(0, |saved| saved.progress.step);
        let asked = self.settings.asked()?;
        resume::change(&mut card.settings, &asked, ("--steps", done), RUN)?;
        if let Some(adapter) = self.adapter.as_ref().map(|path| path.display().to_string())
            && card.adapter.as_ref() != Some(&adapter)
        {
            return Err(differs("--adapter", RUN, &json(&card.adapter)?, &adapter.into()));
        }
        if let Some(model) = self.model.as_ref().filter(|model| **model != card.model) {
            // The same weights elsewhere are the same, which an older run cannot tell.
            if card.base.is_none() {
                return Err(differs("--model", RUN, &card.model.into(), &model.as_str().into()));
            }
            card.model.clone_from(model);
        }
        expect_model(&card.model)?;
        let options = self.task_option.iter();
        let options =
            options.map(|(name, value)| (format!("--task-option {name}"), name.clone(), value.clone()));
        let task = self.task.as_deref().map(|task| ("--task", task));
        expect_task((&card.task, &card.task_options), task, options, RUN)?;
        for (option, file, own) in [
            ("--problems", &self.problems, &card.problems),
            ("--eval-problems", &self.eval_problems, &card.held_out),
        ] {
            if let Some(file) = file {
                expect_problems(option, own, &read_problems(file)?, RUN)?;
            }
        }
        #[cfg(feature = "swarm")]
        let alone = self.swarm.swarm.as_ref().map(|_| "--swarm (each request drawn alone)");
        #[cfg(not(feature = "swarm"))]
        let alone = None;
        if let Some(option) = alone.or(self.draw_alone.then_some("--draw-alone")).filter(|_| !card.alone) {
            return Err(differs(option, RUN, &false.into(), &true.into()));
        }
        expect_computed(context, &json(&self.device.base(context))?, &json(&card.base)?)?;
        Ok((folder, saved, card))
    }

    /// What defines a new run.
    fn card(&self, context: &Context) -> Result<RunCard> {
        let model = self.model.clone().unwrap_or_default();
        let preset = match self.settings.preset()? {
            Some(preset) => preset,
            None => default_preset(context, &model, &self.device)?,
        };
        let mut settings = Settings::preset(preset);
        self.settings.asked()?.make(&mut settings)?;
        settings.check()?;
        let read = |path: &Option<PathBuf>| path.as_deref().map_or(Ok(Vec::new()), read_problems);
        let task = (self.task.clone().unwrap_or_default(), self.task_option.iter().cloned().collect());
        let problems = [read(&self.problems)?, read(&self.eval_problems)?];
        Ok(RunCard {
            adapter: self.adapter.as_ref().map(|path| path.display().to_string()),
            base: Some(self.device.base(context)),
            alone: self.draw_alone,
            ..RunCard::new(model, task, settings, problems)
        })
    }
}

fn json(value: &impl Serialize) -> Result<Value> {
    serde_json::to_value(value).map_err(|error| Error::usage("--resume", error.to_string(), "report this"))
}
