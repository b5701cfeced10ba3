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
    #[arg(long, allow_hyphen_values = true)]
    pub(super) problem: Option<String>,
    /// The known answer: what task jsonl compares with (a problem is not needed then), and a program of task command gets
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

/// The task that compares with a known answer needs one; those that know the answer themselves would pass it over.
fn check_known(args: &Args, task: &dyn Task) -> Result<()> {
    let name = task.name();
    match (&args.known, &args.problem) {
        (None, _) if name == "jsonl" => {
            let problem = "task jsonl compares with a known answer, and none is given";
            Err(Error::usage("--known", problem, "add --known ANSWER"))
        }
        (Some(_), _) if !["jsonl", "command"].contains(&name) => {
            let problem = format!("task {name} finds out itself what is right");
            Err(Error::usage("--known", problem, "leave it away, or give --task jsonl"))
        }
        (_, None) if name != "jsonl" => Err(Error::usage(
            "--problem",
            "is missing",
            format!("add --problem PROBLEM, which task {name} needs"),
        )),
        _ => Ok(()),
    }
}
