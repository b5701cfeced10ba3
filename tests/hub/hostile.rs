//! Downloads from a hub that is broken, slow or hostile, and through networks that are.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sha1::{Digest, Sha1};
use stepladder::model::hub::{Hub, Repo};
use tempfile::TempDir;

use super::server::{Answer, COMMIT, Request, git_hash, hex, honest, hub, list, serve};

/// Eight bytes of length, an empty header, and data.
pub(crate) const WEIGHTS: &[u8] = b"\x02\0\0\0\0\0\0\0{}and some bytes";
pub(crate) const FILES: &[(&str, &[u8])] =
    &[("config.json", b"{\"a\": 1}"), ("tokenizer.json", b"{}"), ("model.safetensors", WEIGHTS)];
const SHARDED: &[(&str, &[u8])] = &[
    ("config.json", b"{}"),
    ("tokenizer.json", b"{}"),
    ("model.safetensors.index.json", b"{\"weight_map\": {\"a\": \"a.safetensors\"}}"),
    ("a.safetensors", WEIGHTS),
];

const PAGE: &[u8] = b"<html><body>Please log in to this network</body></html>";

pub(crate) fn repo() -> Repo {
    Repo::parse("o/m").unwrap()
}

pub(crate) fn client(endpoint: &str, cache: &Path) -> Hub {
    Hub::new(endpoint, cache, Some("hf_secret".into())).with_patience(Duration::from_millis(300))
}

/// What `fetch` says when it fails.
#[track_caller]
pub(crate) fn refused(endpoint: &str, cache: &Path) -> String {
    let error = client(endpoint, cache).fetch(&repo(), &mut |_| true).unwrap_err();
    assert_eq!(error.code(), "download", "{error}");
    error.to_string()
}

/// A cache with a whole copy of [`FILES`].
fn filled() -> TempDir {
    let cache = tempfile::tempdir().unwrap();
    let (endpoint, _) = hub(FILES, |_| None);
    client(&endpoint, cache.path()).fetch(&repo(), &mut |_| true).unwrap();
    cache
}

/// Every file below a folder that is not empty, links not followed.
pub(crate) fn contents(folder: &Path) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            match entry.file_type().unwrap().is_dir() {
                true => open.push(entry.path()),
                false if entry.metadata().unwrap().len() > 0 => {
                    out.insert(entry.file_name().to_string_lossy().into_owned());
                }
                false => {}
            }
        }
    }
    out
}

#[test]
fn all_that_a_model_is_read_from_is_fetched() {
    const MORE: &[(&str, &[u8])] = &[
        ("added_tokens.json", b"{}"),
        ("additional_chat_templates/tool_use.jinja", b"{{ messages }}"),
        ("config.json", b"{}"),
        ("tokenizer.json", b"{}"),
        ("model.safetensors", WEIGHTS),
        ("images/additional_chat_templates/x.jinja", b"not needed"),
    ];
    let cache = tempfile::tempdir().unwrap();
    let (endpoint, _) = hub(MORE, |request| {
        let template = request.path.ends_with("additional_chat_templates/tool_use.jinja");
        template.then(|| {
            let body = b"{{ messages }}";
            Answer::new(200, *body).with(format!("ETag: \"{}\"", git_hash(body)))
        })
    });
    let folder = client(&endpoint, cache.path()).fetch(&repo(), &mut |_| true).unwrap();
    for (name, bytes) in &MORE[..5] {
        assert_eq!(std::fs::read(folder.join(name)).unwrap(), *bytes, "{name}");
    }
    assert!(!folder.join("images").exists());
}

