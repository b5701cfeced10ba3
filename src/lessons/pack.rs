//! A library in one file that only grows: what a browser keeps for a page, which has no folders that could be renamed.
//!
//! ```text
//! "stepladder library 1\n", then records: mark, lengths, checksum of the head, checksum of the body, head, body
//! ```
//!
//! A record is one change of one or more files; its head (JSON) says which, its body holds their bytes. It is appended and
//! brought to the disk before the next one, so that whatever moment a tab is closed at, all records but the last are whole, and
//! the last counts if it is whole too. What follows the last whole record is overwritten by the next. Checkpoints, which come
//! and go, are in two files of their own.

mod slots;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::store::{Store, Usable};
use crate::train::checkpoint::State;
use crate::{Error, Result};
pub use slots::Slots;

/// A file that is read anywhere and written in place, as the private file system of a browser has them.
pub trait Growing: fmt::Debug {
    /// Bytes in it.
    ///
    /// # Errors
    /// [`Error::Io`] if it is gone.
    fn size(&self) -> Result<u64>;

    /// Fills `out` with the bytes from `offset` on.
    ///
    /// # Errors
    /// [`Error::Io`] if they are not there.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()>;

    /// Writes `bytes` from `offset` on and brings them to the disk.
    ///
    /// # Errors
    /// [`Error::Io`], after which a part of them may be there.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()>;

    /// Cuts the file to `size` bytes.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn truncate(&self, size: u64) -> Result<()>;
}

/// Begins the file.
const MAGIC: &[u8] = b"stepladder library 1\n";
/// Begins each record.
const MARK: [u8; 8] = *b"\xffrecord\n";
/// Bytes of a checksum: the first of a SHA-256.
const SUM: usize = 16;
/// Bytes before a record's head: mark, the head's length, the body's length, both checksums.
const FIXED: usize = MARK.len() + 4 + 8 + 2 * SUM;
/// Longest head of a record: a change names a handful of files.
const MAX_HEAD: u32 = 1 << 20;
/// Bytes that are looked through at a time.
const PIECE: usize = 1 << 20;

/// What a record changes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case", deny_unknown_fields)]
enum Change {
    /// Files take the place of older ones, and of all that is in a folder.
    Put { folder: Option<String>, files: Vec<(String, u64)> },
    /// A file is cut to its first `whole` bytes, if that says so, and goes on.
    Append { file: String, whole: Option<u64>, length: u64 },
}

/// Where bytes of a file are.
#[derive(Debug, Clone, Copy)]
struct Piece {
    at: u64,
    length: u64,
}

/// Which files there are, and the end of the last whole record.
#[derive(Debug, Default)]
struct Index {
    files: BTreeMap<String, Vec<Piece>>,
    end: u64,
}

impl Index {
    /// Takes a change whose body begins at `at`; `None` if it names more bytes than its body has.
    fn take(&mut self, change: Change, mut at: u64, body: u64) -> Option<()> {
        let end = at.checked_add(body)?;
        match change {
            Change::Put { folder, files } => {
                if let Some(folder) = folder {
                    let inside = if folder.is_empty() { folder } else { format!("{folder}/") };
                    self.files.retain(|path, _| !path.starts_with(&inside));
                }
                for (path, length) in files {
                    self.files.insert(path, vec![Piece { at, length }]);
                    at = at.checked_add(length)?;
                }
            }
            Change::Append { file, whole, length } => {
                let pieces = self.files.entry(file).or_default();
                if let Some(mut left) = whole {
                    for piece in pieces.iter_mut() {
                        piece.length = piece.length.min(left);
                        left -= piece.length;
                    }
                    pieces.retain(|piece| piece.length > 0);
                }
                pieces.push(Piece { at, length });
                at = at.checked_add(length)?;
            }
        }
        self.end = end;
        (at == end).then_some(())
    }

    fn size(&self, path: &str) -> u64 {
        self.files.get(path).map_or(0, |pieces| pieces.iter().map(|piece| piece.length).sum())
    }
}

/// A library's file.
#[derive(Debug)]
pub struct Pack {
    place: PathBuf,
    file: Box<dyn Growing>,
    /// `None` in one that is only read.
    slots: Option<Slots>,
    index: RefCell<Index>,
}

