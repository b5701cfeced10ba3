//! A checker at work: a process group with pipes, asked one line at a time.
//!
//! Three threads stand between us and the program, so that one which neither reads nor writes blocks none but them.
//!
//! The program leads a process group of its own (on Unix), so that a wrapper's children end with it. Should this process be killed, which no
//! destructor survives, a shell that waits at the other end of a pipe ends the group.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Longest line that is taken, in bytes.
pub(super) const MAX_LINE: u64 = 65_536;
/// What is kept of the standard error, in bytes.
const MAX_TAIL: usize = 2_000;
/// How often a wait looks at whether the user asked to stop.
const LOOK: Duration = Duration::from_millis(50);
/// How long a program that closed its output may take to end by itself, so that its exit status can be told.
const FAREWELL: Duration = Duration::from_millis(100);

/// A started program.
#[derive(Debug)]
pub(super) struct Program {
    child: Child,
    /// Ends the group when this process has ended.
    watch: Option<Child>,
    requests: SyncSender<Vec<u8>>,
    lines: Receiver<Vec<u8>>,
    errors: Arc<Mutex<VecDeque<u8>>>,
    errors_end: Receiver<()>,
    killed: bool,
}

/// Why there is no line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoLine {
    /// Nothing came in time.
    Late,
    /// The program closed its output, or ended.
    Ended,
    /// The user asked to stop.
    Cancelled,
}

impl Program {
    /// Starts `words`, a program and its arguments.
    pub(super) fn start(words: &[String]) -> std::io::Result<Self> {
        let (name, arguments) = words.split_first().ok_or_else(|| std::io::Error::other("it is empty"))?;
        let mut command = Command::new(name);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn()?;
        let watch = watch(child.id());
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (requests, to_send) = sync_channel(1);
        // A program that writes far more than it is asked for fills this and then its pipe, and stands.
        let (to_read, lines) = sync_channel(16);
        let (ended, errors_end) = sync_channel(1);
        let errors = Arc::new(Mutex::new(VecDeque::new()));
        let program =
            Self { child, watch, requests, lines, errors: Arc::clone(&errors), errors_end, killed: false };
        let (Some(input), Some(output), Some(error)) = pipes else {
            return Err(std::io::Error::other("no pipes to the program"));
        };
        let thread = || std::thread::Builder::new().name("checker".to_owned());
        thread().spawn(move || send(input, &to_send))?;
        thread().spawn(move || read(output, &to_read))?;
        thread().spawn(move || {
            listen(error, &errors);
            // Nobody may be waiting.
            let _ = ended.send(());
        })?;
        Ok(program)
    }

    /// Gives the program a line, which ends with a line break; false if it no longer reads.
    pub(super) fn tell(&self, line: Vec<u8>) -> bool {
        self.requests.send(line).is_ok()
    }

    /// A line that the program has written already, without waiting. `Late` where there is none.
    pub(super) fn waiting_line(&self) -> Result<Vec<u8>, NoLine> {
        self.lines.try_recv().map_err(|error| match error {
            TryRecvError::Empty => NoLine::Late,
            TryRecvError::Disconnected => NoLine::Ended,
        })
    }

