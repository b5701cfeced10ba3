//! A run that goes on is held to what it was begun with: options, weights, data.
#![cfg(unix)]

use std::fs;

use serde_json::Value;

use crate::bad_input::fails;
use crate::interrupt::signalled;
use crate::program::{Files, command, json_lines, model, run, text};

#[test]
fn training_is_held_to_its_run() {
    let files = Files::new();
    let data = files.write("data.jsonl", super::EXAMPLES);
    // The embedded model's own files.
    let folder = files.copy(concat!(env!("CARGO_MANIFEST_DIR"), "/models/tiny"), "folder");
    let output = files.path("run");
    let begin = ["train", "-m", &folder, "--data", &data, "--output", &output, "--json", "--steps", "100000"];
    let second: &[&str] = &begin;
    let (lines, status, message) = signalled(command(&begin), "-INT", |line| {
        let ready = line["step"] == 2;
        if ready {
            // While it is at work nobody else is let in.
            fails(second, 1, &["run: another process"]);
            fails(&["train", "--output", &output, "--resume"], 1, &["run: another process"]);
        }
        ready
    });
    assert_eq!(status, Some(130), "{message}");
    let resume = ["train", "--output", &output, "--resume", "--json"];
    let state = fs::read(files.path("run/state.safetensors")).unwrap();
    for (option, value, words) in [
        ("--rank", "2", ["--rank: is 2", "has 8"]),
        ("--alpha", "99", ["--alpha: is 99", "has 16"]),
        ("--batch-size", "1", ["--batch-size: is 1", "has 8"]),
        ("--seed", "9", ["--seed: is 9", "has 0"]),
        ("--target-modules", "q_proj", ["--target-modules: is", "the run has"]),
        ("--max-length", "7", ["--max-length: is 7", "has 512"]),
        ("--weights", "q8", ["--weights: is q8", "has none"]),
        ("--schedule", "nonsense", ["--schedule", "nonsense"]),
    ] {
        fails(&[&resume[..], &[option, value]].concat(), 2, &words);
    }
    fails(&[&resume[..], &["--rslora"]].concat(), 2, &["--rslora: is true", "has false"]);
    fails(&[&resume[..], &["--no-shuffle"]].concat(), 2, &["--no-shuffle"]);
    fails(&[&resume[..], &["--overwrite"]].concat(), 2, &["--overwrite", "--resume"]);
    fails(&[&resume[..], &["-m", &model("qwen2")]].concat(), 1, &["qwen2", "weights", "begun with"]);
    let other = files.write("other.jsonl", "{\"text\": \"?3*x=\"}\n".repeat(5));
    fails(&[&resume[..], &["--data", &other]].concat(), 1, &["other.jsonl", "contents", "begun with"]);
    // The same under the same path, exchanged.
    let weights = files.path("folder/model.safetensors");
    let whole = fs::read(&weights).unwrap();
    let mut changed = whole.clone();
    let place = changed.len() - 5;
    changed[place] ^= 1;
    fs::write(&weights, &changed).unwrap();
    fails(&resume, 1, &["folder", "weights", "begun with"]);
    fs::write(&weights, &whole).unwrap();
    assert_eq!(fs::read(files.path("run/state.safetensors")).unwrap(), state, "nothing was changed");

    // Equal values, the same contents elsewhere, and what makes sense to change.
    let copy = files.write("copy.jsonl", super::EXAMPLES);
    let done = lines.len() as u64;
    let steps = (done + 2).to_string();
    let extra = ["--rank", "8", "--data", &copy, "-m", "tiny", "--learning-rate", "0.5", "--steps", &steps];
    let rest = json_lines(&run(&[&resume[..], &extra].concat()));
    assert_eq!(rest.len(), 2);
    assert!(rest.iter().all(|line| line["learning_rate"] == 0.5), "{rest:?}");
    fails(&resume, 2, &["--resume", "finished adapter", "--adapter"]);
}

