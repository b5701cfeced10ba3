//! Places that are written to: nothing that a user has is lost.

use std::fs;

use crate::bad_input::fails;
use crate::program::{Files, model, run, text};

const TRAIN: [&str; 7] = ["train", "-m", "tiny", "--steps", "1", "--json", "--data"];

#[test]
fn files_and_folders_are_not_written_over() {
    let files = Files::new();
    let notes = files.write("notes.txt", "my notes");
    let adapter = files.copy(&(model("llama") + "/adapter"), "adapter");
    let data = files.write("data.jsonl", super::EXAMPLES);
    let questions = files.write("q.jsonl", "{\"problem\": \"2*x\"}\n");
    let llama = model("llama");
    let before = fs::read(files.path("adapter/adapter_model.safetensors")).unwrap();

    let examples = ["examples", "--task", "integral", "--count", "3", "--output", &notes];
    fails(&examples, 2, &["--output", "notes.txt exists", "--overwrite"]);
    let ttrl = ["ttrl", "-m", "tiny", "--task", "integral", "--problems", &questions, "--output"];
    fails(&[&ttrl[..], &[&notes]].concat(), 1, &["notes.txt", "line 1", "no answer"]);
    fails(&[&TRAIN[..], &[&data, "--output", &adapter]].concat(), 2, &["--output", "adapter", "--overwrite"]);
    let export = ["export", "-m", &llama, "--adapter", &adapter, "--output"];
    let other = files.copy(&adapter, "other");
    fails(&[&export[..], &[&other]].concat(), 2, &["not an empty folder", "--overwrite"]);
    let gguf = files.write("mine.gguf", "my model");
    fails(&[&export[..], &[&gguf]].concat(), 2, &["mine.gguf exists"]);
    let score = ["score", "-m", "tiny", "--text", "x", "--trace", &notes];
    fails(&score, 2, &["--trace", "notes.txt exists"]);
    assert_eq!(fs::read(&notes).unwrap(), b"my notes");
    assert_eq!(fs::read(files.path("adapter/adapter_model.safetensors")).unwrap(), before);
    assert_eq!(fs::read(&gguf).unwrap(), b"my model");

    // What is asked for is replaced.
    assert_eq!(run(&[&examples[..], &["--overwrite"]].concat()).status.code(), Some(0));
    assert_eq!(fs::read_to_string(&notes).unwrap().lines().count(), 3);
    assert_eq!(run(&[&export[..], &[&gguf, "--overwrite"]].concat()).status.code(), Some(0));
    assert_eq!(&fs::read(&gguf).unwrap()[..4], b"GGUF");
}

#[test]
fn a_file_or_a_link_to_nowhere_is_no_folder() {
    let files = Files::new();
    let data = files.write("data.jsonl", super::EXAMPLES);
    let questions = files.write("q.jsonl", "{\"problem\": \"2*x\"}\n");
    let study = concat!(env!("CARGO_MANIFEST_DIR"), "/studies/tiny.toml");
    let mine = files.write("mine", "mine");
    let (below, link) = (files.path("mine/below"), files.path("link"));
    let mut places = vec![(&mine, "mine is a file, not a folder"), (&below, "mine is a file, not a folder")];
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        places.push((&link, "link is a link that leads nowhere, not a folder"));
    }
    let solve = ["-m", "tiny", "--task", "integral", "--problems", &questions];
    for (place, words) in places {
        fails(&[&TRAIN[..], &[&data, "--output", place]].concat(), 2, &["--output", words]);
        fails(&[&TRAIN[..], &[&data, "--output", place, "--overwrite"]].concat(), 2, &["--output", words]);
        fails(&[&["ladder", "--output", place], &solve[..]].concat(), 2, &["--output", words]);
        fails(&[&["ttrl", "--keep", place], &solve[..]].concat(), 2, &["--keep", words]);
        fails(&["study", study, "--output", place], 2, &["--output", words]);
    }
    assert_eq!(fs::read(&mine).unwrap(), b"mine");
}

