//! What happened to a library, in order: lines that are only ever appended. What a library is follows from them alone.

use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::gate::Verdict;
use crate::{Error, Result};

/// The ledger's file name in a library.
pub const LEDGER_FILE: &str = "ledger.jsonl";
/// Where a last line goes that a kill or a full disk cut.
const CUT_FILE: &str = "ledger.cut.jsonl";

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
        /// Those that no longer count.
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
    /// A last line that was cut is in the file behind them.
    cut: bool,
}

impl Ledger {
    /// Reads the ledger in `folder`; there is none before the first line. A last line without its end is one that a kill cut:
    /// it never happened.
    ///
    /// # Errors
    /// [`Error::Input`] with the line's number for a line that is damaged or from a newer version; [`Error::Io`].
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(LEDGER_FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(Error::read(&path, error)),
        };
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
        let mut lines = Vec::new();
        for (index, line) in bytes[..whole].split_inclusive(|&byte| byte == b'\n').enumerate() {
            lines.push(crate::json::from_slice(line).map_err(|error| {
                let hint = "the library was made by a newer version, or the file was changed by hand: bring back a copy of it";
                Error::input(&path, format!("line {}", index + 1), format!("cannot be read: {error}"), hint)
            })?);
        }
        Ok(Self { path, lines, whole: whole as u64, cut: whole < bytes.len() })
    }

    /// Every line.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// A word on a last line that was cut, if there is one.
    pub fn warning(&self) -> Option<String> {
        self.cut.then(|| format!("{}: the last line was cut and does not count", self.path.display()))
    }

    /// Appends a line and brings it to the disk. The caller holds the library's lock.
    ///
    /// # Errors
    /// [`Error::Io`], after which the line does not count.
    pub fn append(&mut self, entry: Entry) -> Result<()> {
        let failed = |source| Error::write(&self.path, source);
        let at = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |time| time.as_secs());
        let line = Line { at, entry };
        let mut text = serde_json::to_string(&line).map_err(|error| failed(error.into()))?;
        text.push('\n');
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&self.path)
            .map_err(failed)?;
        if self.cut {
            self.set_aside(&mut file)?;
        }
        let written = file
            .set_len(self.whole)
            .and_then(|()| file.seek(SeekFrom::Start(self.whole)))
            .and_then(|_| file.write_all(text.as_bytes()))
            .and_then(|()| file.sync_all())
            .and_then(|()| crate::model::source::durable::sync_folder(&self.path));
        if let Err(error) = written {
            // What was written of it would be a cut line.
            let _ = file.set_len(self.whole);
            return Err(failed(error));
        }
        self.whole += text.len() as u64;
        self.cut = false;
        self.lines.push(line);
        Ok(())
    }

    /// Copies a line that was cut into a file of its own.
    fn set_aside(&self, file: &mut fs::File) -> Result<()> {
        let aside = self.path.with_file_name(CUT_FILE);
        let mut rest = Vec::new();
        let copied = file
            .seek(SeekFrom::Start(self.whole))
            .and_then(|_| std::io::Read::read_to_end(file, &mut rest))
            .and_then(|_| OpenOptions::new().create(true).append(true).open(&aside))
            .and_then(|mut to| {
                to.write_all(&rest).and_then(|()| to.write_all(b"\n")).and_then(|()| to.sync_all())
            });
        copied.map_err(|source| Error::write(&aside, source))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn accepted(lesson: u32) -> Entry {
        Entry::Accepted { lesson, head: format!("{lesson:016x}") }
    }

    #[test]
    fn lines_come_back_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::read(folder.path()).unwrap();
        assert!(ledger.lines().is_empty());
        let cost = Cost { training_tokens: 7, exam_tokens: 2, seconds: 0.5 };
        ledger.append(Entry::Proposed { lesson: 1 }).unwrap();
        ledger.append(Entry::Learned { lesson: 1, head: "ab".into(), cost }).unwrap();
        ledger.append(Entry::RolledBack { lessons: vec![1], head: None }).unwrap();
        assert_eq!(Ledger::read(folder.path()).unwrap().lines(), ledger.lines());
    }

    /// Cut anywhere, the lines before count, the rest is kept, and the next line follows on them.
    #[test]
    fn a_cut_last_line_never_happened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(LEDGER_FILE);
        let mut ledger = Ledger::read(folder.path()).unwrap();
        ledger.append(accepted(1)).unwrap();
        ledger.append(accepted(2)).unwrap();
        let bytes = fs::read(&path).unwrap();
        let first = bytes.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        for end in first..bytes.len() {
            fs::write(&path, &bytes[..end]).unwrap();
            let mut cut = Ledger::read(folder.path()).unwrap();
            assert_eq!(cut.lines().len(), 1);
            assert_eq!(cut.warning().is_some(), end > first);
            cut.append(accepted(3)).unwrap();
            let after = Ledger::read(folder.path()).unwrap();
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
        let mut ledger = Ledger::read(folder.path()).unwrap();
        ledger.append(accepted(1)).unwrap();
        let path = folder.path().join(LEDGER_FILE);
        for line in ["{}\n", "nonsense\n", "{\"at\": 1, \"event\": \"sold\", \"lesson\": 1}\n"] {
            let mut bytes = line.as_bytes().to_vec();
            bytes.extend(fs::read(&path).unwrap());
            let other = tempfile::tempdir().unwrap();
            fs::write(other.path().join(LEDGER_FILE), bytes).unwrap();
            let error = Ledger::read(other.path()).unwrap_err().to_string();
            assert!(error.contains("line 1") && error.contains("bring back"), "{error}");
        }
    }
}
