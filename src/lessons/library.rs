//! A library of lessons in its [`Store`].
//!
//! ```text
//! notes.library/
//!   library.json           the base, how lessons are learnt, the gate's numbers; never changed
//!   ledger.jsonl           what happened, appended to; which lessons count and which head is served follows from it
//!   asked.jsonl            how many questions the head answered
//!   base/anchors.jsonl     answers of the base with their log-probabilities
//!   lessons/0003-harbour/  lesson.json, facts.jsonl, source.jsonl, results/HEAD.json
//!   heads/HASH/            a PEFT adapter, named after the hash of its files; never changed
//! ```
//!
//! Folders are whole or absent, files are replaced by renames, and a line of the ledger is the moment at which something
//! counts: whatever moment a process is killed at, the library is as it was before or after.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::anchors::{self, Anchor};
use super::card::{Card, FORMAT, FactRef, Lesson, LessonCard};
use super::fact::Fact;
use super::ledger::{CUT_FILE, Entry, LEDGER_FILE, Ledger};
use super::notes::View;
use super::outcome::Sitting;
use super::standing::Standing;
use super::store::{MAX_FILE, Store, Usable};
use crate::model::source::bytes::utf8;
use crate::train::checkpoint::State;
use crate::train::fingerprint::sha256;
use crate::train::peft::{AdapterFile, CONFIG_FILE, Dims, WEIGHTS_FILE};
use crate::{Error, Result};

/// The file without which there is no library.
pub const CARD_FILE: &str = "library.json";
const ASKED_FILE: &str = "asked.jsonl";
const ANCHORS_FILE: &str = "base/anchors.jsonl";
pub(super) const LESSONS: &str = "lessons";
pub(super) const HEADS: &str = "heads";
/// Folders at a library's top.
pub(super) const FOLDERS: [&str; 3] = ["base", LESSONS, HEADS];
/// Files at a library's top.
pub(super) const TOP_FILES: [&str; 4] = [CARD_FILE, LEDGER_FILE, CUT_FILE, ASKED_FILE];
const LESSON_FILE: &str = "lesson.json";
const FACTS_FILE: &str = "facts.jsonl";
const SOURCE_FILE: &str = "source.jsonl";
const RESULTS: &str = "results";
/// Stands for the base where a head is named.
pub const BASE: &str = "base";
/// Hexadecimal digits of a head's hash.
const HASH_DIGITS: usize = 16;
/// Longest weights of a head, in bytes: far more than any has.
const MAX_HEAD: u64 = 1 << 32;

/// A library that is open.
#[derive(Debug)]
pub struct Library {
    store: Box<dyn Store>,
    card: Card,
    ledger: Ledger,
    lessons: BTreeMap<u32, Lesson>,
    standing: Standing,
}

