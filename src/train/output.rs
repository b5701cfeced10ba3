//! The gate for everything that is written: into a new or empty place, or over an old one if that was asked for, and never
//! over what the same command reads. Native only.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use super::files::{PART, create_folder};
use super::lock::{LOCK_FILE, Lock};
use super::staged::{OLD, restore};
use crate::{Error, Result};

/// Most files of one input that are compared with an output.
const MAX_FILES: usize = 10_000;

/// What decides whether a place may be written to.
#[derive(Debug, Clone, Default)]
pub struct Gate {
    /// What the command reads: the option, and the path.
    pub inputs: Vec<(String, PathBuf)>,
    /// What is there may be replaced.
    pub overwrite: bool,
}

impl Gate {
    /// Lets `path`, the value of `option`, become a file.
    ///
    /// # Errors
    /// [`Error::Usage`] if something is there that may not be replaced; [`Error::Io`].
    pub fn file(&self, option: &str, path: &Path) -> Result<()> {
        let Some(there) = metadata(path)? else { return Ok(()) };
        self.expect_no_input(option, path, &there)?;
        let refuse = |problem: &str, hint: &str| {
            Err(Error::usage(option, format!("{} {problem}", path.display()), hint))
        };
        match () {
            () if there.is_dir() => refuse("is a folder", "name a file"),
            () if !there.is_file() => refuse("is no file that could be replaced", "name a file"),
            () if there.len() > 0 && !self.overwrite => {
                refuse("exists", "choose another name, or add <overwrite> to replace it")
            }
            () => Ok(()),
        }
    }

    /// Lets `path`, the value of `option`, become a folder in place of one that holds nothing but names that are `own`.
    /// Whether there is one to replace.
    ///
    /// # Errors
    /// As [`Gate::file`].
    pub fn folder(&self, option: &str, path: &Path, own: impl Fn(&str) -> bool) -> Result<bool> {
        restore(path)?;
        expect_folder(option, path)?;
        let Some(there) = metadata(path)? else { return Ok(false) };
        let names = contents(path)?;
        if names.is_empty() {
            return Ok(false);
        }
        self.expect_no_input(option, path, &there)?;
        if !self.overwrite {
            let problem = format!("{} exists and is not an empty folder", path.display());
            let hint = "choose a new folder, or add <overwrite> to replace what is there";
            return Err(Error::usage(option, problem, hint));
        }
        match names.iter().find(|name| !own(name)) {
            None => Ok(true),
            Some(name) => {
                let problem = format!("{} holds `{name}`, which this program did not make", path.display());
                Err(Error::usage(option, problem, "choose another folder, or move that file"))
            }
        }
    }

    /// Refuses `path` if it is, holds, or is part of what the command reads, by whatever name.
    fn expect_no_input(&self, option: &str, path: &Path, there: &Metadata) -> Result<()> {
        let real = fs::canonicalize(path).map_err(|source| Error::read(path, source))?;
        for (input, read) in &self.inputs {
            let (Ok(metadata), Ok(read)) = (fs::metadata(read), fs::canonicalize(read)) else { continue };
            let same = |other: &Path, metadata: &Metadata| real == *other || is_same(there, metadata);
            let relation = match () {
                () if same(&read, &metadata) => "is",
                () if there.is_dir() && read.starts_with(&real) => "holds",
                () if metadata.is_dir() && !there.is_dir() && holds(&read, &same) => "is part of",
                () => continue,
            };
            let problem = format!("{} {relation} the {input} of the same command", path.display());
            return Err(Error::usage(option, problem, "choose another place: what is read is not replaced"));
        }
        Ok(())
    }
}

/// Whether a file below `folder` is the `same`.
fn holds(folder: &Path, same: &dyn Fn(&Path, &Metadata) -> bool) -> bool {
    let (mut folders, mut seen) = (vec![folder.to_owned()], 0);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            seen += 1;
            let Ok(metadata) = fs::metadata(entry.path()) else { continue };
            if metadata.is_file() && same(&entry.path(), &metadata) {
                return true;
            }
            if seen > MAX_FILES {
                return false;
            }
            // Links to folders are not followed, so that this ends.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            }
        }
    }
    false
}

