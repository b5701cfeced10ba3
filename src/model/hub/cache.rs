//! The cache that other programs share: `models--OWNER--NAME` with `blobs/TAG`, `snapshots/COMMIT/NAME` that point to
//! them, and `refs/REVISION` that hold a commit.
//!
//! What names a file here may come from a server, so each name is checked before it becomes a path. Files are replaced
//! and never written through a link, which may lead anywhere.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::{REQUIRED, Repo};
use crate::model::source::bytes;
use crate::model::source::durable::sync_folder;
use crate::model::source::folder::{INDEX, SINGLE, shard_files};
use crate::{Error, Result};

/// Begins the name of a model's folder.
pub(super) const PREFIX: &str = "models--";
/// The longest index or reference read.
const MAX_TEXT: u64 = 64 << 20;

/// The cache of one repository.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
}

impl Cache {
    pub(super) fn new(cache: &Path, repo: &Repo) -> Self {
        Self { folder: cache.join(format!("{PREFIX}{}", repo.id.replace('/', "--"))) }
    }

    /// All that is kept of the repository.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder of a commit's files.
    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// The file of a tag that [`blob_name`] gave.
    pub(super) fn blob(&self, tag: &str) -> PathBuf {
        self.folder.join("blobs").join(tag)
    }

    /// The folder of the files that a revision was last seen to have, if all that a model needs is there.
    pub(super) fn complete(&self, revision: &str) -> Option<PathBuf> {
        let commit = if is_commit(revision) {
            revision.to_string()
        } else {
            read_text(&self.reference(revision))?.trim().to_string()
        };
        if !is_commit(&commit) {
            return None;
        }
        let snapshot = self.snapshot(&commit);
        let has = |name: &str| snapshot.join(name).is_file();
        let sharded = || {
            let file = snapshot.join(INDEX);
            let shards = read_text(&file).and_then(|text| shard_files(&file, &text).ok());
            shards.is_some_and(|shards| shards.iter().all(|shard| has(shard)))
        };
        let complete = REQUIRED.iter().all(|name| has(name)) && (has(SINGLE) || sharded());
        complete.then_some(snapshot)
    }

    /// Notes the commit that a revision is.
    pub(super) fn refer(&self, revision: &str, commit: &str) -> Result<()> {
        let path = self.reference(revision);
        let written = |source| Error::write(&path, source);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(written)?;
        }
        let part = path.with_file_name(format!(
            "{}.{}.incomplete",
            path.file_name().unwrap_or_default().to_string_lossy(),
            std::process::id()
        ));
        not_a_link(&part)?;
        let write = || {
            let mut file = File::create(&part)?;
            file.write_all(commit.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&part, &path)?;
            sync_folder(&path)
        };
        write().map_err(written)
    }

    fn reference(&self, revision: &str) -> PathBuf {
        self.folder.join("refs").join(revision)
    }
}

/// Whether this is a commit's name.
pub(super) fn is_commit(name: &str) -> bool {
    name.len() == 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The name of a file's blob by the ETag that a hub gives it; `None` for a tag that no file can have as its name.
pub fn blob_name(etag: &str) -> Option<&str> {
    let tag = etag.trim().trim_start_matches("W/").trim_matches('"');
    let plain = tag.len() <= 128 && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    (plain && is_safe(tag)).then_some(tag)
}

/// Whether a name from a server can be a file's name on every system: no path, no control, nothing that Windows takes
/// for a device or a stream.
fn is_safe(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or("").to_ascii_uppercase();
    let device = ["CON", "PRN", "AUX", "NUL"].contains(&stem.as_str())
        || (stem.len() == 4
            && (stem.starts_with("COM") || stem.starts_with("LPT"))
            && stem.as_bytes()[3].is_ascii_digit());
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-+ ".contains(c);
    let ends = name.starts_with(['.', ' ']) || name.ends_with(['.', ' ']);
    (1..=200).contains(&name.len()) && name.chars().all(plain) && !ends && !device
}

/// Whether a path from a server names a file in a snapshot: a safe name, or one in a folder with a safe name.
pub(super) fn is_safe_path(path: &str) -> bool {
    path.split('/').count() <= 2 && path.split('/').all(is_safe)
}

/// Removes a link at a path that is about to be written.
pub(super) fn not_a_link(path: &Path) -> Result<()> {
    if path.is_symlink() {
        std::fs::remove_file(path).map_err(|source| Error::write(path, source))?;
    }
    Ok(())
}

/// Makes the file `name` of a snapshot stand for `blob`: a relative symbolic link where the system has them, else a copy.
pub(super) fn place(blob: &Path, snapshot: &Path, name: &str) -> Result<()> {
    let link = &snapshot.join(name);
    let written = |source| Error::write(link, source);
    if let Some(parent) = link.parent() {
        std::fs::create_dir_all(parent).map_err(written)?;
    }
    not_a_link(link)?;
    #[cfg(unix)]
    {
        // snapshots/COMMIT/NAME is two folders below blobs' parent.
        let up = "../".repeat(2 + name.matches('/').count());
        let target = Path::new(&up).join("blobs").join(blob.file_name().unwrap_or_default());
        match std::os::unix::fs::symlink(target, link) {
            Ok(()) => return Ok(()),
            // Another process was faster.
            Err(_) if link.is_file() => return Ok(()),
            // The file system has no links: a copy.
            Err(_) => {}
        }
    }
    let part = link.with_extension("incomplete");
    not_a_link(&part)?;
    let copy = || {
        std::fs::copy(blob, &part)?;
        File::options().write(true).open(&part)?.sync_all()?;
        std::fs::rename(&part, link)?;
        sync_folder(link)
    };
    copy().map_err(written)
}

/// A small file of the cache, if it is there.
pub(super) fn read_text(path: &Path) -> Option<String> {
    bytes::read_text(path, MAX_TEXT).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_not_safe() {
        for good in ["model-00001-of-00002.safetensors", "a1b2", "x", "tag-1", "console.safetensors"] {
            assert!(is_safe(good), "{good}");
        }
        let long = "a".repeat(201);
        let bad = [
            "",
            ".",
            "..",
            ".x",
            "a/b",
            "/a",
            "..\\a",
            "C:a",
            "a:b",
            "a\0b",
            "a\nb",
            "CON",
            "nul.safetensors",
            "com1.json",
            "lpt9",
            "a.",
            "a ",
            "ä",
            &long,
        ];
        for bad in bad {
            assert!(!is_safe(bad), "{bad:?}");
        }
        assert!(is_safe_path("a/b.jinja") && is_safe_path("b"));
        for bad in ["../b", "a/..", "/b", "a/", "a//b", "a/b/c", "a/nul"] {
            assert!(!is_safe_path(bad), "{bad}");
        }
    }

    #[test]
    fn a_reference_replaces_a_link_and_holds_only_commits() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path(), &Repo::parse("o/m").unwrap());
        cache.refer("main", "../../..").unwrap();
        assert_eq!(cache.complete("main"), None);
        #[cfg(unix)]
        {
            let outside = folder.path().join("outside");
            std::fs::write(&outside, "mine").unwrap();
            let reference = folder.path().join("models--o--m/refs/linked");
            std::os::unix::fs::symlink(&outside, &reference).unwrap();
            cache.refer("linked", &"a".repeat(40)).unwrap();
            assert_eq!(std::fs::read_to_string(&outside).unwrap(), "mine");
            assert_eq!(std::fs::read_to_string(&reference).unwrap(), "a".repeat(40));
        }
    }
}