#[test]
fn a_small_file_with_other_bytes_is_not_kept() {
    let cache = tempfile::tempdir().unwrap();
    let (endpoint, _) = hub(FILES, |request| {
        request
            .is_get("config.json")
            .then(|| Answer::new(200, "{\"a\": 2}").with(format!("ETag: \"{}\"", git_hash(b"{\"a\": 1}"))))
    });
    let said = refused(&endpoint, cache.path());
    assert!(said.contains("another checksum") && said.contains("config.json"), "{said}");
    assert_eq!(contents(cache.path()), BTreeSet::new());
    // The shared cache is as if nothing had been, so that an honest hub is heard.
    let (endpoint, _) = hub(FILES, |_| None);
    let folder = client(&endpoint, cache.path()).fetch(&repo(), &mut |_| true).unwrap();
    assert_eq!(std::fs::read(folder.join("config.json")).unwrap(), b"{\"a\": 1}");
}

#[test]
fn tags_of_mirrors_are_taken_for_what_they_are() {
    // Artifactory: the SHA-1 of the bytes. nginx: time and length, from which nothing follows.
    for tag in [hex(&Sha1::digest(b"{\"a\": 1}")), "6553f100-8".to_string()] {
        let cache = tempfile::tempdir().unwrap();
        let (endpoint, _) = hub(FILES, move |request| {
            let config = request.path.ends_with("/config.json");
            config.then(|| Answer::new(200, "{\"a\": 1}").with(format!("ETag: W/\"{tag}\"")))
        });
        client(&endpoint, cache.path()).fetch(&repo(), &mut |_| true).unwrap();
    }
}

#[test]
fn a_page_in_place_of_a_file_is_not_kept() {
    for name in ["config.json", "model.safetensors"] {
        let cache = tempfile::tempdir().unwrap();
        let (endpoint, _) = hub(FILES, move |request| {
            let page = !request.is_list() && request.path.ends_with(name);
            page.then(|| Answer::new(200, PAGE).with("ETag: \"6553f100-37\""))
        });
        let said = refused(&endpoint, cache.path());
        assert!(said.contains("page of words") && said.contains(name), "{said}");
        assert!(!contents(cache.path()).iter().any(|file| file.contains("6553f100-37")));
    }
}

#[test]
fn a_hub_that_fails_does_not_block_what_is_cached() {
    let cache = filled();
    let kept = cache.path().join("models--o--m/snapshots").join(COMMIT);
    let answers = [500, 503, 429, 403, 401, 404].map(|status| Answer::new(status, PAGE));
    let pages =
        [PAGE, b"{\"sha\": \"", b"", b"{\"sha\": \"../../x\"}", b"\xff"].map(|body| Answer::new(200, body));
    let others = [Answer::redirect("/api/models/o/m/revision/main"), Answer::redirect("nowhere:")];
    let compressed = Answer::new(200, "x").with("Content-Encoding: gzip");
    for answer in answers.into_iter().chain(pages).chain(others).chain([compressed]) {
        let shown = format!("{answer:?}");
        let (endpoint, _) = hub(FILES, move |_| Some(answer.clone()));
        let begin = Instant::now();
        let folder = client(&endpoint, cache.path()).fetch(&repo(), &mut |_| true);
        assert_eq!(folder.expect(&shown), kept, "{shown}");
        assert!(begin.elapsed() < Duration::from_secs(10), "{shown}");
        // Without a copy the same is an error.
        let nothing = tempfile::tempdir().unwrap();
        refused(&endpoint, nothing.path());
        assert_eq!(contents(nothing.path()), BTreeSet::new());
    }
    // Nobody listens, no such host, connected and silent, a byte now and then.
    let (silent, _) = serve(|_, _| std::thread::sleep(Duration::from_secs(30)));
    let (slow, _) = serve(|request, stream| honest(FILES, request).dribble(stream, true));
    for endpoint in ["http://127.0.0.1:9", "http://host.invalid", &silent, &slow] {
        let folder = client(endpoint, cache.path()).fetch(&repo(), &mut |_| true).unwrap();
        assert_eq!(folder, kept, "{endpoint}");
    }
}

