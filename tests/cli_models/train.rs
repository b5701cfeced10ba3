//! `train` as a newcomer meets it: its defaults, what it holds out, when it stops, and what it says at both ends.
#![cfg(unix)]

use std::fs;
use std::path::Path;

use serde_json::Value;
use stepladder::train::files::{read_state, write_state};

use crate::bad_input::fails;
use crate::interrupt::signalled;
use crate::program::{Files, command, json_lines, run, steps, text};

/// So many problems that tiny solves, each with an answer of another form.
fn lesson(count: usize) -> String {
    (2..count + 2).map(|n| format!("{{\"prompt\": \"?{n}*x=\", \"completion\": \"x*x*{n}/2\"}}\n")).collect()
}

#[test]
fn the_defaults_teach_and_say_what_they_do() {
    let files = Files::new();
    let data = files.write("data.jsonl", lesson(40));
    let output = files.path("out");
    let done = run(&["train", "-m", "tiny", "--data", &data, "--output", &output]);
    let (told, answer) = (text(&done.stderr), text(&done.stdout));
    assert_eq!(done.status.code(), Some(0), "{told}");
    let plan = "40 examples, 10 epochs of 6 steps, rate 0.001 cosine, rank 16; 4 held out\n";
    assert!(told.starts_with(plan), "{told}");
    assert!(!told.contains("hardly moved"), "{told}");
    for words in
        ["mean loss: ", "held-out loss: ", "held out ", "  expected  x*x*", "  base ", "  trained   x*x*"]
    {
        assert!(answer.contains(words), "{answer}, expected `{words}`");
    }
    let (shown, end) = answer.split_once("\nadapter: ").unwrap();
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    let next = end.lines().nth(1).unwrap().strip_prefix("next:    stepladder ").unwrap();
    let config: Value =
        serde_json::from_slice(&fs::read(files.path("out/adapter_config.json")).unwrap()).unwrap();
    assert_eq!((&config["r"], config["lora_alpha"].as_f64()), (&Value::from(16), Some(32.0)));
    // What it says to type works.
    let args: Vec<&str> = next.split(' ').map(|word| word.trim_matches('\'')).collect();
    assert_eq!(args[0], "generate");
    assert!(text(&run(&args).stdout).starts_with("x*x*"), "{next}");
}

#[test]
fn the_end_is_a_line_for_programs() {
    let files = Files::new();
    let data = files.write("data.jsonl", lesson(12));
    let call = |extra: &[&str]| {
        let output = files.path("out");
        let common = ["train", "-m", "tiny", "--data", &data, "--output", &output, "--overwrite", "--json"];
        let done = run(&[&common[..], &["--epochs", "2"], extra].concat());
        (json_lines(&done), text(&done.stderr).to_owned())
    };
    let (lines, told) = call(&["--learning-rate", "1e-7"]);
    let (last, before) = lines.split_last().unwrap();
    assert!(told.contains("hardly moved") && told.contains("try --learning-rate 0.001"), "{told}");
    assert_eq!((&last["event"], &last["verdict"]), (&"finished".into(), &"hardly_moved".into()));
    let samples = last["samples"].as_array().unwrap();
    assert_eq!(samples.len(), 3, "{last}");
    for sample in samples {
        // A model that learnt nothing answers as before.
        assert_eq!(sample["base"], sample["trained"], "{last}");
        assert!(sample["prompt"].as_str().unwrap().starts_with('?'), "{last}");
    }
    assert_eq!(samples.iter().filter(|sample| sample["held_out"] == true).count(), 1, "{last}");
    let epochs: Vec<&Value> = before.iter().filter(|line| line["event"] == "epoch").collect();
    assert_eq!(epochs.len(), 2, "{lines:?}");
    assert!(epochs.iter().all(|epoch| epoch["held_out_loss"].is_number() && epoch["loss"].is_number()));
    assert_eq!(last["held_out_loss"], epochs[1]["held_out_loss"]);
    let learnt = steps(lines.clone());
    assert_eq!(learnt.len(), 22, "{lines:?}");

    let (lines, _) = call(&["--held-out", "0", "--no-samples"]);
    let last = lines.last().unwrap();
    assert_eq!((&last["samples"], &last["held_out_loss"]), (&Value::Array(Vec::new()), &Value::Null));
    assert!(lines.iter().all(|line| line["event"] != "epoch"), "{lines:?}");

    // Texts ask nothing.
    files.write("data.jsonl", "{\"text\": \"?2*x=x^2\"}\n".repeat(3));
    let (lines, told) = call(&[]);
    assert_eq!(lines.last().unwrap()["samples"], Value::Array(Vec::new()));
    assert!(told.contains("none is held out of fewer than 10 examples"), "{told}");
    files.write("data.jsonl", "{\"prompt\": \"?2*x=\", \"completion\": \"x^2\"}\n".repeat(12));
    let (_, told) = call(&[]);
    assert!(told.contains("none is held out: every prompt"), "{told}");
    let output = files.path("none");
    let waits = ["train", "-m", "tiny", "--data", &data, "--output", &output, "--patience", "2"];
    fails(&waits, 2, &["--patience: is 2", "no examples are held out"]);
    assert!(!files.exists("none"));
}

