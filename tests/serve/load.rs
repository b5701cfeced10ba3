//! Many clients, clients that go away, clients that are slow, and the end.

use std::io::{Read, Write};
use std::process::Command;

use serde_json::{Value, json};

use crate::server::{Server, events, random_model, unchunked};

const TEXT: &str = "/v1/completions";

/// A request whose answer takes a while: the random model does not end by itself.
fn long() -> Value {
    json!({"prompt": "Greedy text", "temperature": 0, "max_tokens": 400})
}

fn text(answer: &Value) -> String {
    answer["choices"][0]["text"].as_str().unwrap().to_owned()
}

#[test]
fn answers_of_clients_at_once_are_not_crossed() {
    let server = Server::start("tiny", &["--rows", "3"]);
    let prompts = ["?2*x=", "?x**2=", "?x^3=", "?sin(x)=", "?3=", "?x+1=", "?cos(x)=", "?7*x^6="];
    let ask =
        |prompt: &str| server.answer(TEXT, json!({"prompt": prompt, "temperature": 0, "max_tokens": 24}));
    let alone: Vec<String> = prompts.iter().map(|prompt| text(&ask(prompt))).collect();
    std::thread::scope(|scope| {
        let (ask, alone) = (&ask, &alone);
        for client in 0..6 {
            scope.spawn(move || {
                for round in 0..8 {
                    let index = (client * 5 + round) % prompts.len();
                    assert_eq!(text(&ask(prompts[index])), alone[index]);
                }
            });
        }
    });
    server.wait_for("requests_answered_total", 56.0);
    server.wait_for("running_rows", 0.0);
}

#[test]
fn rows_of_clients_that_left_are_free_and_the_queue_has_an_end() {
    let server = Server::start(&random_model(), &["--rows", "1", "--queue", "1"]);
    let first = server.begin(TEXT, long());
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            server.answer(TEXT, json!({"prompt": "Greedy text", "temperature": 0, "max_tokens": 5}))
        });
        server.wait_for("waiting_requests", 1.0);
        let (status, head, body) = server.ask("POST", TEXT, "", &long().to_string());
        assert!(status == 429 && head.to_lowercase().contains("retry-after: "), "{head}");
        assert!(body.contains("rate_limit_error") && body.contains("queue"), "{body}");
        drop(first);
        let answer = waiting.join().unwrap();
        assert_eq!(answer["usage"]["completion_tokens"], 5);
    });
    server.wait_for("requests_abandoned_total", 1.0);
    // One that leaves before its answer begins, and one that does not stream.
    let busy = server.begin(TEXT, long());
    let mut waiting = server.connect();
    waiting.write_all(&Server::bytes("POST", TEXT, "", &long().to_string())).unwrap();
    server.wait_for("waiting_requests", 1.0);
    drop(waiting);
    server.wait_for("waiting_requests", 0.0);
    drop(busy);
    server.wait_for("requests_abandoned_total", 3.0);
    server.wait_for("running_rows", 0.0);
    assert_eq!(server.metric("requests_answered_total"), 1.0);
}

#[test]
fn a_slow_reader_keeps_nobody_waiting_and_loses_nothing() {
    let server = Server::start(&random_model(), &["--rows", "2"]);
    let whole = text(&server.answer(TEXT, long()));
    let mut slow = server.begin(TEXT, long());
    for _ in 0..3 {
        server.answer(TEXT, json!({"prompt": "b", "max_tokens": 3}));
    }
    server.wait_for("requests_answered_total", 5.0);
    let mut rest = String::new();
    slow.read_to_string(&mut rest).unwrap();
    // The first event was read to its end when the request began.
    let rest: Vec<Value> = events(&format!("{}\n", unchunked_rest(&rest)));
    let texts: String = rest.iter().map(|event| event["choices"][0]["text"].as_str().unwrap()).collect();
    assert!(
        whole.ends_with(&texts) && texts.len() * 10 > whole.len() * 8,
        "{} of {}",
        texts.len(),
        whole.len()
    );
}

/// The lines of a body in chunks, of which the beginning was read.
fn unchunked_rest(text: &str) -> String {
    text.lines().filter(|line| line.starts_with("data: ")).map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_signal_lets_answers_end() {
    let mut server = Server::start(&random_model(), &["--rows", "1"]);
    let whole = text(&server.answer(TEXT, long()));
    // The row of that answer may be told a moment longer than it runs.
    server.wait_for("running_rows", 0.0);
    let mut stream = server.connect();
    let mut body = long();
    body["stream"] = true.into();
    stream.write_all(&Server::bytes("POST", TEXT, "", &body.to_string())).unwrap();
    server.wait_for("running_rows", 1.0);
    let mut waiting = server.connect();
    waiting.write_all(&Server::bytes("POST", TEXT, "", &long().to_string())).unwrap();
    server.wait_for("waiting_requests", 1.0);
    let pid = server.child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let (mut answer, mut refused) = (String::new(), String::new());
    stream.read_to_string(&mut answer).unwrap();
    waiting.read_to_string(&mut refused).unwrap();
    let streamed = events(&unchunked(answer.split_once("\r\n\r\n").unwrap().1));
    let streamed: String =
        streamed.iter().map(|event| event["choices"][0]["text"].as_str().unwrap()).collect();
    assert_eq!(streamed, whole);
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("stopping"), "{refused}");
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
}
