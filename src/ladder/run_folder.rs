//! A run on disk. Native only.
//!
//! `state.safetensors` is the checkpoint: one file with the trainer's state, the tree, the place in the run, the run's card and
//! the length of the log that belongs to it, with a checksum, replaced by a rename; the one before it stays beside it.
//! Whatever moment a process is killed at, one of them is whole, and the log is cut back to its length when the run is
//! resumed. `adapter/`, `tree.jsonl` and `report.html` are made from it for people and other programs, and are never read back.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::ladder::events::Event;
use crate::ladder::policy::PolicyInfo;
use crate::ladder::report;
use crate::ladder::run::RunCard;
pub use crate::ladder::run_log::read_events;
use crate::ladder::run_log::{DAMAGED_LOG_FILE, LOG_FILE, Log};
use crate::ladder::state::{Snapshot, Store};
use crate::ladder::tree::Node;
use crate::train::checkpoint::{STATE_FILE, State};
use crate::train::files::{
    PREVIOUS_STATE_FILE, create_folder, last_state, read, write_atomic, write_state, write_together,
};
use crate::train::fingerprint::sha256;
use crate::train::lock::Lock;
use crate::train::output::{Gate, contents, expect_folder};
use crate::train::peft::{CONFIG_FILE, WEIGHTS_FILE};
use crate::train::staged::{StagedFolder, restore};
use crate::{Error, Result};

/// The page of a run, for people.
pub const REPORT_FILE: &str = "report.html";
/// The card's file name, also of one that was damaged and set aside.
const CARD_FILE: &str = "run.json";
const DAMAGED_CARD_FILE: &str = "run.damaged.json";
/// The field of `run.json` that holds the checksum of all others.
const CHECKSUM: &str = "sha256";
/// Where the card is in the JSON value of a checkpoint.
const CARD: &str = "card";
/// The folder of the adapter.
const ADAPTER: &str = "adapter";

/// The folder of one run.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    card: RunCard,
    log: Log,
    /// Nobody else writes here. Before `staged`, which removes the folder.
    lock: Option<Lock>,
    /// The folder until its first checkpoint after a step, if it is to take the place of another run.
    staged: Option<StagedFolder>,
    warnings: Vec<String>,
}

impl RunFolder {
    /// Makes the folder of a new run and writes `run.json`, so that an unwritable place shows before anything is
    /// computed. A run that ended before it began (its model could not be loaded) is replaced.
    ///
    /// # Errors
    /// [`Error::Usage`] if the folder holds a run or anything else; [`Error::Io`] if it cannot be written;
    /// [`Error::Busy`] if another process writes to it.
    pub fn create(path: impl AsRef<Path>, card: RunCard) -> Result<Self> {
        let path = path.as_ref();
        restore(path)?;
        expect_folder("output", path)?;
        create_folder(path)?;
        let lock = Lock::folder(path)?;
        if begun(path) {
            return Err(Error::usage(
                "output",
                format!("{} holds a run already", path.display()),
                "add <resume> to go on with it or <overwrite> to replace it, or choose another folder",
            ));
        }
        if contents(path)?.iter().any(|name| name != CARD_FILE && name != LOG_FILE) {
            return Err(Error::usage(
                "output",
                format!("{} is not empty and holds no run", path.display()),
                "choose a new folder",
            ));
        }
        Self::begin(path, card, Some(lock), None)
    }

    /// Makes the folder of a new run beside the old one at `path`, whose place it takes with its first checkpoint after a step.
    ///
    /// # Errors
    /// [`Error::Usage`] if `gate` lets nothing be written there, or for a folder with more in it than a run;
    /// [`Error::Io`], [`Error::Busy`].
    pub fn replace(path: impl AsRef<Path>, card: RunCard, gate: &Gate) -> Result<Self> {
        let path = path.as_ref();
        if !gate.folder("output", path, is_own)? {
            return Self::create(path, card);
        }
        let adapter = path.join(ADAPTER);
        let foreign = |name: &String| name != CONFIG_FILE && name != WEIGHTS_FILE;
        if let Some(name) =
            adapter.is_dir().then(|| contents(&adapter)).transpose()?.into_iter().flatten().find(foreign)
        {
            let problem = format!("{} holds `{name}`, which this program did not make", adapter.display());
            return Err(Error::usage("output", problem, "choose another folder, or move that file"));
        }
        let lock = Lock::folder(path)?;
        let staged = StagedFolder::new(path)?;
        let new = staged.path().to_owned();
        Self::begin(&new, card, Some(lock), Some(staged))
    }

    fn begin(path: &Path, card: RunCard, lock: Option<Lock>, staged: Option<StagedFolder>) -> Result<Self> {
        let mut log = Log::open(path)?;
        log.cut(0)?;
        let (path, warnings) = (path.to_owned(), Vec::new());
        let folder = Self { path, card, log, lock, staged, warnings };
        folder.write_card()?;
        Ok(folder)
    }

