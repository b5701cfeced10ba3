//! Feedback that no lesson has learnt yet, in a file of JSON lines beside the library, as `stepladder learn --feedback` reads it.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use axum::http::StatusCode;
use serde_json::Value;

use super::refusal::Refusal;
use crate::Result;
use crate::model::source::bytes;
use crate::train::files::write_atomic;

/// Most rows and bytes that wait to be learnt.
const MAX_ROWS: usize = 10_000;
const MAX_BYTES: u64 = 32 << 20;

/// The file.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    /// One writer at a time.
    writes: Mutex<()>,
}

impl Log {
    /// The file of the library at `library`: its name with `.feedback.jsonl`.
    pub(super) fn beside(library: &Path) -> Self {
        let mut name = library.components().as_path().as_os_str().to_owned();
        name.push(".feedback.jsonl");
        Self { path: name.into(), writes: Mutex::default() }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// All of it; nothing where there is no file.
    ///
    /// # Errors
    /// Those of reading.
    pub(super) fn read(&self) -> Result<String> {
        match self.path.exists() {
            true => bytes::read_text(&self.path, 2 * MAX_BYTES),
            false => Ok(String::new()),
        }
    }

    fn write(&self, rows: &[&str]) -> Result<()> {
        write_atomic(&self.path, rows.iter().map(|row| format!("{row}\n")).collect::<String>().as_bytes())
    }

    /// Adds a row, in place of what was said of the same prompt before: the last word counts. How many rows wait then.
    ///
    /// # Errors
    /// A refusal where too much waits already; those of the disk.
    pub(super) fn add(&self, row: &Value) -> std::result::Result<usize, Refusal> {
        let _writes = self.writes.lock().unwrap_or_else(PoisonError::into_inner);
        let text = self.read()?;
        let new = row.to_string();
        let other = |line: &&str| {
            crate::json::from_str::<Value>(line).map_or(true, |old| old["prompt"] != row["prompt"])
        };
        let mut rows: Vec<&str> = text.lines().filter(other).collect();
        if rows.len() >= MAX_ROWS || (text.len() + new.len()) as u64 > MAX_BYTES {
            let message = "so much feedback waits that no more is taken; begin a lesson of it by /v1/lessons";
            return Err(Refusal::new(StatusCode::CONFLICT, "feedback_full", message));
        }
        rows.push(&new);
        self.write(&rows)?;
        Ok(rows.len())
    }

    /// Removes the rows of `taken`, which a lesson holds now; those that came since stay.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn remove(&self, taken: &str) -> Result<()> {
        let _writes = self.writes.lock().unwrap_or_else(PoisonError::into_inner);
        let text = self.read()?;
        let taken: std::collections::HashSet<&str> = taken.lines().collect();
        let rest: Vec<&str> = text.lines().filter(|line| !taken.contains(line)).collect();
        self.write(&rest)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_last_word_on_a_prompt_counts_until_it_is_learnt() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::beside(&folder.path().join("notes.library/"));
        assert!(log.path().ends_with("notes.library.feedback.jsonl"));
        assert_eq!(log.read().unwrap(), "");
        let row = |prompt: &str, right: &str| json!({ "prompt": prompt, "answer": "x", "correction": right });
        assert_eq!(log.add(&row("a?", "b")).unwrap(), 1);
        assert_eq!(log.add(&row("c?", "d")).unwrap(), 2);
        assert_eq!(log.add(&row("a?", "e")).unwrap(), 2);
        let taken = log.read().unwrap();
        assert_eq!(taken, format!("{}\n{}\n", row("c?", "d"), row("a?", "e")));
        assert_eq!(log.add(&row("f?", "g")).unwrap(), 3);
        log.remove(&taken).unwrap();
        assert_eq!(log.read().unwrap(), format!("{}\n", row("f?", "g")));
    }
}