#[test]
fn a_newer_commit_that_does_not_arrive_leaves_the_older() {
    let cache = filled();
    let newer = "f".repeat(40);
    let (endpoint, _) = hub(FILES, move |request| match request.is_list() {
        true => Some(list(&newer, FILES.iter().map(|(name, _)| *name))),
        false => Some(Answer::new(502, PAGE)),
    });
    let folder = client(&endpoint, cache.path()).fetch(&repo(), &mut |_| true).unwrap();
    assert!(folder.ends_with(COMMIT));
}

#[test]
fn a_copy_that_lacks_a_file_does_not_count() {
    let cache = filled();
    std::fs::remove_file(cache.path().join("models--o--m/snapshots").join(COMMIT).join("tokenizer.json"))
        .unwrap();
    assert!(refused("http://127.0.0.1:9", cache.path()).contains("check the network"));
}

#[test]
fn a_slow_hub_times_out() {
    let slow: [fn(&Request) -> bool; 3] =
        [Request::is_list, |request| request.method == "HEAD", |request| request.is_get("model.safetensors")];
    for slow in slow {
        for from_head in [true, false] {
            let (endpoint, _) = serve(move |request, stream| {
                let answer = honest(FILES, request);
                match slow(request) && (from_head || request.method != "HEAD") {
                    // Longer than the patience of the client.
                    true => Answer { body: vec![b' '; 4000], length: Some(4000), ..answer }
                        .dribble(stream, from_head),
                    false if request.is_get("model.safetensors") => {}
                    false => answer.send(request, stream),
                }
            });
            let cache = tempfile::tempdir().unwrap();
            let begin = Instant::now();
            let said = refused(&endpoint, cache.path());
            assert!(begin.elapsed() < Duration::from_secs(20), "{said}");
        }
    }
}

#[test]
fn a_connection_that_gives_a_byte_each_time_is_given_up() {
    let tries = std::sync::Arc::new(AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&tries);
    let (endpoint, _) = hub(FILES, move |request| {
        request.is_get("model.safetensors").then(|| {
            count.fetch_add(1, Ordering::Relaxed);
            let mut answer = honest(FILES, request);
            answer.length = Some(answer.body.len());
            answer.body.truncate(1);
            answer
        })
    });
    let cache = tempfile::tempdir().unwrap();
    let said = refused(&endpoint, cache.path());
    assert!(said.contains("connection ended") || said.contains("disconnected"), "{said}");
    assert!(tries.load(Ordering::Relaxed) <= 4);
}

#[test]
fn a_broken_server_in_between_does_not_cost_what_was_fetched() {
    let cache = tempfile::tempdir().unwrap();
    let broken = std::sync::Arc::new(AtomicBool::new(false));
    let state = std::sync::Arc::clone(&broken);
    let (endpoint, seen) = hub(FILES, move |request| {
        let mut answer = honest(FILES, request);
        if !request.is_get("model.safetensors") || state.swap(true, Ordering::Relaxed) {
            // The second answer is an error, and the rest is asked for again.
            let error = request.range.is_some() && state.load(Ordering::Relaxed) && request.range == Some(10);
            return (error && !state.swap(false, Ordering::Relaxed)).then(|| Answer::new(503, PAGE));
        }
        answer.length = Some(answer.body.len());
        answer.body.truncate(10);
        Some(answer)
    });
    let folder = client(&endpoint, cache.path()).fetch(&repo(), &mut |_| true).unwrap();
    assert_eq!(std::fs::read(folder.join("model.safetensors")).unwrap(), WEIGHTS);
    let gets = seen.lock().unwrap().iter().filter(|request| request.is_get("model.safetensors")).count();
    let whole =
        seen.lock().unwrap().iter().filter(|r| r.is_get("model.safetensors") && r.range.is_none()).count();
    assert!(gets >= 2 && whole == 1, "{:?}", seen.lock().unwrap());
}

