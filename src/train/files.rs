//! Files that are either the old or the new version, never half of one. Native only.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::adapter::dims;
use super::checkpoint::{STATE_FILE, State};
use super::lock;
use super::peft::{AdapterFile, CONFIG_FILE, Copy, Dims, WEIGHTS_FILE};
use super::tensor_file::Tensor;
use crate::model::config::ModelConfig;
use crate::model::family::tensors::{EMBEDDING, HEAD};
use crate::model::source::TensorSource;
use crate::model::source::bytes::read_bytes;
use crate::model::source::durable::sync_folder;
use crate::model::source::head::equals;
use crate::{Error, Result};

/// The longest settings and weights of an adapter that are read: far more than PEFT writes.
const MAX_CONFIG: u64 = 64 << 20;
const MAX_WEIGHTS: u64 = 64 << 30;

/// Replaces the file at `path` by `bytes`: a killed process or a full disk leaves the old file whole.
///
/// Errors: [`Error::Io`] if the folder cannot be written or the disk is full.
pub fn write_atomic(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    replace(path.as_ref(), |file| file.write_all(bytes))
}

/// Replaces the file at `path` by what `write` puts into it, as [`write_atomic`] does.
///
/// Errors: those of `write`; [`Error::Io`].
pub fn write_atomic_by(path: &Path, write: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
    let mut failure = None;
    let staged = Part::stage(path, |file| {
        write(file).map_err(|error| {
            failure = Some(error);
            io::ErrorKind::Other.into()
        })
    });
    failure.map_or(Ok(()), Err)?;
    staged?.commit()
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

/// Reads the PEFT adapter in `folder` for a model with the modules `dims`.
///
/// Errors: [`Error::Io`], and those of [`AdapterFile::from_bytes`].
pub fn read_adapter(folder: impl AsRef<Path>, dims: &Dims<'_>) -> Result<AdapterFile> {
    let folder = folder.as_ref();
    let (config, weights) = adapter_bytes(folder)?;
    AdapterFile::from_bytes(&config, &weights, folder, dims)
}

/// Reads the PEFT adapter in `folder` for the model of `config` and `source`, with which weights saved along are compared.
///
/// Errors: [`Error::Io`], and those of [`AdapterFile::from_bytes_over`].
pub fn read_adapter_for(
    folder: impl AsRef<Path>,
    config: &ModelConfig,
    source: &mut dyn TensorSource,
) -> Result<AdapterFile> {
    let folder = folder.as_ref();
    let (settings, weights) = adapter_bytes(folder)?;
    let tied = config.tie_word_embeddings;
    let mut compare = |name: &str, tensor: &Tensor| compare_with_base(name, tensor, source, tied);
    AdapterFile::from_bytes_over(&settings, &weights, folder, &dims(config), &mut compare)
}

fn compare_with_base(name: &str, tensor: &Tensor, source: &mut dyn TensorSource, tied: bool) -> Result<Copy> {
    let embedding = tied && HEAD.is(name);
    let mut names = source.tensors().iter().map(|info| info.name.as_str());
    let Some(index) = names.position(|held| if embedding { EMBEDDING.is(held) } else { held == name }) else {
        return Ok(Copy::Unknown);
    };
    let equal = source.tensors()[index].shape == tensor.shape && equals(source, index, &tensor.data)?;
    Ok(if equal { Copy::Equal } else { Copy::Different })
}

/// Settings and weights of an adapter's folder.
fn adapter_bytes(folder: &Path) -> Result<(Vec<u8>, Vec<u8>)> {
    let (config, weights) = (folder.join(CONFIG_FILE), folder.join(WEIGHTS_FILE));
    let refuse = |problem: &str, hint: String| Err(Error::input(folder, CONFIG_FILE, problem, hint));
    match folder.parent() {
        Some(parent) if folder.is_file() => {
            return refuse("this is a file of an adapter", format!("give its folder, {}", parent.display()));
        }
        _ if folder.join("adapter").join(CONFIG_FILE).exists() && !config.exists() => {
            let below = folder.join("adapter");
            return refuse("this is the folder of a run", format!("give its adapter, {}", below.display()));
        }
        _ => {}
    }
    let old = folder.join("adapter_model.bin");
    if !weights.exists() && old.exists() {
        return Err(Error::input(
            &old,
            "format",
            "is a pickle of PyTorch, which is not read: it may hold any program",
            "load the adapter with a current PEFT and save it again with save_pretrained, which writes adapter_model.safetensors",
        ));
    }
    Ok((read_bytes(&config, MAX_CONFIG)?, read_bytes(&weights, MAX_WEIGHTS)?))
}

/// Writes `adapter` in PEFT's layout into `folder`, which is created if needed; see [`write_together`].
///
/// Errors: [`Error::Io`], and those of [`AdapterFile::to_bytes`].
pub fn write_adapter(folder: impl AsRef<Path>, adapter: &AdapterFile) -> Result<()> {
    let (config, weights) = adapter.to_bytes()?;
    create_folder(&folder)?;
    write_together(folder.as_ref(), &[(CONFIG_FILE, &config), (WEIGHTS_FILE, &weights)])
}

/// Replaces files that belong together. Whenever the process is killed, the folder holds either all old ones, all new ones,
/// or not the first, without which a reader refuses the rest: never some of each.
///
/// # Errors
/// [`Error::Io`], [`Error::Busy`].
pub fn write_together(folder: &Path, files: &[(&str, &[u8])]) -> Result<()> {
    let is_new = |name: &str, bytes: &[u8]| !fs::read(folder.join(name)).is_ok_and(|old| old == bytes);
    let mut parts = Vec::new();
    for (name, bytes) in files.iter().filter(|(name, bytes)| is_new(name, bytes)) {
        parts.push(Part::stage(&folder.join(name), |file| file.write_all(bytes))?);
    }
    if let [first, _, ..] = parts.as_slice() {
        match fs::remove_file(&first.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::write(&first.path, error));
            }
            _ => {}
        }
        parts.rotate_left(1);
    }
    parts.into_iter().try_for_each(Part::commit)
}

