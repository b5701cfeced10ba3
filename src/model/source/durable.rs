//! Renames that outlive a power cut. Native only.

use std::fs::File;
use std::io;
use std::path::Path;

/// Brings the name `path` to the disk, after what it names; only Unix lets a program open and sync a folder.
#[cfg(unix)]
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

#[cfg(not(unix))]
pub(crate) fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}
