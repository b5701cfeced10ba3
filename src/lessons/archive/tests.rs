#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::Cursor;

use super::super::card::examples::{card, lesson};
use super::super::ledger::Entry;
use super::*;

/// A library with a lesson that was rejected, in `folder`.
fn library(folder: &Path) -> Library {
    let mut library = Library::create(folder, &card(), &[]).unwrap();
    library.propose(lesson("Harbour"), Vec::new(), b"{\"question\": \"5?\"}\n").unwrap();
    library.note(Entry::Rejected { lesson: 1, reason: "no".into() }).unwrap();
    library
}

/// The library's archive.
fn packed(library: &Library) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    write(library, &mut bytes, Path::new("notes.zip")).unwrap();
    bytes.into_inner()
}

/// All files below `folder` but locks, with their contents.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let store = super::super::folder::Folder::to_read(folder);
    let paths = store.files().unwrap();
    paths.into_iter().map(|(path, _)| (path.clone(), fs::read(folder.join(path)).unwrap())).collect()
}

/// An archive of these files; `method` compresses them.
fn zip(files: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        archive.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// What taking `bytes` comes to; where it fails nothing is made.
fn taken(bytes: &[u8]) -> std::result::Result<BTreeMap<String, Vec<u8>>, String> {
    let folder = tempfile::tempdir().unwrap();
    let (file, output) = (folder.path().join("notes.zip"), folder.path().join("notes.library"));
    fs::write(&file, bytes).unwrap();
    let made = Archive::open(&file).and_then(|archive| unpack(archive, &output));
    assert_eq!(made.is_ok(), output.exists());
    made.map(|_| files(&output)).map_err(|error| error.to_string())
}

#[test]
fn a_library_comes_out_as_it_went_in() {
    let folder = tempfile::tempdir().unwrap();
    let top = folder.path().join("notes.library");
    let library = library(&top);
    fs::write(top.join("lessons/0001-harbour/state.safetensors"), b"a checkpoint").unwrap();
    fs::write(top.join("of mine.txt"), b"beside it").unwrap();
    let bytes = packed(&library);
    assert_eq!(packed(&library), bytes, "the same library, the same archive");
    let there = taken(&bytes).unwrap();
    assert_eq!(there, files(&top));
    assert!(there.contains_key("lessons/0001-harbour/source.jsonl"));
    assert!(!there.keys().any(|path| path.contains("state") || path.contains("mine")));
}

/// As a person's own program makes it: the folder itself, compressed, with what systems add.
#[test]
fn the_folder_as_an_archive_is_taken_too() {
    let folder = tempfile::tempdir().unwrap();
    let top = folder.path().join("notes.library");
    drop(library(&top));
    let mut all = files(&top);
    all.insert("lessons/.DS_Store".into(), b"x".to_vec());
    let named: Vec<(String, Vec<u8>)> =
        all.into_iter().map(|(path, bytes)| (format!("my notes/{path}"), bytes)).collect();
    let mut listed: Vec<(&str, &[u8])> =
        named.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
    listed.push(("__MACOSX/my notes/._library.json", b"x"));
    assert_eq!(taken(&zip(&listed, CompressionMethod::Deflated)).unwrap(), files(&top));
}

#[test]
fn what_is_no_whole_library_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let top = folder.path().join("notes.library");
    let bytes = packed(&library(&top));
    let all = files(&top);
    let with = |name: &str, content: &[u8]| {
        let mut all = all.clone();
        all.insert(name.into(), content.to_vec());
        let all: Vec<(&str, &[u8])> =
            all.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
        zip(&all, CompressionMethod::Stored)
    };
    let without = |name: &str| {
        let kept = all.iter().filter(|(path, _)| *path != name);
        let kept: Vec<(&str, &[u8])> = kept.map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
        zip(&kept, CompressionMethod::Stored)
    };
    for (archive, words) in [
        (b"no archive".to_vec(), "no ZIP archive"),
        (Vec::new(), "no ZIP archive"),
        (bytes[..bytes.len() / 2].to_vec(), "is cut"),
        (without("library.json"), "library.json is missing"),
        (without("lessons/0001-harbour/lesson.json"), "lesson.json"),
        (without("base/anchors.jsonl"), "anchors.jsonl"),
        (with("a/library.json", b"{}"), "more than one library"),
        (with("../x", b"x"), "leads out of the library"),
        (with("/etc/x", b"x"), "leads out of the library"),
        (with("heads\\..\\x", b"x"), "leads out of the library"),
        (with("notes.txt", b"x"), "is no file of a library"),
        (with("library.json", b"{"), "cannot be read"),
        (with("ledger.jsonl", b"{\"event\": \"unknown\"}\n"), "ledger.jsonl"),
    ] {
        let error = taken(&archive).unwrap_err();
        assert!(error.contains(words), "{error}, not {words}");
    }
}

/// A flipped bit is found wherever it makes a difference: what counts is as it was, or nothing is made.
#[test]
fn a_damaged_archive_is_refused_or_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let top = folder.path().join("notes.library");
    let (bytes, whole) = (packed(&library(&top)), files(&top));
    let (mut refused, mut tried) = (0, 0);
    for place in (0..bytes.len()).step_by(13) {
        tried += 1;
        let mut damaged = bytes.clone();
        damaged[place] ^= 0x41;
        match taken(&damaged) {
            // An empty folder may have another name, a lesson's source too, which is kept for people alone.
            Ok(there) => assert!(
                whole
                    .iter()
                    .all(|(path, bytes)| path.ends_with("source.jsonl") || there.get(path) == Some(bytes)),
                "byte {place}"
            ),
            Err(_) => refused += 1,
        }
    }
    assert!(2 * refused > tried, "{refused} of {tried}");
}