    /// Opens the folder of a run to go on with it: its last checkpoint, or `None` if it was stopped before the first,
    /// and the log cut back to that point. What is damaged is set aside and replaced where it can be; see
    /// [`RunFolder::warnings`].
    ///
    /// # Errors
    /// [`Error::Input`] that names the file and the field at fault; [`Error::Io`]; [`Error::Busy`] if another process
    /// writes to it.
    pub fn open(path: impl AsRef<Path>) -> Result<(Self, Option<Snapshot>)> {
        let path = path.as_ref();
        restore(path)?;
        if !path.join(CARD_FILE).exists() && !begun(path) {
            return Err(Error::usage(
                "resume",
                format!("{} holds no run", path.display()),
                "leave <resume> out to start one there",
            ));
        }
        let lock = Some(Lock::folder(path)?);
        let found = last_state(path, parse).map_err(|error| lost(path, error))?;
        let mut warnings = Vec::new();
        let found = found.map(|(found, warning)| {
            warnings.extend(warning);
            found
        });
        let (card, mended) = match (read_card(path), &found) {
            (Ok(card), _) => (card, false),
            (Err(Error::Input { field, problem, .. }), Some(Saved { card: Some(card), .. })) => {
                let (file, aside) = (path.join(CARD_FILE), path.join(DAMAGED_CARD_FILE));
                if file.exists() {
                    fs::rename(&file, &aside).map_err(|source| Error::write(&aside, source))?;
                }
                let file = file.display();
                warnings.push(format!("{file}: {field}: {problem}; the checkpoint's copy is used instead"));
                (card.clone(), true)
            }
            (Err(error), _) => return Err(error),
        };
        let mut log = Log::open(path)?;
        match &found {
            Some(Saved { snapshot, log_bytes, .. }) => {
                if let Some(word) = log.rewind_and_mend(path, *log_bytes)? {
                    warnings.push(word);
                    // From here on the checkpoint belongs to the mended log.
                    let state = to_state(snapshot, log.bytes(), &card)?;
                    write_atomic(path.join(STATE_FILE), &state.to_bytes()?)?;
                }
            }
            None => {
                if let Some(trace) = came_to_a_checkpoint(path)? {
                    return Err(lost(path, missing(path, &trace)));
                }
                log.cut(0)?;
            }
        }
        let path = path.to_owned();
        let folder = Self { path, card, log, lock, staged: None, warnings };
        if mended {
            folder.write_card()?;
        }
        Ok((folder, found.map(|saved| saved.snapshot)))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What defines the run.
    pub fn card(&self) -> &RunCard {
        &self.card
    }

    /// Whether there is another run in the place that this one is to take.
    pub fn is_staged(&self) -> bool {
        self.staged.is_some()
    }

    /// What was found damaged when the run was opened, and what became of it.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
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

    /// Changes what defines the run.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn set_card(&mut self, card: RunCard) -> Result<()> {
        self.card = card;
        self.write_card()
    }

    /// Writes `report.html` from the log and `nodes`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write_report(&self, nodes: &[Node]) -> Result<PathBuf> {
        let path = self.path.join(REPORT_FILE);
        let page = report::render(&self.card, &self.events()?, nodes)
            .map_err(|error| Error::write(&path, std::io::Error::other(error.to_string())))?;
        write_atomic(&path, page.as_bytes())?;
        Ok(path)
    }

    /// The events of the whole run, from its beginning on.
    ///
    /// # Errors
    /// `Read` if the log cannot be read.
    pub fn events(&self) -> Result<Vec<Event>> {
        read_events(&self.path)
    }

    fn write_card(&self) -> Result<()> {
        let path = self.path.join(CARD_FILE);
        let mut value = to_json(&path, serde_json::to_value(&self.card))?;
        if let Some(fields) = value.as_object_mut() {
            let sum = sha256(Value::Object(fields.clone()).to_string().as_bytes());
            fields.insert(CHECKSUM.into(), sum.into());
        }
        let mut text = to_json(&path, serde_json::to_string_pretty(&value))?;
        text.push('\n');
        write_atomic(&path, text.as_bytes())
    }
}

impl Store for RunFolder {
    fn append(&mut self, event: &Event) -> Result<()> {
        self.log.append(event)
    }

    fn position(&self) -> u64 {
        self.log.bytes()
    }

    fn rewind(&mut self, position: u64) -> Result<()> {
        self.log.cut(position)
    }

    fn save(&mut self, snapshot: &Snapshot) -> Result<()> {
        self.log.sync()?;
        write_state(&self.path, &to_state(snapshot, self.log.bytes(), &self.card)?)?;
        let adapter = self.path.join(ADAPTER);
        create_folder(&adapter)?;
        let files: Vec<(&str, &[u8])> =
            snapshot.adapter.iter().map(|file| (file.name.as_str(), file.bytes.as_slice())).collect();
        write_together(&adapter, &files)?;
        let tree = self.path.join("tree.jsonl");
        write_atomic(&tree, &node_lines(&tree, &snapshot.nodes)?)?;
        self.write_report(&snapshot.nodes)?;
        // A run that has learnt nothing yet is no replacement.
        if let Some(staged) = self.staged.take_if(|_| snapshot.progress.step > 0) {
            self.path = staged.target().to_owned();
            // The lock of the old folder went with it; the new one comes with its own.
            self.lock = staged.commit()?;
            self.log = Log::open(&self.path)?;
            self.log.cut(self.log.bytes())?;
        }
        Ok(())
    }
}

