//! `stepladder score`: log-probabilities of a given text.

use serde::Serialize;

use super::args::ModelArgs;

/// Options of `score`.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) model: ModelArgs,
    /// Text to score
    #[arg(long, allow_hyphen_values = true)]
    pub(super) text: String,
}
