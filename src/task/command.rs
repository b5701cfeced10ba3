//! An external program as the verifier.
//!
//! The program is started once and asked again and again: each request is one line of JSON on its standard input, each reply one line
//! of JSON on its standard output, in order.
//!
//! ```text
//! {"id":1,"problem":"2+2","answer":"4","completion":"<answer>4</answer>"}      answer: null if the problem has none
//! {"id":1,"verdict":"correct","reason":"4 = 4"}                                  a verdict; the reason is optional
//! {"id":2,"reward":0.7,"rewards":{"style":0.2,"units":null}}                     or numbers, or both
//! ```
//!
//! A verdict is one of `correct`, `wrong`, `malformed` and `unverifiable`. A number lies in `reward_range`; `null` says that it cannot be
//! given for this completion, which then counts neither for nor against. `answer` may hold the answer that was found, for votes. A
//! reply repeats the `id` of its request: without it, it is taken as long as the program never wrote a line too many.
//!
//! A program that ends, writes something else or takes too long has judged nothing: the completion is unverifiable, the program is killed
//! with all that it started, and the next completion starts it anew.

mod checker;
mod program;

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::text::{last_boxed, last_tag};
use super::{
    Attempt, Judging, Parameter, Problem, PromptStyle, RewardRange, Task, TaskOptions, VariantKind,
    VariantRequest, Verdict, VerdictKind,
};
use super::{check_options, option, plain};
use crate::{Error, Result};
use checker::Checker;

pub(super) const PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "command",
        doc: "the program and its arguments; quotes keep spaces together",
        default: "",
    },
    Parameter {
        name: "time_limit",
        doc: "seconds for one verdict, the start of the program included",
        default: "10",
    },
    Parameter {
        name: "reward_range",
        doc: "LOW,HIGH: the numbers that replies may hold as reward; a problem's difficulty is told by them",
        default: "0,1",
    },
];

/// Longest answer that is taken from a completion, in characters.
const MAX_ANSWER: usize = 200;

/// The task `command`.
#[derive(Debug)]
pub struct Command {
    program: String,
    files: Vec<String>,
    checker: Mutex<Checker>,
}

impl Command {
    /// Takes `command`, `time_limit` and `reward_range`, and starts the program, so that a command that cannot run is known at once.
    pub fn new(options: &TaskOptions) -> Result<Self> {
        check_options("command", PARAMETERS, options)?;
        let command: String = option(PARAMETERS, options, "command")?;
        let words = split_command(&command).ok_or_else(|| {
            let problem = format!("`{command}` has a quote that is not closed");
            Error::usage("task_option command", problem, "close it, or leave it out")
        })?;
        let Some(program) = words.first().filter(|program| !program.is_empty()).cloned() else {
            return Err(Error::usage(
                "task_option command",
                "no program given",
                "give command=PROGRAM, such as command=\"python3 check.py\"",
            ));
        };
        let seconds: f64 = option(PARAMETERS, options, "time_limit")?;
        if !(0.001..=86_400.0).contains(&seconds) {
            let problem = format!("`{seconds}` is out of range");
            return Err(Error::usage("task_option time_limit", problem, "give seconds from 0.001 to 86400"));
        }
        let range: RewardRange = option(PARAMETERS, options, "reward_range")?;
        let files = words.iter().filter(|word| Path::new(word).is_file()).cloned().collect();
        let checker = Checker::start(words, Duration::from_secs_f64(seconds), range).map_err(|error| {
            let problem = format!("cannot start `{program}`: {error}");
            Error::usage(
                "task_option command",
                problem,
                "check the program's path and that it may be executed",
            )
        })?;
        Ok(Self { program: command, files, checker: Mutex::new(checker) })
    }

