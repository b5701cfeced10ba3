//! The file that `ttrl --output` appends its answers to, one JSON object a line, and goes on with.

use std::collections::HashSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;
use stepladder::ladder::ttrl::TtrlOutcome;
use stepladder::train::files::{read, write_atomic};
use stepladder::train::output::Gate;
use stepladder::train::resume::differences;
use stepladder::{Error, Result};

/// How every line begins: a shorter last one is what a killed process left.
const BEGINNING: &[u8] = b"{\"problem\":";

/// A file of outcomes, locked.
pub(super) struct Answers {
    path: PathBuf,
    file: File,
    known: HashSet<String>,
    /// What is there goes with the first new answer.
    replaces: bool,
    /// What the answers depend on, kept beside them.
    card: Value,
}

impl Answers {
    /// Opens the file and reads which problems it answers. A last line without an end is what a killed process left and is cut
    /// off. `card` is all that the answers depend on.
    ///
    /// # Errors
    /// [`Error::Input`] for a file of something else, [`Error::Usage`] for answers that depend on something else or a place
    /// that `gate` refuses; [`Error::Busy`]; [`Error::Io`].
    pub(super) fn open(path: &Path, gate: &Gate, card: Value) -> Result<Self> {
        // Whether it may be gone on with shows below.
        Gate { overwrite: true, ..gate.clone() }.file("--output", path)?;
        let failed = |source| Error::write(path, source);
        let file = lock(path)?;
        let mut answers =
            Self { path: path.to_owned(), file, known: HashSet::new(), replaces: gate.overwrite, card };
        if answers.replaces {
            return Ok(answers);
        }
        let mut bytes = Vec::new();
        (&answers.file).read_to_end(&mut bytes).map_err(|source| Error::read(path, source))?;
        let whole = answers.parse(&bytes)?;
        let beside = answers.beside();
        if !answers.known.is_empty() && beside.exists() {
            answers.expect_card(&beside)?;
        }
        if whole < bytes.len() {
            answers.file.set_len(whole as u64).map_err(failed)?;
        }
        answers.file.seek(SeekFrom::End(0)).map_err(failed)?;
        if whole > 0 && bytes[whole - 1] != b'\n' {
            answers.file.write_all(b"\n").map_err(failed)?;
        }
        Ok(answers)
    }

    /// Takes the answers in; the length of what is whole.
    fn parse(&mut self, bytes: &[u8]) -> Result<usize> {
        let mut whole = 0;
        for (index, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
            match serde_json::from_slice::<TtrlOutcome>(line) {
                Ok(outcome) => {
                    self.known.insert(outcome.problem);
                    whole += line.len();
                }
                Err(_)
                    if !line.ends_with(b"\n")
                        && (line.starts_with(BEGINNING) || BEGINNING.starts_with(line)) => {}
                Err(error) => {
                    let hint = "name a file that `ttrl --output` made, or a new one";
                    let field = format!("line {}", index + 1);
                    return Err(Error::input(
                        &self.path,
                        field,
                        format!("is no answer of `ttrl` ({error})"),
                        hint,
                    ));
                }
            }
        }
        Ok(whole)
    }

    fn expect_card(&self, beside: &Path) -> Result<()> {
        let hint = "remove that file if the answers may be mixed, or choose another --output";
        let mut old: Value = serde_json::from_slice(&read(beside)?).map_err(|error| {
            Error::input(beside, format!("line {}", error.line()), error.to_string(), hint)
        })?;
        // Older versions did not keep what else of the model counts.
        if let Some(base) =
            old.get_mut("base").and_then(Value::as_object_mut).filter(|base| !base.contains_key("model"))
        {
            base.insert("model".into(), self.card.pointer("/base/model").cloned().unwrap_or_default());
        }
        match differences(&old, &self.card).into_iter().next() {
            None => Ok(()),
            Some((path, old, new)) => {
                let problem =
                    format!("is {new}, but the answers in {} were made with {old}", self.path.display());
                let hint = "choose another --output, or add --overwrite to begin anew";
                // `settings` holds those of the loop under the same name.
                Err(Error::usage(path.replace("settings.settings.", "settings."), problem, hint))
            }
        }
    }

    /// Whether the problem is answered.
    pub(super) fn holds(&self, problem: &str) -> bool {
        self.known.contains(problem)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file that says what the answers depend on.
    fn beside(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".run.json");
        name.into()
    }

