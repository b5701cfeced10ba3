//! `stepladder board`: what a library's heads know, what was kept and forgotten, and what it cost. No GPU is needed.

use std::path::PathBuf;

use serde::Serialize;
use stepladder::lessons::board::{Board, Records};
use stepladder::lessons::library::Library;
use stepladder::train::files::write_atomic;
use stepladder::{Error, Result};

use super::context::Context;
use super::signals::say;

/// Options of `board`.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct Args {
    /// The folder of the library, as `learn` makes it
    #[arg(value_name = "LIBRARY")]
    pub(super) library: PathBuf,
    /// Write the board as a page too: one HTML file, which needs nothing else
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
}

/// Shows it.
pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let library = Library::open(&args.library)?;
    if let Some(word) = library.ledger().warning() {
        say(&word);
    }
    let board = Board::of(&Records::of(&library)?);
    if let Some(file) = &args.html {
        context.gate.file("--html", file)?;
        let page = board.page().map_err(|error| Error::write(file, std::io::Error::other(error)))?;
        write_atomic(file, page.as_bytes())?;
    }
    context.answer(&board, || board.to_string().trim_end().to_owned())
}
