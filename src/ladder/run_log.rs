//! The log of a run on disk, `events.jsonl`: one event a line, never the reason that a run cannot go on. Native only.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::de::IgnoredAny;

use crate::ladder::events::Event;
use crate::train::files::write_atomic;
use crate::{Error, Result};

/// The log's file name in a run folder.
pub(super) const LOG_FILE: &str = "events.jsonl";
/// Lines of it that were damaged.
pub(super) const DAMAGED_LOG_FILE: &str = "events.damaged.jsonl";

/// An open log.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Log {
    /// Opens or makes the log in `folder`; nothing is read.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(LOG_FILE);
        let open = OpenOptions::new().create(true).read(true).write(true).truncate(false).open(&path);
        let file = open.map_err(|source| Error::write(&path, source))?;
        let bytes = file.metadata().map_err(|source| Error::read(&path, source))?.len();
        Ok(Self { path, file, bytes })
    }

    /// Length in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends an event: one write and no buffer, so that what was announced is in the file.
    pub(super) fn append(&mut self, event: &Event) -> Result<()> {
        let failed = |source| Error::write(&self.path, source);
        let mut line = serde_json::to_string(event).map_err(|error| failed(error.into()))?;
        line.push('\n');
        self.file.write_all(line.as_bytes()).map_err(failed)?;
        self.bytes += line.len() as u64;
        Ok(())
    }

    /// Brings what was appended to the disk.
    pub(super) fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|source| Error::write(&self.path, source))
    }

    /// Cuts everything behind the first `bytes` off.
    pub(super) fn cut(&mut self, bytes: u64) -> Result<()> {
        let cut = self.file.set_len(bytes).and_then(|()| self.file.seek(SeekFrom::Start(bytes)));
        cut.map_err(|source| Error::write(&self.path, source))?;
        self.bytes = bytes;
        Ok(())
    }

    /// Goes back to the first `bytes`, which a checkpoint says are whole lines. Those that are not are set aside in a file of
    /// their own, and what is missing is missing: the log is for people, and the run does not need it. A word on it, if there
    /// was anything to mend.
    pub(super) fn rewind_and_mend(&mut self, folder: &Path, bytes: u64) -> Result<Option<String>> {
        let failed = |source| Error::read(&self.path, source);
        let file = File::open(&self.path).map_err(failed)?;
        let mut reader = BufReader::new(std::io::Read::take(file, bytes));
        let (mut whole, mut damaged, mut lines, mut line) = (Vec::new(), Vec::new(), 0, Vec::new());
        while reader.read_until(b'\n', &mut line).map_err(failed)? > 0 {
            let text = std::str::from_utf8(&line).ok().filter(|text| text.ends_with('\n'));
            if text.is_some_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok()) {
                whole.append(&mut line);
            } else {
                damaged.append(&mut line);
                lines += 1;
                if !damaged.ends_with(b"\n") {
                    damaged.push(b'\n');
                }
            }
        }
        if damaged.is_empty() && whole.len() as u64 == bytes {
            self.cut(bytes)?;
            return Ok(None);
        }
        let mut word = format!("{} is not as the last checkpoint left it", self.path.display());
        if damaged.is_empty() {
            word += ": events of the past are missing from it";
        } else {
            let aside = folder.join(DAMAGED_LOG_FILE);
            let append = OpenOptions::new().create(true).append(true).open(&aside);
            append.and_then(|mut file| file.write_all(&damaged)).map_err(|e| Error::write(&aside, e))?;
            word += &format!(": {lines} damaged lines are in {} now", aside.display());
        }
        write_atomic(&self.path, &whole)?;
        *self = Self::open(folder)?;
        self.cut(whole.len() as u64)?;
        Ok(Some(word + "; the run goes on, its report leaves them out"))
    }
}

/// The events in the log of the run in `folder`. Lines that are none, damaged or half written, are left out.
///
/// # Errors
/// [`Error::Io`].
pub fn read_events(folder: impl AsRef<Path>) -> Result<Vec<Event>> {
    let path = folder.as_ref().join(LOG_FILE);
    let bytes = fs::read(&path).map_err(|source| Error::read(&path, source))?;
    Ok(bytes.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect())
}
