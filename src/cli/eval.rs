//! `stepladder eval`: share of problems solved.

use std::path::PathBuf;

use pollster::block_on;
use serde::Serialize;
use stepladder::error::Plain;
use stepladder::kernel::cache::CacheFormat;
use stepladder::ladder::eval::{Evaluation, Questions, evaluate};
use stepladder::ladder::learner::prompts;
use stepladder::ladder::settings::EvaluationSettings;
use stepladder::ladder::shots::{check_length, choose, solved_problems};
use stepladder::model::generate::{Lengths, common_prefix};
use stepladder::session::Opened;
use stepladder::task::{Origin, Problem, Task, VerdictKind};
use stepladder::{Error, Result, task};

use super::args::{DeviceArgs, SamplingArgs, Style, TaskArgs};
use super::chosen::ModelArgs;
use super::context::Context;
use super::ladder_view::{View, mean};
use super::session::{adapter, load, print_profile, read_problems, read_text, worded};

/// Options of `eval`.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) model: ModelArgs,
    #[command(flatten)]
    pub(super) task: TaskArgs,
    /// Problems to solve, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub(super) problems: PathBuf,
    /// Put K solved examples into the context before each problem: what the model does with examples at hand, to set
    /// against what an adapter has learnt
    #[arg(long, value_name = "K", default_value_t = 0, requires = "shot_problems")]
    pub(super) shots: u32,
    /// Solved problems to take the examples from, one JSON object a line with `answer`; --seed chooses, and none that is
    /// to be solved is taken
    #[arg(long, value_name = "FILE", requires = "shots")]
    pub(super) shot_problems: Option<PathBuf>,
    /// Attempts at each problem: pass@1 to pass@K are reported
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) samples: u32,
    /// Most tokens of an attempt
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) max_tokens: u32,
    /// Wording of the prompts [default: instruct where the model has a chat template, else terse]
    #[arg(long)]
    pub(super) prompt_style: Option<Style>,
    #[command(flatten)]
    pub(super) sampling: SamplingArgs,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
}

/// Answers every problem and judges the answers.
pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let chosen = args.model.choose()?;
    let task = task::create(&args.task.task, &args.task.options())?;
    let problems = read_problems(&args.problems)?;
    // Without a verdict a share of correct answers means nothing.
    let unjudged = task::check_problems(&*task, Origin::File(&args.problems), &problems)?;
    task.try_out(&problems[0])?;
    let opened = worded(chosen.open(context, &args.device)?, args.prompt_style.map(Into::into));
    let adapter = adapter(&opened, chosen.adapter.as_deref())?;
    opened.tell_lacking_of([&problems, &[]]);
    let shots = shots(args, &*task, &opened, &problems)?;
    let prompts = prompts(&opened.language, &*task, &shots, &problems)?;
    let request = Lengths {
        prompt: prompts.iter().map(Vec::len).fold(1, usize::max),
        samples: args.samples as usize,
        max_tokens: args.max_tokens as usize,
    };
    check_length(shots.len(), request.prompt, opened.context_length)?;
    let prefix = common_prefix(prompts.iter().map(Vec::as_slice)).len();
    opened.check_sampling(
        &vec![request; problems.len()],
        prefix,
        adapter.as_ref(),
        CacheFormat::default(),
    )?;
    let session = load(opened)?;
    let mut sampler = session.sampler(adapter.as_ref())?;
    let settings = EvaluationSettings {
        every: 0,
        samples: args.samples as usize,
        sampling: args.sampling.sampling(args.max_tokens),
    };
    let mut view = View::quiet(context, "eval");
    let seed = args.sampling.seed;
    let questions = Questions { problems: &problems, shots: &shots };
    let evaluation =
        view.host(|host| block_on(evaluate(&mut sampler, &*task, questions, &settings, seed, 0, host)))?;
    drop(view);
    context.answer(&evaluation, || summary(&evaluation, &unjudged))?;
    print_profile(context, session.model().gpu())?;
    check_judged(args, &evaluation)
}

/// The solved examples that were asked for.
fn shots(args: &Args, task: &dyn Task, opened: &Opened, problems: &[Problem]) -> Result<Vec<Problem>> {
    let Some(file) = args.shot_problems.as_ref().filter(|_| args.shots > 0) else { return Ok(Vec::new()) };
    let solved = solved_problems(task, opened.language.style(), file, &read_text(file)?)?;
    choose(task, &solved, problems, args.shots as usize, args.sampling.seed)
}

/// Fails if no answer at all could be judged.
fn check_judged(args: &Args, evaluation: &Evaluation) -> Result<()> {
    let samples: usize = evaluation.problems.iter().map(|result| result.samples.len()).sum();
    match unverifiable(evaluation) {
        Some(reason) if evaluation.verdicts.unverifiable == samples => {
            let problem = format!("none of the {samples} answers could be judged: {reason}");
            let hint = "see whether problems and task belong together; `verify` judges a single answer";
            Err(Error::input(&args.problems, "problems", problem, hint))
        }
        _ => Ok(()),
    }
}

/// Why the first answer that could not be judged could not.
fn unverifiable(evaluation: &Evaluation) -> Option<&str> {
    let mut samples = evaluation.problems.iter().flat_map(|result| &result.samples);
    let unjudged = samples.find(|sample| sample.verdict.verdict == VerdictKind::Unverifiable);
    unjudged.map(|sample| sample.verdict.reason.as_str())
}

fn summary(evaluation: &Evaluation, unjudged: &[String]) -> String {
    let mut lines = Vec::new();
    for result in &evaluation.problems {
        let correct = match evaluation.pass_at.is_empty() {
            true => String::new(),
            false => format!("{}/{}  ", result.correct, result.samples.len()),
        };
        lines.push(format!("{correct}{}", Plain(&result.problem)));
    }
    let [low, high] = evaluation.ci95.map(|bound| 100.0 * bound);
    for (k, rate) in &evaluation.pass_at {
        let interval =
            if k == "1" { format!("  [{low:.1}, {high:.1}]  (95 % interval)") } else { String::new() };
        lines.push(format!("pass@{k}  {:.1} %{interval}", 100.0 * rate));
    }
    for (name, reward) in &evaluation.rewards {
        lines.push(format!("{name}  {}", mean(reward)));
    }
    if evaluation.samples > 1 && !evaluation.pass_at.is_empty() {
        lines.push(format!("majority of {}  {:.1} %", evaluation.samples, 100.0 * evaluation.majority));
    }
    if let Some(reason) = unjudged.first() {
        lines.push(format!("{} of {} problems cannot be judged: {reason}", unjudged.len(), evaluation.n));
    } else if let Some(reason) = unverifiable(evaluation) {
        let (count, all) = (evaluation.verdicts.unverifiable, evaluation.n * evaluation.samples);
        lines.push(format!("{count} of {all} answers could not be judged and count as not solved: {reason}"));
    }
    let cost = &evaluation.cost;
    lines.push(format!(
        "{:.1} tokens and {:.3} s per question ({} shots; prompts of {} tokens in all, {} of them computed)",
        cost.tokens_per_question,
        cost.seconds_per_question,
        cost.shots,
        cost.prompt_tokens,
        cost.prefilled_tokens
    ));
    lines.join("\n")
}
