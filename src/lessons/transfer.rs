//! A library as the files of its folder, to be carried from one place to another.

use super::library::{FOLDERS, HEADS, LESSONS, Library, TOP_FILES};
use crate::{Error, Result};

/// Most folders above a file of a library, and most bytes of a name in its path.
const MAX_DEPTH: usize = 4;
const MAX_NAME: usize = 100;

/// What to do about an archive that cannot be taken.
pub(super) const HINT: &str = "give a library as it was exported, or its folder as a ZIP file";

/// Paths of all files of a library with their sizes, and with a `/` at their end of the folders that it may have empty.
///
/// # Errors
/// [`Error::Io`].
pub fn listing(library: &Library) -> Result<Vec<(String, u64)>> {
    let folders = library.lessons().map(|lesson| (format!("{}/results/", lesson.folder), 0));
    let mut paths = vec![(format!("{LESSONS}/"), 0), (format!("{HEADS}/"), 0)];
    paths.extend(folders);
    paths.extend(library.store().files()?);
    Ok(paths)
}

/// Whether a file of a library's folder is one that counts for nothing: locks and hidden files of systems, and checkpoints of
/// a lesson that was stopped, which is then learnt from its beginning.
fn counts_for_nothing(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_checkpoint = name.starts_with("state.") && name.ends_with(".safetensors");
    path.starts_with("__MACOSX/") || name.starts_with('.') || name == "Thumbs.db" || is_checkpoint
}

/// The path of a file in a library from its path in an archive, in which the library may lie in one folder, `top`; `None` for one
/// that counts for nothing.
///
/// # Errors
/// [`Error::Input`] for a path that leads elsewhere or is none of a library.
pub fn accepted_path(archive: &str, top: &str, path: &str) -> Result<Option<String>> {
    let refuse = |problem: &str| Err(Error::input(archive, path, problem, HINT));
    let Some(inside) = path.strip_prefix(top) else {
        return if counts_for_nothing(path) { Ok(None) } else { refuse("is beside the library's folder") };
    };
    let is_plain = |name: &str| {
        let signs = name.bytes().all(|sign| sign.is_ascii_alphanumeric() || b"._+-".contains(&sign));
        signs && (1..=MAX_NAME).contains(&name.len())
    };
    let parts: Vec<&str> = inside.split('/').collect();
    if inside.split('/').any(|name| name == "..") || inside.starts_with('/') || inside.contains(['\\', ':']) {
        return refuse("leads out of the library");
    }
    if counts_for_nothing(inside) {
        return Ok(None);
    }
    if parts.len() > MAX_DEPTH || !parts.iter().all(|name| is_plain(name)) {
        return refuse("is no name of a library's file");
    }
    match parts.as_slice() {
        [name] if TOP_FILES.contains(name) => Ok(Some(inside.to_owned())),
        [folder, _, ..] if FOLDERS.contains(folder) => Ok(Some(inside.to_owned())),
        _ => refuse("is no file of a library"),
    }
}

/// Fails if a library that was put together from an archive's files is not whole: every file that counts is read.
///
/// # Errors
/// [`Error::Input`] that names the file; [`Error::Io`].
pub fn expect_whole(library: &Library) -> Result<()> {
    library.anchors()?;
    library.asked()?;
    if let Some(word) = library.ledger().warning() {
        return Err(Error::input(library.path(), "ledger.jsonl", word, "export the library again"));
    }
    let heads = library.standing().heads().iter().filter_map(|record| record.head.as_deref());
    let waiting = library.standing().pending().and_then(|lesson| library.standing().candidate(lesson));
    for head in heads.chain(waiting) {
        library.head_files(head)?;
    }
    for lesson in library.lessons() {
        for name in library.examined(lesson)? {
            library.results(lesson, &name)?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn paths_of_a_library_are_taken_and_others_refused() {
        let of = |top: &str, path: &str| accepted_path("notes.zip", top, path);
        for path in [
            "library.json",
            "ledger.jsonl",
            "ledger.cut.jsonl",
            "asked.jsonl",
            "base/anchors.jsonl",
            "lessons/0001-a-b/lesson.json",
            "lessons/0001-a/results/base.json",
            "heads/0123abcd/adapter_model.safetensors",
        ] {
            assert_eq!(of("", path).unwrap().as_deref(), Some(path));
            assert_eq!(
                of("notes.library/", &format!("notes.library/{path}")).unwrap().as_deref(),
                Some(path)
            );
        }
        for path in [
            ".stepladder.lock",
            "lessons/0001-a/state.safetensors",
            "lessons/0001-a/state.previous.safetensors",
            "lessons/.DS_Store",
            "__MACOSX/lessons/._x",
        ] {
            assert_eq!(of("", path).unwrap(), None, "{path}");
        }
        assert_eq!(of("notes/", "__MACOSX/notes/._library.json").unwrap(), None);
        for path in [
            "../library.json",
            "lessons/../../x",
            "/library.json",
            "heads\\..\\x",
            "C:/x",
            "notes.txt",
            "heads",
            "lessons/a/b/c/d",
            "lessons//x",
            "lessons/0001-a/\u{202e}x",
            "",
        ] {
            let error = of("", path).unwrap_err().to_string();
            assert!(error.contains("notes.zip"), "{error}");
        }
        assert!(of("notes/", "other/library.json").is_err());
        let long = format!("heads/{}/x", "a".repeat(101));
        assert!(of("", &long).is_err());
    }
}
