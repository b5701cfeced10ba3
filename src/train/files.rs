//! Files that are either the old or the new version, never half of one. Native only.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::checkpoint::State;
use super::peft::{AdapterFile, CONFIG_FILE, Dims, WEIGHTS_FILE};
use crate::model::source::bytes::read_bytes;
use crate::{Error, Result};

/// Replaces the file at `path` by `bytes`: a killed process or a full disk leaves the old file whole.
///
/// Errors: [`Error::Io`] if the folder cannot be written or the disk is full.
pub fn write_atomic(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    replace(path.as_ref(), |file| file.write_all(bytes))
}

/// The longest file that is read whole.
const MAX_FILE: u64 = 64 << 30;

/// The bytes of the file at `path`, which must be one that has an end. Errors: [`Error::Io`].
pub fn read(path: impl AsRef<Path>) -> Result<Vec<u8>> {
    read_bytes(path.as_ref(), MAX_FILE)
}

/// Creates `folder` and those above it unless they exist. Errors: [`Error::Io`].
pub fn create_folder(folder: impl AsRef<Path>) -> Result<()> {
    fs::create_dir_all(&folder).map_err(|source| Error::Io {
        path: folder.as_ref().to_path_buf(),
        action: "create",
        source,
        hint: "choose another folder, or check that you may write there",
    })
}

/// Makes the folder `path` by `fill`, which gets a hidden sibling that is renamed once it is full: there is the whole
/// folder or none. Errors: [`Error::Usage`] if `path` exists and is not an empty folder, [`Error::Io`], those of `fill`.
pub fn new_folder(path: impl AsRef<Path>, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let path = path.as_ref();
    let taken = match fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => path.exists(),
    };
    if taken {
        let problem = format!("{} exists and is not an empty folder", path.display());
        return Err(Error::usage("--output", problem, "choose a new folder"));
    }
    let temporary = sibling(path).map_err(|source| Error::write(path, source))?;
    // Left over by a killed process.
    let _ = fs::remove_dir_all(&temporary);
    create_folder(&temporary)?;
    let filled = fill(&temporary).and_then(|()| {
        fs::rename(&temporary, path)
            .and_then(|()| sync_folder(path))
            .map_err(|source| Error::write(path, source))
    });
    if filled.is_err() {
        // Best effort: the error that matters is the first one.
        let _ = fs::remove_dir_all(&temporary);
    }
    filled
}

/// A folder that is about to be written to: made and tried at once, so that an unwritable place shows before anything
/// is computed, and gone again when this is dropped if it was made for nothing.
#[derive(Debug)]
pub struct OutputFolder {
    path: PathBuf,
    made: bool,
}

