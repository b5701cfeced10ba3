//! `stepladder ttrl`: test-time reinforcement learning on one problem, or on several one after the other.

use std::path::PathBuf;

use pollster::block_on;
use serde::Serialize;
use serde_json::json;
use stepladder::error::Plain;
use stepladder::ladder::learner::Learner;
use stepladder::ladder::presets::Preset;
use stepladder::ladder::ttrl::{TtrlOutcome, TtrlSettings, ttrl};
use stepladder::task::{Origin, Problem, Task, VerdictKind};
use stepladder::train::files::write_adapter;
use stepladder::train::fingerprint::sha256;
use stepladder::train::lora_config::LoraConfig;
use stepladder::train::output::{OutputFolder, expect_folder};
use stepladder::{Error, Result, task};

use super::args::{DeviceArgs, TaskArgs, positive_share};
use super::checker_files;
use super::chosen::ModelArgs;
use super::context::Context;
use super::ladder::{default_preset, expect_lora};
use super::ladder_view::View;
use super::session::{load, print_profile, read_problems, tie, worded};
use super::setting_args::{Rows, SettingArgs};
use super::signals::say;
use super::ttrl_answers::{Answers, Judged};
use super::tuning::choose_kernels;

/// Options of `ttrl`. What is not given comes from the preset for test-time learning.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) model: ModelArgs,
    #[command(flatten)]
    pub(super) task: TaskArgs,
    /// The problem to solve
    #[arg(
        long,
        allow_hyphen_values = true,
        required_unless_present = "problems",
        conflicts_with = "problems"
    )]
    pub(super) problem: Option<String>,
    /// Problems to solve one after the other, each with a temporary adapter of its own, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub(super) problems: Option<PathBuf>,
    /// Append each answer to this file, new or made by the same command; a problem whose answer is there is not solved again
    #[arg(long, value_name = "FILE", requires = "problems", conflicts_with_all = ["keep", "problem"])]
    pub(super) output: Option<PathBuf>,
    /// Keep what was learned: each problem goes on from the one before, and the adapter is saved here
    #[arg(long, value_name = "DIR")]
    pub(super) keep: Option<PathBuf>,
    /// Answers that vote [default: 64 paper, 32 small and tiny, 8 software]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    pub(super) votes: Option<u32>,
    /// Vote before learning too, and answer at once where this share agrees [default: always learn]
    #[arg(long, value_name = "SHARE", value_parser = positive_share)]
    pub(super) confident: Option<f64>,
    #[command(flatten)]
    pub(super) settings: SettingArgs<TtrlRows>,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
}

/// Every setting that has an option.
#[derive(Debug)]
pub(super) struct TtrlRows;

impl Rows for TtrlRows {
    const FEW_PROBES: bool = true;

    fn unused(path: &str) -> Option<&'static str> {
        match path {
            "checkpoint_every" => Some("says nothing here: a problem that was not finished is begun anew"),
            _ if path == "evaluation" || path.starts_with("evaluation.") => {
                Some("says nothing here: nothing is held out to evaluate on")
            }
            _ => None,
        }
    }

    const DEFAULT_PRESET: Option<&'static str> = Some("as for `ladder`, with fewer steps: 100, 40, 4, 20");
}

/// Learns each problem's neighbourhood in an adapter that is dropped afterwards, and answers by vote.
pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let chosen = args.model.choose()?;
    let task = task::create(&args.task.task, &args.task.options())?;
    let preset = match args.settings.preset()? {
        Some(preset) => preset,
        None => default_preset(context, &chosen.model, &args.device)?,
    };
    let settings = args.ttrl(preset)?;
    let problems = args.questions()?;
    let origin = args.problems.as_deref().map_or(Origin::Option("--problem"), Origin::File);
    task::check_problems(&*task, origin, &problems)?;
    if let Some((file, problem)) =
        args.problems.as_ref().zip(problems.iter().find(|p| task.canonical(&p.problem).is_err()))
    {
        let reason = task.canonical(&problem.problem).err().unwrap_or_default();
        let text: String = problem.problem.chars().take(60).collect();
        return Err(Error::input(file, format!("`{text}`"), reason, "correct or remove that line"));
    }
    if let Some(problem) = problems.first() {
        task.try_out(problem)?;
    }
    let opened = worded(chosen.open(context, &args.device)?, settings.settings.prompt_style);
    let fresh: &LoraConfig = &settings.settings.lora;
    let adapter = opened.trainable(chosen.adapter.as_deref(), fresh, settings.settings.seed)?;
    if chosen.adapter.is_some() {
        expect_lora(args.settings.changes()?, &settings.settings, &adapter)?;
    }
    opened.tell_lacking_of([&problems, &[]]);
    let lora = &adapter.config;
    opened.check_run("test-time learning", &settings.settings, &*task, [&problems, &[]], lora)?;
    let mut answers = None;
    if let Some(file) = &args.output {
        let mut base = None;
        tie(&opened, &mut base, &args.device, context, true, "run")?;
        let (_, weights) = adapter.to_bytes()?;
        let card = json!({
            "base": base,
            "adapter": chosen.adapter.as_ref().map(|_| sha256(&weights)),
            "task": args.task.task,
            "task_options": args.task.options(),
            "settings": settings,
        });
        let mut found = Answers::open(file, &context.gate, card)?;
        found.judge_by(Judged::new(&problems, checker_files::hashes(&*task)))?;
        answers = Some(found);
    }
    // Locked until the end.
    let _kept = match &args.keep {
        Some(folder) => {
            expect_folder("--keep", folder)?;
            let made = OutputFolder::new(folder)?;
            context.gate.folder("--keep", folder, |_| true)?;
            Some(made)
        }
        None => None,
    };
    context.stoppable();
    let session = load(opened)?;
    choose_kernels(session.model())?;
    let mut learner = session.learner(&adapter)?;
    let mut solver = Solver { args, context, task: &*task, settings, learner: &mut learner };
    match &args.problem {
        Some(_) => {
            let outcome = solver.solve(0, &problems[0])?;
            context.answer(&outcome, || summary(&outcome))?;
        }
        None => {
            let outcome = solver.solve_all(&problems, answers.as_mut());
            if let (Err(Error::Cancelled), Some(answers)) = (&outcome, &answers) {
                let file = answers.path().display();
                say(&format!(
                    "stopped; what was answered is in {file}, and the same command goes on with the rest"
                ));
            }
            outcome?;
        }
    }
    print_profile(context, session.model().gpu())
}

