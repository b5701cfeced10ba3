//! Processes that a test starts, and ends by their ids.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::program::command;

/// The longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(120);
const STEP: Duration = Duration::from_millis(30);

/// Some time up to so many milliseconds.
pub(crate) fn moment(most: u32) -> Duration {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let moment = Duration::from_millis(u64::from(now.subsec_micros() % most));
    println!("a moment of {moment:?}");
    moment
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "{what} has not come");
        sleep(STEP);
    }
}

/// A NATS server on loopback, with a port and a store of its own.
pub(crate) struct Broker {
    child: Child,
    port: u16,
    args: Vec<String>,
    folder: tempfile::TempDir,
}

impl Broker {
    pub(crate) fn start() -> Self {
        Self::with(&["-js"])
    }

    pub(crate) fn with(args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let child = Self::spawn(&args, port, &folder);
        Self { child, port, args, folder }
    }

    fn spawn(args: &[String], port: u16, folder: &tempfile::TempDir) -> Child {
        let program = std::env::var("STEPLADDER_NATS_SERVER").unwrap_or_else(|_| "nats-server".into());
        let log = File::create(folder.path().join("log")).unwrap();
        let mut server = Command::new(&program);
        server.args(["-a", "127.0.0.1", "-p", &port.to_string(), "-sd"]).arg(folder.path().join("store"));
        server.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let mut child = server.spawn().unwrap_or_else(|error| panic!("{program}: {error}"));
        until("the server", || {
            assert_eq!(child.try_wait().unwrap(), None, "the server ended");
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        child
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    /// Loses all that it had.
    pub(crate) fn empty(&self) {
        fs::remove_dir_all(self.folder.path().join("store")).unwrap();
    }

    pub(crate) fn start_again(&mut self) {
        self.child = Self::spawn(&self.args, self.port, &self.folder);
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The program at work.
pub(crate) struct Process {
    child: Child,
    folder: tempfile::TempDir,
}

impl Process {
    pub(crate) fn start(args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| File::create(folder.path().join(name)).unwrap();
        let child = command(args).stdout(file("out")).stderr(file("err")).spawn().unwrap();
        Self { child, folder }
    }

    pub(crate) fn worker(broker: &Broker, model: &str) -> Self {
        Self::start(&["work", "--json", "-m", model, "--connect", &broker.url()])
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn words(&self) -> String {
        fs::read_to_string(self.path("err")).unwrap()
    }

    /// The lines that were written whole.
    fn lines(&self) -> Vec<Value> {
        let out = fs::read_to_string(self.path("out")).unwrap();
        out.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Tasks that a worker answered first.
    pub(crate) fn answered(&self) -> Vec<Value> {
        self.lines().into_iter().filter(|line| line["type"] == "answered" && line["late"] == false).collect()
    }

    pub(crate) fn wait_for_line(&mut self, ready: impl Fn(&Value) -> bool) {
        until("a line", || {
            let found = self.lines().iter().any(&ready);
            assert!(found || self.child.try_wait().unwrap().is_none(), "it ended: {}", self.words());
            found
        });
    }

    pub(crate) fn wait_for_words(&mut self, words: &str) {
        until(words, || {
            let found = self.words().contains(words);
            assert!(found || self.child.try_wait().unwrap().is_none(), "it ended: {}", self.words());
            found
        });
    }

    /// Waits; whether it still runs then.
    pub(crate) fn runs_for(&mut self, time: Duration) -> bool {
        let began = Instant::now();
        while began.elapsed() < time {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            sleep(STEP);
        }
        true
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    pub(crate) fn interrupt(&mut self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        until("its end", || self.child.try_wait().unwrap().is_some());
        assert_eq!(self.child.wait().unwrap().code(), Some(130), "{}", self.words());
    }

    /// Waits for its end; its messages.
    pub(crate) fn succeed(&mut self) -> String {
        until("its end", || self.child.try_wait().unwrap().is_some());
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), Some(0), "{}", self.words());
        self.words()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
