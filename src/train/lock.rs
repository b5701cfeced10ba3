//! One writer at a time: locks that end with the process that holds them. Native only.
//!
//! The system's advisory file locks, so that a killed process leaves none behind. Where a file system has no locks (some
//! network mounts) everybody gets one: there the check is missing, and nothing else.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// The file in a folder whose lock is the folder's.
pub const LOCK_FILE: &str = ".stepladder.lock";

/// Tries to open a file that was locked, and removed or renamed by its owner, so many times.
const TRIES: usize = 100;

/// The right to write to a folder, until this is dropped or the process ends.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    file: File,
}

impl Lock {
    /// The lock of `folder`, which must exist.
    ///
    /// # Errors
    /// [`Error::Busy`] if another process holds it, [`Error::Io`] if the folder cannot be written to.
    pub fn folder(folder: &Path) -> Result<Self> {
        let path = folder.join(LOCK_FILE);
        match claim(&path) {
            Ok(Some(file)) => Ok(Self { path, file }),
            Ok(None) => Err(Error::Busy { path: folder.to_owned() }),
            Err(source) => Err(Error::write(folder, source)),
        }
    }

    /// Notes that the folder is at `folder` now.
    pub(crate) fn moved(&mut self, folder: &Path) {
        self.path = folder.join(LOCK_FILE);
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While it is still held, and only if it is still this one. The lock goes with the handle.
        if is_at(&self.file, &self.path) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Opens or makes the file at `path` and locks it; `None` if another process holds it. The contents stay as they are.
pub(super) fn claim(path: &Path) -> io::Result<Option<File>> {
    for _ in 0..TRIES {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            return Ok(None);
        }
        // Its owner may have removed or renamed it between the two calls: then this is the lock of nothing.
        if is_at(&file, path) {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(open), Ok(there)) => (open.dev(), open.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

/// Elsewhere a file that is open cannot be replaced.
#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_refused_until_the_first_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let first = Lock::folder(folder.path()).unwrap();
        let error = Lock::folder(folder.path()).unwrap_err();
        assert_eq!(error.code(), "busy");
        assert!(error.to_string().contains("another process"), "{error}");
        drop(first);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        drop(Lock::folder(folder.path()).unwrap());
        // As a killed process leaves it.
        fs::write(folder.path().join(LOCK_FILE), "").unwrap();
        Lock::folder(folder.path()).unwrap();
    }

    #[test]
    fn a_lock_goes_with_its_folder() {
        let top = tempfile::tempdir().unwrap();
        let (from, to) = (top.path().join("from"), top.path().join("to"));
        fs::create_dir(&from).unwrap();
        let mut lock = Lock::folder(&from).unwrap();
        fs::rename(&from, &to).unwrap();
        lock.moved(&to);
        assert_eq!(Lock::folder(&to).unwrap_err().code(), "busy");
        drop(lock);
        assert_eq!(fs::read_dir(&to).unwrap().count(), 0);
    }
}
