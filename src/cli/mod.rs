//! The command line: one file a command, each with its options and a `run`. No logic lives here.
//!
//! `--adapter DIR` always means a PEFT adapter; the GPU adapter is chosen by `--gpu NAME` or `WGPU_ADAPTER_NAME`.

mod args;
mod bench;
mod board;
mod chat;
mod chat_input;
mod chat_sampling;
mod checker_files;
mod chosen;
mod consolidate;
mod context;
mod decide;
mod echo;
mod eval;
mod exam;
mod examples;
mod export;
mod generate;
mod info;
mod ladder;
mod ladder_view;
mod learn;
mod learn_source;
mod library_args;
mod models;
mod naming;
mod pack;
mod progress;
mod report;
mod resume;
mod score;
mod serve;
mod session;
mod setting_args;
mod shell;
mod signals;
mod study;
#[cfg(feature = "swarm")]
mod swarm;
mod train;
mod train_args;
mod train_card;
mod train_samples;
mod train_words;
mod ttrl;
mod ttrl_answers;
mod tuning;
mod variants;
mod verify;
#[cfg(feature = "swarm")]
mod work;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use serde::Serialize;
use stepladder::error::name_by;
use stepladder::ladder::changes;
use stepladder::{Error, Result, task};

use context::Context;
use naming::Names;