/// The checkpoint before the last.
pub const PREVIOUS_STATE_FILE: &str = "state.previous.safetensors";
/// A checkpoint that was damaged, set aside.
const DAMAGED_STATE_FILE: &str = "state.damaged.safetensors";

/// Reads a run's checkpoint. Errors: [`Error::Io`], and those of [`State::from_bytes`].
pub fn read_state(path: impl AsRef<Path>) -> Result<State> {
    State::from_bytes(&read(&path)?, path.as_ref())
}

/// Writes a run's checkpoint into `folder`. The one before it stays beside it under another name; on an error both stay.
///
/// # Errors
/// [`Error::Io`], [`Error::Busy`], and those of [`State::to_bytes`].
pub fn write_state(folder: &Path, state: &State) -> Result<()> {
    let path = folder.join(STATE_FILE);
    let bytes = state.to_bytes()?;
    let part = Part::stage(&path, |file| file.write_all(&bytes))?;
    match fs::rename(&path, folder.join(PREVIOUS_STATE_FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::write(&path, error)),
        _ => part.commit(),
    }
}

/// Where the checkpoints of a run are while another one that is to take its place is not finished: the names of both.
const REPLACED: [(&str, &str); 2] = [
    (STATE_FILE, "state.replaced.safetensors"),
    (PREVIOUS_STATE_FILE, "state.replaced.previous.safetensors"),
];

/// Writes the first checkpoint of a run into `folder`. Those of another run that is there are kept under other names until
/// [`remove_states`]; whether there were any.
///
/// # Errors
/// As [`write_state`].
pub fn write_first_state(folder: &Path, state: &State) -> Result<bool> {
    let path = folder.join(STATE_FILE);
    let bytes = state.to_bytes()?;
    let part = Part::stage(&path, |file| file.write_all(&bytes))?;
    let mut replaced = false;
    for (name, aside) in REPLACED {
        match fs::rename(folder.join(name), folder.join(aside)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::write(&path, error)),
            moved => replaced |= moved.is_ok(),
        }
    }
    part.commit().map(|()| replaced)
}

/// Removes a run's checkpoints, and those of the run that it replaced. Errors: [`Error::Io`].
pub fn remove_states(folder: &Path) -> Result<()> {
    let names = REPLACED.into_iter().rev().flat_map(|(name, aside)| [aside, name]);
    names.into_iter().try_for_each(|name| remove(&folder.join(name)))
}