impl Library {
    /// The files that a new library begins with.
    pub(super) fn beginning(card: &Card, anchors: &[Anchor]) -> Result<[(&'static str, Vec<u8>); 2]> {
        Ok([(ANCHORS_FILE, lines(anchors)?), (CARD_FILE, pretty(card)?)])
    }

    /// Fails where `store` holds no library.
    pub(super) fn expect_in(store: &dyn Store) -> Result<()> {
        if store.has(CARD_FILE) {
            return Ok(());
        }
        let place = store.place().display();
        let problem = match store.has(LEDGER_FILE) {
            true => format!("{place} has lost its {CARD_FILE}"),
            false => format!("{place} is no library"),
        };
        Err(Error::usage("library", problem, "name the folder that `stepladder learn` made"))
    }

    /// Makes a library in `store`, which was opened for writing and holds none, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Usage`] if there is one; [`Error::Io`].
    pub fn create_in(store: Box<dyn Store>, card: &Card, anchors: &[Anchor]) -> Result<Self> {
        if store.has(CARD_FILE) {
            let problem = format!("{} is a library already", store.place().display());
            return Err(Error::usage("library", problem, "choose another name"));
        }
        let files = Self::beginning(card, anchors)?;
        store.new_folder("", &files.each_ref().map(|(name, bytes)| (*name, bytes.as_slice())), &[])?;
        Self::open_in(store)
    }

    /// Opens the library that is in `store`; for a change if that was opened for writing.
    ///
    /// # Errors
    /// [`Error::Usage`] if there is none; [`Error::Input`] for files that are damaged; [`Error::Io`].
    pub fn open_in(store: Box<dyn Store>) -> Result<Self> {
        Self::expect_in(&*store)?;
        let card: Card = parse_file(&*store, CARD_FILE)?;
        if card.format != FORMAT {
            let problem = format!("is {}, this version reads {FORMAT}", card.format);
            return Err(Error::input(
                store.place().join(CARD_FILE),
                "format",
                problem,
                "use a newer version of the program",
            ));
        }
        card.settings.validate()?;
        let ledger = Ledger::read(&*store)?;
        let standing = Standing::of(ledger.lines());
        let mut lessons = BTreeMap::new();
        for name in store.names(LESSONS)? {
            let folder = format!("{LESSONS}/{name}");
            let card: LessonCard = parse_file(&*store, &format!("{folder}/{LESSON_FILE}"))?;
            // One that was written and not announced is what a kill left.
            if standing.status(card.number).is_some() {
                let facts = parse_facts(&*store, &format!("{folder}/{FACTS_FILE}"))?;
                lessons.insert(card.number, Lesson { card, facts, folder });
            }
        }
        for number in standing.lessons() {
            if !lessons.contains_key(&number) {
                let problem = format!("lesson {number} is missing, though the ledger names it");
                return Err(Error::input(
                    store.place().join(LESSONS),
                    format!("{number:04}"),
                    problem,
                    "bring back a copy of its folder",
                ));
            }
        }
        Ok(Self { store, card, ledger, lessons, standing })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.store.place()
    }

    /// Where its files are.
    pub(super) fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// What it was made with.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// What happened.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What counts now.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// All lessons by number.
    pub fn lessons(&self) -> impl Iterator<Item = &Lesson> {
        self.lessons.values()
    }

    /// A lesson.
    ///
    /// # Errors
    /// [`Error::Usage`] if there is none of that number.
    pub fn lesson(&self, number: u32) -> Result<&Lesson> {
        self.lessons.get(&number).ok_or_else(|| {
            let known: Vec<String> = self.lessons.keys().map(u32::to_string).collect();
            let known = if known.is_empty() { "none".into() } else { known.join(", ") };
            Error::usage(
                "lesson",
                format!("there is no lesson {number}"),
                format!("lessons of this library: {known}"),
            )
        })
    }

    /// The lessons that the head knows, in the order in which they were accepted.
    pub fn active(&self) -> Vec<&Lesson> {
        self.standing.active().iter().filter_map(|number| self.lessons.get(number)).collect()
    }

    /// Whether a fact was replaced by a lesson that counts, or by `also`, which is about to.
    pub fn is_superseded(&self, lesson: u32, fact: usize, also: Option<&Lesson>) -> bool {
        let this = FactRef { lesson, fact };
        self.active().into_iter().chain(also).any(|later| later.card.supersedes.contains(&this))
    }

    /// Fails while a lesson waits for a decision.
    ///
    /// # Errors
    /// [`Error::Usage`] that names it.
    pub fn expect_decided(&self) -> Result<()> {
        let Some(number) = self.standing.pending() else { return Ok(()) };
        let problem = format!("{} is not decided yet", self.lesson(number)?.title());
        Err(Error::usage(
            "library",
            problem,
            "`learn` without a source goes on with it, `accept` and `reject` decide",
        ))
    }

    /// Puts a lesson into the library.
    ///
    /// # Errors
    /// [`Error::Usage`] while another waits; [`Error::Io`].
    pub fn propose(&mut self, mut card: LessonCard, facts: Vec<Fact>, source: &[u8]) -> Result<u32> {
        self.expect_writable()?;
        self.expect_decided()?;
        card.number = self.lessons.keys().max().copied().unwrap_or(0) + 1;
        card.parent = self.standing.head().map(str::to_owned);
        let folder = format!("{LESSONS}/{:04}-{}", card.number, slug(&card.name));
        let files =
            [(FACTS_FILE, lines(&facts)?), (SOURCE_FILE, source.to_vec()), (LESSON_FILE, pretty(&card)?)];
        let files = files.each_ref().map(|(name, bytes)| (*name, bytes.as_slice()));
        self.store.new_folder(&folder, &files, &[RESULTS])?;
        let number = card.number;
        self.note(Entry::Proposed { lesson: number })?;
        self.lessons.insert(number, Lesson { card, facts, folder });
        Ok(number)
    }

    /// Appends to the ledger.
    ///
    /// # Errors
    /// [`Error::Io`], after which it did not happen.
    pub fn note(&mut self, entry: Entry) -> Result<()> {
        self.expect_writable()?;
        self.ledger.append(&*self.store, entry)?;
        self.standing = Standing::of(self.ledger.lines());
        Ok(())
    }

    fn expect_writable(&self) -> Result<()> {
        match self.store.is_writable() {
            true => Ok(()),
            false => Err(Error::usage("library", "is open to be read only", "open it for writing")),
        }
    }

    /// Writes a head; its name.
    ///
    /// # Errors
    /// [`Error::NotKept`] if a number of it is not finite; [`Error::Io`].
    pub fn write_head(&self, adapter: &AdapterFile) -> Result<String> {
        self.expect_writable()?;
        let numbers = adapter.tensors.values().flat_map(|pair| pair.a.iter().chain(&pair.b));
        if !numbers.into_iter().all(|number| number.is_finite()) {
            let hint =
                "it is not saved, and the head stays what it was; make a library with a lower learning rate";
            return Err(Error::NotKept { what: "what was learnt is not finite".into(), hint: hint.into() });
        }
        let (config, weights) = adapter.to_bytes()?;
        let name = head_name(&config, &weights);
        if self.head_files(&name).is_err() {
            let files: [(&str, &[u8]); 2] = [(CONFIG_FILE, &config), (WEIGHTS_FILE, &weights)];
            self.store.new_folder(&head_path(&name), &files, &[])?;
        }
        Ok(name)
    }

    /// Settings and weights of a head, the files of a PEFT adapter, once they are found to be those that it is named after.
    ///
    /// # Errors
    /// [`Error::Input`] if it is missing or was changed.
    pub fn head_files(&self, head: &str) -> Result<(Vec<u8>, Vec<u8>)> {
        let folder = head_path(head);
        let hint = "bring back a copy of it, go back to an earlier head by `rollback`, or make it anew by `consolidate`";
        let bad = |problem: &str| Err(Error::input(self.path().join(&folder), "head", problem, hint));
        let [config, weights] = [CONFIG_FILE, WEIGHTS_FILE].map(|name| format!("{folder}/{name}"));
        if !self.store.has(&config) && !self.store.has(&weights) {
            return bad("is missing");
        }
        match (self.store.read(&config, MAX_FILE), self.store.read(&weights, MAX_HEAD)) {
            (Ok(config), Ok(weights)) if head_name(&config, &weights) == head => Ok((config, weights)),
            (Ok(_), Ok(_)) => bad("is damaged: its files are not those that it is named after"),
            _ => bad("is damaged: a file of it is missing"),
        }
    }

    /// A head as an adapter for a model with the modules `dims`.
    ///
    /// # Errors
    /// As [`Library::head_files`]; those of [`AdapterFile::from_bytes`].
    pub fn head(&self, head: &str, dims: &Dims<'_>) -> Result<AdapterFile> {
        let (config, weights) = self.head_files(head)?;
        AdapterFile::from_bytes(&config, &weights, &self.path().join(head_path(head)), dims)
    }

    /// The head that is served, or `None` for the base; or what `lesson` made.
    ///
    /// # Errors
    /// [`Error::Usage`] for a lesson that nothing was learnt of.
    pub fn served_head(&self, lesson: Option<u32>) -> Result<Option<&str>> {
        let Some(number) = lesson else { return Ok(self.standing.head()) };
        self.lesson(number)?;
        self.standing.candidate(number).map(Some).ok_or_else(|| {
            Error::usage(
                "lesson",
                format!("nothing was learnt of lesson {number} yet"),
                "go on with it by `learn`",
            )
        })
    }

    /// A lesson's exam under a head, in the order of [`Lesson::questions`]; `name` is a head's, [`BASE`], or that of a view of notes.
    ///
    /// # Errors
    /// [`Error::Input`] for a damaged file; [`Error::Io`].
    pub fn results(&self, lesson: &Lesson, name: &str) -> Result<Option<Sitting>> {
        let file = results_file(lesson, name);
        if !self.store.has(&file) {
            return Ok(None);
        }
        let sitting: Sitting = parse_file(&*self.store, &file)?;
        match sitting.outcomes.len() == lesson.questions().count() {
            true => Ok(Some(sitting)),
            false => {
                let hint = "remove the file; `exam` makes it anew";
                Err(Error::input(
                    self.path().join(file),
                    "outcomes",
                    "are not those of the lesson's exam",
                    hint,
                ))
            }
        }
    }

    /// Keeps a lesson's exam.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write_results(&self, lesson: &Lesson, name: &str, sitting: &Sitting) -> Result<()> {
        self.expect_writable()?;
        self.store.write(&results_file(lesson, name), &pretty(sitting)?)
    }

