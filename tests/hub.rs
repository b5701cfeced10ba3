//! Downloads against a server on this machine that speaks the hub's paths.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "hub/bodies.rs"]
mod bodies;
#[path = "hub/hostile.rs"]
mod hostile;
#[path = "hub/redirects.rs"]
mod redirects;
#[path = "hub/server.rs"]
mod server;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};
use stepladder::Error;
use stepladder::model::hub::{Hub, Repo};

const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

/// What the server does and what it has seen.
#[derive(Default)]
struct State {
    files: HashMap<String, Vec<u8>>,
    /// Bytes of a large file sent per answer before the connection breaks; `None` is all.
    break_after: Option<usize>,
    /// Answers to ranges with the whole file.
    ignores_ranges: bool,
    /// Announces another checksum.
    wrong_checksum: bool,
    /// Status for everything.
    status: Option<u16>,
    /// `METHOD PATH [RANGE]` of each request, and whether it had the token.
    seen: Vec<(String, bool)>,
}

/// A server with a model of small text files and one large file behind a redirect.
fn server(change: impl FnOnce(&mut State)) -> (String, Arc<Mutex<State>>) {
    let mut state = State::default();
    for (name, bytes) in [
        ("config.json", b"{}".to_vec()),
        ("tokenizer.json", b"{\"a\": 1}".to_vec()),
        ("README.md", b"not needed".to_vec()),
        ("model.safetensors", (0..300_000u32).flat_map(u32::to_le_bytes).collect()),
    ] {
        state.files.insert(name.into(), bytes);
    }
    change(&mut state);
    let state = Arc::new(Mutex::new(state));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let shared = Arc::clone(&state);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || answer(stream.unwrap(), &shared));
        }
    });
    (endpoint, state)
}

/// Answers one request and closes the connection.
fn answer(mut stream: TcpStream, state: &Mutex<State>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let Some(Ok(first)) = lines.next() else { return };
    let headers: Vec<String> = lines
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .map(|line| line.to_lowercase())
        .collect();
    let header = |name: &str| headers.iter().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let (method, path) = (first.split(' ').next().unwrap(), first.split(' ').nth(1).unwrap());
    let range: Option<usize> = header("range:")
        .map(|range| range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap());
    let mut state = state.lock().unwrap();
    let token = header("authorization:") == Some("bearer secret");
    state.seen.push((format!("{method} {path} {range:?}"), token));
    let (mut status, mut extra, mut body) = (200, String::new(), Vec::new());
    let mut limit = None;
    if let Some(all) = state.status {
        status = all;
    } else if path == "/api/models/o/m/revision/main" {
        let siblings: Vec<_> =
            state.files.keys().map(|name| serde_json::json!({"rfilename": name})).collect();
        body = serde_json::json!({"sha": SHA, "siblings": siblings}).to_string().into_bytes();
    } else if let Some(name) = path.strip_prefix(&format!("/o/m/resolve/{SHA}/")) {
        let file = state.files[name].clone();
        if name.ends_with(".safetensors") {
            let mut digest =
                Sha256::digest(&file).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            if state.wrong_checksum {
                digest.replace_range(..2, "zz");
            }
            status = 302;
            extra = format!(
                "X-Linked-Etag: \"{digest}\"\r\nX-Linked-Size: {}\r\nLocation: /cdn/{name}\r\n",
                file.len()
            );
        } else {
            extra = format!("ETag: \"tag-{}\"\r\n", name.len());
            body = file;
        }
    } else if let Some(name) = path.strip_prefix("/cdn/") {
        body = state.files[name].clone();
        limit = state.break_after;
        if let Some(start) = range.filter(|_| !state.ignores_ranges) {
            status = 206;
            extra = format!("Content-Range: bytes {start}-{}/{}\r\n", body.len() - 1, body.len());
            body.drain(..start);
        }
    } else {
        status = 404;
    }
    drop(state);
    let head =
        format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n{extra}\r\n", body.len());
    stream.write_all(head.as_bytes()).unwrap();
    if method != "HEAD" {
        body.truncate(limit.unwrap_or(usize::MAX));
        // The client may have gone away.
        drop(stream.write_all(&body));
    }
}

fn hub(endpoint: &str, cache: &tempfile::TempDir) -> Hub {
    Hub::new(endpoint, cache.path(), Some("secret\n".into()))
}

fn repo() -> Repo {
    Repo::parse("o/m").unwrap()
}

#[test]
fn a_model_is_downloaded_once_and_only_what_is_needed() {
    let (endpoint, state) = server(|_| {});
    let cache = tempfile::tempdir().unwrap();
    let mut last = HashMap::new();
    let folder = hub(&endpoint, &cache)
        .fetch(&repo(), &mut |at| {
            last.insert(at.file.to_string(), (at.done, at.total));
            true
        })
        .unwrap();
    assert_eq!(folder, cache.path().join("models--o--m/snapshots").join(SHA));
    assert_eq!(last["model.safetensors"], (1_200_000, 1_200_000));
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        assert_eq!(std::fs::read(folder.join(name)).unwrap(), state.lock().unwrap().files[name]);
    }
    assert!(!folder.join("README.md").exists());
    assert_eq!(std::fs::read_to_string(cache.path().join("models--o--m/refs/main")).unwrap(), SHA);
    {
        let mut state = state.lock().unwrap();
        assert!(state.seen.iter().filter(|(request, _)| !request.contains("/cdn/")).all(|(_, token)| *token));
        state.seen.clear();
    }
    hub(&endpoint, &cache).fetch(&repo(), &mut |_| panic!("nothing is missing")).unwrap();
    assert_eq!(state.lock().unwrap().seen.len(), 1);
    // Without the server the cache answers; a model that is not there is an error.
    let dead = hub("http://127.0.0.1:9", &cache);
    assert_eq!(dead.fetch(&repo(), &mut |_| true).unwrap(), folder);
    let error = dead.fetch(&Repo::parse("o/other").unwrap(), &mut |_| true).unwrap_err();
    assert!(error.to_string().contains("check the network"), "{error}");
}