#[test]
fn a_setting_by_its_path_is_its_option() {
    let files = Files::new();
    let data = files.write("data.jsonl", lesson(6));
    let bits = |name: &str, settings: &[&str]| {
        let output = files.path(name);
        let common = ["train", "-m", "tiny", "--data", &data, "--output", &output, "--no-samples"];
        let done =
            run(&[&common[..], &["--held-out", "0", "--set", "optimizer.beta2=0.9"], settings].concat());
        assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
        let told = "6 examples, 3 steps, rate 0.005 linear, rank 2; 0 held out\n";
        assert!(text(&done.stderr).starts_with(told), "{}", text(&done.stderr));
        fs::read(files.path(&format!("{name}/adapter_model.safetensors"))).unwrap()
    };
    let options = ["--steps", "3", "--learning-rate", "5e-3", "--schedule", "linear", "--rank", "2"];
    let options = [&options[..], &["--target-modules", "q_proj", "--no-shuffle"]].concat();
    let mut paths = Vec::new();
    for setting in [
        "steps=3",
        "learning_rate=.005",
        "schedule=linear",
        "lora.rank=2",
        "lora.targets=q_proj",
        "shuffle=false",
    ] {
        paths.extend(["--set", setting]);
    }
    assert_eq!(bits("options", &options), bits("paths", &paths));
    let output = files.path("none");
    for (setting, words) in [
        ("lora.rank=0", "--set lora.rank: is 0; give a whole number from 1 up"),
        ("rank=2", "--set rank: there is no such setting; did you mean lora.rank?"),
        ("held_out=1", "--set held_out: is 1; give a number from 0 to below 1"),
    ] {
        fails(&["train", "-m", "tiny", "--data", &data, "--output", &output, "--set", setting], 2, &[words]);
    }
    assert!(!files.exists("none"));
}

