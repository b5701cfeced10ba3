//! `stepladder verify`: one verdict, without a GPU.

use serde::Serialize;
use stepladder::task::{self, Problem, Task, Verdict};
use stepladder::{Error, Result};

use super::args::TaskArgs;
use super::context::Context;

/// Options of `verify`.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) task: TaskArgs,
    /// The problem, in the task's notation: for integral 'x*exp(x)', for countdown '6: 1 2 3'
    #[arg(long, allow_hyphen_values = true, required_unless_present = "known")]
    pub(super) problem: Option<String>,
    /// The known answer, for task jsonl; a problem is not needed then
    #[arg(long, allow_hyphen_values = true)]
    pub(super) known: Option<String>,
    /// The answer to judge, as a model would write it
    #[arg(long, allow_hyphen_values = true)]
    pub(super) answer: String,
}

/// Judges the answer. A verdict of any kind is a success of this command.
pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let task = task::create(&args.task.task, &args.task.options())?;
    check_known(args, &*task)?;
    let text = args.problem.clone().unwrap_or_default();
    let problem = Problem { problem: text, id: None, level: None, answer: args.known.clone() };
    let verdict = task.verify(&problem, &args.answer);
    /// The verdict, and the problem's semantic identity if it is a problem of the task.
    #[derive(Serialize)]
    struct Answer<'a> {
        #[serde(flatten)]
        verdict: &'a Verdict,
        canonical: Option<String>,
    }
    let answer = Answer { verdict: &verdict, canonical: task.canonical(&problem.problem).ok() };
    context.answer(&answer, || verdict.words())
}

/// The task that compares with a known answer needs one; the others know the answer themselves and would pass it over.
fn check_known(args: &Args, task: &dyn Task) -> Result<()> {
    let compares = task.name() == "jsonl";
    let (what, hint) = match (&args.known, compares) {
        (None, true) => ("task jsonl compares with a known answer, and none is given", "add --known ANSWER"),
        (Some(_), false) => {
            ("only task jsonl compares with a known answer", "leave --known away, or give --task jsonl")
        }
        _ => return Ok(()),
    };
    Err(Error::usage("--known", what, hint))
}
