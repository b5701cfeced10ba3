//! `stepladder ladder`: a model teaches itself.

use std::path::{Path, PathBuf};
use std::time::Instant;

use pollster::block_on;
use serde::Serialize;
use stepladder::Result;
use stepladder::ladder::events::Event;
use stepladder::ladder::policy::Policy;
use stepladder::ladder::run::{self, RunCard};
use stepladder::ladder::run_folder::RunFolder;
use stepladder::ladder::settings::{Preset, Settings};
use stepladder::ladder::state::{Host, Snapshot};
use stepladder::model::tiny;
use stepladder::task;

use super::args::{DeviceArgs, name_value, non_negative, positive};
use super::context::Context;
use super::ladder_view::View;
use super::session::{Opened, open_gpu, read_problems};
use super::tuning::choose_kernels;

/// Options of `ladder`. What is not given comes from the preset, or, with `--resume`, from the run.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct Args {
    /// `tiny` (built in), a Hugging Face folder, a .gguf file, or hf:OWNER/NAME[@REV]
    #[arg(short, long, required_unless_present = "resume")]
    pub(super) model: Option<String>,
    /// PEFT adapter to go on from
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
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
    /// Folder of the run: settings, events, adapter, tree, report
    #[arg(long, value_name = "DIR")]
    pub(super) output: PathBuf,
    /// Go on with the run in --output
    #[arg(long)]
    pub(super) resume: bool,
    /// Set of defaults for the options below: paper, small, software or tiny [default: tiny for the model `tiny`,
    /// software where the GPU is a program on the CPU, else small]
    #[arg(long, value_name = "NAME", conflicts_with = "resume")]
    pub(super) preset: Option<String>,
    /// Number of updates
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) steps: Option<u32>,
    /// Attempts at each problem in an update
    #[arg(long, value_name = "G", value_parser = clap::value_parser!(u32).range(2..))]
    pub(super) group_size: Option<u32>,
    /// Problems in an update
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) prompts_per_step: Option<u32>,
    /// Most tokens of an attempt
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) max_tokens: Option<u32>,
    /// Spread of the attempts
    #[arg(long, value_name = "X", value_parser = positive)]
    pub(super) temperature: Option<f64>,
    /// Size of an update
    #[arg(long, value_name = "X", value_parser = positive)]
    pub(super) learning_rate: Option<f64>,
    /// Loss of the GRPO family: grpo, dapo, dr_grpo, gspo or cispo
    #[arg(long, value_name = "NAME")]
    pub(super) loss: Option<String>,
    /// Pull towards the model without its adapter
    #[arg(long, value_name = "X", value_parser = non_negative)]
    pub(super) kl_coef: Option<f64>,
    /// Held-out problems, never learnt from, that progress is measured on
    #[arg(long, value_name = "FILE")]
    pub(super) eval_problems: Option<PathBuf>,
    /// Seed of every random choice
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,
    /// Change any setting listed below; may be given several times
    #[arg(long, value_name = "PATH=VALUE", value_parser = name_value, conflicts_with = "resume")]
    pub(super) set: Vec<(String, String)>,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
}

/// Runs LADDER, or goes on with a run.
pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    // Everything that can be wrong with the call shows before the model is loaded, and before anything is written.
    let resumed = if args.resume { Some(args.resumed()?) } else { None };
    let card = match &resumed {
        Some((folder, _)) => folder.card().clone(),
        None => args.card(context)?,
    };
    let task = task::create(&card.task, &card.task_options)?;
    for (file, problems) in [(&args.problems, &card.problems), (&args.eval_problems, &card.held_out)] {
        if let Some(file) = file.as_ref().filter(|_| !args.resume) {
            task::check_problems(&*task, file, problems)?;
        }
    }
    let opened = Opened::new(context, &card.model, &args.device)?.worded(card.settings.prompt_style);
    let adapter = card.adapter.as_deref().map(Path::new);
    let adapter = opened.trainable(adapter, &card.settings.lora, card.settings.seed)?;
    let problems = [&card.problems[..], &card.held_out];
    opened.check_run("LADDER", &card.settings, &*task, problems, &adapter)?;
    let (mut folder, saved) = match resumed {
        Some(resumed) => resumed,
        None => (RunFolder::create(&args.output, card.clone())?, None),
    };
    let session = opened.load()?;
    choose_kernels(&session.model)?;
    let mut learner = session.learner(context, &adapter)?;
    folder.set_policy(learner.info())?;

    let began = Instant::now();
    let clock = move || began.elapsed().as_secs_f64();
    let mut view = View::new(context, "LADDER", card.settings.steps);
    let mut sink = |event: &Event| view.event(event);
    let mut host = Host { store: &mut folder, sink: &mut sink, clock: &clock, cancel: context.cancelled() };
    let outcome = block_on(run::run(&mut learner, &*task, &card, saved, &mut host))?;
    session.print_profile(context)?;
    let report = folder.write_report(&outcome.nodes)?;
    view.summary(&outcome, &report)
}

/// The preset that suits a model and the device if none is asked for.
pub(super) fn default_preset(context: &Context, model: &str, device: &DeviceArgs) -> Result<Preset> {
    Ok(match model {
        tiny::NAME => Preset::Tiny,
        _ if open_gpu(context, device)?.is_software() => Preset::Software,
        _ => Preset::Small,
    })
}

impl Args {
    /// The run to go on with, and its last checkpoint.
    fn resumed(&self) -> Result<(RunFolder, Option<Snapshot>)> {
        let (mut folder, saved) = RunFolder::open(&self.output)?;
        if let Some(steps) = self.steps {
            folder.set_steps(steps.into())?;
        }
        Ok((folder, saved))
    }

    /// What defines a new run.
    fn card(&self, context: &Context) -> Result<RunCard> {
        let model = self.model.clone().unwrap_or_default();
        let preset = match &self.preset {
            Some(name) => name.parse()?,
            None => default_preset(context, &model, &self.device)?,
        };
        let mut settings = Settings::preset(preset);
        let set = |to: &mut usize, from: Option<u32>| *to = from.map_or(*to, |n| n as usize);
        set(&mut settings.prompts_per_step, self.prompts_per_step);
        set(&mut settings.group_size, self.group_size);
        if let Some(max_tokens) = self.max_tokens {
            settings.set_max_tokens(max_tokens as usize);
        }
        settings.steps = self.steps.map_or(settings.steps, u64::from);
        settings.sampling.temperature = self.temperature.map_or(settings.sampling.temperature, |t| t as f32);
        settings.learning_rate = self.learning_rate.unwrap_or(settings.learning_rate);
        settings.seed = self.seed.unwrap_or(settings.seed);
        if let Some(name) = &self.loss {
            settings.set_loss(name.parse()?)?;
        }
        if let Some(coef) = self.kl_coef {
            settings.set_kl_coef(coef);
        }
        for (path, value) in &self.set {
            settings.set(path, value)?;
        }
        settings.check()?;
        let read = |path: &Option<PathBuf>| path.as_deref().map_or(Ok(Vec::new()), read_problems);
        Ok(RunCard {
            version: env!("CARGO_PKG_VERSION").into(),
            model,
            adapter: self.adapter.as_ref().map(|path| path.display().to_string()),
            task: self.task.clone().unwrap_or_default(),
            task_options: self.task_option.iter().cloned().collect(),
            settings,
            problems: read(&self.problems)?,
            held_out: read(&self.eval_problems)?,
            policy: None,
        })
    }
}