#[test]
fn the_best_epoch_is_kept_through_a_kill() {
    let files = Files::new();
    // Answers without a rule: what is held out cannot be learnt.
    let answers = ["cos(x)", "x^9", "7", "exp(x)-x", "sin(x)/3", "2*x", "x^2/5", "8*x^3", "1", "x-4"];
    let row = |(n, answer): (usize, &&str)| {
        format!("{{\"prompt\": \"?{}*x=\", \"completion\": \"{answer}\"}}\n", n + 2)
    };
    let data = files.write("data.jsonl", answers.iter().enumerate().map(row).collect::<String>());
    let call = |output: &str, rest: &[&str]| -> Vec<String> {
        let common = ["train", "-m", "tiny", "--data", &data, "--json", "--held-out", "0.4", "--no-samples"];
        let numbers = ["--learning-rate", "0.005", "--schedule", "constant", "--warmup-steps", "0"];
        let output = ["--output", output, "--checkpoint-every", "1"];
        [&common[..], &numbers, &output, rest].concat().into_iter().map(str::to_owned).collect()
    };
    let start = |args: &[String]| command(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let finish = |args: &[String]| json_lines(&start(args).output().unwrap());
    let bits = |name: &str| fs::read(files.path(&format!("{name}/adapter_model.safetensors"))).unwrap();
    let waits = ["--epochs", "30", "--patience", "3"];

    let whole = finish(&call(&files.path("whole"), &waits));
    let end = whole.last().unwrap();
    let best = end["best_epoch"].as_u64().unwrap();
    assert_eq!(
        (&end["stopped_early"], end["steps"].as_u64()),
        (&Value::Bool(true), Some(6 * (best + 3))),
        "{end}"
    );
    let losses: Vec<f64> = whole.iter().filter_map(|line| line["held_out_loss"].as_f64()).collect();
    assert!(losses.iter().all(|loss| *loss >= losses[best as usize - 1]), "{losses:?}");
    // It is what that many epochs make.
    finish(&call(&files.path("short"), &["--epochs", &best.to_string()]));
    assert_eq!(bits("whole"), bits("short"));

    let begin = call(&files.path("killed"), &waits);
    let after_the_best = |line: &Value| line["event"] == "epoch" && line["epoch"] == best + 1;
    let (_, status, message) = signalled(start(&begin), "-KILL", after_the_best);
    assert_eq!(status, None, "{message}");
    let rest = finish(
        &["train", "--output", &files.path("killed"), "--resume", "--json", "--no-samples"]
            .map(str::to_owned),
    );
    assert_eq!(bits("killed"), bits("whole"));
    for field in ["steps", "best_epoch", "held_out_loss", "first_loss", "last_loss", "stopped_early"] {
        assert_eq!(rest.last().unwrap()[field], end[field], "{field}");
    }
}

#[test]
fn a_run_of_an_older_version_goes_on_with_its_own_numbers() {
    let files = Files::new();
    let data = files.write("data.jsonl", lesson(20));
    let call = |output: &str| -> Vec<String> {
        // As that version began it.
        let old = ["--epochs", "5", "--batch-size", "8", "--learning-rate", "2e-4", "--schedule", "constant"];
        let rest =
            ["--warmup-steps", "0", "--rank", "8", "--alpha", "16", "--held-out", "0", "--output", output];
        let begin = ["train", "-m", "tiny", "--data", &data, "--json", "--no-samples"];
        [&begin[..], &old, &rest].concat().into_iter().map(str::to_owned).collect()
    };
    let start = |args: &[String]| command(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let whole = steps(json_lines(&start(&call(&files.path("whole"))).output().unwrap()));
    assert_eq!(whole.len(), 15);
    let output = files.path("old");
    let (_, status, message) = signalled(start(&call(&output)), "-INT", |line| line["step"] == 4);
    assert_eq!(status, Some(130), "{message}");
    let mut state = read_state(files.path("old/state.safetensors")).unwrap();
    for (part, names) in [("/run/settings", &["held_out", "patience"][..]), ("/sft", &["course"])] {
        let fields = state.value.pointer_mut(part).unwrap().as_object_mut().unwrap();
        names.iter().for_each(|name| drop(fields.remove(*name).unwrap()));
    }
    write_state(Path::new(&output), &state).unwrap();
    let done = run(&["train", "--output", &output, "--resume", "--json"]);
    let rest = steps(json_lines(&done));
    let numbers = |line: &Value| ["step", "steps", "loss", "learning_rate"].map(|field| line[field].clone());
    let went_on: Vec<_> = rest.iter().map(numbers).collect();
    assert_eq!(went_on, whole[15 - rest.len()..].iter().map(numbers).collect::<Vec<_>>());
    assert!(text(&done.stderr).contains("from its checkpoint after step"), "{}", text(&done.stderr));
    let bits = |name: &str| fs::read(files.path(&format!("{name}/adapter_model.safetensors"))).unwrap();
    assert_eq!(bits("old"), bits("whole"));
}