/// Language models that teach themselves, on the GPU at hand.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 110, arg_required_else_help = true, after_help = EXIT_STATUS)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const EXIT_STATUS: &str = "Exit status: 0 done, 1 failed (one line on standard error: what, where, what to do), \
2 bad usage, 3 and 4 from `learn` (see there), 130 stopped by a signal (runs save a checkpoint first).\n\
Nothing is written over: an output is new or empty, or is gone on with by --resume, or --overwrite replaces it; what a command \
reads is never replaced.\n\
A problems file has one JSON object a line: {\"problem\": \"x*exp(x)\"}, optional id, level and answer.\n\
Run `stepladder help COMMAND` for a command's options.";

/// How settings are changed by path.
const SET_HELP: &str = "Settings (--set PATH=VALUE, several times; values are JSON or a word),";

/// Options that every command takes.
#[derive(Debug, clap::Args, Serialize)]
struct Global {
    /// Print one JSON document (or JSON lines for events) on standard output and nothing else
    #[arg(long, global = true, help_heading = "Options of every command")]
    json: bool,
    /// Use the GPU whose name holds NAME (see `stepladder info`) [default: $WGPU_ADAPTER_NAME, else the first of
    /// discrete, integrated, software]
    #[arg(long, global = true, value_name = "NAME", help_heading = "Options of every command")]
    gpu: Option<String>,
    /// Multiply in 16-bit floats where the GPU can, with tensor cores where they are faster (less exact)
    #[arg(long, global = true, help_heading = "Options of every command")]
    f16: bool,
    /// Print time, GB/s and GFLOP/s of every kernel on standard error at the end
    #[arg(long, global = true, help_heading = "Options of every command")]
    profile: bool,
    /// Write when each kernel ran to FILE, for a browser's performance view; implies --profile
    #[arg(long, global = true, value_name = "FILE", help_heading = "Options of every command")]
    trace: Option<std::path::PathBuf>,
    /// Replace what an output has in its place, once the new is whole
    #[arg(long, global = true, help_heading = "Options of every command")]
    overwrite: bool,
}

#[derive(Debug, Subcommand, Serialize)]
#[serde(rename_all = "snake_case")]
enum Command {
    /// List GPUs, their features and limits; with -m, say what fits
    Info(info::Args),
    /// Log-probability of each token of a text, given those before it
    Score(score::Args),
    /// Continue a prompt
    Generate(generate::Args),
    /// Talk with a model in the terminal
    Chat(chat::Args),
    /// Answer programs that speak OpenAI's interface, over HTTP
    ///
    /// The first Ctrl-C refuses new requests and finishes the answers under way (exit status 0), the second ends at once. Numbers
    /// that a request leaves out are those which the model's makers advise in generation_config.json, else those of OpenAI's
    /// interface. Each field is used, known to be harmless, or refused by name.
    Serve(serve::Args),
    /// Make worked examples of a task to train on first; needs no GPU
    Examples(examples::Args),
    /// Fine-tune a LoRA adapter on examples
    Train(train_args::Args),
    /// Teach a library of lessons: pairs or a correction, learnt, examined, accepted or not
    ///
    /// Exit status: 0 for a lesson that is accepted, or passed and waits for you, 3 for one that the gate rejected, 4 for one that it
    /// cannot judge, as most corrections are: you decide, by `accept` or `reject`.
    Learn(learn::Args),
    /// Ask the exams of a library's lessons
    Exam(exam::Args),
    /// Show what each lesson of a library taught, what it forgot of those before it, and what it cost
    Board(board::Args),
    /// Make the lesson that waits part of a library's head
    Accept(decide::AcceptArgs),
    /// Keep the lesson that waits apart
    Reject(decide::RejectArgs),
    /// Take a lesson back, and those after it
    Rollback(decide::RollbackArgs),
    /// Learn all lessons of a library anew in one go, without some if you like
    Consolidate(consolidate::Args),
    /// Write a library into one file, to carry it to another machine or into the page
    Pack(pack::PackArgs),
    /// Make a library of one file
    Unpack(pack::UnpackArgs),
    /// Let a model teach itself: variants of its problems, attempts, verdicts, updates (LADDER)
    Ladder(ladder::Args),
    /// Draw completions for a run of LADDER on another machine, until it is stopped
    ///
    /// On one machine: `nats-server -js`, and `stepladder ladder --swarm nats://127.0.0.1:4222` with the options of any run. On each
    /// other that reaches the server: `stepladder work --connect nats://SERVER:4222` with the run's model. Whoever may talk to the
    /// server may change the run: keep it to machines that you trust.
    #[cfg(feature = "swarm")]
    Work(work::Args),
    /// Look at a server that carries runs
    #[cfg(feature = "swarm")]
    Swarm(swarm::Args),
    /// Answer problems, one or several, each after learning from its own easier variants (test-time RL) in an adapter that is dropped
    Ttrl(ttrl::Args),
    /// Run a described study: arms, baselines and seeds at equal token budgets, with table and plots
    Study(study::Args),
    /// Share of problems solved: pass@1 and pass@k
    Eval(eval::Args),
    /// Grow the tree of variants of one problem, without training
    Variants(variants::Args),
    /// Judge one answer; needs no GPU
    ///
    /// A verdict of any kind is a success: the exit status is 0 for a wrong answer too. --json has the verdict as `verdict`.
    Verify(verify::Args),
    /// Write the merged model, or the adapter as GGUF
    Export(export::Args),
    /// Say how far a LADDER run is and what it came to
    Report(report::Args),
    /// List the models that were downloaded, or remove one
    Models(models::Args),
    /// Measure kernels, decoding and a training step on this GPU
    Bench(bench::Args),
    /// Print a script that completes commands and options in a shell
    Completions(shell::CompletionsArgs),
    /// Print a page for `man`
    Man(shell::ManArgs),
}

/// Runs the program.
pub(crate) fn main() -> ExitCode {
    // Ends with status 2 on bad usage, 0 after --help and --version.
    let matches = definition().try_get_matches().unwrap_or_else(|error| tipped(error).exit());
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    // What the client of NATS has to say is said in words of our own.
    let usual = if cfg!(feature = "swarm") { "warn,async_nats=off" } else { "warn" };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| usual.into());
    // A terminal shows colours; a file or another program would get their codes.
    let colours =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours).init();
    if let Some(command) = matches.subcommand_name() {
        let names = Names::new(&definition(), command);
        name_by(move |name| names.option(name));
    }
    let result = Context::new(&cli.global, &matches).and_then(|context| run(&cli.command, &context));
    match result {
        Ok(code) => code,
        Err(error) => {
            if !is_broken_pipe(&error) {
                signals::say(&format!("stepladder: {error}"));
            }
            exit_code(&error)
        }
    }
}

/// Says where a text or a model goes that no option stands before.
fn tipped(mut error: clap::Error) -> clap::Error {
    let stray = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(stray)) => !stray.starts_with('-'),
        _ => false,
    };
    let command = std::env::args().nth(1).unwrap_or_default();
    if error.kind() == ErrorKind::UnknownArgument
        && stray
        && let Some(command) = definition().find_subcommand(&command)
    {
        let tips = [
            ("prompt", "a prompt goes after -p"),
            ("text", "a text goes after --text"),
            ("model", "a model goes after -m"),
        ];
        let tips = tips.into_iter().filter(|(id, _)| command.get_arguments().any(|arg| arg.get_id() == *id));
        let tips = tips.map(|(_, tip)| tip.into()).collect();
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
    }
    error
}

