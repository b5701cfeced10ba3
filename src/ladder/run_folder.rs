//! A run on disk. Native only.
//!
//! `state.safetensors` is the checkpoint: one file with the trainer's state, the tree, the place in the run and the
//! length of the log that belongs to it, replaced by a rename. Whatever moment a process is killed at, the file is
//! whole, and the log is cut back to its length when the run is resumed. `adapter/`, `tree.jsonl` and `report.html`
//! are made from it for people and other programs, and are never read back.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::ladder::events::Event;
use crate::ladder::policy::PolicyInfo;
use crate::ladder::report;
use crate::ladder::run::RunCard;
use crate::ladder::state::{Snapshot, Store};
use crate::ladder::tree::Node;
use crate::train::files::{create_folder, read, read_state, write_atomic, write_state};
use crate::{Error, Result};

/// The folder of one run.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    card: RunCard,
    log: File,
    log_bytes: u64,
}

impl RunFolder {
    /// Makes the folder of a new run and writes `run.json`, so that an unwritable place shows before anything is
    /// computed. A run that ended before it began (its model could not be loaded) is replaced.
    ///
    /// # Errors
    /// [`Error::Usage`] if the folder holds a run or anything else; [`Error::Io`] if it cannot be written.
    pub fn create(path: impl AsRef<Path>, card: RunCard) -> Result<Self> {
        let path = path.as_ref();
        let begun = path.join("state.safetensors").exists()
            || fs::metadata(path.join("events.jsonl")).is_ok_and(|log| log.len() > 0);
        if begun {
            return Err(Error::usage(
                "--output",
                format!("{} holds a run already", path.display()),
                "add --resume to go on with it, or choose another folder",
            ));
        }
        create_folder(path)?;
        for entry in fs::read_dir(path).map_err(|source| Error::read(path, source))? {
            let name = entry.map_err(|source| Error::read(path, source))?.file_name();
            if name != "run.json" && name != "events.jsonl" {
                return Err(Error::usage(
                    "--output",
                    format!("{} is not empty and holds no run", path.display()),
                    "choose a new folder",
                ));
            }
        }
        let log_path = path.join("events.jsonl");
        let log = open_log(&log_path)?;
        let folder = Self { path: path.to_owned(), card, log, log_bytes: 0 };
        folder.write_card()?;
        Ok(folder)
    }

    /// Opens the folder of a run to go on with it: its last checkpoint, or `None` if it was stopped before the first,
    /// and the log cut back to that point.
    ///
    /// # Errors
    /// [`Error::Input`] that names the file and the field at fault; [`Error::Io`].
    pub fn open(path: impl AsRef<Path>) -> Result<(Self, Option<Snapshot>)> {
        let path = path.as_ref();
        let card = read_card(path)?;
        let state_path = path.join("state.safetensors");
        let saved = if state_path.exists() { Some(load_state(&state_path)?) } else { None };
        let log_bytes = saved.as_ref().map_or(0, |(_, bytes)| *bytes);
        let log_path = path.join("events.jsonl");
        let log = open_log(&log_path)?;
        let length = log.metadata().map_err(|source| Error::read(&log_path, source))?.len();
        if length < log_bytes {
            return Err(Error::input(
                &log_path,
                "length",
                format!("{length} bytes, but the checkpoint was made at {log_bytes}"),
                "restore the file, or start a new run in another folder",
            ));
        }
        let mut folder = Self { path: path.to_owned(), card, log, log_bytes: length };
        folder.rewind(log_bytes)?;
        Ok((folder, saved.map(|(snapshot, _)| snapshot)))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What defines the run.
    pub fn card(&self) -> &RunCard {
        &self.card
    }

    /// Notes what the model turned out to be.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn set_policy(&mut self, policy: PolicyInfo) -> Result<()> {
        self.card.policy = Some(policy);
        self.write_card()
    }

    /// Changes the number of steps, to go on with a run that is complete.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn set_steps(&mut self, steps: u64) -> Result<()> {
        self.card.settings.steps = steps;
        self.write_card()
    }

    /// Writes `report.html` from the log and `nodes`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write_report(&self, nodes: &[Node]) -> Result<PathBuf> {
        let path = self.path.join("report.html");
        let events = read_events(&self.path)?;
        let page = report::render(&self.card, &events, nodes)
            .map_err(|error| Error::write(&path, std::io::Error::other(error.to_string())))?;
        write_atomic(&path, page.as_bytes())?;
        Ok(path)
    }

    fn write_card(&self) -> Result<()> {
        let path = self.path.join("run.json");
        let mut text = to_json(&path, serde_json::to_string_pretty(&self.card))?;
        text.push('\n');
        write_atomic(&path, text.as_bytes())
    }
}