/// Removes the file at `path` if there is one. Errors: [`Error::Io`].
pub fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::write(path, error)),
        _ => Ok(()),
    }
}

/// The newest checkpoint in `folder` that is whole, as `parse` takes it, with a word where it is not the last one. `None`
/// where there is none at all.
///
/// # Errors
/// [`Error::Io`]; the first of `parse`'s and [`read_state`]'s errors if none of the files is whole.
pub fn last_state<T>(
    folder: &Path,
    parse: impl Fn(State, &Path) -> Result<T>,
) -> Result<Option<(T, Option<String>)>> {
    let mut first = None;
    for name in [STATE_FILE, PREVIOUS_STATE_FILE] {
        let path = folder.join(name);
        if !path.exists() {
            continue;
        }
        match read_state(&path).and_then(|state| parse(state, &path)) {
            Ok(found) if name == STATE_FILE => return Ok(Some((found, None))),
            Ok(found) => {
                let last = folder.join(STATE_FILE);
                let why = match first {
                    Some(error) => {
                        // Out of the way of the next checkpoint, which would take the place of the whole one.
                        let aside = folder.join(DAMAGED_STATE_FILE);
                        fs::rename(&last, &aside).map_err(|source| Error::write(&aside, source))?;
                        format!("the last checkpoint is damaged and now {}: {error}", aside.display())
                    }
                    None => format!("{} is missing", last.display()),
                };
                return Ok(Some((found, Some(format!("{why}; going on from the checkpoint before it")))));
            }
            Err(error @ Error::Input { .. }) => first = first.or(Some(error)),
            Err(error) => return Err(error),
        }
    }
    first.map_or(Ok(None), Err)
}

/// Writes a hidden sibling, brings it to the disk, then renames it over `path`.
fn replace(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
    Part::stage(path, write)?.commit()
}

/// New contents of a file, on the disk under the name of a hidden sibling; gone again unless they are committed.
///
/// The sibling's name is fixed, so that a killed process leaves at most one behind and the next write reuses it; its lock
/// keeps two processes from writing to it at once.
struct Part {
    path: PathBuf,
    temporary: PathBuf,
    _lock: File,
}

impl Part {
    fn stage(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<Self> {
        let failed = |source| Error::write(path, source);
        // A link stays one: what it leads to is replaced.
        let place = match fs::symlink_metadata(path) {
            Ok(there) if there.is_symlink() => fs::canonicalize(path).map_err(failed)?,
            _ => path.to_owned(),
        };
        let temporary = sibling(&place, PART).map_err(failed)?;
        clear_way(&temporary).map_err(failed)?;
        let file = lock::claim(&temporary).map_err(failed)?;
        let mut file = file.ok_or_else(|| Error::Busy { path: path.to_owned() })?;
        let mut written = file.set_len(0).and_then(|()| write(&mut file)).and_then(|()| file.sync_all());
        if let (Ok(()), Ok(there)) = (&written, fs::metadata(&place)) {
            written = file.set_permissions(there.permissions());
        }
        // From here on a failure removes the sibling.
        let part = Self { path: place, temporary, _lock: file };
        written.map_err(failed).map(|()| part)
    }

    fn commit(self) -> Result<()> {
        fs::rename(&self.temporary, &self.path)
            .and_then(|()| sync_folder(&self.path))
            .map_err(|source| Error::write(&self.path, source))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Best effort, and nothing after a commit: the error that matters is another one.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// Ends of the names of hidden siblings: of what is written, and of what it replaces.
pub(super) const PART: &str = ".stepladder-part";

/// `.NAME` and `end` beside `path`.
pub(super) fn sibling(path: &Path, end: &str) -> io::Result<PathBuf> {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?);
    name.push(end);
    Ok(path.with_file_name(name))
}

/// Removes what is no plain file at `temporary`: a folder that a killed process left, or a link to somebody's file.
fn clear_way(temporary: &Path) -> io::Result<()> {
    match fs::symlink_metadata(temporary) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(temporary),
        Ok(metadata) if !metadata.is_file() => fs::remove_file(temporary),
        _ => Ok(()),
    }
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
        fs::write(folder.path().join(".state.stepladder-part"), b"half of a longer file").unwrap();
        write_atomic(&path, b"new").unwrap();
        assert_eq!(read(&path).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["state"]);
    }