#[test]
fn a_ladder_run_is_held_to_its_card() {
    let files = Files::new();
    let problems = files.write("p.jsonl", "{\"problem\": \"x*exp(x)\"}\n");
    let output = files.path("run");
    let begin = ["ladder", "-m", "tiny", "--task", "integral", "--problems", &problems, "--output", &output];
    let small = ["--group-size", "2", "--prompts-per-step", "2", "--max-tokens", "12", "--steps", "1"];
    let set = ["--set", "variants.enabled=false", "--set", "curriculum.probe_samples=0"];
    json_lines(&run(&[&begin[..], &small, &set, &["--json"]].concat()));
    let resume = ["ladder", "--output", &output, "--resume", "--json"];
    let state = fs::read(files.path("run/state.safetensors")).unwrap();
    for (option, value, words) in [
        ("--task", "countdown", ["--task: is countdown", "has integral"]),
        ("--group-size", "8", ["--group-size (group_size): is 8", "has 2"]),
        ("--seed", "7", ["--seed (seed): is 7", "the run has"]),
        ("--loss", "cispo", ["--loss (loss.", "the run has"]),
        ("--kl-coef", "5", ["--kl-coef", "5"]),
        ("--temperature", "0.5", ["--temperature (sampling.temperature)", "0.5"]),
        ("--set", "variants.enabled=true", ["--set variants.enabled: is true", "has false"]),
        ("--weights", "q8", ["--weights: is q8", "has none"]),
    ] {
        fails(&[&resume[..], &[option, value]].concat(), 2, &words);
    }
    fails(&[&resume[..], &["--problems", &files.path("nosuch.jsonl")]].concat(), 1, &["nosuch.jsonl"]);
    let other = files.write("other.jsonl", "{\"problem\": \"x^2\"}\n");
    fails(&[&resume[..], &["--problems", &other]].concat(), 2, &["--problems", "other problems"]);
    fails(&[&resume[..], &["-m", &model("qwen2")]].concat(), 1, &["qwen2", "weights", "begun with"]);
    assert_eq!(fs::read(files.path("run/state.safetensors")).unwrap(), state, "nothing was changed");

    let copy = files.write("copy.jsonl", "{\"problem\": \"x*exp(x)\"}\n");
    let extra = ["--problems", &copy, "--group-size", "2", "--steps", "2", "--learning-rate", "0.03"];
    let events = json_lines(&run(&[&resume[..], &extra].concat()));
    let steps: Vec<&Value> = events.iter().filter(|event| event["type"] == "step").collect();
    assert_eq!(steps.len(), 1, "{steps:?}");
    let card: Value = serde_json::from_slice(&fs::read(files.path("run/run.json")).unwrap()).unwrap();
    assert_eq!(card["settings"]["learning_rate"], 0.03);
}

#[test]
fn options_of_a_new_adapter_are_held_to_the_one_that_is_given() {
    let files = Files::new();
    let data = files.write("data.jsonl", super::EXAMPLES);
    let (adapter, output) = (files.path("adapter"), files.path("out"));
    let train = ["train", "-m", "tiny", "--data", &data, "--steps", "1", "--output"];
    let made = run(&[&train[..], &[&adapter, "--rank", "4", "--alpha", "8"]].concat());
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    let on = [&train[..], &[&output, "--adapter", &adapter]].concat();
    fails(&[&on[..], &["--alpha", "99"]].concat(), 2, &["--alpha: is 99", "the adapter has 8"]);
    fails(&[&on[..], &["--target-modules", "q_proj"]].concat(), 2, &["--target-modules", "the adapter has"]);
    fails(&[&on[..], &["--rslora"]].concat(), 2, &["--rslora: is true", "the adapter has false"]);
    fails(&[&on[..], &["--rank", "8"]].concat(), 1, &["adapter_config.json", "r: is 4"]);
    assert!(!files.exists("out"));
    // Its own values are no contradiction.
    let done = run(&[&on[..], &["--rank", "4", "--alpha", "8"]].concat());
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
}
