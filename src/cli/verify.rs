//! `stepladder verify`: one verdict, without a GPU.

use serde::Serialize;
use stepladder::Result;
use stepladder::task::{self, Problem, Verdict};

use super::args::TaskArgs;
use super::context::Context;

/// Options of `verify`.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) task: TaskArgs,
    /// The problem, in the task's notation
    #[arg(long, allow_hyphen_values = true)]
    pub(super) problem: String,
    /// The answer to judge, as a model would write it
    #[arg(long, allow_hyphen_values = true)]
    pub(super) answer: String,
}

/// Judges the answer. A verdict of any kind is a success of this command.
pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let task = task::create(&args.task.task, &args.task.options())?;
    let problem = Problem { problem: args.problem.clone(), id: None, level: None, answer: None };
    let verdict = task.verify(&problem, &args.answer);
    /// The verdict, and the problem's semantic identity if it is a problem of the task.
    #[derive(Serialize)]
    struct Answer<'a> {
        #[serde(flatten)]
        verdict: &'a Verdict,
        canonical: Option<String>,
    }
    let answer = Answer { verdict: &verdict, canonical: task.canonical(&args.problem).ok() };
    context.answer(&answer, || verdict.words())
}
