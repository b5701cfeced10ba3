//! The file that `ttrl --output` appends its answers to, one JSON object a line, and goes on with.

use std::collections::{BTreeMap, HashSet};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stepladder::error::Plain;
use stepladder::ladder::ttrl::TtrlOutcome;
use stepladder::task::Problem;
use stepladder::train::files::{read, write_atomic};
use stepladder::train::output::Gate;
use stepladder::train::resume::differences;
use stepladder::{Error, Result};

use super::checker_files;

/// The field of the card that [`Judged`] is kept in.
const JUDGED: &str = "judged";
/// How every line begins: a shorter last one is what a killed process left.
const BEGINNING: &[u8] = b"{\"problem\":";

/// What the verdicts on answers depend on.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Judged {
    /// The known answers, by problem.
    answers: BTreeMap<String, Option<String>>,
    /// Hashes of the checker's files.
    checker: BTreeMap<String, String>,
}

impl Judged {
    /// By the known answers of `problems`, and by `checker`. Of a problem that is there twice the first is answered.
    pub(super) fn new(problems: &[Problem], checker: BTreeMap<String, String>) -> Self {
        let answers = problems.iter().rev().map(|p| (p.problem.clone(), p.answer.clone())).collect();
        Self { answers, checker }
    }
}

/// A file of outcomes, locked.
pub(super) struct Answers {
    path: PathBuf,
    file: File,
    known: HashSet<String>,
    /// What is there goes with the first new answer.
    replaces: bool,
    /// Where the next answer goes: behind what is whole.
    whole: u64,
    /// The last line has no end.
    open_line: bool,
    /// What the answers depend on, kept beside them.
    card: Value,
    /// What the answers that are there were judged by. Older versions did not keep it.
    judged: Option<Judged>,
}

