//! A library of lessons on disk. Native only.
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
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::anchors::{self, Anchor};
use super::card::{Card, FORMAT, FactRef, Lesson, LessonCard};
use super::fact::Fact;
use super::ledger::{Entry, LEDGER_FILE, Ledger};
use super::notes::View;
use super::outcome::Sitting;
use super::standing::Standing;
use crate::model::source::bytes::read_text;
use crate::train::files::{create_folder, read, write_atomic, write_together};
use crate::train::fingerprint::sha256;
use crate::train::lock::Lock;
use crate::train::output::{contents, expect_folder};
use crate::train::peft::{AdapterFile, CONFIG_FILE, WEIGHTS_FILE};
use crate::train::staged::new_folder;
use crate::{Error, Result};

const CARD_FILE: &str = "library.json";
const ASKED_FILE: &str = "asked.jsonl";
const ANCHORS_FILE: &str = "base/anchors.jsonl";
const LESSONS: &str = "lessons";
const HEADS: &str = "heads";
const LESSON_FILE: &str = "lesson.json";
const FACTS_FILE: &str = "facts.jsonl";
const SOURCE_FILE: &str = "source.jsonl";
const RESULTS: &str = "results";
/// Stands for the base where a head is named.
pub const BASE: &str = "base";
/// Hexadecimal digits of a head's hash.
const HASH_DIGITS: usize = 16;
/// Longest file of a library that is read, in bytes.
const MAX_FILE: u64 = 1 << 28;

/// A library that is open.
#[derive(Debug)]
pub struct Library {
    path: PathBuf,
    card: Card,
    ledger: Ledger,
    lessons: BTreeMap<u32, Lesson>,
    standing: Standing,
    /// The right to write.
    lock: Option<Lock>,
}

impl Library {
    /// Whether there is a library at `path`.
    pub fn exists(path: &Path) -> bool {
        path.join(CARD_FILE).is_file()
    }

    /// Fails, before anything is computed, where no library can be made.
    ///
    /// # Errors
    /// [`Error::Usage`] if something else is there.
    pub fn expect_place(path: &Path) -> Result<()> {
        expect_folder("library", path)?;
        if path.exists() && !contents(path)?.is_empty() {
            let problem = format!("{} is not empty and holds no library", path.display());
            return Err(Error::usage("library", problem, "choose a new folder"));
        }
        Ok(())
    }

    /// Makes a library, whole or not at all, and opens it for writing.
    ///
    /// # Errors
    /// As [`Library::expect_place`]; [`Error::Io`]; [`Error::Busy`].
    pub fn create(path: &Path, card: &Card, anchors: &[Anchor]) -> Result<Self> {
        Self::expect_place(path)?;
        new_folder(path, |folder| {
            create_folder(folder.join(BASE))?;
            write_atomic(folder.join(ANCHORS_FILE), &lines(anchors)?)?;
            create_folder(folder.join(LESSONS))?;
            create_folder(folder.join(HEADS))?;
            write_atomic(folder.join(CARD_FILE), &pretty(card)?)
        })?;
        Self::open_to_write(path)
    }

