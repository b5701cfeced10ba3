//! `stepladder ttrl`: test-time reinforcement learning on one problem.

use pollster::block_on;
use serde::Serialize;
use stepladder::ladder::settings::Preset;
use stepladder::ladder::ttrl::{TtrlOutcome, TtrlSettings, ttrl};
use stepladder::task::Problem;
use stepladder::train::lora_config::LoraConfig;
use stepladder::{Result, task};

use super::args::{DeviceArgs, ModelArgs, TaskArgs, positive};
use super::context::Context;
use super::ladder::default_preset;
use super::ladder_view::View;
use super::session::Opened;
use super::tuning::choose_kernels;

/// Options of `ttrl`. What is not given comes from the task's defaults for test-time learning.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) model: ModelArgs,
    #[command(flatten)]
    pub(super) task: TaskArgs,
    /// The problem to solve
    #[arg(long, allow_hyphen_values = true)]
    pub(super) problem: String,
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
    /// Size of an update
    #[arg(long, value_name = "X", value_parser = positive)]
    pub(super) learning_rate: Option<f64>,
    /// Seed of every random choice
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) seed: u64,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
}

/// Learns the problem's neighbourhood in an adapter that is dropped afterwards, and answers by vote.
pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let task = task::create(&args.task.task, &args.task.options())?;
    let problem = Problem { problem: args.problem.clone(), id: None, level: None, answer: None };
    let settings = args.settings(default_preset(context, &args.model.model, &args.device)?);
    settings.settings.check()?;
    let opened = Opened::new(context, &args.model.model, &args.device)?;
    let fresh: &LoraConfig = &settings.settings.lora;
    let adapter = opened.trainable(args.model.adapter.as_deref(), fresh, args.seed)?;
    let problems = [std::slice::from_ref(&problem), &[]];
    opened.check_run("test-time learning", &settings.settings, &*task, problems, &adapter)?;
    let session = opened.load()?;
    choose_kernels(&session.model)?;
    let mut learner = session.learner(context, &adapter)?;
    let mut view = View::new(context, "TTRL", settings.settings.steps);
    let outcome = view.host(|host| block_on(ttrl(&mut learner, &*task, &problem, &settings, host)))?;
    drop(view);
    context.answer(&outcome, || summary(&outcome))?;
    session.print_profile(context)
}

impl Args {
    fn settings(&self, preset: Preset) -> TtrlSettings {
        let mut settings = TtrlSettings::preset(preset);
        let inner = &mut settings.settings;
        let set = |to: &mut usize, from: Option<u32>| *to = from.map_or(*to, |n| n as usize);
        set(&mut inner.prompts_per_step, self.prompts_per_step);
        set(&mut inner.group_size, self.group_size);
        inner.curriculum.probe_samples = inner.curriculum.probe_samples.min(inner.group_size);
        if let Some(max_tokens) = self.max_tokens {
            inner.set_max_tokens(max_tokens as usize);
            settings.sampling.max_tokens = max_tokens as usize;
        }
        inner.steps = self.steps.map_or(inner.steps, u64::from);
        inner.learning_rate = self.learning_rate.unwrap_or(inner.learning_rate);
        inner.seed = self.seed;
        settings
    }
}

fn summary(outcome: &TtrlOutcome) -> String {
    let Some(answer) = &outcome.answer else { return "no completion held an answer".into() };
    let votes = outcome.votes.first().map_or(0, |vote| vote.count);
    let total: usize = outcome.votes.iter().map(|vote| vote.count).sum();
    let verdict = match &outcome.verdict {
        Some(verdict) => format!("{:?}: {}", verdict.verdict, verdict.reason).to_lowercase(),
        None => "not judged".into(),
    };
    format!("{answer}\n{votes} of {total} votes after {} steps; {verdict}", outcome.steps)
}
