//! Files and fine-tuning jobs, as scripts for OpenAI's interface use them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::program::Files;
use crate::server::Server;

/// A form of parts: names, file names or none, texts.
fn form(parts: &[(&str, Option<&str>, &str)]) -> String {
    let part = |&(name, file, text): &(&str, Option<&str>, &str)| {
        let file = file.map_or_else(String::new, |file| format!("; filename=\"{file}\""));
        format!("--limit\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{text}\r\n")
    };
    parts.iter().map(part).collect::<String>() + "--limit--\r\n"
}

fn upload(server: &Server, parts: &[(&str, Option<&str>, &str)]) -> (u16, Value) {
    let kind = "Content-Type: multipart/form-data; boundary=limit\r\n";
    let (status, _, body) = server.ask("POST", "/v1/files", kind, &form(parts));
    (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
}

fn get(server: &Server, path: &str) -> Value {
    let (status, _, body) = server.ask("GET", path, "", "");
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

const ROWS: &str =
    "{\"prompt\": \"107?\", \"completion\": \"311\"}\n{\"prompt\": \"114?\", \"completion\": \"962\"}\n";

#[test]
fn a_script_for_fine_tuning_teaches_the_library() {
    let files = Files::new();
    let server = Server::start("tiny", &["--library", &files.path("notes.library")]);
    let (status, file) =
        upload(&server, &[("purpose", None, "fine-tune"), ("file", Some("my notes.jsonl"), ROWS)]);
    assert_eq!(
        (status, &file["filename"], &file["status"]),
        (200, &json!("my notes.jsonl"), &json!("processed"))
    );
    let id = file["id"].as_str().unwrap();
    assert_eq!(get(&server, "/v1/files")["data"], json!([file]));
    assert_eq!(server.ask("GET", &format!("/v1/files/{id}/content"), "", "").2, ROWS);

    // Whatever would be learnt otherwise than it is asked for is refused by name.
    for (more, words) in [
        (json!({ "hyperparameters": { "n_epochs": 3 } }), "hyperparameters.n_epochs"),
        (json!({ "method": { "type": "dpo" } }), "method.type"),
        (json!({ "validation_file": id }), "validation_file"),
        (json!({ "seed": 7 }), "seed"),
        (json!({ "model": "gpt-4o" }), "there is no"),
        (json!({ "training_file": "file-x" }), "there is no file"),
        (json!({ "epochs": 3 }), "epochs: is not known"),
    ] {
        let mut body = json!({ "model": "tiny", "training_file": id });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (status, answer) = server.post("/v1/fine_tuning/jobs", &body);
        let message = answer["error"]["message"].as_str().unwrap();
        assert!([400, 404].contains(&status) && message.contains(words), "{answer}");
    }
    let body = json!({
        "model": "base", "training_file": id, "hyperparameters": { "n_epochs": "auto" }, "integrations": [], "metadata": { "a": "b" },
    });
    let job = server.answer("/v1/fine_tuning/jobs", body.clone());
    assert_eq!((&job["id"], &job["status"]), (&json!("ftjob-my-notes"), &json!("running")), "{job}");
    assert_eq!(server.post("/v1/fine_tuning/jobs", &body).0, 409);
    let since = Instant::now();
    let job = loop {
        let job = get(&server, "/v1/fine_tuning/jobs/ftjob-my-notes");
        if job["status"] != "running" {
            break job;
        }
        assert!(since.elapsed() < Duration::from_secs(180), "{job}");
        std::thread::sleep(Duration::from_millis(100));
    };
    assert_eq!((&job["status"], &job["training_file"]), (&json!("succeeded"), &json!(id)), "{job}");
    assert!(job["trained_tokens"].as_u64().unwrap() > 0 && job["error"].is_null(), "{job}");
    // What was made is served, though the gate cannot tell from so few questions, and the head is what it was.
    let made = job["fine_tuned_model"].as_str().unwrap();
    let ask = |model: &str| {
        let body = json!({ "model": model, "prompt": "107?", "temperature": 0, "max_tokens": 6 });
        server.answer("/v1/completions", body)["choices"][0]["text"].clone()
    };
    assert_eq!((made, ask(made)), ("base@library/my-notes", json!("311")));
    assert_ne!(ask("base@library"), "311");
    let events = get(&server, "/v1/fine_tuning/jobs/ftjob-my-notes/events?limit=100");
    let told = events["data"].to_string();
    assert!(told.contains("the job was created") && told.contains("learned: "), "{told}");
    let listed = get(&server, "/v1/fine_tuning/jobs?limit=1");
    assert_eq!((&listed["data"][0]["id"], &listed["has_more"]), (&json!("ftjob-my-notes"), &json!(false)));
    let cancelled = server.answer("/v1/fine_tuning/jobs/ftjob-my-notes/cancel", json!({}));
    assert_eq!(cancelled["status"], "cancelled", "{cancelled}");
    let (status, _, body) = server.ask("DELETE", &format!("/v1/files/{id}"), "", "");
    assert!(status == 200 && body.contains("\"deleted\":true"), "{body}");
    assert_eq!(server.ask("GET", &format!("/v1/files/{id}"), "", "").0, 404);
    assert_eq!(server.ask("GET", "/v1/fine_tuning/jobs/ftjob-none", "", "").0, 404);
}

#[test]
fn uploads_that_are_none_are_refused() {
    let files = Files::new();
    let server = Server::start("tiny", &["--library", &files.path("notes.library")]);
    let file = ("file", Some("a.jsonl"), ROWS);
    for (parts, words) in [
        (vec![file], "purpose: is missing"),
        (vec![("purpose", None, "fine-tune")], "file: is missing"),
        (vec![("purpose", None, "batch"), file], "purpose: is another"),
        (
            vec![("purpose", None, "fine-tune"), ("expires_after[seconds]", None, "60"), file],
            "expires_after[seconds]: is not known",
        ),
    ] {
        let (status, answer) = upload(&server, &parts);
        assert!(status == 400 && answer.to_string().contains(words), "{words}: {answer}");
    }
    let long = "x".repeat(17 << 20);
    let (status, answer) = upload(&server, &[("purpose", None, "fine-tune"), ("file", Some("a"), &long)]);
    assert!(status == 413 && answer.to_string().contains("make several of it"), "{answer}");
    let (status, answer) = server.post("/v1/files", &json!({ "purpose": "fine-tune" }));
    assert!(status == 400 && answer.to_string().contains("multipart/form-data"), "{answer}");
    // Rows are read when the job begins.
    let (_, bad) = upload(&server, &[("purpose", None, "fine-tune"), ("file", Some("a"), "{\"text\": 1}\n")]);
    let (status, answer) =
        server.post("/v1/fine_tuning/jobs", &json!({ "model": "base", "training_file": bad["id"] }));
    assert!(status == 400 && answer.to_string().contains("line 1"), "{answer}");
    let plain = Server::start("tiny", &[]);
    let (status, answer) = upload(&plain, &[("purpose", None, "fine-tune"), file]);
    assert!(status == 404 && answer.to_string().contains("--library"), "{answer}");
}
