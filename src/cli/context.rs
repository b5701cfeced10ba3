//! What every command gets beside its own options: how to answer, which GPU was asked for, and whether to stop.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use stepladder::{Error, Result};

use super::Global;

/// Exit status of a program that was stopped by Ctrl-C.
const CANCELLED: i32 = 130;

/// Settings of this call of the program.
#[derive(Debug)]
pub(super) struct Context {
    /// Standard output is for programs.
    pub(super) json: bool,
    /// Part of the name of the GPU to use, from `--gpu`, else from `WGPU_ADAPTER_NAME`.
    pub(super) gpu: Option<String>,
    /// Multiply in 16-bit floats where the GPU can.
    pub(super) f16: bool,
    /// Time every kernel.
    pub(super) profile: bool,
    /// Where to write when each kernel ran.
    pub(super) trace: Option<PathBuf>,
    cancelled: Arc<AtomicBool>,
    /// Nothing is under way, so that Ctrl-C may end the program at once.
    idle: Arc<AtomicBool>,
}

impl Context {
    /// Reads the environment and takes over Ctrl-C: the first asks the command to stop, the second ends the program.
    pub(super) fn new(global: &Global) -> Result<Self> {
        let from_environment = || std::env::var("WGPU_ADAPTER_NAME").ok();
        let gpu = global.gpu.clone().or_else(from_environment).filter(|name| !name.is_empty());
        let cancelled = Arc::new(AtomicBool::new(false));
        let idle = Arc::new(AtomicBool::new(false));
        let (flag, waits) = (Arc::clone(&cancelled), Arc::clone(&idle));
        let handler = move || {
            if flag.swap(true, Ordering::Relaxed) || waits.load(Ordering::Relaxed) {
                std::process::exit(CANCELLED);
            }
            eprintln!("stopping at the next safe point; press Ctrl-C again to stop at once");
        };
        ctrlc::set_handler(handler).map_err(|error| Error::Io {
            path: "Ctrl-C".into(),
            action: "handle",
            source: std::io::Error::other(error),
            hint: "run in a terminal that can send signals",
        })?;
        Ok(Self {
            json: global.json,
            gpu,
            f16: global.f16,
            profile: global.profile || global.trace.is_some(),
            trace: global.trace.clone(),
            cancelled,
            idle,
        })
    }

    /// Becomes true when the user asks to stop; long work looks at it between slices.
    pub(super) fn cancelled(&self) -> &Arc<AtomicBool> {
        &self.cancelled
    }

    /// Runs `wait`, during which Ctrl-C ends the program at once.
    pub(super) fn idle<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.idle.store(true, Ordering::Relaxed);
        let result = wait();
        self.idle.store(false, Ordering::Relaxed);
        result
    }

    /// Answers with `value` as a line of JSON if `--json` was given, else with `text`, a newline added.
    ///
    /// Each answer is one JSON line, flushed, so that a reader sees events as they happen.
    pub(super) fn answer(&self, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<()> {
        let line = if self.json {
            serde_json::to_string(value).map_err(|error| Error::write("standard output", error.into()))?
        } else {
            text()
        };
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}")
            .and_then(|()| out.flush())
            .map_err(|error| Error::write("standard output", error))
    }
}
