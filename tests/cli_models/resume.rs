//! A run that goes on is held to what it was begun with: options, weights, data.
#![cfg(unix)]

use std::fs;

use serde_json::Value;

use crate::bad_input::fails;
use crate::interrupt::signalled;
use crate::program::{Files, command, json_lines, model, run, steps, text};

#[test]
fn training_is_held_to_its_run() {
    let files = Files::new();
    let data = files.write("data.jsonl", super::EXAMPLES);
    // The embedded model's own files.
    let folder = files.copy(concat!(env!("CARGO_MANIFEST_DIR"), "/models/tiny"), "folder");
    let output = files.path("run");
    let begin = ["train", "-m", &folder, "--data", &data, "--output", &output, "--json", "--steps", "100000"];
    let shape = [
        "--rank",
        "8",
        "--alpha",
        "16",
        "--batch-size",
        "8",
        "--schedule",
        "constant",
        "--warmup-steps",
        "0",
    ];
    let begin = [&begin[..], &shape].concat();
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
        ("--held-out", "0.2", ["--held-out: is 0.2", "has 0.1"]),
        ("--patience", "3", ["--patience: is 3", "has 0"]),
        ("--seed", "9", ["--seed: is 9", "has 0"]),
        ("--target-modules", "q_proj", ["--target-modules: is", "the run has"]),
        ("--max-length", "7", ["--max-length: is 7", "has 512"]),
        ("--weights", "q8", ["--weights: is q8", "has none"]),
    ] {
        fails(&[&resume[..], &[option, value]].concat(), 2, &words);
    }
    fails(
        &[&resume[..], &["--set", "optimizer.beta1=0.5"]].concat(),
        2,
        &["--set optimizer.beta1: is 0.5", "has 0.9"],
    );
    fails(&[&resume[..], &["--rslora"]].concat(), 2, &["--rslora: is true", "has false"]);
    fails(
        &[&resume[..], &["--no-shuffle"]].concat(),
        2,
        &["--no-shuffle (shuffle): is false", "the run has true"],
    );
    fails(&[&resume[..], &["--overwrite"]].concat(), 2, &["--overwrite", "--resume"]);
    fails(&[&resume[..], &["--steps", "1"]].concat(), 2, &["--steps: ends the run at step 1", "are done"]);
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
    let count = (done + 2).to_string();
    let extra = ["--rank", "8", "--data", &copy, "-m", "tiny", "--learning-rate", "0.5", "--steps", &count];
    let rest = steps(json_lines(&run(&[&resume[..], &extra].concat())));
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
        ("--seed", "7", ["--seed: is 7", "the run has"]),
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
fn a_run_is_held_to_what_is_computed_with_the_weights() {
    let files = Files::new();
    let data = files.write("data.jsonl", super::EXAMPLES);
    let folder = files.copy(&model("llama"), "llama");
    let config = fs::read(files.path("llama/config.json")).unwrap();
    let output = files.path("run");
    let begin = ["train", "-m", &folder, "--data", &data, "--output", &output, "--json", "--steps", "100000"];
    let (_, status, message) = signalled(command(&begin), "-INT", |line| line["step"] == 1);
    assert_eq!(status, Some(130), "{message}");
    let problems = files.write("p.jsonl", "{\"problem\": \"x^2\"}\n");
    let ladder = files.path("ladder");
    let begin = ["ladder", "-m", &folder, "--task", "integral", "--problems", &problems, "--output", &ladder];
    let small = ["--preset", "tiny", "--group-size", "2", "--prompts-per-step", "1", "--max-tokens", "4"];
    let set = ["--set", "variants.enabled=false", "--set", "curriculum.probe_samples=0", "--steps", "1"];
    json_lines(&run(&[&begin[..], &small, &set, &["--json"]].concat()));
    let train = ["train", "--output", &output, "--resume", "--json"];
    let teach = ["ladder", "--output", &ladder, "--resume", "--json", "--steps", "2"];
    for (place, new, words) in [
        ("/rope_theta", Value::from(20000.0), "rope_theta: is 20000.0, but the run was begun with 10000.0"),
        ("/rms_norm_eps", Value::from(1e-3), "rms_norm_eps: is "),
        ("/rope_scaling/factor", Value::from(4.0), "rope_scaling.factor: is 4.0"),
        ("/rope_scaling", Value::Null, "rope_scaling: is none"),
    ] {
        let mut value: Value = serde_json::from_slice(&config).unwrap();
        *value.pointer_mut(place).unwrap() = new;
        files.write("llama/config.json", value.to_string());
        fails(&train, 1, &["llama", words, "begun with"]);
        fails(&teach, 1, &["llama", words, "begun with"]);
    }
    files.write("llama/config.json", &config);
    // What the model is asked in.
    let tokenizer = fs::read(files.path("llama/tokenizer.json")).unwrap();
    let mut value: Value = serde_json::from_slice(&tokenizer).unwrap();
    let vocabulary = value["model"]["vocab"].as_object_mut().unwrap();
    let names: Vec<String> = vocabulary.keys().take(2).cloned().collect();
    let (one, other) = (vocabulary[&names[0]].clone(), vocabulary[&names[1]].clone());
    vocabulary.insert(names[0].clone(), other);
    vocabulary.insert(names[1].clone(), one);
    files.write("llama/tokenizer.json", value.to_string());
    fails(&teach, 1, &["llama", "tokenizer: is ", "begun with"]);
    files.write("llama/tokenizer.json", &tokenizer);

    // A card of a version that did not keep it is nothing to hold to, and keeps it from then on.
    let card = files.path("ladder/run.json");
    let mut value: Value = serde_json::from_slice(&fs::read(&card).unwrap()).unwrap();
    let fields = value.as_object_mut().unwrap();
    fields.remove("sha256");
    let kept = fields["base"].as_object_mut().unwrap().remove("model").unwrap();
    assert_eq!(kept["rope_theta"], 10000.0);
    files.write("ladder/run.json", value.to_string());
    json_lines(&run(&teach));
    let value: Value = serde_json::from_slice(&fs::read(&card).unwrap()).unwrap();
    assert_eq!(value["base"]["model"], kept);
    let back = ["ladder", "--output", &ladder, "--resume", "--steps", "1"];
    fails(&back, 2, &["--steps: ends the run at step 1, but 2 are done"]);
}

