//! Bad folders: an error that names the place and the remedy, and nothing is destroyed.

use std::fs;
use std::path::Path;

use stepladder::ladder::run_folder::RunFolder;

use crate::mock::{Fault, Mock, card, run_in, settings};

fn made(folder: &Path) {
    let card = card(settings());
    let mut run = RunFolder::create(folder, card.clone()).unwrap();
    run_in(&mut run, &mut Mock::with(Fault::Lost(16)), &card, None).unwrap_err();
}

#[test]
fn a_folder_in_use_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("run");
    made(&folder);
    let before = fs::read(folder.join("events.jsonl")).unwrap();
    let error = RunFolder::create(&folder, card(settings())).unwrap_err().to_string();
    assert!(error.contains("--resume") && error.contains("run"), "{error}");
    assert_eq!(fs::read(folder.join("events.jsonl")).unwrap(), before);
    let other = dir.path().join("thesis");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("chapter.txt"), "x").unwrap();
    let error = RunFolder::create(&other, card(settings())).unwrap_err().to_string();
    assert!(error.contains("not empty"), "{error}");
    assert_eq!(fs::read_dir(&other).unwrap().count(), 1);
}

#[test]
fn a_run_that_never_began_does_not_block_its_folder() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("run");
    drop(RunFolder::create(&folder, card(settings())).unwrap());
    let mut other = settings();
    other.seed = 99;
    let mut run = RunFolder::create(&folder, card(other.clone())).unwrap();
    run_in(&mut run, &mut Mock::new(), &card(other), None).unwrap();
    assert_eq!(RunFolder::open(&folder).unwrap().0.card().settings.seed, 99);
    assert!(RunFolder::create(&folder, card(settings())).is_err());
}

#[test]
fn an_unwritable_place_shows_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    assert_eq!(RunFolder::create(file.join("run"), card(settings())).unwrap_err().code(), "io");
    assert_eq!(RunFolder::create(&file, card(settings())).unwrap_err().code(), "io");
    assert_eq!(fs::read(&file).unwrap(), b"x");
}

#[test]
fn there_is_nothing_to_resume() {
    let dir = tempfile::tempdir().unwrap();
    let error = RunFolder::open(dir.path().join("none")).unwrap_err().to_string();
    assert!(error.contains("--resume") && error.contains("holds no run"), "{error}");
}

#[test]
fn damage_is_named_by_file_and_field() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("run");
    made(&folder);
    let state_path = folder.join("state.safetensors");
    let state = fs::read(&state_path).unwrap();
    let fails = |expected: &[&str]| {
        let error = RunFolder::open(&folder).unwrap_err();
        assert_eq!(error.code(), "input");
        let text = error.to_string();
        assert!(expected.iter().all(|part| text.contains(part)), "{text}");
    };

    fs::write(&state_path, &state[..state.len() / 2]).unwrap();
    fails(&["state.safetensors", "header"]);
    fs::write(&state_path, u64::MAX.to_le_bytes()).unwrap();
    fails(&["state.safetensors", "header"]);
    let patched = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let place = state.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        let mut bytes = state.clone();
        bytes[place..place + to.len()].copy_from_slice(to.as_bytes());
        fs::write(&state_path, bytes).unwrap();
    };
    patched("\\\"events_bytes\\\"", "\\\"events_bytez\\\"");
    fails(&["state.safetensors", "ladder", "events_bytes"]);
    patched("\\\"step\\\":", "\\\"stop\\\":");
    fails(&["state.safetensors", "ladder", "step"]);
    patched("\\\"canonical\\\"", "\\\"canonicaI\\\"");
    fails(&["state.safetensors", "ladder", "canonical"]);
    fs::write(&state_path, &state).unwrap();

    let log = fs::read(folder.join("events.jsonl")).unwrap();
    fs::write(folder.join("events.jsonl"), b"{}\n").unwrap();
    fails(&["events.jsonl", "length"]);
    fs::write(folder.join("events.jsonl"), &log).unwrap();

    let run_json = fs::read_to_string(folder.join("run.json")).unwrap();
    fs::write(folder.join("run.json"), run_json.replace("\"group_size\"", "\"gruop_size\"")).unwrap();
    fails(&["run.json", "line", "gruop_size"]);
    fs::write(folder.join("run.json"), &run_json[..40]).unwrap();
    fails(&["run.json", "line"]);
    fs::write(folder.join("run.json"), &run_json).unwrap();
    RunFolder::open(&folder).unwrap();
}

#[test]
fn a_hostile_state_is_refused_not_indexed() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("run");
    made(&folder);
    let (mut run, saved) = RunFolder::open(&folder).unwrap();
    let card = run.card().clone();
    let mut bad = saved.clone().unwrap();
    bad.progress.pending.push_back(1_000_000);
    let error = run_in(&mut run, &mut Mock::new(), &card, Some(bad)).unwrap_err().to_string();
    assert!(error.contains("1000000"), "{error}");
    let mut bad = saved.unwrap();
    bad.nodes[1].parent = Some(7);
    let error = run_in(&mut run, &mut Mock::new(), &card, Some(bad)).unwrap_err().to_string();
    assert!(error.contains("before its parent"), "{error}");
}

#[test]
fn a_run_folder_holds_what_the_contract_names() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("deep/run");
    made(&folder);
    for name in [
        "run.json",
        "events.jsonl",
        "adapter/adapter_config.json",
        "state.safetensors",
        "tree.jsonl",
        "report.html",
    ] {
        assert!(folder.join(name).exists(), "{name}");
    }
    let parts = fs::read_dir(&folder)
        .unwrap()
        .filter(|e| e.as_ref().unwrap().path().extension().is_some_and(|x| x == "part"));
    assert_eq!(parts.count(), 0);
    let tree = fs::read_to_string(folder.join("tree.jsonl")).unwrap();
    for line in tree.lines() {
        let node: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(node["problem"].is_string() && node["attempts"].is_u64());
    }
}
