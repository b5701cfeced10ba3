//! A library of lessons in a file that JavaScript keeps: what is in it, decisions, and the way in and out.

use std::cell::RefCell;

use js_sys::Array;
use serde_json::json;
use wasm_bindgen::prelude::*;

use super::convert::{Answer, to_json};
use super::engine::named_files;
use super::growing::JsGrowing;
use crate::lessons::board::{Board, Records};
use crate::lessons::card::Lesson;
use crate::lessons::decide;
use crate::lessons::library::{CARD_FILE, Library, count_asked};
use crate::lessons::pack::{Growing, Pack};
use crate::lessons::store::Store;
use crate::lessons::transfer::{accepted_path, expect_whole, listing};
use crate::train::peft::{CONFIG_FILE, WEIGHTS_FILE};
use crate::{Error, Result};

/// Longest file of a library that goes in or out, in bytes: memory here counts in 32 bits.
const MAX_FILE: u64 = 1 << 30;

/// The file of a library, which may be empty.
#[wasm_bindgen]
pub struct LessonLibrary {
    name: String,
    /// The library's file, and where it is open for writing the two of its checkpoints.
    files: Vec<JsValue>,
    pub(super) library: RefCell<Option<Library>>,
    /// The file for what goes in and out, a file at a time.
    carried: RefCell<Option<Pack>>,
}

#[wasm_bindgen]
impl LessonLibrary {
    /// Opens the library `name` in objects with `size()`, `readAt`, `writeAt` and `truncate`: its file alone to read it, and its
    /// file with two for checkpoints to write it.
    ///
    /// # Errors
    /// `input` for a file that is none of a library, or damaged.
    #[wasm_bindgen(constructor)]
    pub fn new(name: String, files: Array) -> Answer<LessonLibrary> {
        let library = Self {
            name,
            files: files.iter().collect(),
            library: RefCell::new(None),
            carried: RefCell::new(None),
        };
        library.reopen()?;
        Ok(library)
    }

    /// What is in it, as JSON (`LibraryInfo`); `null` for an empty one.
    ///
    /// # Errors
    /// Those of reading.
    pub fn info(&self) -> Answer<String> {
        let library = self.library.borrow();
        let Some(library) = &*library else { return Ok("null".into()) };
        let standing = library.standing();
        let lessons: Vec<_> = library
            .lessons()
            .map(|lesson| {
                let number = lesson.card.number;
                json!({
                    "number": number,
                    "name": lesson.card.name,
                    "kind": lesson.card.kind.name(),
                    "status": standing.status(number),
                    "facts": facts(library, lesson),
                    "verdict": standing.verdict(number),
                    "words": standing.verdict(number).map(|verdict| verdict.lines()),
                    "cost": standing.cost(number),
                })
            })
            .collect();
        to_json(&json!({
            "model": library.card().model,
            "base": library.card().base.sha256,
            "head": standing.head(),
            "active": standing.active(),
            "pending": standing.pending(),
            "asked": library.asked()?,
            "settings": library.card().settings,
            "lessons": lessons,
            "warning": library.ledger().warning(),
        }))
    }

    /// The board as JSON.
    ///
    /// # Errors
    /// Those of reading; `usage` for an empty library.
    pub fn board(&self) -> Answer<String> {
        to_json(&self.read(|library| Ok(Board::of(&Records::of(library)?)))?)
    }

    /// The board as a page that needs nothing else.
    ///
    /// # Errors
    /// As [`LessonLibrary::board`].
    pub fn board_page(&self) -> Answer<String> {
        let board = self.read(|library| Ok(Board::of(&Records::of(library)?)))?;
        let page = board.page();
        Ok(page.map_err(|error| Error::usage("board", error.to_string(), "report this"))?)
    }

    /// Makes the candidate that waits the head; JSON with lesson, head, and why the gate was against it.
    ///
    /// # Errors
    /// `usage` if none waits; `io`.
    pub fn accept(&self) -> Answer<String> {
        let accepted = self.change(decide::accept)?;
        to_json(&json!({ "lesson": accepted.lesson, "head": accepted.head, "against": accepted.against }))
    }

    /// Keeps the lesson that waits apart; its number.
    ///
    /// # Errors
    /// `usage` if none waits; `io`.
    pub fn reject(&self, reason: &str) -> Answer<u32> {
        Ok(self.change(|library| decide::reject(library, reason))?)
    }

    /// Takes lessons back; JSON with their numbers and the head.
    ///
    /// # Errors
    /// `usage` for a lesson that does not count; `io`.
    pub fn rollback(&self, lesson: Option<u32>) -> Answer<String> {
        let (lessons, head) = self.change(|library| decide::roll_back(library, lesson))?;
        to_json(&json!({ "lessons": lessons, "head": head }))
    }

