//! The client of OpenAI's own Python package.

use std::io::Write;
use std::process::Command;

use crate::program::Files;
use crate::server::{Server, random_model};
use crate::tools;

/// A Python that has the package: that of a variable, else the one on the path.
fn python() -> Option<String> {
    let python = std::env::var("OPENAI_PYTHON").unwrap_or_else(|_| "python3".into());
    let has = Command::new(&python).args(["-c", "import openai"]).output();
    has.is_ok_and(|output| output.status.success()).then_some(python)
}

#[test]
fn the_python_client_is_understood() {
    let Some(python) = python() else {
        // Not by a macro, whose words a test that passes keeps to itself.
        let words = "NOT CHECKED: no Python with the package `openai`; set OPENAI_PYTHON to that of a virtual environment";
        writeln!(std::io::stderr(), "{words}").unwrap();
        return;
    };
    let server = Server::start(&random_model(), &[]);
    let files = Files::new();
    let caller = tools::server(&files, "qwen25_tools");
    let learner = Server::start("tiny", &["--library", &files.path("notes.library")]);
    let [address, caller, learner] =
        [&server, &caller, &learner].map(|server| server.ready["address"].as_str().unwrap());
    let script = format!("{}/tests/serve/client.py", env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(python).args([&script, address, "qwen2", caller, learner]).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{message}");
}
