//! Who is answered.

use serde_json::json;

use crate::server::{Server, command};

const BODY: &str = r#"{"prompt": "?2*x=", "max_tokens": 2}"#;

#[test]
fn a_key_is_asked_for_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, "sesame-open-42\n").unwrap();
    let by_file = Server::start("tiny", &["--host", "0.0.0.0", "--api-key-file", file.to_str().unwrap()]);
    let mut by_variable = command(&["serve", "-m", "tiny", "--port", "0", "--json"]);
    let by_variable = Server::of({
        by_variable.env("STEPLADDER_API_KEY", "sesame-open-42");
        by_variable
    });
    let place = by_file.place.replace("0.0.0.0", "127.0.0.1");
    let mut by_file = by_file;
    by_file.place = place;
    for server in [&by_file, &by_variable] {
        for (headers, status) in [
            ("", 401),
            ("Authorization: Bearer sesame-open-43\r\n", 401),
            ("Authorization: sesame-open-42\r\n", 401),
            ("Authorization: Bearer sesame-open-42\r\n", 200),
        ] {
            let (got, head, body) = server.ask("POST", "/v1/completions", headers, BODY);
            assert_eq!(got, status, "{headers}: {body}");
            assert!(
                status == 200
                    || (body.contains("invalid_api_key") && head.to_lowercase().contains("www-authenticate"))
            );
            assert!(!body.contains("sesame"), "{body}");
            assert_eq!(server.ask("GET", "/metrics", headers, "").0, status);
        }
        // The page asks its visitor for the key; of the model it says nothing.
        for open in ["/health", "/", "/page.js", "/page.css"] {
            assert_eq!(server.ask("GET", open, "", "").0, 200, "{open}");
        }
        let (_, head, page) = server.ask("GET", "/", "", "");
        assert!(
            head.contains("content-security-policy: default-src 'none'") && !page.contains("tiny"),
            "{head}"
        );
    }
}

#[test]
fn pages_are_answered_by_name_only() {
    let server = Server::start("tiny", &["--allow-origin", "http://localhost:3000"]);
    let page = "Origin: http://localhost:3000\r\n";
    let (status, head, _) = server.ask("POST", "/v1/completions", page, BODY);
    assert!(status == 200 && head.contains("access-control-allow-origin: http://localhost:3000"), "{head}");
    let asked = format!(
        "{page}Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type,x-y\r\n"
    );
    let (status, head, _) = server.ask("OPTIONS", "/v1/completions", &asked, "");
    assert!(status == 204 && head.contains("access-control-allow-headers: content-type,x-y"), "{head}");
    // An error is readable too, or a page could not tell what is wrong.
    let (status, head, _) = server.ask("POST", "/v1/completions", page, "{}");
    assert!(status == 400 && head.contains("access-control-allow-origin"), "{head}");
    for origin in ["http://evil.example", "null"] {
        let (status, head, body) =
            server.ask("POST", "/v1/completions", &format!("Origin: {origin}\r\n"), BODY);
        assert!(status == 403 && body.contains("--allow-origin"), "{body}");
        assert!(!head.contains("access-control-allow-origin"), "{head}");
    }
    assert_eq!(server.metric("requests_total"), 1.0);
    // The server's own page is, and a name that leads here is not its address.
    let own = format!("Host: {0}\r\nOrigin: http://{0}\r\n", server.place);
    assert_eq!(server.ask("POST", "/v1/completions", &own, BODY).0, 200);
    let (status, _, body) = server.ask("GET", "/v1/models", "Host: evil.example\r\n", "");
    assert!(status == 403 && body.contains("host_not_allowed"), "{body}");
}

/// A free port, unless one is given.
fn port_of(args: &[&str]) -> &'static [&'static str] {
    if args.contains(&"--port") { &[] } else { &["--port", "0"] }
}

#[test]
fn calls_that_cannot_serve_say_why() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let folder = tempfile::tempdir().unwrap();
    let short = folder.path().join("short");
    std::fs::write(&short, "abc").unwrap();
    let short = short.to_str().unwrap();
    for (args, status, words) in [
        (vec!["--host", "0.0.0.0"], 2, ["--host", "--api-key-file"]),
        (vec!["--port", &port], 1, ["cannot listen on", "another port"]),
        (vec!["--api-key-file", short], 2, ["at least 8", "openssl rand"]),
        (vec!["--api-key-file", "/nonexistent/key"], 1, ["/nonexistent/key", "cannot read"]),
        (vec!["--allow-origin", "*"], 2, ["--allow-origin", "no origin"]),
        (vec!["--adapter", "a=/nonexistent"], 1, ["/nonexistent", "read"]),
        (vec!["--adapter", "base=/nonexistent"], 2, ["base", "taken"]),
        (vec!["--memory-limit", "1MB"], 1, ["serving tiny", "--memory-limit"]),
        (vec!["--rows", "1024", "--memory-limit", "64MB"], 1, ["serving tiny", "--memory-limit"]),
    ] {
        let output =
            command(&[&["serve", "-m", "tiny"], &args[..], port_of(&args)].concat()).output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{args:?}: {message}");
        assert!(words.iter().all(|word| message.contains(word)), "{args:?}: {message}");
    }
    // Fewer rows where there is room for no more.
    let small = Server::start("tiny", &["--memory-limit", "6MB"]);
    assert!((1..8).contains(&small.ready["rows"].as_u64().unwrap()), "{}", small.ready);
    small.answer("/v1/completions", json!({"prompt": "?2*x=", "n": 9, "max_tokens": 3}));
}
