//! Bad folders: an error that names the place and the remedy, and nothing is destroyed.

use std::fs;
use std::path::Path;

use stepladder::ladder::events::{Event, FinishReason};
use stepladder::ladder::run_folder::{RunFolder, read_events};
use stepladder::train::output::Gate;

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
    assert!(error.contains("add resume") && error.contains("run"), "{error}");
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
    drop(run);
    assert_eq!(RunFolder::open(&folder).unwrap().0.card().settings.seed, 99);
    assert!(RunFolder::create(&folder, card(settings())).is_err());
}

#[test]
fn an_unwritable_place_shows_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    assert_eq!(RunFolder::create(file.join("run"), card(settings())).unwrap_err().code(), "usage");
    assert_eq!(RunFolder::create(&file, card(settings())).unwrap_err().code(), "usage");
    assert_eq!(fs::read(&file).unwrap(), b"x");
}

#[test]
fn there_is_nothing_to_resume() {
    let dir = tempfile::tempdir().unwrap();
    let error = RunFolder::open(dir.path().join("none")).unwrap_err().to_string();
    assert!(error.contains("leave resume out") && error.contains("holds no run"), "{error}");
}

/// Each file of a folder cut, flipped and missing: the run ends as the one that was never touched, or says why not.
#[test]
fn no_damage_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole");
    let card = card(settings());
    let mut run = RunFolder::create(&whole, card.clone()).unwrap();
    run_in(&mut run, &mut Mock::new(), &card, None).unwrap();
    drop(run);
    let end = |folder: &Path| {
        let files = ["adapter/adapter_config.json", "tree.jsonl"];
        files.map(|name| fs::read(folder.join(name)).unwrap())
    };
    let begun = dir.path().join("begun");
    made(&begun);
    let copy = dir.path().join("copy");
    let names = [
        "events.jsonl",
        "run.json",
        "state.safetensors",
        "state.previous.safetensors",
        "tree.jsonl",
        "report.html",
    ];
    let (mut mended, mut refused) = (0, 0);
    for name in names.into_iter().chain(["adapter/adapter_config.json"]) {
        let bytes = fs::read(begun.join(name)).unwrap();
        let mut damages: Vec<Option<Vec<u8>>> =
            vec![None, Some(Vec::new()), Some(bytes[..bytes.len() / 2].to_vec())];
        damages.push(Some([&bytes[..], b"{\"type\":\"ste"].concat()));
        for place in [0, bytes.len() / 3, bytes.len() / 2, bytes.len().saturating_sub(2)] {
            let mut flipped = bytes.clone();
            flipped[place] ^= 0x81;
            damages.push(Some(flipped));
        }
        for (number, damage) in damages.into_iter().enumerate() {
            copy_folder(&begun, &copy);
            match damage {
                None => fs::remove_file(copy.join(name)).unwrap(),
                Some(damaged) => fs::write(copy.join(name), damaged).unwrap(),
            }
            match RunFolder::open(&copy) {
                Err(error) => {
                    assert_eq!(error.code(), "input", "{name} {number}: {error}");
                    assert!(error.to_string().contains(name), "{name} {number}: {error}");
                    refused += 1;
                }
                Ok((mut run, saved)) => {
                    let card = run.card().clone();
                    run_in(&mut run, &mut Mock::new(), &card, saved).unwrap();
                    assert_eq!(end(&copy), end(&whole), "{name} {number}");
                    let says = run.warnings().iter().any(|warning| warning.contains(name));
                    mended += usize::from(says);
                    let told = match name {
                        "run.json" | "state.safetensors" => true,
                        // What stands behind the last checkpoint is cut off as ever.
                        "events.jsonl" => [0, 1, 4, 5].contains(&number),
                        _ => false,
                    };
                    assert!(says || !told, "{name} {number}: {:?}", run.warnings());
                }
            }
            fs::remove_dir_all(&copy).unwrap();
        }
    }
    assert!(refused == 0 && mended >= 20, "{refused} {mended}");
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

