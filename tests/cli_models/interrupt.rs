//! Signals: status 130, a checkpoint and how to go on with it; and a resumed run that goes on as if nothing had happened.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::program::{Files, command, json_lines, run, steps, text};

/// Starts a call, sends it `signal` after the first line that `ready` accepts, which it is not asked of later ones, and
/// returns its lines, its status (none after a kill) and its messages.
pub(crate) fn signalled(
    mut command: Command,
    signal: &str,
    ready: impl Fn(&Value) -> bool,
) -> (Vec<Value>, Option<i32>, String) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = Vec::new();
    let mut sent = false;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        // A killed process may leave half a line.
        let Ok(line) = serde_json::from_str::<Value>(&line.unwrap()) else { break };
        let now = !sent && ready(&line);
        lines.push(line);
        if now {
            sent = true;
            let pid = child.id().to_string();
            assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        }
    }
    let mut message = String::new();
    child.stderr.take().unwrap().read_to_string(&mut message).unwrap();
    (lines, child.wait().unwrap().code(), message)
}

/// Interrupts a call after the first line that `ready` accepts, and returns its lines.
fn interrupt(args: &[&str], ready: impl Fn(&Value) -> bool) -> Vec<Value> {
    let (lines, status, message) = signalled(command(args), "-INT", ready);
    assert_eq!(status, Some(130), "{message}");
    lines
}

#[test]
fn every_signal_that_ends_programs_leaves_a_checkpoint() {
    let files = Files::new();
    let data = files.write("data.jsonl", super::EXAMPLES);
    // A test that itself outlives its terminal starts programs that do.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).map(str::trim);
    let ignored =
        ignored.and_then(|mask| u64::from_str_radix(mask, 16).ok()).is_some_and(|mask| mask & 1 == 1);
    for signal in ["-TERM", "-HUP"].into_iter().filter(|signal| !ignored || *signal == "-TERM") {
        let output = files.path(signal);
        let args =
            ["train", "-m", "tiny", "--data", &data, "--json", "--output", &output, "--steps", "100000"];
        let (lines, status, message) = signalled(command(&args), signal, |line| line["step"] == 1);
        assert_eq!(status, Some(130), "{message}");
        assert!(message.contains("--resume") && message.contains(&output), "{message}");
        assert!(files.exists(&format!("{signal}/state.safetensors")) && !lines.is_empty());
    }
    // What was started to outlive its terminal does.
    let output = files.path("nohup");
    let mut child = Command::new("sh");
    let call = "trap '' HUP; exec \"$0\" \"$@\"";
    child.args([
        "-c",
        call,
        env!("CARGO_BIN_EXE_stepladder"),
        "train",
        "-m",
        "tiny",
        "--data",
        &data,
        "--json",
    ]);
    child.args(["--output", &output, "--steps", "4"]).env("XDG_RUNTIME_DIR", std::env::temp_dir());
    let (lines, status, message) = signalled(child, "-HUP", |line| line["step"] == 1);
    assert_eq!((steps(lines).len(), status), (4, Some(0)), "{message}");
}

#[test]
fn training_is_resumed_with_the_same_numbers() {
    let files = Files::new();
    let data = files.write("data.jsonl", super::EXAMPLES);
    let (stopped, whole) = (files.path("stopped"), files.path("whole"));
    let common = ["train", "-m", "tiny", "--data", &data, "--json", "--batch-size", "2", "--seed", "3"];
    // The course of a cosine depends on its end, which differs here.
    let common = [&common[..], &["--schedule", "constant", "--warmup-steps", "0"]].concat();
    let call = |output: &str, steps: &str| {
        [&common[..], &["--output", output, "--steps", steps]]
            .concat()
            .iter()
            .map(|s| (*s).to_owned())
            .collect()
    };
    let long: Vec<String> = call(&stopped, "100000");
    let long: Vec<&str> = long.iter().map(String::as_str).collect();
    let first = interrupt(&long, |line| line["step"] == 2);
    let done = first.len();
    assert_eq!(
        files.names("stopped"),
        ["adapter_config.json", "adapter_model.safetensors", "state.safetensors"]
    );
    // The folder is not begun anew by mistake.
    assert_eq!(run(&long).status.code(), Some(2));

    let count = (done + 2).to_string();
    let rest = ["train", "--output", &stopped, "--resume", "--steps", &count, "--json"];
    let rest = steps(json_lines(&run(&rest)));
    assert_eq!(files.names("stopped"), ["adapter_config.json", "adapter_model.safetensors"]);
    let short: Vec<String> = call(&whole, &count);
    let short: Vec<&str> = short.iter().map(String::as_str).collect();
    let reference = steps(json_lines(&run(&short)));
    let numbers = |lines: &[Value]| -> Vec<(Value, Value, Value)> {
        lines.iter().map(|l| (l["step"].clone(), l["loss"].clone(), l["grad_norm"].clone())).collect()
    };
    assert_eq!(numbers(&[first, rest].concat()), numbers(&reference));
    let adapter = |name: &str| std::fs::read(files.path(name) + "/adapter_model.safetensors").unwrap();
    assert_eq!(adapter("stopped"), adapter("whole"));
}

#[test]
fn a_ladder_run_is_resumed() {
    let files = Files::new();
    let problems = files.write("p.jsonl", "{\"problem\": \"x*exp(x)\"}\n{\"problem\": \"x*cos(2*x)\"}\n");
    let output = files.path("run");
    let held_out = files.write("h.jsonl", "{\"problem\": \"2*x\", \"level\": 1}\n");
    let call = ["ladder", "-m", "tiny", "--task", "integral", "--problems", &problems, "--output", &output];
    let call = [&call[..], &["--eval-problems", &held_out]].concat();
    let small =
        ["--group-size", "4", "--prompts-per-step", "2", "--max-tokens", "16", "--steps", "10000", "--json"];
    let lines = interrupt(&[&call[..], &small].concat(), |line| line["type"] == "step");
    let last = lines.last().unwrap();
    assert_eq!((&last["type"], &last["reason"]), (&Value::from("finished"), &Value::from("cancelled")));
    assert!(files.exists("run/state.safetensors") && files.exists("run/adapter/adapter_config.json"));

    let step = last["step"].as_u64().unwrap();
    let steps = (step + 1).to_string();
    let rest = json_lines(&run(&["ladder", "--output", &output, "--resume", "--steps", &steps, "--json"]));
    assert_eq!(rest[0]["resumed_from"], step);
    assert_eq!(rest.last().unwrap()["reason"], "completed");
    assert!(files.exists("run/report.html"));
    // What is told at the end is told of the whole run.
    let steps = (step + 2).to_string();
    let told = run(&["ladder", "--output", &output, "--resume", "--steps", &steps]);
    let told = text(&told.stdout).trim_start().to_owned();
    let report = run(&["report", &output]);
    assert!(told.contains("level 1:") && told.contains("  ->  "), "{told}");
    assert!(text(&report.stdout).ends_with(&told), "{told}\n{}", text(&report.stdout));
}