#[test]
fn another_range_than_asked_starts_over() {
    for range in ["bytes 9-25/26", "bytes 10-20/21", "bytes 10-24/25", "nonsense"] {
        let cache = tempfile::tempdir().unwrap();
        let first = AtomicBool::new(true);
        let (endpoint, _) = hub(FILES, move |request| {
            let mut answer = honest(FILES, request);
            if !request.is_get("model.safetensors") {
                return None;
            }
            if first.swap(false, Ordering::Relaxed) {
                answer.length = Some(answer.body.len());
                answer.body.truncate(10);
            } else if request.range.is_some() {
                answer = Answer::new(206, vec![0; 15]).with(format!("Content-Range: {range}"));
            }
            Some(answer)
        });
        let folder = client(&endpoint, cache.path()).fetch(&repo(), &mut |_| true).unwrap();
        assert_eq!(std::fs::read(folder.join("model.safetensors")).unwrap(), WEIGHTS, "{range}");
    }
}

#[test]
fn a_file_that_changes_while_it_comes_is_not_kept() {
    let cache = tempfile::tempdir().unwrap();
    let (endpoint, _) = hub(FILES, |request| {
        let mut answer = honest(FILES, request);
        match request.range {
            _ if !request.is_get("model.safetensors") => return None,
            Some(_) => answer.body.fill(0),
            None => {
                answer.length = Some(answer.body.len());
                answer.body.truncate(10);
            }
        }
        Some(answer)
    });
    assert!(refused(&endpoint, cache.path()).contains("another checksum"));
    assert!(!contents(cache.path()).iter().any(|name| name.ends_with(".incomplete")));
}

#[test]
fn names_in_a_list_stay_in_the_cache() {
    for name in
        ["../../../../evil.json", "additional_chat_templates/../../../../evil.jinja", "../x.safetensors"]
    {
        let outside = tempfile::tempdir().unwrap();
        let cache = outside.path().join("a/b/c/d/cache");
        let (endpoint, _) = hub(FILES, move |request| {
            let tag = git_hash(b"evil");
            match request.is_list() {
                true => Some(list(COMMIT, FILES.iter().map(|(name, _)| *name).chain([name]))),
                false if honest(FILES, request).status == 404 => {
                    Some(Answer::new(200, "evil").with(format!("ETag: \"{tag}\"")))
                }
                false => None,
            }
        });
        // Left out or refused, never fetched.
        drop(client(&endpoint, &cache).fetch(&repo(), &mut |_| true));
        let kept = contents(outside.path());
        assert!(!kept.contains("evil.json") && !kept.contains("evil.jinja"), "{kept:?}");
        assert!(!kept.contains("x.safetensors") && !kept.contains(&git_hash(b"evil")), "{kept:?}");
    }
}

#[test]
fn nothing_is_written_outside_the_cache() {
    let names = [
        "../../../x.safetensors",
        "..\\x.safetensors",
        "/x.safetensors",
        "C:x.safetensors",
        "a\u{0}.safetensors",
        "a/../../x.safetensors",
        "nul.safetensors",
        "\u{1b}[2J.safetensors",
    ];
    for name in names {
        let outside = tempfile::tempdir().unwrap();
        let cache = outside.path().join("a/b/cache");
        let index = serde_json::json!({"weight_map": {"a": name}}).to_string();
        let (endpoint, _) = hub(SHARDED, move |request| {
            let wanted = !request.is_list() && request.path.ends_with("index.json");
            let tag = git_hash(index.as_bytes());
            let good = Answer::new(200, WEIGHTS).with(format!("ETag: \"{}\"", "a".repeat(40)));
            match request.path.contains("/resolve/") && request.path.contains(".safetensors") && !wanted {
                true => Some(good),
                false => wanted.then(|| Answer::new(200, index.clone()).with(format!("ETag: \"{tag}\""))),
            }
        });
        let error = client(&endpoint, &cache).fetch(&repo(), &mut |_| true).unwrap_err();
        assert!(!error.to_string().contains(['\u{1b}', '\0']), "{error:?}");
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1, "{name:?}");
        assert_eq!(std::fs::read_dir(outside.path().join("a/b")).unwrap().count(), 1, "{name:?}");
        assert!(!contents(outside.path()).iter().any(|file| file.contains("x.safetensors")), "{name:?}");
    }
    for tag in ["../../../../pwned", "/pwned", "..", ".", "", "con", "a\\b", "a:b", &"a".repeat(300)] {
        let outside = tempfile::tempdir().unwrap();
        let header = format!("ETag: \"{tag}\"");
        let (endpoint, _) = hub(FILES, move |request| {
            (request.method == "HEAD").then(|| Answer::new(200, "{\"a\": 1}").with(header.clone()))
        });
        assert!(refused(&endpoint, &outside.path().join("cache")).contains("ETag"), "{tag}");
        assert_eq!(contents(outside.path()), BTreeSet::new(), "{tag}");
    }
}

