//! A server for a test, and ways to ask it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::program;

/// The program with these arguments, not started.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = program::command(args);
    command.env_remove("STEPLADDER_API_KEY");
    command
}

/// The one JSON document of a call that went well.
pub(crate) fn json(args: &[&str]) -> Value {
    let output: Output = command(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The folder of a small random model, which has a chat template and an adapter, and seldom ends by itself.
pub(crate) fn random_model() -> String {
    format!("{}/tests/fixtures/models/qwen2", env!("CARGO_MANIFEST_DIR"))
}

/// A server, which ends with the test.
pub(crate) struct Server {
    pub(crate) child: Child,
    /// What it said when it was ready.
    pub(crate) ready: Value,
    /// Host and port.
    pub(crate) place: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// A server of a model on a free port.
    pub(crate) fn start(model: &str, args: &[&str]) -> Self {
        Self::of(command(&[&["serve", "--json", "--port", "0", "-m", model], args].concat()))
    }

    pub(crate) fn of(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if line.is_empty() {
            let mut message = String::new();
            child.stderr.take().unwrap().read_to_string(&mut message).unwrap();
            panic!("{message}");
        }
        let ready: Value = serde_json::from_str(&line).unwrap();
        let place = ready["address"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();
        Self { child, ready, place }
    }

    /// A connection on which nothing was said.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.place).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        stream
    }

    /// Sends bytes and reads until the connection ends.
    pub(crate) fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        // A server that refuses may close before it has read everything.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// A request as bytes.
    pub(crate) fn bytes(method: &str, path: &str, headers: &str, body: &str) -> Vec<u8> {
        let length = body.len();
        let host = if headers.contains("Host: ") { "" } else { "Host: localhost\r\n" };
        let head =
            format!("{method} {path} HTTP/1.1\r\n{host}Connection: close\r\nContent-Length: {length}\r\n");
        format!("{head}{headers}\r\n{body}").into_bytes()
    }

    /// Status, head and body of an answer.
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String, String) {
        let answer = self.raw(&Self::bytes(method, path, headers, body));
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let body = if head.to_lowercase().contains("transfer-encoding: chunked") {
            unchunked(body)
        } else {
            body.into()
        };
        (status, head.to_owned(), body)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let (status, _, body) = self.ask("POST", path, "", &body.to_string());
        (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
    }

    /// The answer to a request that must be answered.
    pub(crate) fn answer(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.post(path, &body);
        assert_eq!(status, 200, "{body}: {answer}");
        answer
    }

    /// The events of a streamed answer, which must end as it should.
    pub(crate) fn events(&self, path: &str, mut body: Value) -> Vec<Value> {
        body["stream"] = true.into();
        let (status, head, text) = self.ask("POST", path, "", &body.to_string());
        assert!(status == 200 && head.contains("text/event-stream"), "{head}\n{text}");
        events(&text)
    }

    /// Begins a streamed answer and reads its first event.
    pub(crate) fn begin(&self, path: &str, mut body: Value) -> BufReader<TcpStream> {
        body["stream"] = true.into();
        let mut stream = self.connect();
        stream.write_all(&Self::bytes("POST", path, "", &body.to_string())).unwrap();
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        while !line.starts_with("data: ") {
            line.clear();
            assert!(reader.read_line(&mut line).unwrap() > 0, "no event");
        }
        reader
    }

    /// A number of `/metrics`.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let (status, _, text) = self.ask("GET", "/metrics", "", "");
        assert_eq!(status, 200);
        let name = format!("stepladder_{name} ");
        text.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
    }

    /// Waits until a number of `/metrics` is this.
    pub(crate) fn wait_for(&self, name: &str, value: f64) {
        let since = Instant::now();
        while (self.metric(name) - value).abs() > 1e-9 {
            assert!(since.elapsed() < Duration::from_secs(60), "{name} stays {}", self.metric(name));
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The events of a stream that ended as it should.
pub(crate) fn events(text: &str) -> Vec<Value> {
    let mut data: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    assert_eq!(data.pop(), Some("[DONE]"), "{text}");
    data.into_iter().map(|event| serde_json::from_str(event).unwrap()).collect()
}

/// The body of an answer that came in chunks.
pub(crate) fn unchunked(mut body: &str) -> String {
    let mut out = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap_or(0);
        out += &rest[..size.min(rest.len())];
        body = rest.get(size + 2..).unwrap_or("");
    }
    out
}