/// The options and help of every command; those that take a task list the tasks and their parameters.
fn definition() -> clap::Command {
    Cli::command().mut_subcommands(|command| {
        let takes = |name: &str| command.get_arguments().any(|arg| arg.get_id() == name);
        let mut sections = Vec::new();
        if takes("task") {
            sections.push(tasks_help());
        }
        if takes("levels") {
            sections.push(levels_help());
        }
        if takes("set") {
            let name = command.get_name();
            let rows = match name {
                "train" => train_words::settings_help(),
                "learn" => learn::settings_help(),
                _ => changes::help(),
            };
            sections.push(format!("{SET_HELP} {rows}"));
            if name == "train" {
                sections.push(train_words::defaults_help());
            }
        }
        if command.get_name() == "chat" {
            return chat_sampling::helped(command);
        }
        if command.get_name() == "study" {
            sections.push(study::FILE_HELP.into());
        }
        if sections.is_empty() { command } else { command.after_help(sections.join("\n\n")) }
    })
}

/// Every task and its parameters, as the registry has them.
fn tasks_help() -> String {
    let mut text = String::from("Tasks and their options (--task-option NAME=VALUE):");
    for name in task::names() {
        text += &format!("\n  {name}");
        for parameter in task::parameters(name) {
            let default = match parameter.default {
                "" => "must be given".to_owned(),
                default => format!("default: {default}"),
            };
            text += &format!("\n    {}  {} [{default}]", parameter.name, parameter.doc);
        }
    }
    text
}

/// The levels of every task that makes examples.
fn levels_help() -> String {
    let mut text = String::from("Levels (--levels), easy ones first:");
    for task in task::names().filter_map(|name| task::create(name, &Default::default()).ok()) {
        let levels = task::levels_in_words(&*task);
        if !levels.is_empty() {
            text += &format!("\n  {}: {levels}", task.name());
        }
    }
    text
}