    /// Opens a library to read.
    ///
    /// # Errors
    /// [`Error::Usage`] if there is none; [`Error::Input`] for files that are damaged; [`Error::Io`].
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_with(path, None)
    }

    /// Opens a library for a change; nobody else changes it meanwhile.
    ///
    /// # Errors
    /// As [`Library::open`]; [`Error::Busy`].
    pub fn open_to_write(path: &Path) -> Result<Self> {
        expect_library(path)?;
        Self::open_with(path, Some(Lock::folder(path)?))
    }

    fn open_with(path: &Path, lock: Option<Lock>) -> Result<Self> {
        expect_library(path)?;
        let card: Card = parse_file(&path.join(CARD_FILE))?;
        if card.format != FORMAT {
            let problem = format!("is {}, this version reads {FORMAT}", card.format);
            return Err(Error::input(
                path.join(CARD_FILE),
                "format",
                problem,
                "use a newer version of the program",
            ));
        }
        card.settings.validate()?;
        let ledger = Ledger::read(path)?;
        let standing = Standing::of(ledger.lines());
        let mut lessons = BTreeMap::new();
        let folder = path.join(LESSONS);
        for name in contents(&folder)? {
            let folder = folder.join(name);
            let card: LessonCard = parse_file(&folder.join(LESSON_FILE))?;
            // One that was written and not announced is what a kill left.
            if standing.status(card.number).is_some() {
                let facts = parse_facts(&folder.join(FACTS_FILE))?;
                lessons.insert(card.number, Lesson { card, facts, folder });
            }
        }
        for number in standing.lessons() {
            if !lessons.contains_key(&number) {
                let problem = format!("lesson {number} is missing, though the ledger names it");
                return Err(Error::input(
                    &folder,
                    format!("{number:04}"),
                    problem,
                    "bring back a copy of its folder",
                ));
            }
        }
        Ok(Self { path: path.to_owned(), card, ledger, lessons, standing, lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
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
        self.expect_lock()?;
        self.expect_decided()?;
        card.number = self.lessons.keys().max().copied().unwrap_or(0) + 1;
        card.parent = self.standing.head().map(str::to_owned);
        let folder = self.path.join(LESSONS).join(format!("{:04}-{}", card.number, slug(&card.name)));
        if folder.exists() {
            // Left by a kill between the folder and its line.
            fs::remove_dir_all(&folder).map_err(|source| Error::write(&folder, source))?;
        }
        new_folder(&folder, |folder| {
            write_atomic(folder.join(FACTS_FILE), &lines(&facts)?)?;
            write_atomic(folder.join(SOURCE_FILE), source)?;
            create_folder(folder.join(RESULTS))?;
            write_atomic(folder.join(LESSON_FILE), &pretty(&card)?)
        })?;
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
        self.expect_lock()?;
        self.ledger.append(entry)?;
        self.standing = Standing::of(self.ledger.lines());
        Ok(())
    }

    fn expect_lock(&self) -> Result<()> {
        match self.lock {
            Some(_) => Ok(()),
            None => Err(Error::usage("library", "is open to be read only", "open it for writing")),
        }
    }

    /// Writes a head; its name.
    ///
    /// # Errors
    /// [`Error::NotKept`] if a number of it is not finite; [`Error::Io`].
    pub fn write_head(&self, adapter: &AdapterFile) -> Result<String> {
        self.expect_lock()?;
        let numbers = adapter.tensors.values().flat_map(|pair| pair.a.iter().chain(&pair.b));
        if !numbers.into_iter().all(|number| number.is_finite()) {
            let hint =
                "it is not saved, and the head stays what it was; make a library with a lower learning rate";
            return Err(Error::NotKept { what: "what was learnt is not finite".into(), hint: hint.into() });
        }
        let (config, weights) = adapter.to_bytes()?;
        let name = head_name(&config, &weights);
        let folder = self.path.join(HEADS).join(&name);
        if !folder.exists() {
            new_folder(&folder, |folder| {
                write_together(folder, &[(CONFIG_FILE, &config), (WEIGHTS_FILE, &weights)])
            })?;
        }
        Ok(name)
    }

    /// The folder of a head, which is a PEFT adapter, once its files are found to be those that it is named after.
    ///
    /// # Errors
    /// [`Error::Input`] if it is missing or was changed.
    pub fn head_folder(&self, head: &str) -> Result<PathBuf> {
        let folder = self.path.join(HEADS).join(head);
        let hint = "bring back a copy of it, go back to an earlier head by `rollback`, or make it anew by `consolidate`";
        let bad = |problem: &str| Err(Error::input(&folder, "head", problem, hint));
        if !folder.is_dir() {
            return bad("is missing");
        }
        match (read(folder.join(CONFIG_FILE)), read(folder.join(WEIGHTS_FILE))) {
            (Ok(config), Ok(weights)) if head_name(&config, &weights) == head => Ok(folder),
            (Ok(_), Ok(_)) => bad("is damaged: its files are not those that it is named after"),
            _ => bad("is damaged: a file of it is missing"),
        }
    }

    /// The head that is served: its folder, or `None` for the base; or what `lesson` made.
    ///
    /// # Errors
    /// As [`Library::head_folder`]; [`Error::Usage`] for a lesson that nothing was learnt of.
    pub fn served(&self, lesson: Option<u32>) -> Result<Option<PathBuf>> {
        let head = match lesson {
            None => self.standing.head(),
            Some(number) => {
                self.lesson(number)?;
                Some(self.standing.candidate(number).ok_or_else(|| {
                    Error::usage(
                        "lesson",
                        format!("nothing was learnt of lesson {number} yet"),
                        "go on with it by `learn`",
                    )
                })?)
            }
        };
        head.map(|head| self.head_folder(head)).transpose()
    }

    /// A lesson's exam under a head, in the order of [`Lesson::questions`]; `name` is a head's, [`BASE`], or that of a view of notes.
    ///
    /// # Errors
    /// [`Error::Input`] for a damaged file; [`Error::Io`].
    pub fn results(&self, lesson: &Lesson, name: &str) -> Result<Option<Sitting>> {
        let file = results_file(lesson, name);
        if !file.exists() {
            return Ok(None);
        }
        let sitting: Sitting = parse_file(&file)?;
        match sitting.outcomes.len() == lesson.questions().count() {
            true => Ok(Some(sitting)),
            false => {
                let hint = "remove the file; `exam` makes it anew";
                Err(Error::input(&file, "outcomes", "are not those of the lesson's exam", hint))
            }
        }
    }

    /// Keeps a lesson's exam.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write_results(&self, lesson: &Lesson, name: &str, sitting: &Sitting) -> Result<()> {
        self.expect_lock()?;
        write_atomic(results_file(lesson, name), &pretty(sitting)?)
    }

    /// Names under which a lesson's exam with notes in the context is kept, all notes first.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn notes_examined(&self, lesson: &Lesson) -> Result<Vec<String>> {
        let names = contents(&lesson.folder.join(RESULTS))?.into_iter();
        Ok(names
            .filter_map(|name| {
                name.strip_suffix(".json").filter(|name| View::is_name(name)).map(str::to_owned)
            })
            .collect())
    }

    /// Size of a head's weights on the disk; 0 for one that is not there.
    pub fn head_bytes(&self, head: &str) -> u64 {
        fs::metadata(self.path.join(HEADS).join(head).join(WEIGHTS_FILE)).map_or(0, |file| file.len())
    }

    /// Where a lesson's checkpoints are.
    pub fn checkpoints(&self, lesson: &Lesson) -> PathBuf {
        lesson.folder.clone()
    }

    /// The base's answers.
    ///
    /// # Errors
    /// [`Error::Input`], [`Error::Io`].
    pub fn anchors(&self) -> Result<Vec<Anchor>> {
        let file = self.path.join(ANCHORS_FILE);
        anchors::parse(read_text(&file, MAX_FILE)?.as_bytes(), &file)
    }

    /// Questions that the head answered so far.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn asked(&self) -> Result<u64> {
        let file = self.path.join(ASKED_FILE);
        if !file.exists() {
            return Ok(0);
        }
        // A line that a kill cut counts for nothing.
        let counts = read(&file)?
            .split(|&byte| byte == b'\n')
            .filter_map(|line| serde_json::from_slice::<u64>(line).ok())
            .sum();
        Ok(counts)
    }
}

