//! A chat as a person at a terminal has it: util-linux's `script` is the terminal.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::program::{Files, model};

/// The longest that anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program in a terminal.
struct Terminal {
    child: Child,
    shown: Arc<Mutex<Vec<u8>>>,
    /// Bytes that were looked at.
    seen: usize,
}

impl Terminal {
    /// The shell that `script` starts becomes the program: one that stayed would die of the program's Ctrl-C.
    fn new(command: &str) -> Self {
        let command = &format!("exec {command}");
        let mut script = Command::new("script");
        script.args(["--quiet", "--flush", "--return", "--command", command, "/dev/null"]);
        script.env("XDG_RUNTIME_DIR", std::env::temp_dir()).env("TERM", "xterm").env_remove("RUST_LOG");
        let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (shown, mut out) = (Arc::default(), child.stdout.take().unwrap());
        let sink: Arc<Mutex<Vec<u8>>> = Arc::clone(&shown);
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = out.read(&mut piece) {
                sink.lock().unwrap().extend_from_slice(&piece[..count]);
            }
        });
        Self { child, shown, seen: 0 }
    }

    fn types(&mut self, text: &str) {
        let keys = self.child.stdin.as_mut().unwrap();
        keys.write_all(text.as_bytes()).and_then(|()| keys.flush()).unwrap();
    }

    /// Waits until the terminal shows `text`, after what was waited for before.
    fn shows(&mut self, text: &str) -> String {
        let began = Instant::now();
        loop {
            let shown = self.shown.lock().unwrap();
            let new = String::from_utf8_lossy(&shown[self.seen..]).into_owned();
            if let Some(at) = shown[self.seen..].windows(text.len()).position(|part| part == text.as_bytes())
            {
                self.seen += at + text.len();
                return new;
            }
            drop(shown);
            assert!(began.elapsed() < PATIENCE, "{text:?} is not in {new:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It has ended by itself where the test is right.
        let _ = self.child.kill();
    }
}

#[test]
fn a_chat_is_edited_commanded_and_interrupted() {
    const READY: &str = "\u{1b}[2C";
    let files = Files::new();
    let program = env!("CARGO_BIN_EXE_stepladder");
    let mut chat = Terminal::new(&format!("{program} chat -m {} --max-tokens 450 --seed 1", model("qwen2")));
    chat.shows("temperature 0.7, min-p 0.05; the model advises none; /help says");
    chat.shows(READY);
    chat.types("/help\r");
    chat.shows("stops an answer");
    chat.shows(READY);
    chat.types("/sytem\r");
    chat.shows("is no command; /help lists");
    chat.shows(READY);
    // Ctrl-C with a line half typed throws the line away.
    chat.types("half\u{3}");
    chat.shows("/exit or Ctrl-D ends the chat");
    chat.shows(READY);
    // A message of two lines; Ctrl-C stops its answer and not the chat, and what is typed meanwhile is not shown in it.
    chat.types("\"\"\"Hi\r");
    chat.shows("... ");
    chat.types("there\"\"\"\r");
    chat.shows("\r\n");
    std::thread::sleep(Duration::from_millis(250));
    chat.types("\u{3}");
    chat.shows("stopped");
    chat.shows(READY);
    let talk = files.path("talk.jsonl");
    chat.types(&format!("/save {talk}\r"));
    chat.shows("saved");
    chat.shows(READY);
    let saved: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&talk).unwrap()).unwrap();
    assert_eq!(saved["messages"][0]["content"], "Hi\nthere");
    assert_eq!(saved["messages"][1]["role"], "assistant");
    chat.types(&format!("/save {talk}\r"));
    chat.shows("exists");
    chat.shows(READY);
    chat.types("/temperature 0\r");
    chat.shows("temperature 0\r\n");
    chat.shows(READY);
    chat.types("/reset\r");
    chat.shows("forgotten");
    chat.shows(READY);
    // The answer that was stopped left the model's memory of the conversation as it should be.
    chat.types("Hi\r");
    chat.shows("cut after 450 tokens; --max-tokens allows more");
    chat.shows(READY);
    chat.types("\u{4}");
    let began = Instant::now();
    let status = loop {
        match chat.child.try_wait().unwrap() {
            Some(status) => break status,
            None => assert!(began.elapsed() < PATIENCE),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(status.code(), Some(0));
}