#[test]
fn a_broken_download_resumes() {
    let (endpoint, state) = server(|state| state.break_after = Some(500_000));
    let cache = tempfile::tempdir().unwrap();
    let folder = hub(&endpoint, &cache).fetch(&repo(), &mut |_| true).unwrap();
    let state = state.lock().unwrap();
    assert_eq!(std::fs::read(folder.join("model.safetensors")).unwrap(), state.files["model.safetensors"]);
    let resumed = state
        .seen
        .iter()
        .filter(|(request, _)| request.starts_with("GET /cdn/") && !request.ends_with("None"));
    assert!(resumed.count() >= 2, "{:?}", state.seen);
}

#[test]
fn a_cancelled_download_goes_on_in_another_process() {
    let (endpoint, state) = server(|_| {});
    let cache = tempfile::tempdir().unwrap();
    let stop =
        hub(&endpoint, &cache).fetch(&repo(), &mut |at| at.file != "model.safetensors" || at.done < 300_000);
    assert_eq!(stop.unwrap_err().code(), "cancelled");
    assert!(!cache.path().join("models--o--m/refs/main").exists());
    let mut first = None;
    let folder = hub(&endpoint, &cache)
        .fetch(&repo(), &mut |at| {
            first.get_or_insert(at.done);
            true
        })
        .unwrap();
    assert!(first.unwrap() > 300_000);
    let want = state.lock().unwrap().files["model.safetensors"].clone();
    assert_eq!(std::fs::read(folder.join("model.safetensors")).unwrap(), want);
}

#[test]
fn a_server_without_ranges_starts_over() {
    let (endpoint, state) = server(|state| state.ignores_ranges = true);
    let cache = tempfile::tempdir().unwrap();
    let stop =
        hub(&endpoint, &cache).fetch(&repo(), &mut |at| at.file != "model.safetensors" || at.done < 300_000);
    assert!(stop.is_err());
    let folder = hub(&endpoint, &cache).fetch(&repo(), &mut |_| true).unwrap();
    let want = state.lock().unwrap().files["model.safetensors"].clone();
    assert_eq!(std::fs::read(folder.join("model.safetensors")).unwrap(), want);
}

#[test]
fn a_complete_part_needs_no_request() {
    let (endpoint, state) = server(|_| {});
    let cache = tempfile::tempdir().unwrap();
    let bytes = state.lock().unwrap().files["model.safetensors"].clone();
    let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let blobs = cache.path().join("models--o--m/blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    std::fs::write(blobs.join(digest + ".incomplete"), &bytes).unwrap();
    hub(&endpoint, &cache).fetch(&repo(), &mut |_| true).unwrap();
    assert!(!state.lock().unwrap().seen.iter().any(|(request, _)| request.contains("GET /cdn/")));
}

#[test]
fn refusals_say_what_to_do() {
    for (status, part) in [(401, "set HF_TOKEN"), (403, "licence"), (404, "check OWNER/NAME"), (429, "wait")]
    {
        let (endpoint, _) = server(|state| state.status = Some(status));
        let cache = tempfile::tempdir().unwrap();
        let error = hub(&endpoint, &cache).fetch(&repo(), &mut |_| true).unwrap_err();
        assert!(matches!(error, Error::Download { .. }));
        let error = error.to_string();
        assert!(
            error.contains(part) && error.contains(&status.to_string()) && error.contains("/api/models/o/m"),
            "{error}"
        );
        assert_eq!(std::fs::read_dir(cache.path()).unwrap().count(), 0);
    }
}

#[test]
fn a_wrong_checksum_and_missing_files_are_errors() {
    let (endpoint, _) = server(|state| state.wrong_checksum = true);
    let cache = tempfile::tempdir().unwrap();
    let error = hub(&endpoint, &cache).fetch(&repo(), &mut |_| true).unwrap_err().to_string();
    assert!(error.contains("checksum"), "{error}");
    for missing in ["config.json", "tokenizer.json", "model.safetensors"] {
        let (endpoint, _) = server(|state| drop(state.files.remove(missing)));
        let cache = tempfile::tempdir().unwrap();
        let error = hub(&endpoint, &cache).fetch(&repo(), &mut |_| true).unwrap_err().to_string();
        assert!(error.contains(&format!("no {missing}")), "{error}");
    }
}

#[test]
fn names_are_checked() {
    assert_eq!(Repo::parse("a/b@refs/pr/1").unwrap().revision, "refs/pr/1");
    assert_eq!(Repo::parse("Qwen/Qwen2.5-0.5B").unwrap().revision, "main");
    for bad in ["", "a", "a/b/c", "../b", "a/..", "a/b@", "a/b@../x", "a/b c", "/b", "a/"] {
        assert!(Repo::parse(bad).is_err(), "{bad}");
    }
}
