//! What happened to a library, in order: lines that are only ever appended. What a library is follows from them alone.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use web_time::SystemTime;

use super::gate::Verdict;
use super::store::{MAX_FILE, Store};
use crate::{Error, Result};

/// The ledger's file name in a library.
pub const LEDGER_FILE: &str = "ledger.jsonl";
/// Where a last line goes that a kill or a full disk cut.
pub(super) const CUT_FILE: &str = "ledger.cut.jsonl";

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case", deny_unknown_fields)]
pub enum Entry {
    /// A lesson was put into the library, and nothing is learnt yet.
    Proposed {
        /// Its number.
        lesson: u32,
    },
    /// A candidate for the next head was made.
    Learned {
        /// The lesson that it was made for.
        lesson: u32,
        /// The candidate.
        head: String,
        /// What it took.
        cost: Cost,
    },
    /// The gate judged a candidate.
    Examined {
        /// The lesson.
        lesson: u32,
        /// The candidate.
        head: String,
        /// Share of the update that the candidate keeps; 1 for all of it.
        scale: f64,
        /// Divergence from the base on general prompts, nats a token.
        drift: f64,
        /// What it took.
        cost: Cost,
        /// The gate's word.
        verdict: Verdict,
    },
    /// All was tried: this candidate waits for a decision.
    Concluded {
        /// The lesson.
        lesson: u32,
        /// The candidate.
        head: String,
        /// The gate's word on it.
        verdict: Verdict,
    },
    /// The candidate became the head.
    Accepted {
        /// The lesson.
        lesson: u32,
        /// The new head.
        head: String,
    },
    /// The lesson is kept apart: the head stays what it was.
    Rejected {
        /// The lesson.
        lesson: u32,
        /// Who or what rejected it, and why.
        reason: String,
    },
    /// Lessons were taken back.
    RolledBack {
        /// Lessons that no longer count.
        lessons: Vec<u32>,
        /// The head of the time before them; `None` for the base.
        head: Option<String>,
    },
    /// All that counts was learnt anew from the base.
    Consolidated {
        /// Lessons that were left out for good.
        without: Vec<u32>,
        /// The new head; `None` where nothing is left.
        head: Option<String>,
        /// What it took.
        cost: Cost,
    },
}

/// What something took.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// Tokens that were trained on, every time that they were.
    pub training_tokens: u64,
    /// Tokens of exams, asked and answered.
    pub exam_tokens: u64,
    /// Seconds.
    pub seconds: f64,
}

impl std::ops::AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.training_tokens += other.training_tokens;
        self.exam_tokens += other.exam_tokens;
        self.seconds += other.seconds;
    }
}

/// A line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// When, in seconds since 1970.
    pub at: u64,
    /// What.
    #[serde(flatten)]
    pub entry: Entry,
}

/// The ledger of one library.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    lines: Vec<Line>,
    /// Bytes of the lines that are whole.
    whole: u64,
    /// A last line that was cut, in the file behind them.
    cut: Vec<u8>,
}

impl Ledger {
    /// Reads the ledger in `store`; there is none before the first line. A last line without its end is one that a kill cut:
    /// it never happened.
    ///
    /// # Errors
    /// [`Error::Input`] with the line's number for a line that is damaged or from a newer version; [`Error::Io`].
    pub fn read(store: &dyn Store) -> Result<Self> {
        let path = store.place().join(LEDGER_FILE);
        let mut bytes = match store.has(LEDGER_FILE) {
            true => store.read(LEDGER_FILE, MAX_FILE)?,
            false => Vec::new(),
        };
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
        let cut = bytes.split_off(whole);
        let mut lines = Vec::new();
        for (index, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
            lines.push(crate::json::from_slice(line).map_err(|error| {
                let hint = "the library was made by a newer version, or the file was changed by hand: bring back a copy of it";
                Error::input(&path, format!("line {}", index + 1), format!("cannot be read: {error}"), hint)
            })?);
        }
        Ok(Self { path, lines, whole: whole as u64, cut })
    }

