//! Which model a command runs, and which adapter on it: one that is named, or the head of a library.

use std::path::{Path, PathBuf};

use serde::Serialize;
use stepladder::lessons::folder::count_asked;
use stepladder::lessons::library::Library;
use stepladder::session::Opened;
use stepladder::train::fingerprint::{self, Base};
use stepladder::{Error, Result};

use super::args::DeviceArgs;
use super::context::Context;
use super::session::open;

/// Which model, and which adapter on it.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct ModelArgs {
    /// `tiny` (built in), a Hugging Face folder, a .gguf file, or hf:OWNER/NAME[@REV] [default: that of --library]
    #[arg(short, long, required_unless_present = "library")]
    model: Option<String>,
    /// PEFT adapter to use on the model
    #[arg(long, value_name = "DIR", conflicts_with = "library")]
    adapter: Option<PathBuf>,
    /// Library of lessons whose head to use (see `stepladder learn`)
    #[arg(long, value_name = "DIR")]
    library: Option<PathBuf>,
    /// Use what lesson N of the library made instead of its head, also if it was rejected or taken back
    #[arg(long, value_name = "N", requires = "library")]
    lesson: Option<u32>,
}

/// A model, and an adapter on it.
#[derive(Debug)]
pub(super) struct Chosen {
    /// The model as the user, or the library, names it.
    pub(super) model: String,
    /// The adapter's folder.
    pub(super) adapter: Option<PathBuf>,
    library: Option<(PathBuf, Base)>,
}

impl ModelArgs {
    /// Finds out.
    pub(super) fn choose(&self) -> Result<Chosen> {
        let Some(place) = &self.library else {
            let model = self.model.clone().unwrap_or_default();
            return Ok(Chosen { model, adapter: self.adapter.clone(), library: None });
        };
        let library = Library::open(place)?;
        Ok(Chosen {
            model: self.model.clone().unwrap_or_else(|| library.card().model.clone()),
            adapter: library.served(self.lesson)?,
            library: Some((place.clone(), library.card().base.clone())),
        })
    }
}

impl Chosen {
    /// Opens the model and the device; the model must be the library's, if there is one.
    pub(super) fn open(&self, context: &Context, device: &DeviceArgs) -> Result<Opened> {
        let opened = open(context, &self.model, device)?;
        if let Some((place, base)) = &self.library {
            expect_base(&opened, place, base)?;
        }
        Ok(opened)
    }

    /// Notes that the library's head answered a question.
    pub(super) fn asked(&self) -> Result<()> {
        self.library.iter().try_for_each(|(place, _)| count_asked(place, 1))
    }
}

/// Holds a model to the base of a library: on another one its heads would say anything.
pub(super) fn expect_base(opened: &Opened, place: &Path, base: &Base) -> Result<()> {
    let other = |field: &str| {
        let problem = format!("is not that of the model which {} was made with", place.display());
        Err(Error::input(&opened.name, field, problem, "give that model by -m"))
    };
    if opened.weights_hash()? != base.sha256 {
        return other("weights");
    }
    let tokenizer = fingerprint::sha256(opened.language.tokenizer.to_json()?.as_bytes());
    match base.model.get("tokenizer").is_none_or(|known| known == tokenizer.as_str()) {
        true => Ok(()),
        false => other("tokenizer"),
    }
}
