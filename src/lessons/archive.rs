//! A library in a ZIP archive, the file in which it is carried from one machine or browser to another: written from any store,
//! and read as a store that cannot be changed. Native only; a browser's archives are made and read by its page.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use zip::read::ZipFile;
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

use super::ledger::LEDGER_FILE;
use super::library::{CARD_FILE, FOLDERS, Library, TOP_FILES};
use super::store::{Store, Usable};
use super::transfer::{HINT, accepted_path, expect_whole, listing};
use crate::train::checkpoint::State;
use crate::train::files::{create_folder, write_atomic};
use crate::train::staged::new_folder;
use crate::{Error, Result};

/// Most files of an archive, most bytes of one of them, and of all together.
const MAX_FILES: usize = 100_000;
const MAX_FILE: u64 = 1 << 30;
const MAX_ALL: u64 = 1 << 32;

/// Writes `library` as an archive, without the checkpoints of a lesson that is being learnt. The bytes depend on the library's
/// files alone, not on the time. `place` is for messages.
///
/// # Errors
/// [`Error::Input`] for a library that is damaged; [`Error::Io`].
pub fn write(library: &Library, to: impl Write + Seek, place: &Path) -> Result<()> {
    expect_whole(library)?;
    let store = library.store();
    // All that the ledger counts is there before its line is: what others append from here on is not in the archive.
    let ledger = store.read(LEDGER_FILE, MAX_FILE)?;
    let broken = |error: ZipError| Error::write(place, error.into());
    let failed = RefCell::new(None);
    let mut archive = ZipWriter::new(Quiet { to, failed: &failed });
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::DEFAULT);
    for (path, _) in listing(library)? {
        if let Some(folder) = path.strip_suffix('/') {
            archive.add_directory(folder, options).map_err(broken)?;
            continue;
        }
        archive.start_file(path.as_str(), options).map_err(broken)?;
        let read = if path == LEDGER_FILE { None } else { Some(store.read(&path, MAX_FILE)?) };
        archive.write_all(read.as_ref().unwrap_or(&ledger)).map_err(|source| Error::write(place, source))?;
    }
    archive.finish().map(drop).map_err(broken)?;
    failed.into_inner().map_or(Ok(()), |error| Err(Error::write(place, error)))
}

/// A file that keeps its first error and takes what comes after it for written: the library prints words of its own where an
/// archive cannot be finished.
struct Quiet<'e, W> {
    to: W,
    failed: &'e RefCell<Option<io::Error>>,
}

impl<W> Quiet<'_, W> {
    fn ask<T>(&mut self, work: impl FnOnce(&mut W) -> io::Result<T>, otherwise: T) -> io::Result<T> {
        if self.failed.borrow().is_some() {
            return Ok(otherwise);
        }
        match work(&mut self.to) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                self.failed.replace(Some(error));
                Ok(otherwise)
            }
            result => result,
        }
    }
}

impl<W: Write> Write for Quiet<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.ask(|to| to.write(bytes), bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.ask(Write::flush, ())
    }
}

impl<W: Seek> Seek for Quiet<'_, W> {
    fn seek(&mut self, place: io::SeekFrom) -> io::Result<u64> {
        self.ask(|to| to.seek(place), 0)
    }
}

/// Makes the library that is in `archive` a folder at `path`, whole or not at all. The caller has asked the gate for outputs.
///
/// # Errors
/// [`Error::Input`] for a library that is not whole; [`Error::Io`]; [`Error::Busy`].
pub fn unpack(archive: Archive, path: &Path) -> Result<Library> {
    let library = Library::open_in(Box::new(archive))?;
    expect_whole(&library)?;
    new_folder(path, |folder| {
        for (path, _) in listing(&library)? {
            let place = folder.join(&path);
            if path.ends_with('/') {
                create_folder(&place)?;
                continue;
            }
            place.parent().map_or(Ok(()), create_folder)?;
            write_atomic(place, &library.store().read(&path, MAX_FILE)?)?;
        }
        Ok(())
    })?;
    Library::open(path)
}

/// Whether the top of a folder has `name` because a library is there.
pub fn is_own(name: &str) -> bool {
    TOP_FILES.contains(&name) || FOLDERS.contains(&name)
}

/// A file of an archive.
#[derive(Debug, Clone, Copy)]
struct Member {
    index: usize,
    size: u64,
}

/// The files of a library in an archive.
#[derive(Debug)]
pub struct Archive {
    place: PathBuf,
    archive: RefCell<ZipArchive<File>>,
    /// By their paths in the library.
    files: BTreeMap<String, Member>,
}