    /// Names under which a lesson's exam is kept.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn examined(&self, lesson: &Lesson) -> Result<Vec<String>> {
        let names = self.store.names(&format!("{}/{RESULTS}", lesson.folder))?.into_iter();
        Ok(names.filter_map(|name| name.strip_suffix(".json").map(str::to_owned)).collect())
    }

    /// Names under which a lesson's exam with notes in the context is kept, all notes first.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn notes_examined(&self, lesson: &Lesson) -> Result<Vec<String>> {
        Ok(self.examined(lesson)?.into_iter().filter(|name| View::is_name(name)).collect())
    }

    /// Bytes of a head's weights; 0 for one that is not there.
    pub fn head_bytes(&self, head: &str) -> u64 {
        self.store.size(&format!("{}/{WEIGHTS_FILE}", head_path(head)))
    }

    /// The last checkpoint of a lesson's learning that is whole and `usable`.
    ///
    /// # Errors
    /// As [`Store::checkpoint`].
    pub fn checkpoint(&self, lesson: &Lesson, usable: &Usable<'_>) -> Result<Option<State>> {
        self.store.checkpoint(&lesson.folder, usable)
    }

    /// Keeps a checkpoint of a lesson's learning.
    ///
    /// # Errors
    /// [`Error::Io`], after which the one before it is there.
    pub fn save_checkpoint(&self, lesson: &Lesson, state: &State) -> Result<()> {
        self.expect_writable()?;
        self.store.save_checkpoint(&lesson.folder, state)
    }

    /// Removes the checkpoints of a lesson's learning.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn remove_checkpoints(&self, lesson: &Lesson) -> Result<()> {
        self.store.remove_checkpoints(&lesson.folder)
    }

    /// The base's answers.
    ///
    /// # Errors
    /// [`Error::Input`], [`Error::Io`].
    pub fn anchors(&self) -> Result<Vec<Anchor>> {
        anchors::parse(&self.store.read(ANCHORS_FILE, MAX_FILE)?, &self.path().join(ANCHORS_FILE))
    }

    /// Questions that the head answered so far.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn asked(&self) -> Result<u64> {
        if !self.store.has(ASKED_FILE) {
            return Ok(0);
        }
        // A line that a kill cut counts for nothing.
        let bytes = self.store.read(ASKED_FILE, MAX_FILE)?;
        let lines = bytes.split(|&byte| byte == b'\n');
        Ok(lines.filter_map(|line| serde_json::from_slice::<u64>(line).ok()).sum())
    }
}