#[test]
fn a_stopped_run_that_is_replaced_stays_until_the_new_one_is_finished() {
    let files = Files::new();
    let data = files.write("data.jsonl", super::EXAMPLES);
    let output = files.path("run");
    let begin = ["train", "-m", "tiny", "--data", &data, "--output", &output, "--json"];
    let long = [&begin[..], &["--steps", "100000", "--checkpoint-every", "1"]].concat();
    let (_, status, message) = signalled(command(&long), "-INT", |line| line["step"] == 3);
    assert_eq!(status, Some(130), "{message}");
    let read = |name: &str| fs::read(files.path(&format!("run/{name}"))).unwrap();
    let old = [read("state.safetensors"), read("state.previous.safetensors")];
    let adapter = read("adapter_model.safetensors");
    let again = [&long[..], &["--overwrite", "--seed", "5"]].concat();
    let (lines, status, message) = signalled(command(&again), "-INT", |line| line["step"] == 3);
    assert_eq!(status, Some(130), "{message}");
    assert!(message.contains("state.replaced*.safetensors"), "{message}");
    assert_eq!([read("state.replaced.safetensors"), read("state.replaced.previous.safetensors")], old);
    assert_eq!(read("adapter_model.safetensors"), adapter);
    let steps = (lines.len() + 1).to_string();
    let done = run(&["train", "--output", &output, "--resume", "--steps", &steps]);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    let names = files.names("run");
    assert!(!names.iter().any(|name| name.starts_with("state.")), "{names:?}");
    assert_ne!(read("adapter_model.safetensors"), adapter);
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
