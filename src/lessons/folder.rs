//! A library in a folder on disk. Native only.

use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::anchors::Anchor;
use super::card::Card;
use super::library::{
    CARD_FILE, FOLDERS, HEADS, LESSONS, Library, TOP_FILES, count_asked as count, head_path,
};
use super::store::{Store, Usable};
use super::transfer::accepted_path;
use crate::model::source::bytes::read_bytes;
use crate::model::source::durable::sync_folder;
use crate::train::checkpoint::State;
use crate::train::files::{create_folder, last_state, remove_states, write_atomic, write_state};
use crate::train::lock::Lock;
use crate::train::output::{contents, expect_folder};
use crate::train::staged::new_folder;
use crate::{Error, Result};

/// The folder of a library.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// The right to write.
    lock: Option<Lock>,
}

impl Folder {
    /// The folder at `path`, to read.
    pub fn to_read(path: &Path) -> Self {
        Self { path: path.to_owned(), lock: None }
    }

    /// The folder at `path`, which is there, to write; nobody else does meanwhile.
    ///
    /// # Errors
    /// [`Error::Busy`]; [`Error::Io`].
    pub fn to_write(path: &Path) -> Result<Self> {
        Ok(Self { path: path.to_owned(), lock: Some(Lock::folder(path)?) })
    }
}

impl Store for Folder {
    fn place(&self) -> &Path {
        &self.path
    }

    fn is_writable(&self) -> bool {
        self.lock.is_some()
    }

    fn has(&self, path: &str) -> bool {
        self.path.join(path).is_file()
    }

    fn size(&self, path: &str) -> u64 {
        fs::metadata(self.path.join(path)).map_or(0, |file| file.len())
    }

    fn read(&self, path: &str, most: u64) -> Result<Vec<u8>> {
        read_bytes(&self.path.join(path), most)
    }

    fn names(&self, folder: &str) -> Result<Vec<String>> {
        contents(&self.path.join(folder))
    }

    /// Without what others put there, and what a killed process left.
    fn files(&self) -> Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        let mut open: Vec<String> =
            TOP_FILES.iter().chain(&FOLDERS).rev().map(|&name| name.to_owned()).collect();
        while let Some(path) = open.pop() {
            let Ok(there) = fs::metadata(self.path.join(&path)) else { continue };
            if there.is_dir() {
                let inside = contents(&self.path.join(&path))?;
                open.extend(inside.iter().rev().map(|name| format!("{path}/{name}")));
            } else if matches!(accepted_path("", "", &path), Ok(Some(_))) {
                files.push((path, there.len()));
            }
        }
        files.sort();
        Ok(files)
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<()> {
        write_atomic(self.path.join(path), bytes)
    }

    fn new_folder(&self, folder: &str, files: &[(&str, &[u8])], folders: &[&str]) -> Result<()> {
        fill_new(&self.path.join(folder), files, folders)
    }

    fn append(&self, path: &str, whole: Option<u64>, bytes: &[u8]) -> Result<()> {
        let path = self.path.join(path);
        let failed = |source| Error::write(&path, source);
        let Some(whole) = whole else {
            let file = OpenOptions::new().create(true).append(true).open(&path);
            return file
                .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
                .map_err(failed);
        };
        let mut options = OpenOptions::new();
        let mut file = options.create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        let written = file
            .set_len(whole)
            .and_then(|()| file.seek(SeekFrom::Start(whole)))
            .and_then(|_| file.write_all(bytes))
            .and_then(|()| file.sync_all())
            .and_then(|()| sync_folder(&path));
        written.map_err(|error| {
            // What was written of it would be a cut line.
            let _ = file.set_len(whole);
            failed(error)
        })
    }

    fn checkpoint(&self, folder: &str, usable: &Usable<'_>) -> Result<Option<State>> {
        let found = last_state(&self.path.join(folder), |state, file| {
            usable(&state, file)?;
            Ok(state)
        })?;
        Ok(found.map(|(state, _)| state))
    }

    fn save_checkpoint(&self, folder: &str, state: &State) -> Result<()> {
        write_state(&self.path.join(folder), state)
    }

    fn remove_checkpoints(&self, folder: &str) -> Result<()> {
        remove_states(&self.path.join(folder))
    }
}

/// Makes the folder `path` with all that is in it, or nothing.
fn fill_new(path: &Path, files: &[(&str, &[u8])], folders: &[&str]) -> Result<()> {
    new_folder(path, |path| {
        folders.iter().try_for_each(|name| create_folder(path.join(name)))?;
        for (name, bytes) in files {
            let file = path.join(name);
            file.parent().map_or(Ok(()), create_folder)?;
            write_atomic(file, bytes)?;
        }
        Ok(())
    })
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
        let files = Self::beginning(card, anchors)?;
        let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
        fill_new(path, &files, &[LESSONS, HEADS])?;
        Self::open_to_write(path)
    }

    /// Opens a library to read.
    ///
    /// # Errors
    /// [`Error::Usage`] if there is none; [`Error::Input`] for files that are damaged; [`Error::Io`].
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_in(Box::new(Folder::to_read(path)))
    }

    /// Opens a library for a change; nobody else changes it meanwhile.
    ///
    /// # Errors
    /// As [`Library::open`]; [`Error::Busy`].
    pub fn open_to_write(path: &Path) -> Result<Self> {
        // No lock is left where there is no library.
        Self::expect_in(&Folder::to_read(path))?;
        Self::open_in(Box::new(Folder::to_write(path)?))
    }

    /// The folder of a head, which is a PEFT adapter, once its files are found to be those that it is named after.
    ///
    /// # Errors
    /// As [`Library::head_files`].
    pub fn head_folder(&self, head: &str) -> Result<PathBuf> {
        self.head_files(head)?;
        Ok(self.path().join(head_path(head)))
    }

    /// The head that is served: its folder, or `None` for the base; or what `lesson` made.
    ///
    /// # Errors
    /// As [`Library::head_folder`] and [`Library::served_head`].
    pub fn served(&self, lesson: Option<u32>) -> Result<Option<PathBuf>> {
        self.served_head(lesson)?.map(|head| self.head_folder(head)).transpose()
    }
}

/// Adds to the number of questions that a library's head answered.
///
/// # Errors
/// [`Error::Io`].
pub fn count_asked(path: &Path, questions: u64) -> Result<()> {
    count(&Folder::to_read(path), questions)
}
