//! An external program as the verifier.
//!
//! The program is started once and asked again and again: each request is one line of JSON on its standard input, each reply one line
//! of JSON on its standard output, in order.
//!
//! ```text
//! {"problem":"2+2","answer":"4","completion":"<answer>4</answer>"}       answer: null if the problem has none
//! {"verdict":"correct","reason":"4 = 4"}                                   reason is optional
//! ```
//!
//! A verdict is one of `correct`, `wrong`, `malformed` and `unverifiable`. A program that ends, writes something else or takes too long has
//! judged nothing: the completion is unverifiable, the program is killed, and the next completion starts it anew.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command as Program, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    Parameter, Problem, PromptStyle, Task, TaskOptions, VariantKind, VariantRequest, Verdict, VerdictKind,
};
use super::{check_options, option, plain};
use crate::{Error, Result};

const PARAMETERS: &[Parameter] = &[
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
];

/// Longest reply, in bytes.
const MAX_REPLY: u64 = 65_536;

/// The task `command`.
#[derive(Debug)]
pub struct Command {
    program: Vec<String>,
    time_limit: Duration,
    running: Mutex<Option<Running>>,
}

#[derive(Serialize)]
struct Request<'a> {
    problem: &'a str,
    answer: Option<&'a str>,
    completion: &'a str,
}

#[derive(Deserialize)]
struct Reply {
    verdict: VerdictKind,
    #[serde(default)]
    reason: String,
}

/// A started program with the thread that talks to it, so that a program that neither reads nor writes blocks that thread alone.
#[derive(Debug)]
struct Running {
    child: Child,
    requests: SyncSender<Vec<u8>>,
    replies: Receiver<std::io::Result<Vec<u8>>>,
}

