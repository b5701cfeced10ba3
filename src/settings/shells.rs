//! What is taken where a user says nothing, and depends on where stepladder runs.

/// Where stepladder runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shell {
    /// Most tokens of a sequence, where the model has no fewer: enough for the presets.
    pub context: usize,
    /// Updates of supervised training between checkpoints.
    pub checkpoint_every: u64,
    /// Steps of test-time learning between checkpoints; `None` where none are made.
    pub question_checkpoint_every: Option<u64>,
}

/// The program. A signal makes it save, so that only a crash or a lost machine costs steps, and a question is begun anew; its
/// context fits any GPU.
pub const PROGRAM: Shell = Shell { context: 4096, checkpoint_every: 50, question_checkpoint_every: None };

/// The package. A tab is closed at any moment without a word; what is kept of a question's
/// step is small; a browser's GPU has other users.
pub const PACKAGE: Shell = Shell { context: 2048, checkpoint_every: 5, question_checkpoint_every: Some(1) };
