//! Killed without a warning: what is resumed ends with the same bits. The long form is `scripts/torture/killed.py`.
#![cfg(unix)]

use std::fs;

use serde_json::Value;

use crate::interrupt::signalled;
use crate::program::{Files, command, json_lines, run, text};

/// Ends of a run: all bytes that must not depend on whether it was killed.
fn end(files: &Files, output: &str, names: &[&str]) -> Vec<Vec<u8>> {
    names.iter().map(|name| fs::read(files.path(&format!("{output}/{name}"))).unwrap()).collect()
}

#[test]
fn a_ladder_run_ends_with_the_same_bits() {
    let files = Files::new();
    let problems = files.write("p.jsonl", "{\"problem\": \"x*exp(x)\"}\n{\"problem\": \"x*cos(2*x)\"}\n");
    let call = |output: &str| {
        let mut args = vec!["ladder", "-m", "tiny", "--task", "integral", "--problems", &problems, "--json"];
        args.extend(["--group-size", "2", "--prompts-per-step", "2", "--max-tokens", "16", "--steps", "4"]);
        args.extend([
            "--set",
            "checkpoint_every=1",
            "--set",
            "variants.per_node=2",
            "--set",
            "evaluation.every=0",
        ]);
        let output = files.path(output);
        args.into_iter().map(str::to_owned).chain(["--output".into(), output]).collect::<Vec<String>>()
    };
    let names = ["adapter/adapter_model.safetensors", "adapter/adapter_config.json", "tree.jsonl"];
    let whole = call("whole");
    json_lines(&run(&whole.iter().map(String::as_str).collect::<Vec<_>>()));
    let output = files.path("killed");
    let first = call("killed");
    let resume = ["ladder", "--output", &output, "--resume", "--json"].map(str::to_owned).to_vec();
    let moments: [fn(&Value) -> bool; 4] = [
        |event| event["type"] == "variants",
        |event| event["type"] == "checkpoint",
        |event| event["type"] == "step" && event["step"] == 2,
        |event| event["type"] == "verified",
    ];
    for (number, ready) in moments.into_iter().enumerate() {
        let args = if number == 0 { &first } else { &resume };
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let (_, status, message) = signalled(command(&args), "-KILL", ready);
        assert!(status.is_none() || status == Some(0), "{message}");
    }
    let rest = run(&resume.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(rest.status.code(), Some(0), "{}", text(&rest.stderr));
    assert_eq!(end(&files, "killed", &names), end(&files, "whole", &names));
}

#[test]
fn training_ends_with_the_same_bits_whatever_is_damaged() {
    let files = Files::new();
    let data = files.write("data.jsonl", super::EXAMPLES);
    let train = |output: &str| -> Vec<String> {
        let args = ["train", "-m", "tiny", "--data", &data, "--json", "--batch-size", "2", "--steps", "9"];
        let end = ["--checkpoint-every", "1", "--output", output];
        args.iter().chain(&end).map(|arg| (*arg).to_owned()).collect()
    };
    let call = |args: &[String]| run(&args.iter().map(String::as_str).collect::<Vec<_>>());
    json_lines(&call(&train(&files.path("whole"))));
    let names = ["adapter_model.safetensors", "adapter_config.json"];
    let want = end(&files, "whole", &names);
    let output = files.path("killed");
    let begin = train(&output);
    let begin: Vec<&str> = begin.iter().map(String::as_str).collect();
    let kill = || -> Vec<(String, Vec<u8>)> {
        let _ = fs::remove_dir_all(&output);
        let (_, status, message) = signalled(command(&begin), "-KILL", |line| line["step"] == 4);
        assert_eq!(status, None, "{message}");
        let read = |name: String| (name.clone(), fs::read(files.path(&format!("killed/{name}"))).unwrap());
        files.names("killed").into_iter().map(read).collect()
    };
    // Now and then it is killed between two renames, and has only one checkpoint, which cannot be done without.
    let two = |kept: &[(String, Vec<u8>)]| kept.iter().any(|(name, _)| name == "state.safetensors");
    let mut kept = kill();
    for _ in 0..4 {
        if two(&kept) {
            break;
        }
        kept = kill();
    }
    assert!(kept.iter().any(|(name, _)| name == "state.previous.safetensors"), "{kept:?}");
    for (spoilt, bytes) in &kept {
        let mut flipped = bytes.clone();
        if let Some(byte) = flipped.last_mut() {
            *byte ^= 1;
        }
        let mut damages = vec![Some(flipped)];
        if spoilt.starts_with("state.") {
            damages.extend([None, Some(bytes[..bytes.len() / 2].to_vec())]);
        }
        for damage in damages {
            fs::remove_dir_all(&output).unwrap();
            for (name, bytes) in &kept {
                files.write(&format!("killed/{name}"), bytes);
            }
            match &damage {
                None => fs::remove_file(files.path(&format!("killed/{spoilt}"))).unwrap(),
                Some(bytes) => drop(files.write(&format!("killed/{spoilt}"), bytes)),
            }
            let rest = run(&["train", "--output", &output, "--resume", "--json"]);
            assert_eq!(rest.status.code(), Some(0), "{spoilt}: {}", text(&rest.stderr));
            assert_eq!(end(&files, "killed", &names), want, "{spoilt}");
            let told = text(&rest.stderr).contains("checkpoint before it");
            assert_eq!(told, spoilt == "state.safetensors", "{spoilt}: {}", text(&rest.stderr));
        }
    }
}