    /// Every line.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// A word on a last line that was cut, if there is one.
    pub fn warning(&self) -> Option<String> {
        let word = || format!("{}: the last line was cut and does not count", self.path.display());
        (!self.cut.is_empty()).then(word)
    }

    /// Appends a line and brings it to `store`, the one that was read, which the caller may write to. A line that was cut is
    /// kept in a file of its own.
    ///
    /// # Errors
    /// [`Error::Io`], after which the line does not count.
    pub fn append(&mut self, store: &dyn Store, entry: Entry) -> Result<()> {
        let at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let line = Line { at, entry };
        let mut text =
            serde_json::to_string(&line).map_err(|error| Error::write(&self.path, error.into()))?;
        text.push('\n');
        if !self.cut.is_empty() {
            store.append(CUT_FILE, None, &[&self.cut, b"\n".as_slice()].concat())?;
        }
        store.append(LEDGER_FILE, Some(self.whole), text.as_bytes())?;
        self.whole += text.len() as u64;
        self.cut.clear();
        self.lines.push(line);
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::fs;

    use super::super::folder::Folder;
    use super::*;

    fn at(folder: &tempfile::TempDir) -> Folder {
        Folder::to_read(folder.path())
    }

    fn accepted(lesson: u32) -> Entry {
        Entry::Accepted { lesson, head: format!("{lesson:016x}") }
    }

    #[test]
    fn lines_come_back_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::read(&at(&folder)).unwrap();
        assert!(ledger.lines().is_empty());
        let cost = Cost { training_tokens: 7, exam_tokens: 2, seconds: 0.5 };
        ledger.append(&at(&folder), Entry::Proposed { lesson: 1 }).unwrap();
        ledger.append(&at(&folder), Entry::Learned { lesson: 1, head: "ab".into(), cost }).unwrap();
        ledger.append(&at(&folder), Entry::RolledBack { lessons: vec![1], head: None }).unwrap();
        assert_eq!(Ledger::read(&at(&folder)).unwrap().lines(), ledger.lines());
    }

    /// Cut anywhere, the lines before count, the rest is kept, and the next line follows on them.
    #[test]
    fn a_cut_last_line_never_happened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(LEDGER_FILE);
        let mut ledger = Ledger::read(&at(&folder)).unwrap();
        ledger.append(&at(&folder), accepted(1)).unwrap();
        ledger.append(&at(&folder), accepted(2)).unwrap();
        let bytes = fs::read(&path).unwrap();
        let first = bytes.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        for end in first..bytes.len() {
            fs::write(&path, &bytes[..end]).unwrap();
            let mut cut = Ledger::read(&at(&folder)).unwrap();
            assert_eq!(cut.lines().len(), 1);
            assert_eq!(cut.warning().is_some(), end > first);
            cut.append(&at(&folder), accepted(3)).unwrap();
            let after = Ledger::read(&at(&folder)).unwrap();
            assert_eq!(after.lines().last().unwrap().entry, accepted(3));
            assert_eq!((after.lines().len(), after.warning()), (2, None));
            let aside = folder.path().join(CUT_FILE);
            assert_eq!(aside.exists(), end > first);
            let _ = fs::remove_file(aside);
        }
    }

    #[test]
    fn damage_in_the_middle_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::read(&at(&folder)).unwrap();
        ledger.append(&at(&folder), accepted(1)).unwrap();
        let path = folder.path().join(LEDGER_FILE);
        for line in ["{}\n", "nonsense\n", "{\"at\": 1, \"event\": \"sold\", \"lesson\": 1}\n"] {
            let mut bytes = line.as_bytes().to_vec();
            bytes.extend(fs::read(&path).unwrap());
            let other = tempfile::tempdir().unwrap();
            fs::write(other.path().join(LEDGER_FILE), bytes).unwrap();
            let error = Ledger::read(&at(&other)).unwrap_err().to_string();
            assert!(error.contains("line 1") && error.contains("bring back"), "{error}");
        }
    }
}