impl OutputFolder {
    /// Makes `path` unless it exists, and tries to write there. Errors: [`Error::Io`].
    pub fn new(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let made = !path.exists();
        create_folder(&path)?;
        let folder = Self { path, made };
        let probe = folder.path.join(".stepladder.part");
        let tried = File::create(&probe).and_then(|_| fs::remove_file(&probe));
        tried.map_err(|source| Error::write(&folder.path, source))?;
        Ok(folder)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for OutputFolder {
    fn drop(&mut self) {
        if self.made {
            // Removes an empty folder only.
            let _ = fs::remove_dir(&self.path);
        }
    }
}

/// Reads the PEFT adapter in `folder` for a model with the modules `dims`.
///
/// Errors: [`Error::Io`], and those of [`AdapterFile::from_bytes`].
pub fn read_adapter(folder: impl AsRef<Path>, dims: &Dims<'_>) -> Result<AdapterFile> {
    let folder = folder.as_ref();
    let (config, weights) = (read(folder.join(CONFIG_FILE))?, read(folder.join(WEIGHTS_FILE))?);
    AdapterFile::from_bytes(&config, &weights, folder, dims)
}

/// Writes `adapter` in PEFT's layout into `folder`, which is created if needed. Each of the two files is replaced whole.
///
/// Errors: [`Error::Io`], and those of [`AdapterFile::to_bytes`].
pub fn write_adapter(folder: impl AsRef<Path>, adapter: &AdapterFile) -> Result<()> {
    let folder = folder.as_ref();
    let (config, weights) = adapter.to_bytes()?;
    create_folder(folder)?;
    write_atomic(folder.join(WEIGHTS_FILE), &weights)?;
    write_atomic(folder.join(CONFIG_FILE), &config)
}

/// Reads a run's checkpoint. Errors: [`Error::Io`], and those of [`State::from_bytes`].
pub fn read_state(path: impl AsRef<Path>) -> Result<State> {
    State::from_bytes(&read(&path)?, path.as_ref())
}

/// Writes a run's checkpoint; on an error the old one stays whole. Errors: [`Error::Io`], and those of
/// [`State::to_bytes`].
pub fn write_state(path: impl AsRef<Path>, state: &State) -> Result<()> {
    write_atomic(path, &state.to_bytes()?)
}

/// Writes a hidden sibling, brings it to the disk, then renames it over `path`.
///
/// The sibling's name is fixed, so that a killed process leaves at most one behind and the next write reuses it.
fn replace(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
    let temporary = sibling(path).map_err(|source| Error::write(path, source))?;
    let written = (|| {
        let mut file = File::create(&temporary)?;
        write(&mut file)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        sync_folder(path)
    })();
    written.map_err(|source| {
        // Best effort: the error that matters is the first one.
        let _ = fs::remove_file(&temporary);
        Error::write(path, source)
    })
}

fn sibling(path: &Path) -> io::Result<PathBuf> {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?);
    name.push(".part");
    Ok(path.with_file_name(name))
}

/// Makes the rename durable; only Unix lets a program open and sync a folder.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn replaces_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        write_atomic(&path, b"old").unwrap();
        write_atomic(&path, b"new").unwrap();
        assert_eq!(read(&path).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["state"]);
    }

    #[test]
    fn a_full_disk_leaves_the_old_file_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        write_atomic(&path, b"old").unwrap();
        let error = replace(&path, |file| {
            file.write_all(b"ne")?;
            Err(io::ErrorKind::StorageFull.into())
        })
        .unwrap_err();
        assert!(matches!(&error, Error::Io { action: "write", path: at, .. } if *at == path), "{error}");
        assert!(error.to_string().contains("free space"), "{error}");
        assert_eq!(read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["state"]);
    }

    #[test]
    fn a_leftover_of_a_killed_process_is_reused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        fs::write(folder.path().join(".state.part"), b"half of a longer file").unwrap();
        write_atomic(&path, b"new").unwrap();
        assert_eq!(read(&path).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["state"]);
    }

    #[test]
    fn a_new_folder_is_whole_or_absent() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("model");
        let fail = |folder: &Path| {
            fs::write(folder.join("half"), b"x").unwrap();
            Err(Error::Cancelled)
        };
        assert_eq!(new_folder(&path, fail).unwrap_err().code(), "cancelled");
        assert!(names(top.path()).is_empty());
        new_folder(&path, |folder| write_atomic(folder.join("whole"), b"x")).unwrap();
        assert_eq!(names(&path), ["whole"]);
        assert_eq!(new_folder(&path, |_| Ok(())).unwrap_err().code(), "usage");
        assert_eq!(names(top.path()), ["model"]);
    }

    #[test]
    fn an_output_folder_that_was_not_used_is_gone() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("a");
        drop(OutputFolder::new(&path).unwrap());
        assert!(names(top.path()).is_empty());
        let folder = OutputFolder::new(&path).unwrap();
        fs::write(folder.path().join("x"), b"x").unwrap();
        drop(folder);
        assert_eq!(names(&path), ["x"]);
        assert_eq!(OutputFolder::new(path.join("x/below")).unwrap_err().code(), "io");
    }

    #[test]
    fn unwritable_places_are_io_errors() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, b"x").unwrap();
        assert_eq!(write_atomic(file.join("below-a-file"), b"x").unwrap_err().code(), "io");
        assert_eq!(write_atomic(folder.path().join("no/such/folder"), b"x").unwrap_err().code(), "io");
        assert_eq!(write_atomic("/", b"x").unwrap_err().code(), "io");
        assert_eq!(create_folder(file.join("sub")).unwrap_err().code(), "io");
        assert_eq!(read(folder.path().join("absent")).unwrap_err().code(), "io");
        // A folder of that name is in the way.
        assert_eq!(write_atomic(folder.path(), b"x").unwrap_err().code(), "io");
        assert_eq!(read(&file).unwrap(), b"x");
    }
}