/// Adds to the number of questions that a library's head answered. No lock: a line is one write.
///
/// # Errors
/// [`Error::Io`].
pub fn count_asked(path: &Path, questions: u64) -> Result<()> {
    let file = path.join(ASKED_FILE);
    let open = fs::OpenOptions::new().create(true).append(true).open(&file);
    open.and_then(|mut open| open.write_all(format!("{questions}\n").as_bytes()))
        .map_err(|source| Error::write(&file, source))
}

fn expect_library(path: &Path) -> Result<()> {
    if Library::exists(path) {
        return Ok(());
    }
    let problem = match path.join(LEDGER_FILE).exists() {
        true => format!("{} has lost its {CARD_FILE}", path.display()),
        false => format!("{} is no library", path.display()),
    };
    Err(Error::usage("library", problem, "name the folder that `stepladder learn` made"))
}

/// The name of a head: the beginning of the hash of its files.
fn head_name(config: &[u8], weights: &[u8]) -> String {
    let mut name = sha256(format!("{} {}", sha256(config), sha256(weights)).as_bytes());
    name.truncate(HASH_DIGITS);
    name
}

fn results_file(lesson: &Lesson, name: &str) -> PathBuf {
    lesson.folder.join(RESULTS).join(format!("{name}.json"))
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

fn parse_file<T: DeserializeOwned>(file: &Path) -> Result<T> {
    crate::json::from_str(&read_text(file, MAX_FILE)?)
        .map_err(|error| Error::input(file, "content", format!("cannot be read: {error}"), DAMAGED_HINT))
}

fn parse_facts(file: &Path) -> Result<Vec<Fact>> {
    let text = read_text(file, MAX_FILE)?;
    let facts = text.lines().enumerate().map(|(index, line)| {
        let fact: Fact = crate::json::from_str(line).map_err(|error| {
            Error::input(
                file,
                format!("line {}", index + 1),
                format!("cannot be read: {error}"),
                DAMAGED_HINT,
            )
        })?;
        match fact.wordings.is_empty() {
            true => Err(Error::input(file, format!("line {}", index + 1), "has no wording", DAMAGED_HINT)),
            false => Ok(fact),
        }
    });
    facts.collect()
}