    #[test]
    fn no_leftover_is_an_obstacle_and_no_link_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, part, other) = (
            folder.path().join("state"),
            folder.path().join(".state.stepladder-part"),
            folder.path().join("other"),
        );
        fs::create_dir(&part).unwrap();
        fs::write(part.join("x"), b"x").unwrap();
        write_atomic(&path, b"one").unwrap();
        fs::write(&other, b"mine").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(&other, &part).unwrap();
        write_atomic(&path, b"two").unwrap();
        assert_eq!((read(&path).unwrap(), read(&other).unwrap()), (b"two".to_vec(), b"mine".to_vec()));
        // While another process writes to it.
        let held = lock::claim(&part).unwrap().unwrap();
        assert_eq!(write_atomic(&path, b"three").unwrap_err().code(), "busy");
        drop(held);
        write_atomic(&path, b"three").unwrap();
        assert_eq!(read(&path).unwrap(), b"three");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_and_who_may_read_stay() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::write(&real, "old").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink("real", &link).unwrap();
        write_atomic(&link, b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(read(&real).unwrap(), b"new");
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn files_that_belong_together_are_never_mixed() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |a: &str, b: &str| write_together(folder.path(), &[("a", a.as_bytes()), ("b", b.as_bytes())]);
        write("1", "1").unwrap();
        // The second cannot be replaced: the first, which says what it is, is not there either.
        fs::remove_file(folder.path().join("b")).unwrap();
        fs::create_dir(folder.path().join("b")).unwrap();
        assert_eq!(write("2", "2").unwrap_err().code(), "io");
        assert_eq!(names(folder.path()), ["b"]);
        fs::remove_dir(folder.path().join("b")).unwrap();
        write("3", "3").unwrap();
        write("3", "4").unwrap();
        assert_eq!(
            (read(folder.path().join("a")).unwrap(), read(folder.path().join("b")).unwrap()),
            (b"3".to_vec(), b"4".to_vec())
        );
    }

    #[test]
    fn the_checkpoint_before_is_kept_and_used() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let state = |step: u64| {
            let mut state = State::default();
            state.put("step", &step).unwrap();
            state
        };
        let step = |state: State, file: &Path| state.get::<u64>("step", file);
        assert!(last_state(at, step).unwrap().is_none());
        write_state(at, &state(1)).unwrap();
        write_state(at, &state(2)).unwrap();
        assert_eq!(last_state(at, step).unwrap().unwrap(), (2, None));
        // Damaged in one bit: it is set aside, and the next checkpoint does not replace the whole one.
        let mut bytes = read(at.join(STATE_FILE)).unwrap();
        let place = bytes.windows(4).position(|part| part == b"step").unwrap();
        bytes[place] ^= 1;
        fs::write(at.join(STATE_FILE), &bytes).unwrap();
        let (found, word) = last_state(at, step).unwrap().unwrap();
        assert!(found == 1 && word.unwrap().contains("damaged"));
        assert_eq!(read(at.join(DAMAGED_STATE_FILE)).unwrap(), bytes);
        let (found, word) = last_state(at, step).unwrap().unwrap();
        assert!(found == 1 && word.unwrap().contains("is missing"));
        write_state(at, &state(3)).unwrap();
        fs::write(at.join(STATE_FILE), b"").unwrap();
        assert_eq!(last_state(at, step).unwrap().unwrap().0, 1);
        fs::write(at.join(PREVIOUS_STATE_FILE), b"").unwrap();
        assert_eq!(last_state(at, step).unwrap_err().code(), "input");
        remove_states(at).unwrap();
        assert!(last_state(at, step).unwrap().is_none());
        // Another run begins there: what is replaced stays until it is finished.
        fs::remove_file(at.join(DAMAGED_STATE_FILE)).unwrap();
        assert!(!write_first_state(at, &state(7)).unwrap());
        write_state(at, &state(8)).unwrap();
        assert!(write_first_state(at, &state(1)).unwrap());
        write_state(at, &state(2)).unwrap();
        let step_in = |name: &str| step(read_state(at.join(name)).unwrap(), at).unwrap();
        let found = REPLACED.map(|(name, aside)| (step_in(name), step_in(aside)));
        assert_eq!(found, [(2, 8), (1, 7)]);
        remove_states(at).unwrap();
        assert!(names(at).is_empty());
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
