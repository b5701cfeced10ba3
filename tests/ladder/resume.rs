//! A run that was stopped, or killed, and resumed is the run that was never stopped.

use std::path::Path;

use stepladder::ladder::events::{Event, FinishReason};
use stepladder::ladder::run_folder::{RunFolder, read_events};

use crate::mock::{Fault, Mock, card, run_in, settings};

/// The events without those that tell of the interruption itself.
fn numbers(folder: &Path) -> Vec<Event> {
    read_events(folder).unwrap().into_iter().filter(|event| !matches!(event, Event::Started(_))).collect()
}

fn whole(folder: &Path) -> (Vec<Event>, Mock) {
    let mut policy = Mock::new();
    let card = card(settings());
    let mut run = RunFolder::create(folder, card.clone()).unwrap();
    run_in(&mut run, &mut policy, &card, None).unwrap();
    (numbers(folder), policy)
}

fn resume(folder: &Path, mut policy: Mock) -> Mock {
    let (mut run, saved) = RunFolder::open(folder).unwrap();
    let card = run.card().clone();
    run_in(&mut run, &mut policy, &card, saved).unwrap();
    policy
}

#[test]
fn a_run_stopped_at_any_moment_resumes_to_the_same_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let (expected, whole_policy) = whole(&dir.path().join("whole"));
    assert!(expected.iter().filter(|event| matches!(event, Event::Step(_))).count() == 6);
    let mut stopped_at = std::collections::BTreeSet::new();
    for call in 1..=whole_policy.calls {
        // A kill is tried at every third call only: checkpoints go to the disk, which takes its time.
        let faults = [Some(Fault::Cancel(call)), (call % 3 == 0).then_some(Fault::Lost(call))];
        for fault in faults.into_iter().flatten() {
            let folder = dir.path().join(format!("{fault:?}"));
            let card = card(settings());
            let mut run = RunFolder::create(&folder, card.clone()).unwrap();
            let error = run_in(&mut run, &mut Mock::with(fault), &card, None).unwrap_err();
            drop(run);
            match fault {
                Fault::Cancel(_) => {
                    assert_eq!(error.code(), "cancelled");
                    let Some(Event::Finished(finished)) = read_events(&folder).unwrap().pop() else {
                        panic!()
                    };
                    assert_eq!(finished.reason, FinishReason::Cancelled);
                    stopped_at.insert(finished.step);
                }
                _ => assert_eq!(error.code(), "device_lost"),
            }
            let policy = resume(&folder, Mock::new());
            assert_eq!(numbers(&folder), expected, "{fault:?}");
            assert_eq!(policy.updates(), whole_policy.updates());
            assert_eq!(policy.rate(4), whole_policy.rate(4));
        }
    }
    assert!(stopped_at.len() >= 6, "stopped at {stopped_at:?}");
}

#[test]
fn a_killed_process_leaves_half_a_line_and_newer_events() {
    let dir = tempfile::tempdir().unwrap();
    let (expected, _) = whole(&dir.path().join("whole"));
    let folder = dir.path().join("killed");
    let card = card(settings());
    let mut run = RunFolder::create(&folder, card.clone()).unwrap();
    run_in(&mut run, &mut Mock::with(Fault::Lost(14)), &card, None).unwrap_err();
    drop(run);
    let log = folder.join("events.jsonl");
    let mut text = std::fs::read(&log).unwrap();
    text.extend(b"{\"type\":\"step\",\"st");
    std::fs::write(&log, &text).unwrap();
    let before = read_events(&folder).unwrap();
    assert!(!before.is_empty(), "half a line is left out");
    // What is not the checkpoint is made anew.
    std::fs::remove_file(folder.join("tree.jsonl")).unwrap();
    std::fs::remove_dir_all(folder.join("adapter")).unwrap();
    resume(&folder, Mock::new());
    assert_eq!(numbers(&folder), expected);
    assert!(folder.join("tree.jsonl").exists() && folder.join("adapter/adapter_config.json").exists());
    let started: Vec<_> = read_events(&folder)
        .unwrap()
        .into_iter()
        .filter_map(|event| match event {
            Event::Started(started) => Some(started.resumed_from),
            _ => None,
        })
        .collect();
    assert!(started.len() == 2 && started[0].is_none() && started[1].is_some(), "{started:?}");
}

#[test]
fn a_complete_run_goes_on_with_more_steps() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("run");
    whole(&folder);
    let (mut run, saved) = RunFolder::open(&folder).unwrap();
    run.set_steps(8).unwrap();
    let card = run.card().clone();
    let outcome = run_in(&mut run, &mut Mock::new(), &card, saved).unwrap();
    assert_eq!(outcome.finished.step, 8);
    let steps = numbers(&folder).iter().filter(|event| matches!(event, Event::Step(_))).count();
    assert_eq!(steps, 8);
    drop(run);
    assert_eq!(RunFolder::open(&folder).unwrap().0.card().settings.steps, 8);
}
