//! What `stepladder learn` is given: read before a model is loaded, put into the library once it is.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use pollster::block_on;
use stepladder::ladder::learner::Learner;
use stepladder::lessons::document;
use stepladder::lessons::neighbours;
use stepladder::lessons::source::{Source, Wanted};
use stepladder::train::loss::preference::{PreferenceConfig, PreferenceLoss};
use stepladder::{Error, Result};

use super::args::DeviceArgs;
use super::args::positive;
use super::context::Context;
use super::library_args::Teller;
use super::session::{load, open, read_text};
use super::signals::say;

/// Where lessons come from.
#[derive(Debug, clap::Args, serde::Serialize)]
pub(super) struct SourceArgs {
    /// Questions and answers to learn, one JSON object a line: `question` (or several wordings), `answer`, and `exam` for
    /// wordings that only the exam asks; or conversations, as `messages`
    #[arg(long, value_name = "FILE", group = "source")]
    pub(super) pairs: Option<PathBuf>,
    /// Folder of a `ladder` run on the same model: what it solved is learnt, other problems of it are the exam
    #[arg(long, value_name = "FOLDER", group = "source")]
    pub(super) run: Option<PathBuf>,
    /// A text, UTF-8 or Markdown: the model asks and answers itself about it, if it shows that it can
    #[arg(long, value_name = "FILE", group = "source")]
    pub(super) document: Option<PathBuf>,
    /// A larger model on this machine that asks and answers about --document instead
    #[arg(long, value_name = "MODEL", requires = "document")]
    pub(super) author: Option<String>,
    /// What you thought of answers, one JSON object a line: `prompt`, `answer` and `thumb` ("up" or "down"), or `answer` and
    /// `edited`, or `chosen` and `rejected`
    #[arg(long, value_name = "FILE", group = "source")]
    pub(super) feedback: Option<PathBuf>,
    /// Loss on better and worse answers of --feedback [default: dpo]
    #[arg(long, value_name = "LOSS", requires = "feedback")]
    pub(super) preference: Option<Preference>,
    /// How strongly the model before the lesson holds the one after it, in that loss [default: 0.1]
    #[arg(long, value_name = "X", requires = "feedback", value_parser = positive)]
    pub(super) beta: Option<f64>,
    /// A question that a lesson answers, to be answered otherwise from now on, in all its wordings
    #[arg(long, value_name = "QUESTION", requires = "answer", group = "source")]
    pub(super) correct: Option<String>,
    /// The right answer to --correct
    #[arg(long, value_name = "TEXT", requires = "correct")]
    pub(super) answer: Option<String>,
    /// Name of the lesson [default: that of the file]
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,
    /// Questions whose present answers must stay, one JSON object a line with `question`: the gate asks them before and after
    #[arg(long, value_name = "FILE", requires = "source")]
    pub(super) neighbours: Option<PathBuf>,
    /// Let answers that differ from those of earlier lessons take their place
    #[arg(long, requires = "source", conflicts_with_all = ["run", "correct"])]
    pub(super) supersede: bool,
}

/// Losses on preferences.
#[derive(Debug, Clone, Copy, clap::ValueEnum, serde::Serialize)]
pub(super) enum Preference {
    /// Direct preference optimisation (arXiv 2305.18290)
    Dpo,
    /// A margin to reach, which cannot run away (arXiv 2310.12036)
    Ipo,
    /// Each answer by itself (arXiv 2402.01306)
    Kto,
}

impl SourceArgs {
    /// Reads what is given.
    pub(super) fn read(&self) -> Result<Source> {
        if let Some(file) = &self.pairs {
            return Source::pairs(read_text(file)?.into_bytes(), file.clone());
        }
        if let Some(file) = &self.document {
            return Source::document(&read_start(file)?, file.clone());
        }
        if let Some(file) = &self.feedback {
            return Source::feedback(read_text(file)?.into_bytes(), file.clone(), &mut say);
        }
        if let Some(folder) = &self.run {
            return Source::run(folder.clone());
        }
        Ok(match (&self.correct, &self.answer) {
            (Some(question), Some(answer)) => {
                Source::Correction { question: question.clone(), answer: answer.clone() }
            }
            _ => Source::Pending,
        })
    }

    /// What is wanted of the lesson beside that.
    pub(super) fn wanted(&self) -> Result<Wanted> {
        let usual = PreferenceConfig::default();
        let loss = match self.preference {
            None => usual.loss,
            Some(Preference::Dpo) => PreferenceLoss::Dpo,
            Some(Preference::Ipo) => PreferenceLoss::Ipo,
            Some(Preference::Kto) => PreferenceLoss::Kto,
        };
        let preference = PreferenceConfig { loss, beta: self.beta.unwrap_or(usual.beta) };
        let neighbours = match &self.neighbours {
            Some(file) => neighbours::parse(read_text(file)?.as_bytes(), file)?,
            None => Vec::new(),
        };
        Ok(Wanted { name: self.name.clone(), supersede: self.supersede, preference, neighbours })
    }

    /// Makes pairs of a document, by the author or the learner, whose adapter does nothing yet. Other sources stay as they are.
    pub(super) fn worked_out(
        &self,
        source: Source,
        learner: &mut Learner,
        base: &str,
        teller: &mut Teller<'_>,
        context: &Context,
        device: &DeviceArgs,
    ) -> Result<Source> {
        let mut author = match &self.author {
            Some(author) => Some(load(open(context, author, device)?)?.sampler(None)?),
            None => None,
        };
        let name = self.author.as_deref().unwrap_or(base);
        let mut progress = |done, all, what: &str| teller.go_on(done, all, what);
        block_on(source.worked_out((name, author.as_mut()), learner, &mut say, &mut progress))
    }
}

/// The bytes of a document's file, no more of it than tells that it is too long.
fn read_start(file: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = document::MAX_BYTES as u64 + 1;
    let read = File::open(file).and_then(|open| open.take(most).read_to_end(&mut bytes));
    read.map(|_| bytes).map_err(|source| Error::read(file, source))
}
