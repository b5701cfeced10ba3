//! Answers that send a client elsewhere: loops, other hosts, and what they get to see.

use std::time::{Duration, Instant};

use super::hostile::{FILES, client, contents, refused, repo};
use super::server::{Answer, Request, hub};

/// Whether a request is one that is redirected.
type IsAway = fn(&Request) -> bool;

#[test]
fn the_token_stays_with_its_own_server() {
    // The other server is the same host at another port, and the same port's host under another name.
    let (other, seen) = hub(FILES, |_| None);
    let renamed = other.replace("127.0.0.1", "localhost");
    for target in [other.clone(), renamed] {
        for list in [true, false] {
            let to = target.clone();
            let (endpoint, own) = hub(FILES, move |request| {
                let away = if list { request.is_list() } else { request.is_get(".safetensors") };
                away.then(|| Answer::redirect(format!("{to}{}?Signature=abc", request.path)))
            });
            let cache = tempfile::tempdir().unwrap();
            client(&endpoint, cache.path()).fetch(&repo(), &mut |_| true).unwrap();
            let own = own.lock().unwrap();
            assert!(own.iter().all(|r| r.authorization.as_deref() == Some("Bearer hf_secret")), "{own:?}");
            let mut seen = seen.lock().unwrap();
            assert!(!seen.is_empty() && seen.iter().all(|r| r.authorization.is_none()), "{seen:?}");
            seen.clear();
        }
    }
}

#[test]
fn a_renamed_repository_keeps_its_token() {
    let (endpoint, seen) = hub(FILES, |request| {
        let old = request.path.contains("/o/m/resolve/");
        old.then(|| Answer::redirect(request.path.replace("/o/m/", "/n/m/")))
    });
    let cache = tempfile::tempdir().unwrap();
    client(&endpoint, cache.path()).fetch(&repo(), &mut |_| true).unwrap();
    assert!(seen.lock().unwrap().iter().all(|request| request.authorization.is_some()));
}

#[test]
fn secrets_of_addresses_are_not_said() {
    let (storage, _) = hub(FILES, |_| Some(Answer::new(200, "x").with("Content-Encoding: br")));
    let broken =
        [storage, "http://127.0.0.1:9".into(), "http://u:hunter2@127.0.0.1:9".into(), "hunter2:".into()];
    for target in broken {
        let to = format!("{target}/key?X-Amz-Signature=hunter2");
        let (endpoint, seen) =
            hub(FILES, move |request| request.is_get(".safetensors").then(|| Answer::redirect(to.clone())));
        let endpoint = endpoint.replace("http://", "http://me:hunter2@");
        let cache = tempfile::tempdir().unwrap();
        let said = refused(&endpoint, cache.path());
        assert!(!said.contains("hunter2") && !said.contains("me:"), "{said}");
        assert!(said.contains("/o/m/resolve/"), "{said}");
        // As curl and others: the user of the address, and no token.
        let seen = seen.lock().unwrap();
        assert!(
            seen.iter().all(|r| r.authorization.as_deref() == Some("Basic bWU6aHVudGVyMg==")),
            "{seen:?}"
        );
    }
}

#[test]
fn redirects_that_do_not_end_are_given_up() {
    let kinds: [(IsAway, &str); 3] = [
        (Request::is_list, "/api/"),
        (|request| request.method == "HEAD", "config.json"),
        (|request| request.is_get("model.safetensors"), "model.safetensors"),
    ];
    for (is_away, place) in kinds {
        let (endpoint, seen) =
            hub(FILES, move |request| is_away(request).then(|| Answer::redirect(&request.path)));
        let cache = tempfile::tempdir().unwrap();
        let begin = Instant::now();
        let said = refused(&endpoint, cache.path());
        assert!(said.contains("redirect") && said.contains(place), "{said}");
        assert!(begin.elapsed() < Duration::from_secs(10), "{said}");
        assert!(seen.lock().unwrap().len() < 100, "{}", seen.lock().unwrap().len());
        assert!(!contents(cache.path()).iter().any(|name| name.contains("safetensors")));
    }
}

#[test]
fn an_address_glued_to_the_hubs_is_another_server() {
    let (other, seen) = hub(FILES, |_| None);
    let host = other.trim_start_matches("http://");
    let requests: [IsAway; 3] =
        [Request::is_list, |request| request.method == "HEAD", |request| request.is_get(".safetensors")];
    for is_away in requests {
        // As text behind the hub's address, the first two name the hub as a user and the other server as the host.
        for to in [format!("@{host}/x"), format!("/@{host}/x"), format!("//{host}/x"), format!("{other}/x")] {
            let location = to.clone();
            let (endpoint, own) =
                hub(FILES, move |request| is_away(request).then(|| Answer::redirect(&location)));
            let cache = tempfile::tempdir().unwrap();
            refused(&endpoint, cache.path());
            assert!(own.lock().unwrap().iter().all(|request| request.path.starts_with('/')), "{to}: {own:?}");
            let mut seen = seen.lock().unwrap();
            assert!(seen.iter().all(|request| request.authorization.is_none()), "{to}: {seen:?}");
            seen.clear();
        }
    }
}
