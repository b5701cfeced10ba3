//! The one error type of the crate: what went wrong, where, and what to do about it.

use std::path::{Path, PathBuf};

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, in words a user can act on.
///
/// `Display` gives one line: what, where, what to do. [`Error::code`] is stable and made for programs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file that the user gave is not what it should be.
    #[error("{}: {field}: {problem}; {hint}", file.display())]
    Input {
        /// The file.
        file: PathBuf,
        /// The field, tensor or line (`line 12`) at fault.
        field: String,
        /// What is wrong with it.
        problem: String,
        /// What to do.
        hint: String,
    },
    /// An option or argument has a value that cannot be used.
    #[error("{option}: {problem}; {hint}")]
    Usage {
        /// The option, as the user writes it.
        option: String,
        /// What is wrong with it.
        problem: String,
        /// What to do.
        hint: String,
    },
    /// The operating system refused to read or write.
    #[error("{}: cannot {action}: {source}; {hint}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried (`read`, `write`, `create`).
        action: &'static str,
        /// The system's answer.
        source: std::io::Error,
        /// What to do.
        hint: &'static str,
    },
    /// No GPU adapter, not even a software one, could be used.
    #[error("no GPU adapter: {problem}; {hint}")]
    NoAdapter {
        /// What was looked for.
        problem: String,
        /// What to do.
        hint: String,
    },
    /// The plan does not fit into the memory at hand.
    #[error("{what} needs {needed} bytes of GPU memory but {available} are available; {hint}")]
    OutOfMemory {
        /// What needs the memory.
        what: String,
        /// Bytes needed.
        needed: u64,
        /// Bytes at hand.
        available: u64,
        /// Which option lowers the need.
        hint: String,
    },
    /// The device stopped working (driver reset, unplugged, destroyed).
    #[error("the GPU device was lost: {0}; run again, with --resume if this was a training run")]
    DeviceLost(String),
    /// The GPU or its driver rejected something: a defect in this program or in the driver.
    #[error("GPU error in {what}: {problem}; please report this together with `stepladder info --json`")]
    Gpu {
        /// The kernel or operation.
        what: String,
        /// The driver's or validator's text.
        problem: String,
    },
    /// A tensor of another shape than the kernel takes: a defect in this program.
    #[error("{kernel}: {arg} has shape {got:?}, expected {expected:?}")]
    Shape {
        /// The kernel.
        kernel: &'static str,
        /// The argument.
        arg: &'static str,
        /// The shape that it takes.
        expected: Vec<usize>,
        /// The shape that it got.
        got: Vec<usize>,
    },
    /// A text is longer than the model's context.
    #[error("{what} has {tokens} tokens but the context holds {context}; {hint}")]
    Context {
        /// Which text.
        what: String,
        /// Its length.
        tokens: usize,
        /// The longest sequence.
        context: usize,
        /// What to do.
        hint: &'static str,
    },
    /// A download failed.
    #[error("{url}: {problem}; {hint}")]
    Download {
        /// What was fetched.
        url: String,
        /// Why it failed.
        problem: String,
        /// What to do.
        hint: String,
    },
    /// Loss or gradient was not finite several steps in a row.
    #[error(
        "{steps} steps in a row had a non-finite loss or gradient; lower --learning-rate (the last good state is saved)"
    )]
    Diverged {
        /// Number of steps in a row.
        steps: u32,
    },
    /// What training made is not finite, so that it was not kept.
    #[error("{what}; {hint}")]
    NotFinite {
        /// What is not finite, and since when.
        what: String,
        /// What is left, and what to do.
        hint: String,
    },
    /// Another process writes to the same place.
    #[error("{}: another process is writing there; {BUSY_HINT}", path.display())]
    Busy {
        /// The file or folder.
        path: PathBuf,
    },
    /// The user asked to stop.
    #[error("cancelled")]
    Cancelled,
}

/// What to do about [`Error::Busy`].
const BUSY_HINT: &str = "wait until it has ended, or choose another place";

impl Error {
    /// A stable identifier for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Input { .. } => "input",
            Self::Usage { .. } => "usage",
            Self::Io { .. } => "io",
            Self::NoAdapter { .. } => "no_adapter",
            Self::OutOfMemory { .. } => "out_of_memory",
            Self::DeviceLost(_) => "device_lost",
            Self::Gpu { .. } => "gpu",
            Self::Shape { .. } => "shape",
            Self::Context { .. } => "context",
            Self::Download { .. } => "download",
            Self::Diverged { .. } | Self::NotFinite { .. } => "diverged",
            Self::Busy { .. } => "busy",
            Self::Cancelled => "cancelled",
        }
    }

    /// What to do about it, as [`Display`](std::fmt::Display) says after the last semicolon; `None` where there is nothing to do.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Input { hint, .. }
            | Self::Usage { hint, .. }
            | Self::NoAdapter { hint, .. }
            | Self::OutOfMemory { hint, .. }
            | Self::Download { hint, .. }
            | Self::NotFinite { hint, .. } => Some(hint),
            Self::Io { hint, .. } | Self::Context { hint, .. } => Some(hint),
            Self::DeviceLost(_) => Some("run again, with --resume if this was a training run"),
            Self::Gpu { .. } => Some("please report this together with `stepladder info --json`"),
            Self::Diverged { .. } => Some("lower --learning-rate (the last good state is saved)"),
            Self::Busy { .. } => Some(BUSY_HINT),
            Self::Shape { .. } | Self::Cancelled => None,
        }
    }

    /// A user's file is wrong: `field` says where in it.
    pub fn input(
        file: impl AsRef<Path>,
        field: impl Into<String>,
        problem: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::Input {
            file: file.as_ref().to_path_buf(),
            field: field.into(),
            problem: problem.into(),
            hint: hint.into(),
        }
    }

    /// An option's value cannot be used.
    pub fn usage(option: impl Into<String>, problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage { option: option.into(), problem: problem.into(), hint: hint.into() }
    }

    /// `what` has more tokens than the context holds, or leaves no room for an answer.
    pub fn context(what: impl Into<String>, tokens: usize, context: usize) -> Self {
        let hint = "shorten it, or raise --context if the model allows more";
        Self::Context { what: what.into(), tokens, context, hint }
    }

    /// Reading `path` failed.
    pub fn read(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Self::Io {
            path: path.as_ref().to_path_buf(),
            action: "read",
            source,
            hint: "check that the path exists and that you may read it",
        }
    }

    /// Writing `path` failed.
    pub fn write(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Self::Io {
            path: path.as_ref().to_path_buf(),
            action: "write",
            source,
            hint: "check the free space and that you may write there",
        }
    }
}