#[cfg(unix)]
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Elsewhere real paths alone are compared.
#[cfg(not(unix))]
fn is_same(_: &Metadata, _: &Metadata) -> bool {
    false
}

/// Refuses `path`, the value of `option`, if something other than a folder is there, or where a folder above it would be.
///
/// # Errors
/// [`Error::Usage`].
pub fn expect_folder(option: &str, path: &Path) -> Result<()> {
    let refuse = |place: &Path, what: &str| {
        Err(Error::usage(option, format!("{} is {what}, not a folder", place.display()), "name a folder"))
    };
    for place in path.ancestors() {
        match (fs::metadata(place), fs::symlink_metadata(place)) {
            (Ok(there), _) if there.is_dir() => return Ok(()),
            (Ok(_), _) => return refuse(place, "a file"),
            (Err(_), Ok(_)) => return refuse(place, "a link that leads nowhere"),
            // Not there yet, or not to be seen: the folder above it decides.
            (Err(_), Err(_)) => {}
        }
    }
    Ok(())
}

fn metadata(path: &Path) -> Result<Option<Metadata>> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::write(path, error)),
    }
}

/// The names in the folder `path` without locks and what killed processes left.
///
/// # Errors
/// [`Error::Io`].
pub fn contents(path: &Path) -> Result<Vec<String>> {
    let failed = |source| Error::read(path, source);
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if !is_leftover(&name) {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn is_leftover(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name == LOCK_FILE || (name.starts_with('.') && (name.ends_with(PART) || name.ends_with(OLD)))
}

/// A folder that is about to be written to: made, locked and so tried at once, so that an unwritable or busy place shows
/// before anything is computed, and gone again when this is dropped if it was made for nothing.
#[derive(Debug)]
pub struct OutputFolder {
    path: PathBuf,
    made: bool,
    lock: Option<Lock>,
}

impl OutputFolder {
    /// Makes `path` unless it exists, and locks it. Errors: [`Error::Io`], [`Error::Busy`].
    pub fn new(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let made = !path.exists();
        create_folder(&path)?;
        let mut folder = Self { path, made, lock: None };
        folder.lock = Some(Lock::folder(&folder.path)?);
        Ok(folder)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for OutputFolder {
    fn drop(&mut self) {
        self.lock = None;
        if self.made {
            // Removes an empty folder only.
            let _ = fs::remove_dir(&self.path);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn gate(overwrite: bool, inputs: &[&Path]) -> Gate {
        let inputs = inputs.iter().map(|path| ("--model".to_owned(), path.to_path_buf())).collect();
        Gate { inputs, overwrite }
    }

    #[test]
    fn files_are_new_or_empty_or_to_be_replaced() {
        let top = tempfile::tempdir().unwrap();
        let (new, empty, full) = (top.path().join("new"), top.path().join("empty"), top.path().join("full"));
        fs::write(&empty, "").unwrap();
        fs::write(&full, "x").unwrap();
        for path in [&new, &empty] {
            gate(false, &[]).file("--output", path).unwrap();
        }
        let error = gate(false, &[]).file("--output", &full).unwrap_err().to_string();
        assert!(
            error.starts_with("--output") && error.contains("full exists") && error.contains("overwrite")
        );
        gate(true, &[]).file("--output", &full).unwrap();
        for path in [top.path(), Path::new("/dev/null")] {
            assert_eq!(gate(true, &[]).file("--output", path).unwrap_err().code(), "usage");
        }
    }

    #[test]
    fn an_input_is_no_output_by_whatever_name() {
        let top = tempfile::tempdir().unwrap();
        let model = top.path().join("model");
        fs::create_dir_all(model.join("deep")).unwrap();
        let weights = model.join("deep/w.safetensors");
        fs::write(&weights, "x").unwrap();
        let gguf = top.path().join("m.gguf");
        fs::write(&gguf, "x").unwrap();
        let refused = |path: &Path, input: &Path, word: &str| {
            let gate = gate(true, &[input]);
            for error in [gate.file("--output", path), gate.folder("--output", path, |_| true).map(drop)] {
                if let Err(error @ Error::Usage { .. }) = error {
                    let text = error.to_string();
                    assert!(text.contains(&format!("{word} the --model")), "{text}");
                    return;
                }
            }
            panic!("{} was let through", path.display());
        };
        refused(&gguf, &gguf, "is");
        refused(&model.join("../m.gguf"), &gguf, "is");
        refused(&model, &model, "is");
        refused(top.path(), &model, "holds");
        refused(&weights, &model, "is part of");
        let hard = top.path().join("hard");
        fs::hard_link(&weights, &hard).unwrap();
        refused(&hard, &model, "is part of");
        #[cfg(unix)]
        {
            let soft = top.path().join("soft");
            std::os::unix::fs::symlink(&gguf, &soft).unwrap();
            refused(&soft, &gguf, "is");
        }
        gate(true, &[&gguf]).folder("--output", &model, |_| true).unwrap();
        gate(true, &[&model]).file("--output", &gguf).unwrap();
    }

    #[test]
    fn folders_are_new_or_empty_or_of_this_program() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("run");
        let own = |name: &str| name == "mine";
        assert!(!gate(false, &[]).folder("--output", &path, own).unwrap());
        fs::create_dir(&path).unwrap();
        // What killed processes leave.
        fs::write(path.join(LOCK_FILE), "").unwrap();
        fs::write(path.join(".mine.stepladder-part"), "x").unwrap();
        assert!(!gate(false, &[]).folder("--output", &path, own).unwrap());
        fs::write(path.join("mine"), "x").unwrap();
        let error = gate(false, &[]).folder("--output", &path, own).unwrap_err().to_string();
        assert!(error.contains("not an empty folder") && error.contains("overwrite"), "{error}");
        assert!(gate(true, &[]).folder("--output", &path, own).unwrap());
        fs::write(path.join("thesis"), "x").unwrap();
        let error = gate(true, &[]).folder("--output", &path, own).unwrap_err().to_string();
        assert!(error.contains("`thesis`"), "{error}");
        for place in ["mine", "mine/below", "mine/below/it"] {
            let error = gate(true, &[]).folder("--output", &path.join(place), own).unwrap_err().to_string();
            assert!(error.contains("mine is a file, not a folder"), "{error}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("nowhere", path.join("link")).unwrap();
            let error = expect_folder("--output", &path.join("link")).unwrap_err().to_string();
            assert!(error.contains("link is a link that leads nowhere, not a folder"), "{error}");
        }
    }

    #[test]
    fn a_users_own_hidden_files_are_no_leftovers() {
        let top = tempfile::tempdir().unwrap();
        for name in [".env.old", ".notes.part"] {
            fs::write(top.path().join(name), "mine").unwrap();
        }
        assert_eq!(contents(top.path()).unwrap(), [".env.old", ".notes.part"]);
    }

    #[test]
    fn a_process_killed_between_two_renames_leaves_the_old_folder() {
        let top = tempfile::tempdir().unwrap();
        let (path, old) = (top.path().join("model"), top.path().join(".model.stepladder-old"));
        fs::create_dir(&old).unwrap();
        fs::write(old.join("mine"), b"x").unwrap();
        assert!(gate(true, &[]).folder("--output", &path, |name| name == "mine").unwrap());
        assert_eq!(names(&path), ["mine"]);
    }

    #[test]
    fn an_output_folder_that_was_not_used_is_gone() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("a");
        let folder = OutputFolder::new(&path).unwrap();
        assert_eq!(OutputFolder::new(&path).unwrap_err().code(), "busy");
        drop(folder);
        assert!(names(top.path()).is_empty());
        let folder = OutputFolder::new(&path).unwrap();
        fs::write(folder.path().join("x"), b"x").unwrap();
        drop(folder);
        assert_eq!(names(&path), ["x"]);
        assert_eq!(OutputFolder::new(path.join("x/below")).unwrap_err().code(), "io");
    }
}