impl Running {
    fn start(program: &[String]) -> std::io::Result<Self> {
        let (name, arguments) =
            program.split_first().ok_or_else(|| std::io::Error::other("the command is empty"))?;
        let mut child =
            Program::new(name).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(std::io::Error::other("no pipes to the program"));
        };
        let (requests, to_send) = sync_channel(1);
        let (reply, replies) = sync_channel(1);
        std::thread::Builder::new()
            .name("verifier".to_owned())
            .spawn(move || converse(input, output, &to_send, &reply))?;
        Ok(Self { child, requests, replies })
    }

    /// Sends one line and waits for the reply; the error says what the program did instead.
    fn ask(&self, line: Vec<u8>, time_limit: Duration) -> std::result::Result<Reply, String> {
        let ended = || "the verifier program ended without a verdict".to_owned();
        self.requests.send(line).map_err(|_| ended())?;
        let reply = match self.replies.recv_timeout(time_limit) {
            Ok(Ok(reply)) => reply,
            Ok(Err(_)) | Err(RecvTimeoutError::Disconnected) => return Err(ended()),
            Err(RecvTimeoutError::Timeout) => {
                return Err(format!("the verifier program took longer than {} s", time_limit.as_secs_f64()));
            }
        };
        if reply.is_empty() {
            return Err(ended());
        }
        serde_json::from_slice(&reply)
            .map_err(|error| format!("the verifier program's reply is no verdict: {error}"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill, and nothing to report.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Passes requests on and replies back until either side is gone. A reply without a line break at its end is cut off.
fn converse(
    mut input: ChildStdin,
    output: ChildStdout,
    requests: &Receiver<Vec<u8>>,
    replies: &SyncSender<std::io::Result<Vec<u8>>>,
) {
    let mut output = BufReader::new(output);
    while let Ok(request) = requests.recv() {
        let mut reply = Vec::new();
        let result = input
            .write_all(&request)
            .and_then(|()| input.flush())
            .and_then(|()| output.by_ref().take(MAX_REPLY).read_until(b'\n', &mut reply));
        if replies.send(result.map(|_| reply)).is_err() {
            break;
        }
    }
}

impl Command {
    /// Takes `command` and `time_limit`, and starts the program, so that a command that cannot run is known at once.
    pub fn new(options: &TaskOptions) -> Result<Self> {
        check_options("command", PARAMETERS, options)?;
        let command: String = option(PARAMETERS, options, "command")?;
        let program = split_command(&command);
        if program.is_empty() {
            return Err(Error::usage(
                "--task-option command",
                "no program given",
                "give command=PROGRAM, such as command=\"python3 check.py\"",
            ));
        }
        let seconds: f64 = option(PARAMETERS, options, "time_limit")?;
        if !(0.001..=86_400.0).contains(&seconds) {
            let problem = format!("`{seconds}` is out of range");
            return Err(Error::usage(
                "--task-option time_limit",
                problem,
                "give seconds from 0.001 to 86400",
            ));
        }
        let running = Running::start(&program).map_err(|error| {
            let problem = format!("cannot start `{}`: {error}", program[0]);
            Error::usage(
                "--task-option command",
                problem,
                "check the program's path and that it may be executed",
            )
        })?;
        Ok(Self { program, time_limit: Duration::from_secs_f64(seconds), running: Mutex::new(Some(running)) })
    }

    fn ask(&self, request: &Request<'_>) -> std::result::Result<Reply, String> {
        let mut line = serde_json::to_vec(request).map_err(|error| error.to_string())?;
        line.push(b'\n');
        // A panic elsewhere does not harm the program: at worst it is started anew.
        let mut slot = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let running = match slot.take() {
            Some(running) => running,
            None => Running::start(&self.program)
                .map_err(|error| format!("cannot start `{}`: {error}", self.program[0]))?,
        };
        let reply = running.ask(line, self.time_limit)?;
        // Kept only after a proper reply; otherwise dropping it kills the program.
        *slot = Some(running);
        Ok(reply)
    }
}

/// Splits at spaces outside of single or double quotes.
fn split_command(command: &str) -> Vec<String> {
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
    words
}

impl Task for Command {
    fn name(&self) -> &'static str {
        "command"
    }

    fn parameters(&self) -> &'static [Parameter] {
        PARAMETERS
    }

    fn prompt(&self, problem: &str, style: PromptStyle) -> String {
        match style {
            PromptStyle::Instruct => plain::prompt(problem),
            PromptStyle::Terse => format!("?{problem}="),
        }
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

    fn parse_variants(&self, completion: &str) -> Vec<String> {
        plain::tagged_variants(completion)
    }

    fn canonical(&self, problem: &str) -> std::result::Result<String, String> {
        plain::canonical(problem)
    }

    fn is_restatement(&self, parent: &str, variant: &str) -> bool {
        plain::canonical(parent) == plain::canonical(variant)
    }

    fn verify(&self, problem: &Problem, completion: &str) -> Verdict {
        let request = Request { problem: &problem.problem, answer: problem.answer.as_deref(), completion };
        match self.ask(&request) {
            Ok(reply) => Verdict::new(reply.verdict, reply.reason, None),
            Err(reason) => Verdict::new(VerdictKind::Unverifiable, reason, None),
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    /// A task whose program is a shell script, with a second for each verdict.
    fn shell(script: &str) -> Command {
        let options = [("command", format!("sh -c '{script}'")), ("time_limit", "1".to_owned())];
        Command::new(&options.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()).unwrap()
    }

    fn verify(task: &Command, completion: &str) -> Verdict {
        let problem = Problem { problem: "2+2".into(), id: None, level: None, answer: Some("4".into()) };
        task.verify(&problem, completion)
    }

    const GOOD: &str = r#"while read -r line; do case "$line" in
        *">4<"*) echo "{\"verdict\":\"correct\",\"reason\":\"$$\"}";;
        *hang*) sleep 60;;
        *crash*) exit 3;;
        *garbage*) echo "what?";;
        *flood*) head -c 1000000 /dev/zero;;
        *) echo "{\"verdict\":\"wrong\"}";; esac; done"#;

    #[test]
    fn verdicts_are_passed_on_by_one_process() {
        let task = shell(GOOD);
        let first = verify(&task, "<answer>4</answer>");
        assert_eq!(first.verdict, VerdictKind::Correct);
        assert_eq!(verify(&task, "<answer>5</answer>\n\"quoted\"").verdict, VerdictKind::Wrong);
        let again = verify(&task, "<answer>4</answer>");
        assert_eq!(first.reason, again.reason, "the same process");
    }

    #[test]
    fn failures_are_unverifiable_and_the_program_is_started_anew() {
        let task = shell(GOOD);
        let first = verify(&task, "<answer>4</answer>").reason;
        for (completion, reason) in [
            ("hang", "longer than 1 s"),
            ("crash", "ended"),
            ("garbage", "no verdict"),
            ("flood", "no verdict"),
        ] {
            let start = std::time::Instant::now();
            let verdict = verify(&task, completion);
            assert_eq!(verdict.verdict, VerdictKind::Unverifiable, "{completion}");
            assert!(verdict.reason.contains(reason), "{completion}: {}", verdict.reason);
            assert!(start.elapsed() < Duration::from_secs(10), "{completion}");
            let next = verify(&task, "<answer>4</answer>");
            assert_eq!(next.verdict, VerdictKind::Correct, "after {completion}: {}", next.reason);
            assert_ne!(next.reason, first, "another process after {completion}");
        }
    }

    #[test]
    fn a_program_that_never_reads_does_not_block() {
        let task = shell("sleep 60");
        let long = "x".repeat(1_000_000);
        assert_eq!(verify(&task, &long).verdict, VerdictKind::Unverifiable);
        let ends = shell("exit 0");
        assert!(verify(&ends, "4").reason.contains("ended"));
        assert!(verify(&ends, "4").reason.contains("ended"));
    }

    #[test]
    fn options_are_checked() {
        let new = |options: &[(&str, &str)]| {
            let options = options.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
            Command::new(&options).unwrap_err().to_string()
        };
        assert!(new(&[]).contains("no program"));
        assert!(new(&[("command", "/nonexistent/program")]).contains("cannot start"));
        assert!(new(&[("command", "cat"), ("time_limit", "0")]).contains("time_limit"));
        assert!(new(&[("command", "cat"), ("speed", "0")]).contains("takes: command, time_limit"));
        assert_eq!(split_command(r#" a "b c" 'd "e' f"g h" "" "#), ["a", "b c", "d \"e", "fg h", ""]);
    }
}
