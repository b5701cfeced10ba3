//! What a library needs of the place where its files are: a folder on disk natively, one file of a browser's store
//! ([`super::pack`]).
//!
//! Files have paths from the library's top, with `/`. Every change is whole or did not happen, whatever moment it is cut off
//! at, and changes last in the order in which they were made.

use std::fmt;
use std::path::Path;

use crate::Result;
use crate::train::checkpoint::State;

/// Longest file of a library that is read, in bytes.
pub(super) const MAX_FILE: u64 = 1 << 28;

/// Tells whether a checkpoint is one that can be used; the path is for messages.
pub type Usable<'a> = dyn Fn(&State, &Path) -> Result<()> + 'a;

/// The files of a library.
pub trait Store: fmt::Debug {
    /// Where it is, for messages.
    fn place(&self) -> &Path;

    /// Whether it was opened for writing: then nobody else writes.
    fn is_writable(&self) -> bool;

    /// Whether there is a file at `path`.
    fn has(&self, path: &str) -> bool;

    /// Bytes of a file; 0 where there is none.
    fn size(&self, path: &str) -> u64;

    /// The contents of a file of at most `most` bytes.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) where there is none, or it is longer.
    fn read(&self, path: &str, most: u64) -> Result<Vec<u8>>;

    /// Names in a folder, sorted.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io).
    fn names(&self, folder: &str) -> Result<Vec<String>>;

    /// Paths of all files that belong to the library with their sizes in bytes, in order; no checkpoints.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io).
    fn files(&self) -> Result<Vec<(String, u64)>>;

    /// Writes a file in a folder that is there, in place of an older one.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io), after which the older one is there.
    fn write(&self, path: &str, bytes: &[u8]) -> Result<()>;

    /// Makes a folder with `files` and empty `folders` in it, by their names; what was there goes.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io).
    fn new_folder(&self, folder: &str, files: &[(&str, &[u8])], folders: &[&str]) -> Result<()>;

    /// Appends `bytes` to a file, which is empty where it is not there, after its first `whole` bytes; without those, after all
    /// that others append meanwhile.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io), after which nothing was appended.
    fn append(&self, path: &str, whole: Option<u64>, bytes: &[u8]) -> Result<()>;

    /// The last checkpoint of what `folder` learns that is whole and that `usable` takes.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io); the first of `usable`'s errors if it takes none of the files.
    fn checkpoint(&self, folder: &str, usable: &Usable<'_>) -> Result<Option<State>>;

    /// Keeps a checkpoint, and the one before it until this one is whole.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io), after which the older ones are there.
    fn save_checkpoint(&self, folder: &str, state: &State) -> Result<()>;

    /// Removes the checkpoints.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io).
    fn remove_checkpoints(&self, folder: &str) -> Result<()>;
}