    fn checker(&self) -> MutexGuard<'_, Checker> {
        // A panic elsewhere does not harm the program: at worst it is started anew.
        self.checker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn judge(&self, attempts: &[Attempt<'_>], cancelled: &AtomicBool) -> Vec<Verdict> {
        let mut verdicts = self.checker().judge(attempts, cancelled);
        for (verdict, attempt) in verdicts.iter_mut().zip(attempts) {
            // What the checker does not name is read as the other tasks read it, so that answers can vote.
            if verdict.answer.is_none() && verdict.verdict != VerdictKind::Malformed {
                let found = last_tag(attempt.completion, "answer").or_else(|| last_boxed(attempt.completion));
                let answer = found.map(|text| text.trim().chars().take(MAX_ANSWER).collect::<String>());
                verdict.answer = answer.filter(|text| !text.is_empty());
            }
        }
        verdicts
    }
}

/// Splits at spaces outside of single or double quotes; `None` if one is not closed.
fn split_command(command: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote, mut open) = (Vec::new(), String::new(), None, false);
    for c in command.chars() {
        match quote {
            Some(mark) if c == mark => quote = None,
            Some(_) => word.push(c),
            None if c == '"' || c == '\'' => (quote, open) = (Some(c), true),
            None if c.is_whitespace() => {
                if open || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                open = false;
            }
            None => word.push(c),
        }
    }
    if open || !word.is_empty() {
        words.push(word);
    }
    quote.is_none().then_some(words)
}

impl Task for Command {
    fn name(&self) -> &'static str {
        "command"
    }

    fn parameters(&self) -> &'static [Parameter] {
        PARAMETERS
    }

    fn variant_prompt(&self, problem: &str, request: &VariantRequest, style: PromptStyle) -> String {
        plain::variant_prompt(
            problem,
            request,
            "Each must have an answer that can be checked.",
            problem,
            style,
        )
    }

    fn transformations(&self, kind: VariantKind) -> &'static [&'static str] {
        match kind {
            VariantKind::Easier => &[
                "leave a condition or a step out",
                "use smaller or rounder numbers",
                "ask for an intermediate result only",
                "treat a special case",
                "give a part of the solution as known",
            ],
            VariantKind::Equivalent => &[
                "change the numbers",
                "ask for another of the quantities involved",
                "tell it about other objects with the same structure",
                "reverse what is given and what is asked for",
                "exchange one step for another of the same kind",
            ],
            VariantKind::Harder => &[
                "add a condition that must be met",
                "add a step before or after",
                "generalise a number to a larger or less convenient one",
                "combine it with a second problem",
                "remove a hint",
            ],
        }
    }

    fn verify(&self, problem: &Problem, completion: &str) -> Verdict {
        let attempts = [Attempt { problem, completion }];
        let verdict = self.judge(&attempts, &AtomicBool::new(false)).pop();
        verdict.unwrap_or_else(|| Verdict::new(VerdictKind::Unverifiable, "nothing was asked", None))
    }

    fn verify_all<'a>(&'a self, attempts: &'a [Attempt<'a>], cancelled: &'a AtomicBool) -> Judging<'a> {
        Box::pin(std::future::ready(self.judge(attempts, cancelled)))
    }

    fn reward_range(&self) -> RewardRange {
        self.checker().range()
    }

    /// Has the checker judge two completions that models do write, an empty one and one in the usual form. One that gives no reply to
    /// either would give none to thousands.
    fn try_out(&self, problem: &Problem) -> Result<()> {
        let usual = self.solution(problem.answer.as_deref().unwrap_or("0"), PromptStyle::Instruct);
        let attempts = ["", &usual].map(|completion| Attempt { problem, completion });
        let tried = self.checker().try_out(&attempts);
        tried.map_err(|reasons| {
            Error::usage(
                "task_option command",
                format!("`{}` does not judge: {reasons}", self.program),
                "correct the checker; `stepladder verify` asks it for one verdict",
            )
        })
    }

    /// Those words of the command that name a file: the program, or the script that it is to run, and what that reads.
    fn files(&self) -> Vec<String> {
        self.files.clone()
    }

    fn take_warnings(&self) -> Vec<String> {
        self.checker().take_warnings()
    }
}

#[cfg(all(test, unix))]
mod tests;