#[test]
fn without_a_whole_checkpoint_nothing_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("run");
    made(&folder);
    fs::write(folder.join("adapter/adapter_model.safetensors"), "weights").unwrap();
    let log = fs::read(folder.join("events.jsonl")).unwrap();
    let fails = |words: &[&str]| {
        let error = RunFolder::open(&folder).unwrap_err();
        let text = error.to_string();
        assert!(error.code() == "input" && words.iter().all(|word| text.contains(word)), "{text}");
        assert_eq!(fs::read(folder.join("events.jsonl")).unwrap(), log);
        assert!(RunFolder::create(&folder, card(settings())).is_err());
    };
    let state = fs::read(folder.join("state.safetensors")).unwrap();
    fs::remove_file(folder.join("state.previous.safetensors")).unwrap();
    fs::write(folder.join("state.safetensors"), &state[..state.len() / 2]).unwrap();
    fails(&["state.safetensors", "header", "with adapter", "run/adapter"]);
    fs::remove_file(folder.join("state.safetensors")).unwrap();
    fails(&["state.safetensors", "is missing", "`adapter`", "with adapter"]);
    for name in ["adapter", "tree.jsonl", "report.html"] {
        let path = folder.join(name);
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }
    // The log alone tells.
    fails(&["state.safetensors", "is missing", "events.jsonl"]);
}

#[test]
fn settings_edited_by_hand_are_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("run");
    made(&folder);
    let text = fs::read_to_string(folder.join("run.json")).unwrap();
    let edited = text.replace("\"group_size\": 8", "\"group_size\": 4");
    assert_ne!(text, edited);
    fs::write(folder.join("run.json"), &edited).unwrap();
    let (run, _) = RunFolder::open(&folder).unwrap();
    assert!(run.warnings()[0].contains("run.json: sha256"), "{:?}", run.warnings());
    assert_eq!(run.card().settings.group_size, 8);
    assert_eq!(fs::read_to_string(folder.join("run.damaged.json")).unwrap(), edited);
    assert_eq!(fs::read_to_string(folder.join("run.json")).unwrap(), text);
}

#[test]
fn folders_of_older_versions_open() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("run");
    made(&folder);
    let mut card: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("run.json")).unwrap()).unwrap();
    assert!(card.as_object_mut().unwrap().remove("sha256").is_some());
    fs::write(folder.join("run.json"), card.to_string()).unwrap();
    fs::remove_file(folder.join("state.previous.safetensors")).unwrap();
    let (run, saved) = RunFolder::open(&folder).unwrap();
    assert!(run.warnings().is_empty() && saved.is_some());
}

#[test]
fn the_second_process_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("run");
    made(&folder);
    let first = RunFolder::open(&folder).unwrap();
    for error in
        [RunFolder::open(&folder).unwrap_err(), RunFolder::create(&folder, card(settings())).unwrap_err()]
    {
        assert!(error.code() == "busy" && error.to_string().contains("run: another process"), "{error}");
    }
    drop(first);
    RunFolder::open(&folder).unwrap();
}

#[test]
fn a_run_is_replaced_when_the_new_one_has_learnt_something() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("run");
    made(&folder);
    let before = fs::read(folder.join("state.safetensors")).unwrap();
    let gate = Gate { overwrite: true, ..Gate::default() };
    let mut other = settings();
    other.seed = 99;
    let new = card(other);
    // One that is stopped before its first step leaves the old run as it was.
    let mut run = RunFolder::replace(&folder, new.clone(), &gate).unwrap();
    run_in(&mut run, &mut Mock::with(Fault::Cancel(1)), &new, None).unwrap_err();
    assert!(run.is_staged());
    drop(run);
    assert_eq!(fs::read(folder.join("state.safetensors")).unwrap(), before);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);

    let mut run = RunFolder::replace(&folder, new.clone(), &gate).unwrap();
    run_in(&mut run, &mut Mock::new(), &new, None).unwrap();
    assert!(!run.is_staged() && run.path() == folder);
    assert_eq!(RunFolder::open(&folder).unwrap_err().code(), "busy");
    drop(run);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    let (run, saved) = RunFolder::open(&folder).unwrap();
    assert_eq!((run.card().settings.seed, saved.unwrap().progress.step), (99, 6));
    drop(run);
    fs::write(folder.join("thesis.txt"), "x").unwrap();
    let error = RunFolder::replace(&folder, new, &gate).unwrap_err().to_string();
    assert!(error.contains("`thesis.txt`"), "{error}");
}

#[test]
fn what_is_not_finite_is_not_saved() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("run");
    let card = card(settings());
    let mut run = RunFolder::create(&folder, card.clone()).unwrap();
    let error = run_in(&mut run, &mut Mock::with(Fault::NaN(5)), &card, None).unwrap_err();
    assert!(error.code() == "diverged" && error.to_string().contains("not finite after step 6"), "{error}");
    drop(run);
    let (_, saved) = RunFolder::open(&folder).unwrap();
    assert_eq!(saved.unwrap().progress.step, 4);
    let Some(Event::Finished(finished)) = read_events(&folder).unwrap().pop() else { return };
    assert_eq!(finished.reason, FinishReason::Diverged);
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