struct Solver<'a> {
    args: &'a Args,
    context: &'a Context,
    task: &'a dyn Task,
    settings: TtrlSettings,
    learner: &'a mut Learner,
}

impl Solver<'_> {
    fn solve(&mut self, index: usize, problem: &Problem) -> Result<TtrlOutcome> {
        let settings = if self.args.problem.is_some() {
            self.settings.clone()
        } else {
            self.settings.for_question(index)
        };
        let mut view = View::new(self.context, "TTRL", settings.settings.steps);
        let (learner, task) = (&mut *self.learner, self.task);
        let outcome = view.host(|host| block_on(ttrl(learner, task, problem, &settings, host)))?;
        if let Some(folder) = &self.args.keep {
            write_adapter(folder, &block_on(self.learner.adapter_file())?)?;
        }
        Ok(outcome)
    }

    /// Solves those that `answers` does not hold yet; each answer is printed and kept as soon as it is there.
    fn solve_all(&mut self, problems: &[Problem], mut answers: Option<&mut Answers>) -> Result<()> {
        let (mut solved, mut asked, mut skipped) = (0, 0, 0);
        for (index, problem) in problems.iter().enumerate() {
            if answers.as_ref().is_some_and(|answers| answers.holds(&problem.problem)) {
                skipped += 1;
                continue;
            }
            let outcome = self.solve(index, problem)?;
            asked += 1;
            solved +=
                usize::from(outcome.verdict.as_ref().is_some_and(|v| v.verdict == VerdictKind::Correct));
            if let Some(answers) = &mut answers {
                answers.append(&outcome)?;
            }
            self.context
                .answer(&outcome, || format!("{}\n{}\n", Plain(&problem.problem), summary(&outcome)))?;
        }
        let total = json!({ "problems": asked, "correct": solved, "answered_before": skipped });
        self.context.answer(&total, || format!("{solved} of {asked} solved, {skipped} answered before"))
    }
}

impl Args {
    fn questions(&self) -> Result<Vec<Problem>> {
        match (&self.problem, &self.problems) {
            (Some(problem), _) => Ok(vec![Problem::new(problem.clone())]),
            (None, Some(file)) => read_problems(file),
            (None, None) => Ok(Vec::new()),
        }
    }

    fn ttrl(&self, preset: Preset) -> Result<TtrlSettings> {
        let mut settings = TtrlSettings::preset(preset);
        let inner = &mut settings.settings;
        self.settings.asked()?.make(inner)?;
        settings.sampling = inner.sampling;
        settings.votes = self.votes.map_or(settings.votes, |votes| votes as usize);
        settings.confident = self.confident;
        settings.keep = self.keep.is_some();
        settings.check()?;
        Ok(settings)
    }
}

fn summary(outcome: &TtrlOutcome) -> String {
    let Some(answer) = &outcome.answer else { return "no completion held an answer".into() };
    let votes = outcome.votes.first().map_or(0, |vote| vote.count);
    let total: usize = outcome.votes.iter().map(|vote| vote.count).sum();
    let verdict = match &outcome.verdict {
        Some(verdict) => verdict.words().to_lowercase(),
        None => "not judged".into(),
    };
    let answer = Plain(answer);
    format!("{answer}\n{votes} of {total} votes after {} steps; {verdict}", outcome.steps)
}
