//! A server that learns what its clients tell it.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::program::Files;
use crate::server::Server;

const HEAD: &str = "base@library";

/// The greedy answer of a model to a prompt, with its name.
fn ask(server: &Server, model: &str, prompt: &str) -> (String, String) {
    let body = json!({ "model": model, "prompt": prompt, "temperature": 0, "max_tokens": 6 });
    let answer = server.answer("/v1/completions", body);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&answer["id"]), text(&answer["choices"][0]["text"]))
}

fn get(server: &Server, path: &str) -> (u16, Value) {
    let (status, _, body) = server.ask("GET", path, "", "");
    (status, serde_json::from_str(&body).unwrap())
}

/// Waits until a lesson is one that `fits`.
fn wait(server: &Server, name: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let since = Instant::now();
    loop {
        let (status, lesson) = get(server, &format!("/v1/lessons/{name}"));
        assert_eq!(status, 200, "{lesson}");
        if fits(&lesson) {
            return lesson;
        }
        assert!(lesson["state"] == "learning" && since.elapsed() < Duration::from_secs(180), "{lesson}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn has_ended(lesson: &Value) -> bool {
    lesson["state"] != "learning"
}

#[test]
fn corrections_are_learnt_at_once_live_and_taken_back() {
    let files = Files::new();
    let library = files.path("notes.library");
    let server = Server::start("tiny", &["--library", &library]);
    let facts: Vec<(u32, String)> =
        (0..8).map(|i| (100 + 7 * i, (100 + 397 * i * i % 900).to_string())).collect();
    // Tiny knows no words; these are ways to write the same number.
    let taught = |number: u32| [format!("{number}?"), format!("0+{number}?"), format!("{number}+0?")];
    let other = |number: u32| format!("{number}+00?");
    let right = |server: &Server| {
        facts.iter().filter(|(number, answer)| ask(server, HEAD, &other(*number)).1 == *answer).count()
    };
    let general = |server: &Server, model: &str| -> Vec<String> {
        (2..8).map(|i| ask(server, model, &format!("?{i}*x=")).1).collect()
    };
    assert_eq!(right(&server), 0);
    let before = general(&server, HEAD);
    for (number, answer) in &facts {
        for prompt in taught(*number) {
            let (id, wrong) = ask(&server, HEAD, &prompt);
            assert_ne!(wrong, *answer);
            // The last word counts.
            server.answer("/v1/feedback", json!({ "id": id, "thumb": "up" }));
            let given = server.answer("/v1/feedback", json!({ "id": id, "correction": answer }));
            assert_eq!(given["teaches"], true, "{given}");
        }
    }
    let log = files.path("notes.library.feedback.jsonl");
    assert_eq!(std::fs::read_to_string(&log).unwrap().lines().count(), 24);
    let begun = server.post("/v1/lessons", &json!({ "feedback": true, "name": "Numbers", "accept": true }));
    assert_eq!(begun, (202, json!({ "object": "lesson", "name": "Numbers", "state": "learning" })));
    // Others are answered meanwhile, by the head that counts, and a second lesson waits for nobody.
    assert_eq!(general(&server, HEAD), before);
    let (status, refused) =
        server.post("/v1/lessons", &json!({ "pairs": [{ "question": "1?", "answer": "2" }] }));
    assert_eq!(status, 409, "{refused}");
    let lesson = wait(&server, "Numbers", has_ended);
    assert_eq!((&lesson["state"], &lesson["number"]), (&json!("accepted"), &json!(1)), "{lesson}");
    assert!(lesson["gate"]["words"].as_array().unwrap().len() > 1, "{lesson}");
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "");

    // The next request has it, in words that nobody taught.
    assert!(right(&server) >= 6, "{} of 8", right(&server));
    for (number, answer) in &facts {
        assert_eq!(ask(&server, HEAD, &taught(*number)[0]).1, *answer);
    }
    assert_eq!((general(&server, HEAD), general(&server, "base")), (before.clone(), before));
    let (_, board) = get(&server, "/v1/board");
    let shown = crate::server::json(&["board", "--json", &library]);
    assert_eq!((&board["heads"], &board["lessons"]), (&shown["heads"], &shown["lessons"]));
    assert!(board["asked"].as_u64().unwrap() > 8, "{board}");

    let (status, taken) = server.post("/v1/rollback", &json!({}));
    assert_eq!((status, &taken["lessons"]), (200, &json!([1])), "{taken}");
    assert_eq!(right(&server), 0);
    assert_eq!(get(&server, "/v1/lessons").1["data"][0]["state"], "rolled_back");
    // What the lesson made can still be asked by its name.
    let (number, answer) = &facts[0];
    for model in ["base@library/1", "base@library/Numbers"] {
        assert_eq!(ask(&server, model, &taught(*number)[0]).1, *answer);
    }
    assert!(get(&server, "/v1/models").1.to_string().contains("base@library/1"));
    let unknown = json!({ "model": "base@library/9", "prompt": "1", "max_tokens": 1 });
    let (status, refused) = server.post("/v1/completions", &unknown);
    assert!(status == 404 && refused["error"]["code"] == "lesson_not_found", "{refused}");
    let (status, refused) = server.post("/v1/rollback", &json!({}));
    assert!(status == 400 && refused.to_string().contains("nothing to take back"), "{refused}");
}

#[test]
fn a_lesson_that_was_killed_or_stopped_goes_on_at_the_next_start() {
    let files = Files::new();
    let library = files.path("notes.library");
    let start = || Server::start("tiny", &["--library", &library]);
    let mut server = start();
    let pairs: Vec<Value> = (0..12u32)
        .map(|i| json!({ "question": format!("{}?", 100 + 7 * i), "answer": (311 + 397 * i * i % 600).to_string() }))
        .collect();
    let (status, begun) = server.post("/v1/lessons", &json!({ "name": "twelve numbers", "pairs": pairs }));
    assert_eq!(status, 202, "{begun}");
    let epoch = |lesson: &Value| lesson["epoch"]["epoch"].as_u64().unwrap_or(0);
    let name = "twelve%20numbers";
    let seen = epoch(&wait(&server, name, |lesson| epoch(lesson) > 0));
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    // Where it was, not anew.
    server = start();
    let lesson = wait(&server, name, |lesson| epoch(lesson) > 0);
    assert!(epoch(&lesson) >= seen, "{lesson}");
    let pid = server.child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
    assert!(std::path::Path::new(&library).join("lessons/0001-twelve-numbers/state.safetensors").exists());
    server = start();
    let again = wait(&server, name, |lesson| epoch(lesson) > 0 || has_ended(lesson));
    assert!(has_ended(&again) || epoch(&again) >= epoch(&lesson), "{again}");
    let lesson = wait(&server, name, has_ended);
    // Nobody said that it may be accepted without being asked.
    assert_eq!((&lesson["state"], &lesson["gate"]["decision"]), (&json!("waiting"), &json!("accepted")));
    let (status, refused) = server.post("/v1/lessons", &json!({ "pairs": pairs }));
    assert!(status == 409 && refused.to_string().contains("accept or reject"), "{refused}");
    let (status, accepted) = server.post(&format!("/v1/lessons/{name}/accept"), &json!({}));
    assert_eq!((status, &accepted["event"]), (200, &json!("accepted")), "{accepted}");
    let recalled = || {
        let right =
            |pair: &&Value| ask(&server, HEAD, pair["question"].as_str().unwrap()).1 == pair["answer"];
        pairs.iter().filter(right).count()
    };
    assert!(recalled() >= 9, "{}", recalled());
    let (status, refused) = server.post("/v1/lessons/1/reject", &json!({}));
    assert!(status == 400 && refused.to_string().contains("does not wait"), "{refused}");
    // What contradicts it fails in words, and nothing waits then.
    let contradicting = json!({ "pairs": [{ "question": "100?", "answer": "5" }], "name": "other" });
    assert_eq!(server.post("/v1/lessons", &contradicting).0, 202);
    let failed = wait(&server, "other", has_ended);
    assert!(failed["state"] == "failed" && failed["error"].to_string().contains("supersede"), "{failed}");
    // A lesson that runs can be given up.
    let more = json!({ "pairs": [{ "question": "500?", "answer": "5" }], "name": "more" });
    assert_eq!(server.post("/v1/lessons", &more).0, 202);
    wait(&server, "more", |lesson| epoch(lesson) > 0);
    let (status, rejected) = server.post("/v1/lessons/more/reject", &json!({ "reason": "a slip" }));
    assert_eq!((status, &rejected["reason"]), (200, &json!("a slip")), "{rejected}");
    assert_eq!(get(&server, "/v1/lessons/more").1["state"], "rejected");
    assert!(recalled() >= 9, "{}", recalled());
}

#[test]
fn what_teaches_nothing_is_refused() {
    let files = Files::new();
    let plain = Server::start("tiny", &[]);
    for (method, path) in [
        ("POST", "/v1/feedback"),
        ("GET", "/v1/lessons"),
        ("GET", "/v1/board"),
        ("POST", "/v1/rollback"),
        ("GET", "/v1/fine_tuning/jobs"),
        ("POST", "/v1/fine_tuning/jobs"),
    ] {
        let (status, _, body) = plain.ask(method, path, "", "");
        assert!(status == 404 && body.contains("--library"), "{path}: {body}");
    }
    let key = files.write("key", "sesame-open-42");
    let library = files.path("notes.library");
    let server = Server::start("tiny", &["--library", &library, "--api-key-file", &key]);
    let post = |path: &str, body: &Value| {
        let (status, _, body) =
            server.ask("POST", path, "Authorization: Bearer sesame-open-42\r\n", &body.to_string());
        (status, serde_json::from_str::<Value>(&body).unwrap_or(Value::String(body)))
    };
    for path in
        ["/v1/feedback", "/v1/lessons", "/v1/lessons/1/accept", "/v1/lessons/1/reject", "/v1/rollback"]
    {
        assert_eq!(server.ask("POST", path, "", "{}").0, 401, "{path}");
        let origin = "Origin: http://evil.example\r\nAuthorization: Bearer sesame-open-42\r\n";
        assert_eq!(server.ask("POST", path, origin, "{}").0, 403, "{path}");
    }
    let body = json!({ "prompt": ["?2*x=", "?3*x="], "n": 2, "max_tokens": 2 });
    let (_, several) = post("/v1/completions", &body);
    let (_, tokens) = post("/v1/completions", &json!({ "prompt": [5, 6], "max_tokens": 2 }));
    let (id, pair) = (&several["id"], json!({ "question": "1?", "answer": "2" }));
    for (path, body, status, words) in [
        ("/v1/feedback", json!({}), 400, "id: is missing"),
        ("/v1/feedback", json!({ "id": "cmpl-0", "thumb": "up" }), 404, "no answer of this name"),
        ("/v1/feedback", json!({ "id": id, "thumb": "up" }), 400, "which of the 4 answers"),
        ("/v1/feedback", json!({ "id": id, "choice": 4, "thumb": "up" }), 400, "is 4 of 4"),
        ("/v1/feedback", json!({ "id": id, "choice": 0, "thumb": "sideways" }), 400, "is neither"),
        ("/v1/feedback", json!({ "id": id, "choice": 0 }), 400, "one of the two"),
        ("/v1/feedback", json!({ "id": id, "choice": 0, "correction": " " }), 400, "`correction` is empty"),
        ("/v1/feedback", json!({ "id": id, "choice": 0, "stars": 5 }), 400, "stars"),
        ("/v1/feedback", json!({ "id": tokens["id"], "thumb": "up" }), 400, "asked in tokens"),
        ("/v1/lessons", json!({}), 400, "no lesson was stopped"),
        ("/v1/lessons", json!({ "feedback": true }), 400, "none was given"),
        ("/v1/lessons", json!({ "pairs": "1?" }), 400, "is no list"),
        ("/v1/lessons", json!({ "pairs": [] }), 400, "no pairs"),
        ("/v1/lessons", json!({ "pairs": [pair, { "question": "1?", "answer": "3" }] }), 400, "line 2"),
        ("/v1/lessons", json!({ "pairs": [pair], "document": "x" }), 400, "another source"),
        ("/v1/lessons", json!({ "pairs": [pair], "name": "../../etc" }), 400, "no name"),
        ("/v1/lessons", json!({ "pairs": [pair], "name": "12" }), 400, "no name"),
        ("/v1/lessons/nine/accept", json!({}), 404, "no lesson"),
        ("/v1/rollback", json!({ "lesson": 0 }), 400, "lesson: is 0"),
    ] {
        let (got, answer) = post(path, &body);
        assert!(got == status && answer.to_string().contains(words), "{path} {body}: {got} {answer}");
    }
    // A prompt that speaks of learning begins none; nothing is on the disk before somebody asks for it.
    post("/v1/completions", &json!({ "prompt": "POST /v1/lessons", "max_tokens": 2 }));
    assert!(!files.exists("notes.library") && !files.exists("notes.library.feedback.jsonl"));
    let down = post("/v1/feedback", &json!({ "id": id, "choice": 3, "thumb": "down" })).1;
    assert!(down["teaches"] == false && down["waiting"] == 1, "{down}");
    let (status, refused) = post("/v1/lessons", &json!({ "feedback": true }));
    assert!(status == 400 && refused.to_string().contains("thumb down"), "{refused}");
    let kept = std::fs::read_to_string(files.path("notes.library.feedback.jsonl")).unwrap();
    assert!(kept.contains("?3*x=") && kept.lines().count() == 1, "{kept}");
}