#[cfg(unix)]
#[test]
fn links_in_the_cache_are_not_written_through() {
    let outside = tempfile::tempdir().unwrap();
    let mine = outside.path().join("mine");
    std::fs::write(&mine, "mine").unwrap();
    let cache = outside.path().join("cache");
    let folder = cache.join("models--o--m");
    for part in ["blobs", "refs"] {
        std::fs::create_dir_all(folder.join(part)).unwrap();
    }
    std::fs::create_dir_all(folder.join("snapshots").join(COMMIT)).unwrap();
    let dangling = outside.path().join("made");
    for (link, target) in [
        (folder.join("blobs").join(git_hash(b"{\"a\": 1}") + ".incomplete"), &mine),
        (folder.join("refs/main"), &mine),
        (folder.join("snapshots").join(COMMIT).join("tokenizer.json"), &dangling),
    ] {
        std::os::unix::fs::symlink(target, link).unwrap();
    }
    let (endpoint, _) = hub(FILES, |_| None);
    client(&endpoint, &cache).fetch(&repo(), &mut |_| true).unwrap();
    assert_eq!(std::fs::read_to_string(&mine).unwrap(), "mine");
    assert!(!dangling.exists());
}

#[test]
fn the_program_heeds_the_environment_and_says_no_secret() {
    let cache = tempfile::tempdir().unwrap();
    let run = |variables: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stepladder"));
        for name in
            ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "RUST_LOG"]
        {
            command.env_remove(name);
        }
        command.env("HF_HOME", cache.path()).env("HF_ENDPOINT", "http://me:hunter2@127.0.0.1:9/");
        command.env("HF_TOKEN", "hf_secret").envs(variables.iter().copied());
        let output = command.args(["score", "--json", "-m", "hf:o/m", "--text", "x"]).output().unwrap();
        let said = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
        assert!(!said.contains("hunter2") && !said.contains("hf_secret"), "{said}");
        (output.status.code(), said)
    };
    let (status, said) = run(&[]);
    assert!(status == Some(1) && said.contains("http://127.0.0.1:9/api/models/o/m/revision/main"), "{said}");
    let (status, said) = run(&[("HF_HUB_OFFLINE", "1")]);
    assert!(status == Some(2) && said.contains("HF_HUB_OFFLINE"), "{said}");
    let (status, said) = run(&[("HF_ENDPOINT", "http://127.0.0.1:9"), ("HF_TOKEN", "hf_secret\nX-Evil: 1")]);
    assert!(status == Some(2) && said.contains("HF_TOKEN"), "{said}");
    let (status, said) = run(&[("HF_ENDPOINT", "ftp://me:hunter2@host")]);
    assert!(status == Some(2) && said.contains("HF_ENDPOINT"), "{said}");
    let (status, said) = run(&[("HF_HUB_DOWNLOAD_TIMEOUT", "soon")]);
    assert!(status == Some(2) && said.contains("HF_HUB_DOWNLOAD_TIMEOUT"), "{said}");
}