    /// The next line within `time`.
    pub(super) fn line(&self, time: Duration, cancelled: &AtomicBool) -> Result<Vec<u8>, NoLine> {
        let began = Instant::now();
        loop {
            let left = time.saturating_sub(began.elapsed());
            match self.lines.recv_timeout(left.min(LOOK)) {
                Ok(line) => return Ok(line),
                Err(RecvTimeoutError::Disconnected) => return Err(NoLine::Ended),
                Err(RecvTimeoutError::Timeout) if cancelled.load(Ordering::Relaxed) => {
                    return Err(NoLine::Cancelled);
                }
                Err(RecvTimeoutError::Timeout) if left.is_zero() => return Err(NoLine::Late),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Ends the program and says in words how it ended and what it last wrote to its standard error.
    pub(super) fn last_words(mut self) -> String {
        std::thread::sleep(FAREWELL);
        let by_itself = self.has_ended();
        self.kill();
        let status = self.child.wait().ok().filter(|_| by_itself);
        // What is in the pipe is read soon, unless a process that left the group holds it open.
        let _ = self.errors_end.recv_timeout(FAREWELL);
        let errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = errors.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        // It may have written what the model did.
        let text: String = text.chars().filter(|c| !c.is_control() || *c == '\n').collect();
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let status = status.map_or(String::new(), ended);
        match lines.len() {
            0 => status,
            count => format!("{status}; it said: {}", lines[count.saturating_sub(5)..].join(" | ")),
        }
    }

    /// Whether the program has ended, which does not take its number from it yet.
    fn has_ended(&mut self) -> bool {
        #[cfg(unix)]
        {
            use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
            let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            matches!(waitid(WaitId::Pid(Pid::from_child(&self.child)), look), Ok(Some(_)))
        }
        #[cfg(not(unix))]
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Kills the whole group. The leader has not been waited for, so that its number cannot be another's yet.
    fn kill(&mut self) {
        if std::mem::replace(&mut self.killed, true) {
            return;
        }
        if let Some(mut watch) = self.watch.take() {
            let _ = watch.kill();
            let _ = watch.wait();
        }
        #[cfg(unix)]
        let _ = rustix::process::kill_process_group(
            rustix::process::Pid::from_child(&self.child),
            rustix::process::Signal::KILL,
        );
        #[cfg(not(unix))]
        let _ = self.child.kill();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill, and nothing to report.
        self.kill();
        let _ = self.child.wait();
    }
}

/// How a program ended, as the end of a sentence.
fn ended(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(number) = std::os::unix::process::ExitStatusExt::signal(&status) {
        use rustix::process::Signal;
        let name = [
            (Signal::KILL, " (KILL, as where memory runs out)"),
            (Signal::SEGV, " (SEGV)"),
            (Signal::ABORT, " (ABRT)"),
            (Signal::TERM, " (TERM)"),
        ];
        let name = name.iter().find(|(signal, _)| signal.as_raw() == number).map_or("", |(_, name)| name);
        return format!(", killed by signal {number}{name}");
    }
    status.code().map_or(String::new(), |code| format!(" with exit status {code}"))
}

/// A shell that reads a pipe whose other end only this process holds, and kills the group `leader` when that end closes. Where there is no
/// shell the group ends with this process in all cases but a kill.
#[cfg(unix)]
fn watch(leader: u32) -> Option<Child> {
    let mut command = Command::new("sh");
    command.args(["-c", "read -r _; kill -9 -\"$1\"", "sh", &leader.to_string()]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.spawn().ok()
}

#[cfg(not(unix))]
fn watch(_leader: u32) -> Option<Child> {
    None
}

/// Passes requests on until either side is gone.
fn send(mut input: ChildStdin, requests: &Receiver<Vec<u8>>) {
    while let Ok(request) = requests.recv() {
        if input.write_all(&request).and_then(|()| input.flush()).is_err() {
            break;
        }
    }
}

/// Passes lines on, empty ones left out, until either side is gone. What is longer than a line may be is cut and ends the conversation.
fn read(output: ChildStdout, lines: &SyncSender<Vec<u8>>) {
    let mut output = BufReader::new(output);
    loop {
        let mut line = Vec::new();
        let read = output.by_ref().take(MAX_LINE).read_until(b'\n', &mut line);
        if !matches!(read, Ok(1..)) {
            break;
        }
        let whole = line.ends_with(b"\n");
        if !line.trim_ascii().is_empty() && lines.send(line).is_err() || !whole {
            break;
        }
    }
}

/// Passes the standard error on to ours and keeps its end.
fn listen(mut error: ChildStderr, tail: &Mutex<VecDeque<u8>>) {
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = error.read(&mut bytes) {
        let _ = std::io::stderr().write_all(&bytes[..count]);
        let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.extend(&bytes[..count]);
        let excess = tail.len().saturating_sub(MAX_TAIL);
        tail.drain(..excess);
    }
}
