//! Folders that are the old or the new one, never half of one: filled under the name of a hidden sibling, then renamed.
//! Native only.

use std::fs;
use std::path::{Path, PathBuf};

use super::files::{PART, create_folder, sibling};
use super::lock::{LOCK_FILE, Lock};
use crate::model::source::durable::sync_folder;
use crate::{Error, Result};

/// End of the name of a folder's hidden sibling that holds what is being replaced.
pub(super) const OLD: &str = ".stepladder-old";

/// Brings back the folder that a process was about to replace when it was killed.
///
/// # Errors
/// [`Error::Io`].
pub fn restore(path: &Path) -> Result<()> {
    let Ok(old) = sibling(&place(path), OLD) else { return Ok(()) };
    if !path.exists() && old.is_dir() {
        fs::rename(&old, path).map_err(|source| Error::write(path, source))?;
    }
    Ok(())
}

/// Where `path` leads to, through links.
fn place(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// Refuses a folder that another cannot take the place of.
fn expect_replaceable(path: &Path) -> Result<()> {
    let refuse = |what: &str| {
        Err(Error::usage(path.display().to_string(), what, "name a new folder, or one below it"))
    };
    match (path.exists(), path.parent()) {
        (true, None) => refuse("is the top of the file system, which is not replaced"),
        (true, Some(parent)) if is_mounted(path, parent) => {
            refuse("is where a file system is mounted, which is not replaced")
        }
        (true, _) if std::env::current_dir().is_ok_and(|here| place(&here) == path) => {
            refuse("is the folder that this program was started in, which is not replaced")
        }
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn is_mounted(path: &Path, parent: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let device = |path: &Path| fs::metadata(path).map(|there| there.dev()).ok();
    device(path) != device(parent)
}

/// Elsewhere the rename says so.
#[cfg(not(unix))]
fn is_mounted(_: &Path, _: &Path) -> bool {
    false
}

/// Makes the folder `path` by `fill`, which gets a hidden sibling that is renamed once it is full: there is the whole
/// folder or what was there before. The caller has asked the [`Gate`](super::output::Gate).
///
/// # Errors
/// [`Error::Io`], [`Error::Busy`], those of `fill`.
pub fn new_folder(path: impl AsRef<Path>, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let staged = StagedFolder::new(path.as_ref())?;
    fill(staged.path())?;
    staged.commit().map(drop)
}

/// A folder under the name of a hidden sibling; gone again when this is dropped, unless it was committed.
#[derive(Debug)]
pub struct StagedFolder {
    target: PathBuf,
    path: PathBuf,
    lock: Option<Lock>,
}

impl StagedFolder {
    /// Makes the sibling of `target`, empty.
    ///
    /// # Errors
    /// [`Error::Usage`] for a folder that another cannot take the place of; [`Error::Io`], [`Error::Busy`].
    pub fn new(target: &Path) -> Result<Self> {
        let target = &place(target);
        expect_replaceable(target)?;
        let path = sibling(target, PART).map_err(|source| Error::write(target, source))?;
        if path.symlink_metadata().is_ok_and(|there| !there.is_dir()) {
            fs::remove_file(&path).map_err(|source| Error::write(&path, source))?;
        }
        create_folder(&path)?;
        let lock = Some(Lock::folder(&path)?);
        let staged = Self { target: target.to_owned(), path, lock };
        // Left over by a killed process.
        for entry in fs::read_dir(&staged.path).map_err(|source| Error::read(&staged.path, source))? {
            let entry = entry.map_err(|source| Error::read(&staged.path, source))?;
            if entry.file_name() != LOCK_FILE {
                let remove = |path: PathBuf| match entry.file_type()?.is_dir() {
                    true => fs::remove_dir_all(path),
                    false => fs::remove_file(path),
                };
                remove(entry.path()).map_err(|source| Error::write(entry.path(), source))?;
            }
        }
        Ok(staged)
    }

    /// Where it is until it is committed.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where it will be.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Puts the folder in its place; what was there goes. The lock of the folder, still held.
    ///
    /// # Errors
    /// [`Error::Io`], after which the old folder is where it was.
    pub fn commit(mut self) -> Result<Option<Lock>> {
        let target = &self.target;
        let failed = |source| Error::write(target, source);
        let old = sibling(target, OLD).map_err(failed)?;
        if target.exists() {
            // A replacement that was killed before it removed this had been complete.
            let _ = fs::remove_dir_all(&old);
            fs::rename(target, &old).map_err(failed)?;
        }
        if let Err(error) = fs::rename(&self.path, target) {
            let _ = fs::rename(&old, target);
            return Err(failed(error));
        }
        sync_folder(target).map_err(failed)?;
        let _ = fs::remove_dir_all(&old);
        let mut lock = self.lock.take();
        if let Some(lock) = &mut lock {
            lock.moved(target);
        }
        Ok(lock)
    }
}

impl Drop for StagedFolder {
    fn drop(&mut self) {
        if self.lock.take().is_some() {
            // Best effort: the error that matters is another one.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::train::files::{read, write_atomic};

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_new_folder_is_whole_or_absent() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("model");
        let fail = |folder: &Path| {
            fs::write(folder.join("half"), b"x").unwrap();
            assert_eq!(StagedFolder::new(&path).unwrap_err().code(), "busy");
            Err(Error::Cancelled)
        };
        assert_eq!(new_folder(&path, fail).unwrap_err().code(), "cancelled");
        assert!(names(top.path()).is_empty());
        // As a killed process leaves it, in either form.
        fs::create_dir(top.path().join(".model.stepladder-part")).unwrap();
        fs::write(top.path().join(".model.stepladder-part/half"), b"x").unwrap();
        new_folder(&path, |folder| write_atomic(folder.join("whole"), b"1")).unwrap();
        fs::write(top.path().join(".model.stepladder-part"), b"x").unwrap();
        new_folder(&path, |folder| write_atomic(folder.join("other"), b"2")).unwrap();
        assert_eq!(names(&path), ["other"]);
        assert_eq!(new_folder(&path, |_| Err(Error::Cancelled)).unwrap_err().code(), "cancelled");
        assert_eq!(read(path.join("other")).unwrap(), b"2");
        assert_eq!(names(top.path()), ["model"]);
    }

    #[test]
    fn the_place_of_a_link_is_taken_and_that_of_what_cannot_move_is_not() {
        assert_eq!(StagedFolder::new(Path::new("/")).unwrap_err().code(), "usage");
        let error = StagedFolder::new(Path::new(".")).unwrap_err().to_string();
        assert!(error.contains("was started in"), "{error}");
        #[cfg(target_os = "linux")]
        assert!(StagedFolder::new(Path::new("/proc")).unwrap_err().to_string().contains("mounted"));
        #[cfg(unix)]
        {
            let top = tempfile::tempdir().unwrap();
            let (real, link) = (top.path().join("real"), top.path().join("link"));
            fs::create_dir(&real).unwrap();
            std::os::unix::fs::symlink("real", &link).unwrap();
            new_folder(&link, |folder| write_atomic(folder.join("x"), b"1")).unwrap();
            assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
            assert_eq!(read(real.join("x")).unwrap(), b"1");
        }
    }
}
