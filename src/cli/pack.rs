//! `stepladder pack` and `unpack`: a library of lessons as one file, and back. No GPU is needed.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::json;
use stepladder::Result;
use stepladder::lessons::archive::{self, Archive};
use stepladder::lessons::library::Library;
use stepladder::train::files::write_atomic_by;

use super::context::Context;
use super::signals::say;

/// Options of `pack`.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct PackArgs {
    /// The folder of the library
    #[arg(value_name = "LIBRARY")]
    pub(super) library: PathBuf,
    /// The ZIP file to write; the page and `unpack` take it
    #[arg(long, value_name = "FILE")]
    pub(super) output: PathBuf,
}

/// Options of `unpack`.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct UnpackArgs {
    /// A library as one file: of `pack`, of the page, or its folder as a ZIP file
    #[arg(value_name = "FILE")]
    pub(super) archive: PathBuf,
    /// The folder to make
    #[arg(long, value_name = "LIBRARY")]
    pub(super) output: PathBuf,
}

/// Writes a library into one file.
pub(super) fn pack(args: &PackArgs, context: &Context) -> Result<()> {
    let library = Library::open(&args.library)?;
    if let Some(word) = library.ledger().warning() {
        say(&word);
    }
    context.gate.file("--output", &args.output)?;
    write_atomic_by(&args.output, |file| archive::write(&library, file, &args.output))?;
    told(&library, "packed", &args.output, context)
}

/// Makes a library of one file.
pub(super) fn unpack(args: &UnpackArgs, context: &Context) -> Result<()> {
    let archive = Archive::open(&args.archive)?;
    context.gate.folder("--output", &args.output, archive::is_own)?;
    let library = archive::unpack(archive, &args.output)?;
    told(&library, "unpacked", &args.output, context)
}

/// Says what is in the library, and where it is now.
fn told(library: &Library, event: &str, output: &std::path::Path, context: &Context) -> Result<()> {
    let (lessons, head) = (library.lessons().count(), library.standing().head());
    let model = &library.card().model;
    context.answer(
        &json!({ "event": event, "output": output, "model": model, "lessons": lessons, "head": head }),
        || {
            let lessons = if lessons == 1 { "1 lesson".to_owned() } else { format!("{lessons} lessons") };
            format!("{lessons} for {model} in {}", output.display())
        },
    )
}