impl Pack {
    /// Opens `file`, which messages call `place`; a file of no bytes is a new one. With `slots` it can be written to; the caller
    /// sees to it that nobody else does.
    ///
    /// # Errors
    /// [`Error::Input`] for a file that is none of a library, or damaged before its last record; [`Error::Io`].
    pub fn open(
        place: impl Into<PathBuf>,
        file: Box<dyn Growing>,
        slots: Option<[Box<dyn Growing>; 2]>,
    ) -> Result<Self> {
        let mut pack =
            Self { place: place.into(), file, slots: slots.map(Slots::new), index: RefCell::default() };
        let size = pack.file.size()?;
        let head = pack.bytes(0, size.min(MAGIC.len() as u64) as usize)?;
        let begun = head.iter().zip(MAGIC).take_while(|(one, other)| one == other).count();
        // A tab that was closed within the first record leaves a part of it, and nothing or zeros behind.
        if head[begun..].iter().any(|byte| *byte != 0) {
            return Err(pack.damaged("is no library of lessons"));
        }
        let is_whole = begun == MAGIC.len();
        let mut index = Index { end: if is_whole { begun as u64 } else { 0 }, ..Index::default() };
        while index.end > 0
            && let Some((change, at, body)) = pack.record(index.end, size)?
        {
            let place = index.end;
            let taken = index.take(change, at, body);
            taken.ok_or_else(|| pack.damaged(&format!("is damaged: the record at byte {place}")))?;
        }
        if pack.has_record_after(index.end, size)? {
            return Err(pack.damaged(&format!("is damaged at byte {}, before its last record", index.end)));
        }
        pack.index = RefCell::new(index);
        Ok(pack)
    }

    fn damaged(&self, problem: &str) -> Error {
        let hint = "bring back a copy of the library that was exported, or remove it";
        Error::input(&self.place, "content", problem, hint)
    }

    fn bytes(&self, at: u64, length: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.file.read_at(at, &mut bytes)?;
        Ok(bytes)
    }

    /// The record at `at` of a file of `size` bytes, with place and length of its body, if it is whole. Of a record that others
    /// follow the body is not read: it was whole before they were written.
    fn record(&self, at: u64, size: u64) -> Result<Option<(Change, u64, u64)>> {
        let Some((head_length, body_length)) = self.lengths(at, size)? else { return Ok(None) };
        let fixed = self.bytes(at, FIXED)?;
        let body_at = at + FIXED as u64 + u64::from(head_length);
        let head = self.bytes(at + FIXED as u64, head_length as usize)?;
        let (head_sum, body_sum) = fixed[MARK.len() + 12..].split_at(SUM);
        if head_sum != sum(&[&fixed[MARK.len()..MARK.len() + 12], &head]) {
            return Ok(None);
        }
        let end = body_at + body_length;
        let is_last = self.lengths(end, size)?.is_none();
        if is_last && body_sum != self.sum_of(body_at, body_length)? {
            return Ok(None);
        }
        let change = serde_json::from_slice(&head)
            .map_err(|_| self.damaged("was made by a newer version: a record of it is not known"))?;
        Ok(Some((change, body_at, body_length)))
    }

    /// Lengths of head and body of a record that may begin at `at` and does not end beyond the file.
    fn lengths(&self, at: u64, size: u64) -> Result<Option<(u32, u64)>> {
        let left = size.saturating_sub(at);
        let Some(left) = left.checked_sub(FIXED as u64) else { return Ok(None) };
        let fixed = self.bytes(at, MARK.len() + 12)?;
        let (mark, lengths) = fixed.split_at(MARK.len());
        let (head, body) = lengths.split_at(4);
        let (Ok(head), Ok(body)) = (head.try_into(), body.try_into()) else { return Ok(None) };
        let (head, body) = (u32::from_le_bytes(head), u64::from_le_bytes(body));
        let fits = u64::from(head).checked_add(body).is_some_and(|length| length <= left);
        Ok((mark == MARK && head <= MAX_HEAD && fits).then_some((head, body)))
    }

    fn sum_of(&self, mut at: u64, length: u64) -> Result<[u8; SUM]> {
        let (mut hash, end) = (Sha256::new(), at + length);
        while at < end {
            let piece = self.bytes(at, (end - at).min(PIECE as u64) as usize)?;
            hash.update(&piece);
            at += piece.len() as u64;
        }
        Ok(first(&hash.finalize()))
    }

    /// Whether a whole record stands somewhere after `at`, so that what is there is not what a closed tab left.
    fn has_record_after(&self, mut at: u64, size: u64) -> Result<bool> {
        while at + FIXED as u64 <= size {
            let piece = self.bytes(at, (size - at).min(PIECE as u64) as usize)?;
            for (place, _) in piece.windows(MARK.len()).enumerate().filter(|(_, window)| *window == MARK) {
                if self.record(at + place as u64, size)?.is_some() {
                    return Ok(true);
                }
            }
            // A mark may lie across two pieces.
            at += (piece.len() - (MARK.len() - 1)) as u64;
        }
        Ok(false)
    }