/// Adds to the number of questions that a library's head answered. No lock: a line is one write.
///
/// # Errors
/// [`Error::Io`].
pub fn count_asked(store: &dyn Store, questions: u64) -> Result<()> {
    store.append(ASKED_FILE, None, format!("{questions}\n").as_bytes())
}

/// The folder of a head.
pub(super) fn head_path(head: &str) -> String {
    format!("{HEADS}/{head}")
}

/// The name of a head: the beginning of the hash of its files.
fn head_name(config: &[u8], weights: &[u8]) -> String {
    let mut name = sha256(format!("{} {}", sha256(config), sha256(weights)).as_bytes());
    name.truncate(HASH_DIGITS);
    name
}

fn results_file(lesson: &Lesson, name: &str) -> String {
    format!("{}/{RESULTS}/{name}.json", lesson.folder)
}

/// A name as part of a folder's name.
fn slug(name: &str) -> String {
    let signs =
        name.chars().map(|sign| if sign.is_ascii_alphanumeric() { sign.to_ascii_lowercase() } else { '-' });
    let slug: String = signs.take(40).collect();
    slug.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

fn pretty(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut bytes =
        serde_json::to_vec_pretty(value).map_err(|error| Error::write("library", error.into()))?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn lines<T: Serialize>(values: &[T]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for value in values {
        serde_json::to_writer(&mut bytes, value).map_err(|error| Error::write("library", error.into()))?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

const DAMAGED_HINT: &str = "bring back a copy of the library; what is in its other files is whole";

fn parse_file<T: DeserializeOwned>(store: &dyn Store, file: &str) -> Result<T> {
    let (path, text) = read_text(store, file)?;
    crate::json::from_str(&text)
        .map_err(|error| Error::input(path, "content", format!("cannot be read: {error}"), DAMAGED_HINT))
}

/// A file's name for messages, and its text.
fn read_text(store: &dyn Store, file: &str) -> Result<(PathBuf, String)> {
    let path = store.place().join(file);
    let text = utf8(&path, store.read(file, MAX_FILE)?)?;
    Ok((path, text))
}

fn parse_facts(store: &dyn Store, file: &str) -> Result<Vec<Fact>> {
    let (path, text) = read_text(store, file)?;
    let facts = text.lines().enumerate().map(|(index, line)| {
        let bad = |problem: String| Error::input(&path, format!("line {}", index + 1), problem, DAMAGED_HINT);
        let fact: Fact =
            crate::json::from_str(line).map_err(|error| bad(format!("cannot be read: {error}")))?;
        match fact.wordings.is_empty() {
            true => Err(bad("has no wording".into())),
            false => Ok(fact),
        }
    });
    facts.collect()
}