impl Archive {
    /// Opens the archive at `place`, in which the library may lie in a folder.
    ///
    /// # Errors
    /// [`Error::Input`] for one that holds no library, or something beside it, or too much; [`Error::Io`].
    pub fn open(place: &Path) -> Result<Self> {
        let file = File::open(place).map_err(|source| Error::read(place, source))?;
        let bad = |problem: &str| Error::input(place, "content", problem, HINT);
        let mut archive = ZipArchive::new(file).map_err(|error| match error {
            ZipError::Io(source) if source.kind() != io::ErrorKind::UnexpectedEof => {
                Error::read(place, source)
            }
            _ => bad("is cut, or no ZIP archive"),
        })?;
        if archive.len() > MAX_FILES {
            return Err(bad(&format!("has more than {MAX_FILES} files")));
        }
        let mut entries = Vec::with_capacity(archive.len());
        for index in 0..archive.len() {
            let file = archive.by_index_raw(index).map_err(|_| bad("has a damaged directory"))?;
            let path =
                std::str::from_utf8(file.name_raw()).map_err(|_| bad("has a name that is not UTF-8"))?;
            if !path.ends_with('/') {
                expect_readable(&file).map_err(|problem| bad(&format!("{path} {problem}")))?;
                entries.push((path.to_owned(), Member { index, size: file.size() }));
            }
        }
        if entries.iter().map(|(_, entry)| entry.size).fold(0, u64::saturating_add) > MAX_ALL {
            return Err(bad(&format!("is larger than {MAX_ALL} bytes unpacked")));
        }
        let mut tops = entries.iter().filter_map(|(path, _)| {
            path.strip_suffix(CARD_FILE).filter(|top| top.is_empty() || top.find('/') == Some(top.len() - 1))
        });
        let top = match (tops.next(), tops.next()) {
            (Some(top), None) => top.to_owned(),
            (None, _) => return Err(bad(&format!("holds no library: {CARD_FILE} is missing"))),
            (Some(_), Some(_)) => return Err(bad("holds more than one library")),
        };
        let name = place.display().to_string();
        let mut files = BTreeMap::new();
        for (path, entry) in entries {
            if let Some(path) = accepted_path(&name, &top, &path)?
                && files.insert(path.clone(), entry).is_some()
            {
                return Err(bad(&format!("has {path} twice")));
            }
        }
        Ok(Self { place: place.to_owned(), archive: RefCell::new(archive), files })
    }

    fn refuse_change(&self) -> Error {
        Error::write(&self.place, io::ErrorKind::PermissionDenied.into())
    }
}

/// What keeps a file of an archive from being read.
fn expect_readable(file: &ZipFile<'_, impl Read>) -> std::result::Result<(), String> {
    match file.compression() {
        _ if file.encrypted() => Err("is encrypted".into()),
        CompressionMethod::Stored | CompressionMethod::Deflated if file.size() > MAX_FILE => {
            Err(format!("is larger than {MAX_FILE} bytes"))
        }
        CompressionMethod::Stored | CompressionMethod::Deflated => Ok(()),
        _ => Err("is compressed by a method that is not read".into()),
    }
}

impl Store for Archive {
    fn place(&self) -> &Path {
        &self.place
    }

    fn is_writable(&self) -> bool {
        false
    }

    fn has(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    fn size(&self, path: &str) -> u64 {
        self.files.get(path).map_or(0, |entry| entry.size)
    }

    fn read(&self, path: &str, most: u64) -> Result<Vec<u8>> {
        let failed = |source| Error::read(self.place.join(path), source);
        let entry = self.files.get(path).ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        if entry.size > most {
            return Err(failed(io::Error::other(format!("it is larger than {most} bytes"))));
        }
        let damaged =
            || Error::input(&self.place, path, "is damaged: its content is not that of its checksum", HINT);
        let mut archive = self.archive.borrow_mut();
        let file = archive.by_index(entry.index).map_err(|_| damaged())?;
        // No size that an archive names is believed: what is there is read, and no more than was named. The read beyond it is
        // the one that compares the checksum.
        let mut bytes = Vec::new();
        file.take(entry.size + 1).read_to_end(&mut bytes).map_err(|_| damaged())?;
        if bytes.len() as u64 == entry.size { Ok(bytes) } else { Err(damaged()) }
    }

    fn names(&self, folder: &str) -> Result<Vec<String>> {
        let inside = format!("{folder}/");
        let paths = self.files.keys().filter_map(|path| path.strip_prefix(&inside));
        let names: BTreeSet<&str> = paths.filter_map(|path| path.split('/').next()).collect();
        Ok(names.into_iter().map(str::to_owned).collect())
    }

    fn files(&self) -> Result<Vec<(String, u64)>> {
        Ok(self.files.iter().map(|(path, entry)| (path.clone(), entry.size)).collect())
    }

    fn write(&self, _: &str, _: &[u8]) -> Result<()> {
        Err(self.refuse_change())
    }

    fn new_folder(&self, _: &str, _: &[(&str, &[u8])], _: &[&str]) -> Result<()> {
        Err(self.refuse_change())
    }

    fn append(&self, _: &str, _: Option<u64>, _: &[u8]) -> Result<()> {
        Err(self.refuse_change())
    }

    /// An archive holds none.
    fn checkpoint(&self, _: &str, _: &Usable<'_>) -> Result<Option<State>> {
        Ok(None)
    }

    fn save_checkpoint(&self, _: &str, _: &State) -> Result<()> {
        Err(self.refuse_change())
    }

    fn remove_checkpoints(&self, _: &str) -> Result<()> {
        Err(self.refuse_change())
    }
}

#[cfg(test)]
mod tests;
