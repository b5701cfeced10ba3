//! Running the program, and files to run it on.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The program with these arguments, not started.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stepladder"));
    // Without this folder, Mesa's window system code complains on standard error.
    command
        .args(args)
        .stdin(Stdio::null())
        .env("XDG_RUNTIME_DIR", std::env::temp_dir())
        .env_remove("RUST_LOG");
    command
}

pub(crate) fn run(args: &[&str]) -> Output {
    command(args).output().unwrap()
}

pub(crate) fn run_with_input(args: &[&str], input: &str) -> Output {
    let mut command = command(args);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A program that ends before it has read everything closes the pipe.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// The lines of JSON of a call that went well.
pub(crate) fn json_lines(output: &Output) -> Vec<Value> {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The lines of `train` that are of a step.
pub(crate) fn steps(lines: Vec<Value>) -> Vec<Value> {
    lines.into_iter().filter(|line| line.get("event").is_none()).collect()
}

/// The one JSON document of a call that went well.
pub(crate) fn json(output: &Output) -> Value {
    let mut lines = json_lines(output);
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.remove(0)
}

/// The folder of a small random model.
pub(crate) fn model(name: &str) -> String {
    format!("{}/tests/fixtures/models/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A folder that goes with the test.
pub(crate) struct Files(tempfile::TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.0.path().join(name).exists()
    }

    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(Path::new(&path).parent().unwrap()).unwrap();
        std::fs::write(&path, contents).unwrap();
        path
    }

    /// What is in a folder, sorted, hidden files included.
    pub(crate) fn names(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path().join(folder)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// A copy of a small model's files, to be spoilt.
    pub(crate) fn copy(&self, from: &str, name: &str) -> String {
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                let file = format!("{name}/{}", entry.file_name().into_string().unwrap());
                self.write(&file, std::fs::read(entry.path()).unwrap());
            }
        }
        self.path(name)
    }

    /// Replaces text in a file, which must hold it.
    pub(crate) fn edit(&self, name: &str, from: &str, to: &str) {
        let old = std::fs::read_to_string(self.path(name)).unwrap();
        assert!(old.contains(from), "{name} has no {from}");
        self.write(name, old.replace(from, to));
    }
}

/// For a new library whose answers are short: that much the base model is asked for, of what must stay.
pub(super) const SHORT: [&str; 2] = ["--set", "max_answer_tokens=6"];

/// Learns, and gives the last line of JSON with the exit status.
pub(super) fn learn(args: &[&str]) -> (Value, Option<i32>) {
    let output = run(&[&["learn", "--json", "--yes"], args].concat());
    let last = text(&output.stdout).lines().last().unwrap_or_else(|| panic!("{}", text(&output.stderr)));
    (serde_json::from_str(last).unwrap(), output.status.code())
}

/// [`learn`] in a new library of the embedded model, from pairs with [`SHORT`] answers.
pub(super) fn learn_new(library: &str, pairs: &str) -> (Value, Option<i32>) {
    learn(&[&[library, "-m", "tiny", "--pairs", pairs], &SHORT[..]].concat())
}

/// A command that fails with these words.
pub(super) fn says(args: &[&str], words: &[&str]) {
    let output = run(args);
    let error = text(&output.stderr);
    assert!(!output.status.success(), "{args:?}");
    for word in words {
        assert!(error.contains(word), "{error}, expected {word}");
    }
}