impl Answers {
    /// Opens the file and reads which problems it answers. A last line that breaks off is what a killed process left; the next
    /// answer takes its place, and until then nothing is changed. `card` is all that the answers depend on.
    ///
    /// # Errors
    /// [`Error::Input`] for a file of something else, [`Error::Usage`] for answers that depend on something else or a place
    /// that `gate` refuses; [`Error::Busy`]; [`Error::Io`].
    pub(super) fn open(path: &Path, gate: &Gate, card: Value) -> Result<Self> {
        // Whether it may be gone on with shows below.
        Gate { overwrite: true, ..gate.clone() }.file("--output", path)?;
        let file = lock(path)?;
        let (path, known, replaces) = (path.to_owned(), HashSet::new(), gate.overwrite);
        let mut answers =
            Self { path, file, known, replaces, whole: 0, open_line: false, card, judged: None };
        if answers.replaces {
            return Ok(answers);
        }
        let mut bytes = Vec::new();
        (&answers.file).read_to_end(&mut bytes).map_err(|source| Error::read(&answers.path, source))?;
        let whole = answers.parse(&bytes)?;
        let beside = answers.beside();
        if !answers.known.is_empty() && beside.exists() {
            answers.expect_card(&beside)?;
        }
        answers.whole = whole as u64;
        answers.open_line = whole > 0 && bytes[whole - 1] != b'\n';
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
                Err(error)
                    if error.is_eof()
                        && self.beside().exists()
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

    fn expect_card(&mut self, beside: &Path) -> Result<()> {
        let hint = "remove that file if the answers may be mixed, or choose another --output";
        let mut old: Value = serde_json::from_slice(&read(beside)?).map_err(|error| {
            Error::input(beside, format!("line {}", error.line()), error.to_string(), hint)
        })?;
        if let Some(judged) = old.as_object_mut().and_then(|fields| fields.shift_remove(JUDGED)) {
            self.judged = serde_json::from_value(judged).ok();
        }
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

    /// Holds what is there to what answers are judged by, and keeps it for the next time.
    ///
    /// # Errors
    /// [`Error::Input`] that names a problem which is answered and has another known answer.
    pub(super) fn judge_by(&mut self, mut judged: Judged) -> Result<()> {
        if let Some(before) = self.judged.take() {
            checker_files::tell_changes(&before.checker, &judged.checker, "the answers were last judged");
            for (problem, old) in
                before.answers.into_iter().filter(|(problem, _)| self.known.contains(problem))
            {
                let new = judged.answers.entry(problem.clone()).or_insert_with(|| old.clone());
                if *new != old {
                    let words = |answer: &Option<String>| {
                        answer.as_ref().map_or("none".to_owned(), |answer| format!("`{}`", Plain(answer)))
                    };
                    let text: String = problem.chars().take(60).collect();
                    let problem = format!(
                        "was judged by the known answer {}, but the problem has {}",
                        words(&old),
                        words(new)
                    );
                    let hint = "remove its line to have it answered anew, or give the problems as they were";
                    return Err(Error::input(&self.path, format!("`{}`", Plain(text)), problem, hint));
                }
            }
        }
        if let Some(card) = self.card.as_object_mut() {
            card.insert(JUDGED.to_owned(), json!(judged));
        }
        Ok(())
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
            self.whole = line.len() as u64;
            return Ok(());
        }
        if std::mem::replace(&mut self.open_line, false) {
            line.insert(0, '\n');
        }
        let mut file = &self.file;
        file.set_len(self.whole)
            .and_then(|()| file.seek(SeekFrom::Start(self.whole)))
            .and_then(|_| file.write_all(line.as_bytes()))
            .and_then(|()| file.sync_data())
            .map_err(failed)?;
        self.whole += line.len() as u64;
        Ok(())
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
        for text in [
            "my notes",
            "my notes\n",
            "{\"problem\": 3}\n",
            "12",
            "{\"text\": \"a",
            "\n\n",
            // A problem, as other programs write it, and half of one.
            "{\"problem\":\"3*x\"}",
            "{\"problem\":\"3*x",
        ] {
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
            let cut = format!("{kept}{end}");
            fs::write(&path, &cut).unwrap();
            let mut again = open(json!({"rate": 1})).unwrap();
            assert!(again.holds("a") && fs::read_to_string(&path).unwrap() == cut);
            again.append(&outcome("b")).unwrap();
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.starts_with(&kept) && text.lines().count() == 2 && text.ends_with("}\n"), "{text}");
        }
        fs::write(&path, kept.trim_end()).unwrap();
        let mut again = open(json!({"rate": 1})).unwrap();
        assert!(again.holds("a"));
        again.append(&outcome("b")).unwrap();
        drop(again);
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
        fs::write(&path, &kept).unwrap();
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

    #[test]
    fn a_verdict_by_another_known_answer_is_not_gone_on_with() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.jsonl");
        let judged = |answers: &[(&str, Option<&str>)]| {
            let problem = |&(problem, answer): &(&str, Option<&str>)| Problem {
                problem: problem.into(),
                id: None,
                level: None,
                answer: answer.map(str::to_owned),
            };
            let problems: Vec<Problem> = answers.iter().map(problem).collect();
            let mut found = Answers::open(&path, &Gate::default(), json!({"rate": 1}))?;
            found.judge_by(Judged::new(&problems, BTreeMap::new()))?;
            Ok::<Answers, Error>(found)
        };
        judged(&[("a", Some("4")), ("b", None)]).unwrap().append(&outcome("a")).unwrap();
        // What is not answered may change, and so may which problems there are.
        assert!(judged(&[("a", Some("4")), ("b", Some("3")), ("c", None)]).unwrap().holds("a"));
        judged(&[("b", None)]).unwrap().append(&outcome("b")).unwrap();
        let refused = |answers: &[(&str, Option<&str>)]| judged(answers).err().unwrap().to_string();
        let error = refused(&[("a", Some("5"))]);
        assert!(
            error.contains("`a`: was judged by the known answer `4`, but the problem has `5`"),
            "{error}"
        );
        assert!(refused(&[("a", None)]).contains("but the problem has none"));
        assert!(
            refused(&[("a", Some("4")), ("b", Some("3"))])
                .contains("`b`: was judged by the known answer none")
        );
        // Without its line it is a problem as any other.
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.split_inclusive('\n').skip(1).collect::<String>()).unwrap();
        assert!(!judged(&[("a", Some("5"))]).unwrap().holds("a"));
    }
}