fn run(command: &Command, context: &Context) -> Result<ExitCode> {
    if let Ok(settings) = serde_json::to_string(command) {
        tracing::debug!(settings, "command");
    }
    let done = match command {
        Command::Learn(args) => return learn::run(args, context),
        Command::Exam(args) => exam::run(args, context),
        Command::Board(args) => board::run(args, context),
        Command::Accept(args) => decide::accept(args, context),
        Command::Reject(args) => decide::reject(args, context),
        Command::Rollback(args) => decide::rollback(args, context),
        Command::Consolidate(args) => consolidate::run(args, context),
        Command::Pack(args) => pack::pack(args, context),
        Command::Unpack(args) => pack::unpack(args, context),
        Command::Info(args) => info::run(args, context),
        Command::Score(args) => score::run(args, context),
        Command::Generate(args) => generate::run(args, context),
        Command::Chat(args) => chat::run(args, context),
        Command::Serve(args) => serve::run(args, context),
        Command::Examples(args) => examples::run(args, context),
        Command::Train(args) => train::run(args, context),
        Command::Ladder(args) => ladder::run(args, context),
        #[cfg(feature = "swarm")]
        Command::Work(args) => work::run(args, context),
        #[cfg(feature = "swarm")]
        Command::Swarm(args) => swarm::run(args, context),
        Command::Ttrl(args) => ttrl::run(args, context),
        Command::Study(args) => study::run(args, context),
        Command::Eval(args) => eval::run(args, context),
        Command::Variants(args) => variants::run(args, context),
        Command::Verify(args) => verify::run(args, context),
        Command::Export(args) => export::run(args, context),
        Command::Report(args) => report::run(args, context),
        Command::Models(args) => models::run(args, context),
        Command::Bench(args) => bench::run(args, context),
        Command::Completions(args) => shell::completions(args, definition(), context),
        Command::Man(args) => shell::man(args, definition(), context),
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// The exit status that stands for `error`.
fn exit_code(error: &Error) -> ExitCode {
    ExitCode::from(match error {
        Error::Usage { .. } => 2,
        Error::Cancelled => 130,
        _ => 1,
    })
}

/// Whether the reader of standard output went away (`stepladder ... | head`), which deserves no message.
fn is_broken_pipe(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == std::io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        definition().debug_assert();
    }

    /// Every option of every command has a line of help.
    #[test]
    fn every_option_has_help() {
        for command in definition().get_subcommands() {
            for arg in command.get_arguments() {
                assert!(arg.get_help().is_some(), "{} {}", command.get_name(), arg.get_id());
            }
        }
    }

    /// The examples that people will copy.
    #[test]
    fn usual_command_lines_are_understood() {
        for line in [
            "info",
            "info -m tiny --rank 4 --json",
            "score -m tiny --text -x",
            "generate -m tiny -p ?x= --max-tokens 8 --temperature 0 --top-k 5 --top-p 0.9 --min-p 0.1 --seed 1 -n 2 --chat",
            "chat -m tiny --adapter a",
            "serve -m tiny",
            "serve -m tiny --host 0.0.0.0 --port 0 --api-key-file k --adapter a=b --adapter c=d --rows 2 --queue 4",
            "serve --library l --allow-origin http://localhost:3000 --kv-cache f16 --context 512 --adapter-folder a",
            "examples --task integral --output e.jsonl --count 50 --levels 1-6,9 --variant-share 0.2 --style terse",
            "examples --task countdown --output e.jsonl --exclude a.jsonl --exclude b.jsonl --seed 1 --json",
            "train -m tiny --data d.jsonl --output o --steps 3 --target-modules q_proj,v_proj --no-shuffle",
            "train -m tiny --data d.jsonl --output o --epochs 2 --adapter a --schedule cosine --warmup-steps 2",
            "train -m tiny --data d.jsonl --output o --target-modules q_proj --target-modules v_proj --rslora --rank 4",
            "train -m tiny --data d.jsonl --output o --set learning_rate=1e-4 --set optimizer.beta2=0.95",
            "train --output o --resume",
            "ladder -m tiny --task integral --problems p.jsonl --output r --loss dapo --kl-coef 0.001",
            "ladder --output r --resume",
            "ladder --output r --resume --learning-rate 0.1 --set evaluation.every=5",
            "ladder -m tiny --task integral --problems p.jsonl --output r --overwrite",
            "ladder -m tiny --task integral --problems p.jsonl --output r --preset tiny --eval-problems q.jsonl",
            "ttrl -m tiny --task integral --problem -x^2",
            "ttrl -m tiny --task integral --problems q.jsonl --output a.jsonl --votes 8 --confident 0.9 --set lora.rank=2",
            "ladder -m tiny --task integral --problems p.jsonl --output r --set variants.enabled=false --set seed=3",
            "eval -m tiny --task integral --problems p.jsonl --samples 4",
            "eval -m tiny --task integral --problems p.jsonl --shots 4 --shot-problems s.jsonl",
            "variants -m tiny --task integral --problem x",
            "verify --task countdown --task-option a=b --problem 1,2=3 --answer 1+2",
            "export -m tiny --adapter a --output o",
            "export -m tiny --adapter a --output o --adapter-only",
            "study s.toml --output o --publish p --page README.md",
            "study s.toml --render",
            "bench --quick --json --gpu llvmpipe --profile",
        ] {
            let words = std::iter::once("stepladder").chain(line.split(' '));
            assert!(Cli::try_parse_from(words).is_ok(), "{line}");
        }
    }

    #[test]
    fn wrong_command_lines_are_refused() {
        for line in [
            "score -m tiny",
            "serve",
            "serve -m tiny --adapter a",
            "serve -m tiny --port 65536",
            "serve -m tiny --rows 0",
            "generate -p x",
            "generate -m tiny -p x --temperature -1",
            "generate -m tiny -p x --top-p 0",
            "generate -m tiny -p x -n 0",
            "generate -m tiny -p x -n 4294967295",
            "ttrl -m tiny --task integral --problem x --votes 4294967295",
            "examples --task integral",
            "examples --task integral --output e --count 0",
            "examples --task integral --output e --levels 6-1",
            "examples --task integral --output e --style loud",
            "train -m tiny --data d --output o --steps 1 --epochs 1",
            "train -m tiny --data d --output o --target-modules q_proj,head",
            "train -m tiny --data d --output o --learning-rate 0",
            "train -m tiny --data d --output o --held-out 1",
            "train -m tiny --data d --output o --max-length 1",
            "train -m tiny --data d --output o --schedule cos",
            "train -m tiny --data d --output o --rank 0",
            "ladder -m tiny --task integral --problems p.jsonl",
            "ladder -m tiny --task integral --output r",
            "ladder --output r",
            "ttrl -m tiny --task integral",
            "ttrl -m tiny --task integral --problem x --problems q",
            "train --output r",
            "train -m tiny --output r",
            "eval -m tiny --task integral --problems p --samples 0",
            "eval -m tiny --task integral --problems p --shots 4",
            "eval -m tiny --task integral --problems p --shot-problems s",
            "verify --task integral --problem x --answer y --task-option nothing",
        ] {
            let words = std::iter::once("stepladder").chain(line.split(' '));
            assert_eq!(Cli::try_parse_from(words).map_err(|e| e.exit_code()).err(), Some(2), "{line}");
        }
    }
}
