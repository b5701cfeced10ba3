//! The one error type of the crate: what went wrong, where, and what to do about it.

mod naming;

use std::fmt::{self, Display, Write};
use std::path::{Path, PathBuf};

use naming::{Advice, Called};
pub use naming::{either, name_by, named};

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What to do about [`Error::DeviceLost`].
const LOST_HINT: &str = "run again, with <resume> if this was a training run";
/// What to do about [`Error::Diverged`].
const DIVERGED_HINT: &str = "lower <learning_rate> (the last good state is saved)";
/// Why a model computes what is no number.
const NOT_FINITE_CAUSE: &str =
    "weights of the model or of the adapter are damaged, or so large that the arithmetic overflows";
/// What to do about it.
const NOT_FINITE_HINT: &str = "try without <f16> and without <adapter>, else take the model's original files";

/// A text that may come from anywhere, safe to print: on one line, and without signs that command a terminal or turn the
/// direction of writing, which are shown as `\u{1b}`.
#[derive(Debug, Clone, Copy)]
pub struct Plain<T>(pub T);

impl<T: Display> Display for Plain<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(PlainWriter(formatter), "{}", self.0)
    }
}

/// Writes what it gets as [`Plain`] shows it.
struct PlainWriter<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for PlainWriter<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for sign in text.chars() {
            match sign {
                '\n' | '\r' | '\t' => self.0.write_char(' ')?,
                _ if sign.is_control() || is_format(sign) => write!(self.0, "{}", sign.escape_unicode())?,
                _ => self.0.write_char(sign)?,
            }
        }
        Ok(())
    }
}

/// Signs that cannot be seen and change how others are shown: marks of direction, separators of lines, tags.
fn is_format(sign: char) -> bool {
    matches!(sign, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// Everything that can go wrong, in words a user can act on.
///
/// `Display` gives one line: what, where, what to do. [`Error::code`] is stable and made for programs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file that the user gave is not what it should be.
    #[error("{}: {}: {}; {}", Plain(file.display()), Plain(field), Plain(problem), Advice(hint))]
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
    #[error("{}: {}; {}", Called(option), Plain(problem), Advice(hint))]
    Usage {
        /// The setting or thing, by its name or as the user writes it.
        option: String,
        /// What is wrong with it.
        problem: String,
        /// What to do.
        hint: String,
    },
    /// The operating system refused to read or write.
    #[error("{}: cannot {action}: {}; {hint}", Plain(path.display()), Plain(source))]
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
    #[error("no GPU adapter: {}; {}", Plain(problem), Advice(hint))]
    NoAdapter {
        /// What was looked for.
        problem: String,
        /// What to do.
        hint: String,
    },
    /// The plan does not fit into the memory at hand.
    #[error(
        "{} needs {needed} bytes of GPU memory but {available} are available; {}",
        Plain(what),
        Advice(hint)
    )]
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
    #[error("the GPU device was lost: {0}; {hint}", hint = Advice(LOST_HINT))]
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
    #[error("{what} has {tokens} tokens but the context holds {context}; {}", Advice(hint))]
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
    #[error("{}: {}; {}", Plain(url), Plain(problem), Advice(hint))]
    Download {
        /// What was fetched.
        url: String,
        /// Why it failed.
        problem: String,
        /// What to do.
        hint: String,
    },
    /// A log-probability or loss is NaN or infinite before anything was learnt.
    #[error(
        "{what} is not a finite number, so that what the model says would be chance: {NOT_FINITE_CAUSE}; {}",
        Advice(NOT_FINITE_HINT)
    )]
    NotFinite {
        /// What was computed.
        what: &'static str,
    },
    /// Loss or gradient was not finite several steps in a row.
    #[error("{steps} steps in a row had a non-finite loss or gradient; {}", Advice(DIVERGED_HINT))]
    Diverged {
        /// Number of steps in a row.
        steps: u32,
    },
    /// What training made is not finite, so that it was not kept.
    #[error("{what}; {}", Advice(hint))]
    NotKept {
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
            Self::NotFinite { .. } => "not_finite",
            Self::Diverged { .. } | Self::NotKept { .. } => "diverged",
            Self::Busy { .. } => "busy",
            Self::Cancelled => "cancelled",
        }
    }

    /// What to do about it, as [`Display`] says after the last semicolon; `None` where there is nothing to do.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Input { hint, .. }
            | Self::Usage { hint, .. }
            | Self::NoAdapter { hint, .. }
            | Self::OutOfMemory { hint, .. }
            | Self::Download { hint, .. }
            | Self::NotKept { hint, .. } => Some(hint.as_str()),
            Self::Io { hint, .. } | Self::Context { hint, .. } => Some(*hint),
            Self::DeviceLost(_) => Some(LOST_HINT),
            Self::Gpu { .. } => Some("please report this together with `stepladder info --json`"),
            Self::Diverged { .. } => Some(DIVERGED_HINT),
            Self::Busy { .. } => Some(BUSY_HINT),
            Self::NotFinite { .. } => Some(NOT_FINITE_HINT),
            Self::Shape { .. } | Self::Cancelled => None,
        };
        hint.map(named)
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

    /// The value of a setting, or of another thing that a user gives, cannot be used; `option` is its name, or as the user writes it.
    pub fn usage(option: impl Into<String>, problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage { option: option.into(), problem: problem.into(), hint: hint.into() }
    }

    /// `what` has more tokens than the context holds, or leaves no room for an answer.
    pub fn context(what: impl Into<String>, tokens: usize, context: usize) -> Self {
        let hint = "shorten it, or raise <context> if the model allows more";
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_command_a_terminal() {
        let name = "a\u{1b}[2J\u{9b}31m\nb\u{202e}c\u{7f}é";
        let error = Error::input(name, name, name, "h");
        let shown = r"a\u{1b}[2J\u{9b}31m b\u{202e}c\u{7f}é";
        assert_eq!(error.to_string(), format!("{shown}: {shown}: {shown}; h"));
        let others = [
            Error::usage(name, name, name),
            Error::read(name, std::io::Error::other(name)),
            Error::Download { url: name.into(), problem: name.into(), hint: name.into() },
        ];
        for error in others {
            assert!(!error.to_string().contains(|sign: char| sign.is_control()), "{error}");
        }
    }
}