/// Whether a run was begun in `folder`.
pub fn begun(folder: &Path) -> bool {
    folder.join(STATE_FILE).exists()
        || folder.join(PREVIOUS_STATE_FILE).exists()
        || fs::metadata(folder.join(LOG_FILE)).is_ok_and(|log| log.len() > 0)
}

/// Whether a run folder may hold an entry of this name.
fn is_own(name: &str) -> bool {
    let names =
        [CARD_FILE, DAMAGED_CARD_FILE, LOG_FILE, DAMAGED_LOG_FILE, ADAPTER, "tree.jsonl", REPORT_FILE];
    names.contains(&name) || (name.starts_with("state.") && name.ends_with(".safetensors"))
}

/// What shows that the run in `folder` once had a checkpoint.
fn came_to_a_checkpoint(folder: &Path) -> Result<Option<String>> {
    if let Some(name) =
        [ADAPTER, "tree.jsonl", REPORT_FILE].into_iter().find(|name| folder.join(name).exists())
    {
        return Ok(Some(format!("there is `{name}`")));
    }
    // It is announced, then written; what is logged after that is logged after it was written.
    let events = read_events(folder).unwrap_or_default();
    let announced = |event: &Event| matches!(event, Event::Checkpoint(_));
    let last = events.len().saturating_sub(1);
    Ok(events[..last].iter().any(announced).then(|| format!("{LOG_FILE} names one")))
}

fn missing(folder: &Path, trace: &str) -> Error {
    let problem = format!("is missing, though the run came to a checkpoint ({trace})");
    Error::input(folder.join(STATE_FILE), "file", problem, "restore it if there is a copy")
}

/// `error`, about checkpoints none of which is whole, with what can be done about it.
fn lost(folder: &Path, error: Error) -> Error {
    let adapter = folder.join(ADAPTER);
    match error {
        Error::Input { file, field, problem, hint } if adapter.join(WEIGHTS_FILE).exists() => {
            let go_on =
                format!("or begin a new run from what was learnt, with <adapter> {}", adapter.display());
            Error::Input { file, field, problem, hint: format!("{hint}, {go_on}") }
        }
        error => error,
    }
}

/// `run.json` of the run in `folder`, without the right to write there.
///
/// # Errors
/// [`Error::Input`] that names the field at fault; [`Error::Io`].
pub fn read_card(folder: &Path) -> Result<RunCard> {
    let path = folder.join(CARD_FILE);
    let hint = "restore the file, or start a new run in another folder";
    if !path.exists() {
        if folder.is_dir() {
            let hint = "give the folder that `ladder` wrote to; if this is it, restore the file";
            return Err(Error::input(
                folder,
                "folder",
                format!("has no {CARD_FILE}: it is not that of a run"),
                hint,
            ));
        }
        return Err(Error::input(&path, "file", "is missing", hint));
    }
    let bytes = read(&path)?;
    let bad = |error: serde_json::Error| {
        let field = if error.line() > 0 { format!("line {}", error.line()) } else { "settings".to_owned() };
        Error::input(&path, field, error.to_string(), hint)
    };
    let mut value: Value = serde_json::from_slice(&bytes).map_err(bad)?;
    let sum = value.as_object_mut().and_then(|fields| fields.shift_remove(CHECKSUM));
    if sum.is_some_and(|sum| sum != Value::String(sha256(value.to_string().as_bytes()))) {
        let problem = "is not that of the contents: the file is damaged, or was edited";
        return Err(Error::input(&path, CHECKSUM, problem, hint));
    }
    serde_json::from_value(value).map_err(bad)
}

/// What a checkpoint holds.
#[derive(Debug)]
struct Saved {
    snapshot: Snapshot,
    log_bytes: u64,
    /// Older versions kept it in `run.json` alone.
    card: Option<RunCard>,
}

fn parse(mut state: State, file: &Path) -> Result<Saved> {
    let card = state.value.as_object_mut().and_then(|parts| parts.shift_remove(CARD));
    let card = card.and_then(|card| serde_json::from_value(card).ok());
    let (snapshot, log_bytes) = Snapshot::from_state(state, file)?;
    Ok(Saved { snapshot, log_bytes, card })
}

fn to_state(snapshot: &Snapshot, log_bytes: u64, card: &RunCard) -> Result<State> {
    let mut state = snapshot.to_state(log_bytes)?;
    state.put(CARD, card)?;
    Ok(state)
}

fn to_json<T>(path: &Path, json: serde_json::Result<T>) -> Result<T> {
    json.map_err(|error| Error::write(path, error.into()))
}

fn node_lines(path: &Path, nodes: &[Node]) -> Result<Vec<u8>> {
    let mut lines = Vec::new();
    for node in nodes {
        lines.extend(to_json(path, serde_json::to_string(node))?.bytes());
        lines.push(b'\n');
    }
    Ok(lines)
}