    pub(super) fn append(&mut self, outcome: &TtrlOutcome) -> Result<()> {
        let failed = |source| Error::write(&self.path, source);
        let mut line = serde_json::to_string(outcome).map_err(|error| failed(error.into()))?;
        line.push('\n');
        let mut card = serde_json::to_vec_pretty(&self.card).map_err(|error| failed(error.into()))?;
        card.push(b'\n');
        let beside = self.beside();
        if !std::fs::read(&beside).is_ok_and(|old| old == card) {
            write_atomic(&beside, &card)?;
        }
        if std::mem::replace(&mut self.replaces, false) {
            write_atomic(&self.path, line.as_bytes())?;
            self.file = lock(&self.path)?;
            return self
                .file
                .seek(SeekFrom::End(0))
                .map(drop)
                .map_err(|source| Error::write(&self.path, source));
        }
        self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data()).map_err(failed)
    }
}

/// Opens or makes the file and locks it.
fn lock(path: &Path) -> Result<File> {
    let open = OpenOptions::new().create(true).read(true).write(true).truncate(false).open(path);
    let file = open.map_err(|source| Error::write(path, source))?;
    // Where there are no locks, everybody gets one.
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(Error::Busy { path: path.to_owned() }),
        _ => Ok(file),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use serde_json::json;
    use std::fs;

    fn outcome(problem: &str) -> TtrlOutcome {
        serde_json::from_value(json!({
            "problem": problem, "answer": null, "verdict": null, "votes": [], "steps": 0, "nodes": 1,
            "rollout_tokens": 0, "vote_tokens": 0,
        }))
        .unwrap()
    }

    #[test]
    fn a_file_of_something_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        for text in ["my notes", "my notes\n", "{\"problem\": 3}\n", "12", "{\"text\": \"a", "\n\n"] {
            fs::write(&path, text).unwrap();
            let error = Answers::open(&path, &Gate::default(), json!({})).err().unwrap();
            assert!(error.code() == "input" && error.to_string().contains("line 1"), "{text}: {error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        let inputs = vec![("--problems".to_owned(), path.clone())];
        let gate = Gate { inputs, overwrite: true };
        assert_eq!(Answers::open(&path, &gate, json!({})).err().unwrap().code(), "usage");
    }

    #[test]
    fn answers_are_gone_on_with() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.jsonl");
        let open = |card: Value| Answers::open(&path, &Gate::default(), card);
        let mut first = open(json!({"rate": 1})).unwrap();
        assert_eq!(open(json!({"rate": 1})).err().unwrap().code(), "busy");
        first.append(&outcome("a")).unwrap();
        drop(first);
        let kept = fs::read_to_string(&path).unwrap();
        assert!(kept.as_bytes().starts_with(BEGINNING), "{kept}");
        // Half a line goes; a whole one that only lacks its end stays.
        for end in ["{\"pro", "{\"problem\":\"b\",\"answer\""] {
            fs::write(&path, format!("{kept}{end}")).unwrap();
            assert!(open(json!({"rate": 1})).unwrap().holds("a"));
            assert_eq!(fs::read_to_string(&path).unwrap(), kept);
        }
        fs::write(&path, kept.trim_end()).unwrap();
        assert!(open(json!({"rate": 1})).unwrap().holds("a"));
        assert_eq!(fs::read_to_string(&path).unwrap(), kept);
        // What older versions did not keep is nothing to hold to.
        let beside = folder.path().join("answers.jsonl.run.json");
        let kept_card = fs::read(&beside).unwrap();
        fs::write(&beside, r#"{"base": {"sha256": "1"}, "settings": {"settings": {"seed": 0}}}"#).unwrap();
        let card = |seed: u64| json!({"base": {"sha256": "1", "model": {"rope_theta": 1.0}}, "settings": {"settings": {"seed": seed}}});
        assert!(open(card(0)).unwrap().holds("a"));
        let error = open(card(1)).err().unwrap().to_string();
        assert!(error.starts_with("settings.seed: is 1"), "{error}");
        fs::write(&beside, kept_card).unwrap();
        let error = open(json!({"rate": 2})).err().unwrap().to_string();
        assert!(error.starts_with("rate: is 2") && error.contains("made with 1"), "{error}");
        // The old answers go with the first new one.
        let gate = Gate { overwrite: true, ..Gate::default() };
        let mut new = Answers::open(&path, &gate, json!({"rate": 2})).unwrap();
        assert!(!new.holds("a") && fs::read_to_string(&path).unwrap() == kept);
        new.append(&outcome("b")).unwrap();
        new.append(&outcome("c")).unwrap();
        drop(new);
        let again = open(json!({"rate": 2})).unwrap();
        assert!(again.holds("b") && again.holds("c") && !again.holds("a"));
    }
}