    /// Appends a record: the one way in which the file changes.
    fn change(&self, change: Change, body: &[&[u8]]) -> Result<()> {
        let failed = |source: io::Error| Error::write(&self.place, source);
        if self.slots.is_none() {
            return Err(failed(io::ErrorKind::PermissionDenied.into()));
        }
        let head = serde_json::to_vec(&change).map_err(|error| failed(error.into()))?;
        let Some(head_length) = u32::try_from(head.len()).ok().filter(|length| *length <= MAX_HEAD) else {
            return Err(failed(io::Error::other("too many files at once")));
        };
        let body_length: usize = body.iter().map(|part| part.len()).sum();
        let mut index = self.index.borrow_mut();
        let begin = index.end;
        let mut bytes = if begin == 0 { MAGIC.to_vec() } else { Vec::new() };
        bytes.reserve_exact(FIXED + head.len() + body_length);
        let lengths = [&head_length.to_le_bytes()[..], &(body_length as u64).to_le_bytes()].concat();
        bytes.extend(MARK);
        bytes.extend(&lengths);
        bytes.extend(sum(&[&lengths, &head]));
        bytes.extend(sum(body));
        bytes.extend(head);
        let body_at = begin + bytes.len() as u64;
        body.iter().for_each(|part| bytes.extend_from_slice(part));
        if self.file.size()? > begin {
            self.file.truncate(begin)?;
        }
        if let Err(error) = self.file.write_at(begin, &bytes) {
            // If this fails too, what is there is no whole record.
            let _ = self.file.truncate(begin);
            return Err(error);
        }
        index.take(change, body_at, body_length as u64).ok_or_else(|| failed(io::Error::other("too large")))
    }
}

/// The checksum of parts, one after the other.
fn sum(parts: &[&[u8]]) -> [u8; SUM] {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    first(&hash.finalize())
}

fn first(hash: &[u8]) -> [u8; SUM] {
    std::array::from_fn(|place| hash[place])
}

impl Store for Pack {
    fn place(&self) -> &Path {
        &self.place
    }

    fn is_writable(&self) -> bool {
        self.slots.is_some()
    }

    fn has(&self, path: &str) -> bool {
        self.index.borrow().files.contains_key(path)
    }

    fn size(&self, path: &str) -> u64 {
        self.index.borrow().size(path)
    }

    fn read(&self, path: &str, most: u64) -> Result<Vec<u8>> {
        let failed = |source| Error::read(self.place.join(path), source);
        let index = self.index.borrow();
        let pieces = index.files.get(path).ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        let length = usize::try_from(index.size(path)).ok().filter(|length| *length as u64 <= most);
        let length =
            length.ok_or_else(|| failed(io::Error::other(format!("it is larger than {most} bytes"))))?;
        let (mut bytes, mut at) = (vec![0; length], 0);
        for piece in pieces {
            let end = at + piece.length as usize;
            self.file.read_at(piece.at, &mut bytes[at..end])?;
            at = end;
        }
        Ok(bytes)
    }

    fn names(&self, folder: &str) -> Result<Vec<String>> {
        let inside = format!("{folder}/");
        let index = self.index.borrow();
        let paths = index.files.keys().filter_map(|path| path.strip_prefix(&inside));
        let names: BTreeSet<&str> = paths.filter_map(|path| path.split('/').next()).collect();
        Ok(names.into_iter().map(str::to_owned).collect())
    }

    fn files(&self) -> Result<Vec<(String, u64)>> {
        let index = self.index.borrow();
        Ok(index.files.keys().map(|path| (path.clone(), index.size(path))).collect())
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<()> {
        self.change(
            Change::Put { folder: None, files: vec![(path.to_owned(), bytes.len() as u64)] },
            &[bytes],
        )
    }

    /// Folders are where files are: there are no empty ones.
    fn new_folder(&self, folder: &str, files: &[(&str, &[u8])], _: &[&str]) -> Result<()> {
        let path = |name: &str| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        let named = files.iter().map(|(name, bytes)| (path(name), bytes.len() as u64)).collect();
        let bodies: Vec<&[u8]> = files.iter().map(|(_, bytes)| *bytes).collect();
        self.change(Change::Put { folder: Some(folder.to_owned()), files: named }, &bodies)
    }

    fn append(&self, path: &str, whole: Option<u64>, bytes: &[u8]) -> Result<()> {
        let length = bytes.len() as u64;
        self.change(Change::Append { file: path.to_owned(), whole, length }, &[bytes])
    }

    /// One that is damaged counts as none: nobody can bring back a copy of it, and learning begins again.
    fn checkpoint(&self, _: &str, usable: &Usable<'_>) -> Result<Option<State>> {
        let Some(slots) = &self.slots else { return Ok(None) };
        for bytes in slots.kept() {
            match State::from_bytes(&bytes?, &self.place) {
                Ok(state) if usable(&state, &self.place).is_ok() => return Ok(Some(state)),
                _ => {}
            }
        }
        Ok(None)
    }

    fn save_checkpoint(&self, _: &str, state: &State) -> Result<()> {
        self.slots.as_ref().map_or(Ok(()), |slots| slots.save(&state.to_bytes()?))
    }

    fn remove_checkpoints(&self, _: &str) -> Result<()> {
        self.slots.as_ref().map_or(Ok(()), Slots::clear)
    }
}

#[cfg(test)]
mod tests;