impl Store for RunFolder {
    fn append(&mut self, event: &Event) -> Result<()> {
        let path = self.path.join("events.jsonl");
        let mut line = to_json(&path, serde_json::to_string(event))?;
        line.push('\n');
        // One write a line and no buffer: what was announced is in the file.
        self.log.write_all(line.as_bytes()).map_err(|source| Error::write(&path, source))?;
        self.log_bytes += line.len() as u64;
        Ok(())
    }

    fn position(&self) -> u64 {
        self.log_bytes
    }

    fn rewind(&mut self, position: u64) -> Result<()> {
        let cut = |log: &mut File| {
            log.set_len(position)?;
            log.seek(SeekFrom::Start(position))
        };
        cut(&mut self.log).map_err(|source| Error::write(self.path.join("events.jsonl"), source))?;
        self.log_bytes = position;
        Ok(())
    }

    fn save(&mut self, snapshot: &Snapshot) -> Result<()> {
        let path = self.path.join("events.jsonl");
        self.log.sync_data().map_err(|source| Error::write(&path, source))?;
        write_state(self.path.join("state.safetensors"), &snapshot.to_state(self.log_bytes)?)?;
        let adapter = self.path.join("adapter");
        create_folder(&adapter)?;
        for file in &snapshot.adapter {
            write_atomic(adapter.join(&file.name), &file.bytes)?;
        }
        write_atomic(self.path.join("tree.jsonl"), &node_lines(&path, &snapshot.nodes)?)?;
        self.write_report(&snapshot.nodes)?;
        Ok(())
    }
}

/// The events in the log of the run in `folder`. A last line that a killed process left half written is left out.
///
/// # Errors
/// [`Error::Input`] that names the line; [`Error::Io`].
pub fn read_events(folder: impl AsRef<Path>) -> Result<Vec<Event>> {
    let path = folder.as_ref().join("events.jsonl");
    let file = File::open(&path).map_err(|source| Error::read(&path, source))?;
    let mut reader = BufReader::new(file);
    let (mut events, mut line) = (Vec::new(), Vec::new());
    while reader.read_until(b'\n', &mut line).map_err(|source| Error::read(&path, source))? > 0 {
        if line.last() != Some(&b'\n') {
            break;
        }
        let event = serde_json::from_slice(&line).map_err(|error| {
            let field = format!("line {}", events.len() + 1);
            Error::input(&path, field, error.to_string(), "remove that line or start a new run")
        })?;
        events.push(event);
        line.clear();
    }
    Ok(events)
}

fn open_log(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .read(true)
        .write(true)
        .truncate(false)
        .open(path)
        .map_err(|source| Error::write(path, source))
}

/// `run.json` of the run in `folder`.
///
/// # Errors
/// [`Error::Usage`] if there is no run; [`Error::Input`] that names the field at fault; [`Error::Io`].
pub fn read_card(folder: &Path) -> Result<RunCard> {
    let path = folder.join("run.json");
    if !path.exists() {
        return Err(Error::usage(
            "--resume",
            format!("{} holds no run", folder.display()),
            "leave --resume out to start one there",
        ));
    }
    let bytes = read(&path)?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let field = format!("line {}", error.line());
        Error::input(
            &path,
            field,
            error.to_string(),
            "restore the file, or start a new run in another folder",
        )
    })
}

fn to_json(path: &Path, text: serde_json::Result<String>) -> Result<String> {
    text.map_err(|error| Error::write(path, error.into()))
}

fn node_lines(path: &Path, nodes: &[Node]) -> Result<Vec<u8>> {
    let mut lines = Vec::new();
    for node in nodes {
        lines.extend(to_json(path, serde_json::to_string(node))?.bytes());
        lines.push(b'\n');
    }
    Ok(lines)
}

fn load_state(path: &Path) -> Result<(Snapshot, u64)> {
    Snapshot::from_state(read_state(path)?, path)
}