#[test]
fn what_a_command_reads_is_never_replaced() {
    let files = Files::new();
    let llama = files.copy(&model("llama"), "llama");
    let adapter = files.copy(&(model("llama") + "/adapter"), "adapter");
    let data = files.write("data.jsonl", super::EXAMPLES);
    let weights = files.path("llama/model.safetensors");
    let (before, linked) = (fs::read(&weights).unwrap(), files.path("linked.gguf"));
    fs::hard_link(&weights, &linked).unwrap();
    let export = ["export", "-m", &llama, "--adapter", &adapter, "--overwrite", "--output"];
    fails(&[&export[..], &[&linked]].concat(), 2, &["linked.gguf is part of the --model"]);
    fails(&[&export[..], &[&llama]].concat(), 2, &["is the --model"]);
    fails(&[&export[..], &[&files.path(".")]].concat(), 2, &["holds the --model"]);
    fails(&[&export[..], &[&files.path("llama/../adapter")]].concat(), 2, &["is the --adapter"]);
    let train = ["train", "-m", &llama, "--data", &data, "--overwrite", "--output"];
    fails(&[&train[..], &[&llama]].concat(), 2, &["is the --model"]);
    fails(&[&train[..], &[&adapter, "--adapter", &adapter]].concat(), 2, &["is the --adapter"]);
    let examples = ["examples", "--task", "integral", "--exclude", &data, "--overwrite", "--output", &data];
    fails(&examples, 2, &["is the --exclude"]);
    let score = ["score", "-m", &llama, "--text", "x", "--overwrite", "--trace", &weights];
    fails(&score, 2, &["--trace", "is part of the --model"]);
    let problems = files.write("p.jsonl", "{\"problem\": \"2*x\"}\n");
    let ladder = ["ladder", "-m", "tiny", "--task", "integral", "--problems", &problems, "--overwrite"];
    fails(&[&ladder[..], &["--output", &files.path(".")]].concat(), 2, &["holds the --problems"]);
    assert_eq!(fs::read(&weights).unwrap(), before);
    assert_eq!(files.names("."), ["adapter", "data.jsonl", "linked.gguf", "llama", "p.jsonl"]);
    assert_eq!(files.names("adapter"), ["adapter_config.json", "adapter_model.safetensors"]);
}

/// Numbers that 32-bit floats have, and whose product they have not: every value becomes infinite.
const BEYOND: [&str; 4] = ["--learning-rate", "1e30", "--weight-decay", "1e30"];

#[test]
fn an_adapter_is_replaced_when_the_new_one_is_whole() {
    let files = Files::new();
    let data = files.write("data.jsonl", super::EXAMPLES);
    let output = files.copy(&(model("llama") + "/adapter"), "adapter");
    files.write("adapter/notes.txt", "mine");
    let old = fs::read(files.path("adapter/adapter_model.safetensors")).unwrap();
    let call = [&TRAIN[..], &[&data, "--output", &output, "--overwrite"]].concat();
    // It diverges: the old one stays.
    let failed = run(&[&call[..], &BEYOND, &["--checkpoint-every", "1"]].concat());
    assert_eq!(failed.status.code(), Some(1), "{}", text(&failed.stderr));
    assert_eq!(fs::read(files.path("adapter/adapter_model.safetensors")).unwrap(), old);
    let done = run(&call);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    assert_ne!(fs::read(files.path("adapter/adapter_model.safetensors")).unwrap(), old);
    assert_eq!(files.names("adapter"), ["adapter_config.json", "adapter_model.safetensors", "notes.txt"]);
    let score = ["score", "-m", "tiny", "--adapter", &output, "--text", "?2*x="];
    assert_eq!(run(&score).status.code(), Some(0));
}

#[test]
fn an_adapter_that_is_not_finite_is_no_result() {
    let files = Files::new();
    let data = files.write("data.jsonl", super::EXAMPLES);
    let output = files.path("out");
    let train = ["train", "-m", "tiny", "--data", &data, "--output", &output, "--steps"];
    for steps in ["1", "3"] {
        let failed = run(&[&train[..], &[steps], &BEYOND].concat());
        let message = text(&failed.stderr);
        assert_eq!(failed.status.code(), Some(1), "{message}");
        assert!(message.contains("not finite") && message.contains("--learning-rate"), "{message}");
        assert!(!files.exists("out"));
    }
    // The last good one is kept.
    let failed = run(&[&train[..], &["6", "--checkpoint-every", "1", "--learning-rate", "1e37"]].concat());
    assert_eq!(failed.status.code(), Some(1), "{}", text(&failed.stderr));
}

#[test]
fn numbers_beyond_all_bounds_are_refused() {
    let files = Files::new();
    let problems = files.write("p.jsonl", "{\"problem\": \"2*x\"}\n");
    let data = files.write("data.jsonl", super::EXAMPLES);
    let output = files.path("out");
    let ladder = ["ladder", "-m", "tiny", "--task", "integral", "--problems", &problems, "--output", &output];
    for (option, value, word) in [
        ("--set", "prompts_per_step=9223372036854775807", "prompts_per_step"),
        ("--set", "group_size=4294967295", "group_size"),
        ("--set", "sampling.max_tokens=4294967295", "sampling.max_tokens"),
        ("--set", "evaluation.samples=18446744073709551615", "evaluation.samples"),
        ("--set", "variants.per_node=1000000000000", "variants.per_node"),
        ("--set", "lora.rank=4294967295", "--set lora.rank"),
        ("--set", "reward.correct=1e300", "reward.correct"),
    ] {
        fails(&[&ladder[..], &[option, value]].concat(), 2, &[word]);
    }
    for option in ["--prompts-per-step", "--group-size", "--max-tokens"] {
        let output = run(&[&ladder[..], &[option, "4294967295"]].concat());
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(option) && message.contains("to 1048576"), "{message}");
    }
    let train = ["train", "-m", "tiny", "--data", &data, "--output", &output, "--rank", "4294967295"];
    fails(&train, 2, &["--rank", "4294967295"]);
    assert!(!files.exists("out"));
}