    /// The head that is served, or what a lesson made, as the files of a PEFT adapter: an array of `{name, bytes}`.
    ///
    /// # Errors
    /// `usage` where that is the base itself; `input` for one that is damaged.
    pub fn head(&self, lesson: Option<u32>) -> Answer<Array> {
        let (config, weights) = self.read(|library| match library.served_head(lesson)? {
            Some(head) => library.head_files(head),
            None => Err(Error::usage(
                "head",
                "is the base model itself: no lesson counts",
                "accept a lesson first",
            )),
        })?;
        Ok(named_files([(CONFIG_FILE, config), (WEIGHTS_FILE, weights)]))
    }

    /// Adds to the number of questions that the head answered.
    ///
    /// # Errors
    /// `io`.
    pub fn count_asked(&self, questions: u32) -> Answer<()> {
        Ok(count_asked(&self.pack()?, u64::from(questions))?)
    }

    /// Paths of the files of the library's folder with their sizes, as JSON; those of folders end in `/`.
    ///
    /// # Errors
    /// `usage` for an empty library.
    pub fn files(&self) -> Answer<String> {
        to_json(&self.read(listing)?)
    }

    /// A file of the library's folder.
    ///
    /// # Errors
    /// Those of reading.
    pub fn file(&self, path: &str) -> Answer<Vec<u8>> {
        Ok(self.carry(|pack| pack.read(path, MAX_FILE))?)
    }

    /// Puts a file of an archive into an empty library; whether it is one that counts. `library.json` is the last: with it the
    /// library is there, and `input` tells if it is not whole.
    ///
    /// # Errors
    /// `input` for a path that is none of a library, and for a library that is not whole.
    pub fn take(&self, archive: &str, top: &str, path: &str, bytes: &[u8]) -> Answer<bool> {
        let Some(path) = accepted_path(archive, top, path)? else { return Ok(false) };
        self.carry(|pack| pack.write(&path, bytes))?;
        if path == CARD_FILE {
            self.carried.replace(None);
            self.reopen()?;
            self.read(expect_whole)?;
        }
        Ok(true)
    }
}

impl LessonLibrary {
    /// Reads the file anew.
    pub(super) fn reopen(&self) -> Result<()> {
        let pack = self.pack()?;
        let there = pack.has(CARD_FILE);
        let library = there.then(|| Library::open_in(Box::new(pack))).transpose()?;
        self.library.replace(library);
        Ok(())
    }

    /// The file as a store.
    pub(super) fn pack(&self) -> Result<Pack> {
        let file = |object: &JsValue| Ok(Box::new(JsGrowing::new(object.clone())?) as Box<dyn Growing>);
        let [main, slots @ ..] = self.files.as_slice() else {
            return Err(Error::usage("files", "there are none", "give the library's file"));
        };
        let slots = match slots {
            [one, two] => Some([file(one)?, file(two)?]),
            _ => None,
        };
        Pack::open(&self.name, file(main)?, slots)
    }

    fn carry<T>(&self, work: impl FnOnce(&Pack) -> Result<T>) -> Result<T> {
        let mut carried = self.carried.borrow_mut();
        if carried.is_none() {
            *carried = Some(self.pack()?);
        }
        carried.as_ref().map(work).unwrap_or_else(|| Err(self.empty()))
    }

    pub(super) fn read<T>(&self, work: impl FnOnce(&Library) -> Result<T>) -> Result<T> {
        work(self.library.borrow().as_ref().ok_or_else(|| self.empty())?)
    }

    /// Out of its cell while it is changed: what it is then is read anew by [`LessonLibrary::reopen`].
    pub(super) fn taken(&self) -> Result<Library> {
        self.library.take().ok_or_else(|| self.empty())
    }

    fn change<T>(&self, work: impl FnOnce(&mut Library) -> Result<T>) -> Result<T> {
        work(self.library.borrow_mut().as_mut().ok_or_else(|| self.empty())?)
    }

    pub(super) fn empty(&self) -> Error {
        Error::usage("library", format!("`{}` has no lesson yet", self.name), "begin with a lesson of pairs")
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

/// What a lesson teaches, each fact in its first wording.
fn facts(library: &Library, lesson: &Lesson) -> Vec<serde_json::Value> {
    let facts = lesson.facts.iter().enumerate();
    facts
        .map(|(place, fact)| {
            json!({
                "question": fact.wordings.first(),
                "answer": fact.answer,
                "superseded": library.is_superseded(lesson.card.number, place, None),
            })
        })
        .collect()
}
