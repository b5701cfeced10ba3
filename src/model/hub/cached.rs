//! What the cache holds, and its removal.

use std::fs;
use std::path::{Path, PathBuf};

use super::cache::{Cache, PREFIX, not_a_link, read_text};
use super::{Hub, Repo};
use crate::{Error, Result};

/// Deepest folder that is looked into: `snapshots/COMMIT/FOLDER`.
const MAX_DEPTH: usize = 4;

/// A model of the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedModel {
    /// `OWNER/NAME`
    pub id: String,
    /// Bytes on the disk, those of broken-off downloads too.
    pub bytes: u64,
    /// Revisions of which all is there that a model needs, in order.
    pub revisions: Vec<String>,
}

impl Hub {
    /// The folder that models are kept in.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// The models of the cache, by their names; other programs may have put them there.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn models(&self) -> Result<Vec<CachedModel>> {
        let mut models = Vec::new();
        for (name, folder) in entries(&self.cache)? {
            let Some(id) = name.strip_prefix(PREFIX).and_then(|name| name.split_once("--")) else { continue };
            let Ok(repo) = Repo::parse(&format!("{}/{}", id.0, id.1)) else { continue };
            if folder.is_dir() {
                let cache = Cache::new(&self.cache, &repo);
                let mut revisions = references(&folder.join("refs"))?;
                revisions.retain(|revision| cache.complete(revision).is_some());
                models.push(CachedModel { id: repo.id, bytes: size(&folder, MAX_DEPTH)?, revisions });
            }
        }
        Ok(models)
    }

    /// Removes all that the cache has of a model, also what other programs put there; the bytes that this gives back. A link in
    /// the place of its folder goes alone, not what it leads to.
    ///
    /// # Errors
    /// [`Error::Usage`] if there is none; [`Error::Io`].
    pub fn remove(&self, repo: &Repo) -> Result<u64> {
        let models = self.models()?;
        let Some(model) = models.iter().find(|model| model.id == repo.id) else {
            let names: Vec<&str> = models.iter().map(|model| model.id.as_str()).collect();
            let names = if names.is_empty() { "nothing".into() } else { names.join(", ") };
            let problem = format!("{} is not in {}", repo.id, self.cache.display());
            return Err(Error::usage("model", problem, format!("that holds {names}")));
        };
        let folder = Cache::new(&self.cache, repo).folder().to_owned();
        let bytes = if folder.is_symlink() { 0 } else { model.bytes };
        not_a_link(&folder)?;
        match fs::remove_dir_all(&folder) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(Error::Io {
                path: folder,
                action: "remove",
                source,
                hint: "check that you may write there",
            }),
            _ => Ok(bytes),
        }
    }
}

/// Names and paths in a folder, sorted; none where there is no folder.
fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let failed = |source| Error::read(folder, source);
    let read = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.map_err(failed)?,
    };
    let mut entries = Vec::new();
    for entry in read {
        let entry = entry.map_err(failed)?;
        entries.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
    }
    entries.sort();
    Ok(entries)
}

/// The revisions that `refs` has a commit of; a branch may have `/` in its name.
fn references(folder: &Path) -> Result<Vec<String>> {
    let (mut open, mut found) = (vec![(String::new(), folder.to_owned())], Vec::new());
    while let Some((before, folder)) = open.pop() {
        for (name, path) in entries(&folder)? {
            let name = format!("{before}{name}");
            if path.is_dir() && name.split('/').count() < MAX_DEPTH {
                open.push((format!("{name}/"), path));
            } else if read_text(&path).is_some() {
                found.push(name);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Bytes of the files below a folder; links count for nothing.
fn size(folder: &Path, depth: usize) -> Result<u64> {
    let mut bytes = 0;
    for (_, path) in entries(folder)? {
        match fs::symlink_metadata(&path) {
            Ok(there) if there.is_dir() && depth > 0 => bytes += size(&path, depth - 1)?,
            Ok(there) if there.is_file() => bytes += there.len(),
            // A link, or gone since it was listed.
            _ => {}
        }
    }
    Ok(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    /// A cache with `owner/name` at `commit`, whole if `files` are what a model needs.
    fn cache(files: &[&str]) -> (tempfile::TempDir, Hub) {
        let folder = tempfile::tempdir().unwrap();
        let commit = "a".repeat(40);
        let model = folder.path().join("models--owner--my--name");
        let snapshot = model.join("snapshots").join(&commit);
        fs::create_dir_all(&snapshot).unwrap();
        fs::create_dir_all(model.join("refs/pr")).unwrap();
        fs::create_dir_all(model.join("blobs")).unwrap();
        fs::write(model.join("refs/main"), &commit).unwrap();
        fs::write(model.join("refs/pr/1"), &commit).unwrap();
        fs::write(model.join("refs/old"), "b".repeat(40)).unwrap();
        fs::write(model.join("blobs/x.incomplete"), [0; 1000]).unwrap();
        files.iter().for_each(|name| fs::write(snapshot.join(name), [0; 10]).unwrap());
        fs::create_dir_all(folder.path().join("datasets--owner--other")).unwrap();
        fs::create_dir_all(folder.path().join("models--strange")).unwrap();
        fs::write(folder.path().join("version.txt"), "1").unwrap();
        let hub = Hub::new("http://localhost", folder.path(), None);
        (folder, hub)
    }

    #[test]
    fn models_are_listed_with_what_they_take_and_what_is_whole() {
        let (_folder, hub) = cache(&["config.json", "tokenizer.json", "model.safetensors"]);
        let [model] = <[CachedModel; 1]>::try_from(hub.models().unwrap()).unwrap();
        assert_eq!((model.id.as_str(), model.bytes), ("owner/my--name", 1150));
        assert_eq!(model.revisions, ["main", "pr/1"]);
        let (_folder, hub) = cache(&["config.json"]);
        assert!(hub.models().unwrap()[0].revisions.is_empty());
        let none = Hub::new("http://localhost", "/nonexistent", None);
        assert!(none.models().unwrap().is_empty());
    }

    #[test]
    fn a_model_is_removed_and_nothing_else() {
        let (folder, hub) = cache(&["config.json"]);
        let other = hub.remove(&Repo::parse("owner/other").unwrap()).unwrap_err().to_string();
        assert!(other.contains("owner/my--name"), "{other}");
        assert_eq!(hub.remove(&Repo::parse("owner/my--name").unwrap()).unwrap(), 1130);
        let mut left: Vec<_> = entries(folder.path()).unwrap().into_iter().map(|(name, _)| name).collect();
        left.sort();
        assert_eq!(left, ["datasets--owner--other", "models--strange", "version.txt"]);
    }

    /// What a link leads to is somebody's.
    #[cfg(unix)]
    #[test]
    fn a_link_is_removed_alone() {
        let (folder, hub) = cache(&["config.json"]);
        let (link, elsewhere) = (folder.path().join("models--owner--my--name"), tempfile::tempdir().unwrap());
        let there = elsewhere.path().join("kept");
        fs::rename(&link, &there).unwrap();
        std::os::unix::fs::symlink(&there, &link).unwrap();
        assert_eq!(hub.remove(&Repo::parse("owner/my--name").unwrap()).unwrap(), 0);
        assert!(there.join("refs/main").exists() && !link.is_symlink());
    }
}
