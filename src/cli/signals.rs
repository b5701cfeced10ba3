//! The signals that ask a program to stop: Ctrl-C, termination, and the end of its terminal.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use stepladder::{Error, Result};

/// Exit status of a program that was stopped.
const CANCELLED: i32 = 130;

/// A signal so soon after another is the same wish: some programs send theirs to a process and to its group.
const SAME: Duration = Duration::from_millis(300);

/// What signals come to.
#[derive(Debug)]
pub(super) struct Stop {
    /// The user has asked to stop; long work looks at it between slices.
    pub(super) cancelled: Arc<AtomicBool>,
    /// Nothing is under way that would be lost, so that a signal may end the program at once.
    pub(super) idle: AtomicBool,
    /// What is under way may be stopped alone, by Ctrl-C.
    pub(super) interruptible: AtomicBool,
    /// It was.
    pub(super) interrupted: AtomicBool,
    /// When the last signal came.
    last: Mutex<Option<Instant>>,
}

impl Stop {
    /// Nothing is under way yet.
    pub(super) fn new() -> Self {
        Self {
            cancelled: Arc::new(AtomicBool::new(false)),
            idle: AtomicBool::new(true),
            interruptible: AtomicBool::new(false),
            interrupted: AtomicBool::new(false),
            last: Mutex::new(None),
        }
    }

    /// A signal came: Ctrl-C, or another.
    fn signal(&self, is_interrupt: bool) {
        let before = self.last.lock().unwrap_or_else(PoisonError::into_inner).replace(Instant::now());
        if before.is_some_and(|before| before.elapsed() < SAME) {
            return;
        }
        if self.cancelled.swap(true, Ordering::Relaxed) || self.idle.load(Ordering::Relaxed) {
            super::echo::restore();
            std::process::exit(CANCELLED);
        }
        if is_interrupt && self.interruptible.load(Ordering::Relaxed) {
            self.interrupted.store(true, Ordering::Relaxed);
        } else {
            say("stopping at the next safe point; press Ctrl-C again to stop at once");
        }
    }
}

/// Sets `cancelled` at the first signal, so that the command stops where nothing is lost; the second ends the program, as does
/// the first while `idle` is set: then nothing could be lost.
pub(super) fn handle(stop: Arc<Stop>) -> Result<()> {
    let stop = move |is_interrupt| stop.signal(is_interrupt);
    system::listen(stop).map_err(|source| Error::Io {
        path: "signals".into(),
        action: "handle",
        source,
        hint: "run in a terminal that can send signals",
    })
}

/// Writes a line to standard error, which may be a terminal that is gone.
pub(super) fn say(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A path as a shell takes it, for commands in messages.
pub(super) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:@,".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(unix)]
mod system {
    use std::io::{Error, IsTerminal, stderr, stdin, stdout};

    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;

    pub(super) fn listen(stop: impl Fn(bool) + Send + 'static) -> Result<(), Error> {
        let mut wanted = vec![SIGINT, SIGTERM];
        if !hangup_is_ignored() {
            wanted.push(SIGHUP);
        }
        let mut signals = Signals::new(wanted)?;
        let wait = move || signals.forever().for_each(|signal| stop(signal == SIGINT));
        std::thread::Builder::new().name("signals".into()).spawn(wait).map(drop)
    }

    /// Whether the program was started to outlive its terminal, as by `nohup`. Linux says which signals are ignored; elsewhere
    /// a program without any terminal is taken for such a one.
    fn hangup_is_ignored() -> bool {
        let status = std::fs::read_to_string("/proc/self/status").ok();
        let mask = status.as_deref().and_then(|status| {
            let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
            u64::from_str_radix(line.trim(), 16).ok()
        });
        match mask {
            Some(mask) => mask & (1 << (SIGHUP - 1)) != 0,
            None => !(stdin().is_terminal() || stdout().is_terminal() || stderr().is_terminal()),
        }
    }
}

#[cfg(not(unix))]
mod system {
    pub(super) fn listen(stop: impl Fn(bool) + Send + 'static) -> Result<(), std::io::Error> {
        ctrlc::set_handler(move || stop(true)).map_err(std::io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The second would end this process.
    #[test]
    fn a_signal_that_comes_twice_at_once_is_one() {
        let stop = Stop::new();
        stop.idle.store(false, Ordering::Relaxed);
        stop.signal(true);
        stop.signal(true);
        assert!(stop.cancelled.load(Ordering::Relaxed));
    }

    #[test]
    fn paths_survive_a_shell() {
        for (path, text) in [("runs/a-1.2", "runs/a-1.2"), ("my run", "'my run'"), ("it's", r"'it'\''s'")] {
            assert_eq!(quoted(Path::new(path)), text);
        }
    }
}
