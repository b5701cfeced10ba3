//! Bodies that are not what was announced: longer, shorter, compressed, other bytes.

use std::time::{Duration, Instant};

use super::hostile::{FILES, WEIGHTS, refused};
use super::server::{Answer, COMMIT, Request, honest, hub};

#[test]
fn lengths_that_are_not_so_are_errors() {
    type Change = fn(&Request, Answer) -> Option<Answer>;
    let changes: [(Change, &str); 6] = [
        // More than announced.
        (
            |request, mut answer| {
                answer.body.extend_from_slice(b"more");
                request.is_get("model.safetensors").then_some(answer)
            },
            "sends more",
        ),
        (
            |request, answer| {
                let head = request.method == "HEAD" && request.path.ends_with("config.json");
                head.then_some(Answer { length: Some(10 << 30), ..answer })
            },
            "too many for a text",
        ),
        (
            |request, answer| (request.method == "HEAD").then(|| answer.with("X-Linked-Size: -1")),
            "ETag or length",
        ),
        (|request, _| request.is_list().then(|| Answer::new(200, vec![b'['; 2_000_000])), "not the hub's"),
        (
            |request, _| request.is_list().then(|| Answer::new(200, vec![b' '; (64 << 20) + 1])),
            "sends more than",
        ),
        (
            |request, answer| {
                request.is_list().then(|| answer.with(format!("X-Long: {}", "x".repeat(1 << 20))))
            },
            "header",
        ),
    ];
    for (change, part) in changes {
        let (endpoint, _) = hub(FILES, move |request| change(request, honest(FILES, request)));
        let cache = tempfile::tempdir().unwrap();
        let said = refused(&endpoint, cache.path());
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn weights_that_do_not_come_are_an_error_and_leave_nothing_that_counts() {
    type Change = fn(Answer) -> Answer;
    let huge = (10_u64 << 30).to_string();
    let changes: [(&str, Change, &str); 6] = [
        ("", |answer| Answer { status: 500, ..answer }, "HTTP status 500"),
        // Shorter than its description says, once as an honest length, once as a cut connection.
        ("1000", |answer| answer, "cannot resume"),
        (&huge, |answer| Answer { length: Some(10 << 30), ..answer }, "cannot resume"),
        ("", |answer| Answer { length: Some(answer.body.len()), body: Vec::new(), ..answer }, "disconnected"),
        ("", |answer| answer.with("Content-Encoding: gzip"), "compressed"),
        ("", |answer| Answer { body: vec![0; answer.body.len()], ..answer }, "another checksum"),
    ];
    for (size, change, part) in changes {
        let size = size.to_owned();
        let (endpoint, _) = hub(FILES, move |request| {
            let answer = honest(FILES, request);
            let weights = request.path.ends_with("model.safetensors");
            match request.method.as_str() {
                "HEAD" if weights && !size.is_empty() => Some(answer.with(format!("X-Linked-Size: {size}"))),
                "GET" if weights => Some(change(answer)),
                _ => None,
            }
        });
        let cache = tempfile::tempdir().unwrap();
        let begin = Instant::now();
        let said = refused(&endpoint, cache.path());
        assert!(said.contains(part) && said.contains("model.safetensors"), "{part}: {said}");
        assert!(begin.elapsed() < Duration::from_secs(10), "{said}");
        let snapshot = cache.path().join("models--o--m/snapshots").join(COMMIT).join("model.safetensors");
        assert!(snapshot.symlink_metadata().is_err(), "{said}");
        // No more of the disk than what was sent.
        let blobs = std::fs::read_dir(cache.path().join("models--o--m/blobs")).unwrap();
        let most = blobs.map(|blob| blob.unwrap().metadata().unwrap().len()).max();
        assert!(most <= Some(WEIGHTS.len() as u64), "{said}");
    }
}
