//! Paths that users give for files and that are none: each command says so, at once.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Status and words of the program, which must not take long: a pipe waits for ever, and a device never ends.
fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_stepladder"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begin.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            panic!("{arguments:?} does not end");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn pipes_devices_and_folders_are_no_files() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let output = folder.path().join("new");
    for path in [&pipe, Path::new("/dev/zero"), folder.path()] {
        let (path, output) = (path.to_str().unwrap(), output.to_str().unwrap());
        let commands: [&[&str]; 7] = [
            &["study", path, "--output", output],
            &["examples", "--task", "integral", "--output", output, "--exclude", path],
            &["eval", "-m", "tiny", "--task", "integral", "--problems", path],
            &["generate", "-m", "tiny", "-p", "1", "--schema", path],
            &["generate", "-m", "tiny", "-p", "1", "--grammar", path],
            &["train", "-m", "tiny", "--data", path, "--output", output],
            &["ladder", "-m", "tiny", "--task", "integral", "--problems", path, "--output", output],
        ];
        for command in commands {
            let (status, said) = run(command);
            assert_eq!(status, Some(1), "{command:?}: {said}");
            assert!(said.contains(path) && said.contains("not a regular file"), "{command:?}: {said}");
        }
        assert!(!Path::new(output).exists(), "{path}");
    }
}
