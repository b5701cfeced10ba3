//! What commands on a library of lessons share: its place, its model on the GPU, and the news on a terminal.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use serde::Serialize;
use stepladder::ladder::learner::Learner;
use stepladder::lessons::board::wrapped;
use stepladder::lessons::course::{Listener, News};
use stepladder::lessons::gate::Verdict;
use stepladder::lessons::library::Library;
use stepladder::lessons::settings::LearnSettings;
use stepladder::session::{Opened, Session};
use stepladder::train::fingerprint::Base;
use stepladder::{Error, Result};

use super::args::DeviceArgs;
use super::context::Context;
use super::progress::Progress;
use super::session::{load, open, tie};
use super::tuning::choose_kernels;

/// Which library, and where its model is.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct LibraryArgs {
    /// The folder of the library
    #[arg(value_name = "LIBRARY")]
    pub(super) library: PathBuf,
    /// The base model: `tiny`, a Hugging Face folder, a .gguf file, or hf:OWNER/NAME[@REV] [default: as the library was
    /// made with]
    #[arg(short, long)]
    pub(super) model: Option<String>,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
}

impl LibraryArgs {
    /// The model of a library that is there, or of one that is to be made.
    pub(super) fn model(&self, library: Option<&Library>) -> Result<String> {
        match (&self.model, library) {
            (Some(model), _) => Ok(model.clone()),
            (None, Some(library)) => Ok(library.card().model.clone()),
            (None, None) => {
                let problem = format!("{} is new and has no model yet", self.library.display());
                Err(Error::usage("--model", problem, "name the model that is to learn by -m"))
            }
        }
    }

    /// Opens the model, held to the one that `base` tells of, or noted in it.
    pub(super) fn open(&self, context: &Context, model: &str, base: &mut Option<Base>) -> Result<Opened> {
        if let Some(base) = base.as_ref() {
            expect_same(&self.library, &self.device.base(context), base)?;
        }
        let device = self.device.as_in(base.as_ref());
        let opened = open(context, model, &device)?;
        tie(&opened, base, &device, context, true, "library")?;
        Ok(opened)
    }

    /// A learner of the base of a library that is there.
    pub(super) fn learner(&self, library: &Library, context: &Context) -> Result<(Session, Learner)> {
        let mut base = Some(library.card().base.clone());
        let opened = self.open(context, &self.model(Some(library))?, &mut base)?;
        learner(opened, &library.card().settings, context)
    }
}

/// Fails unless numbers are computed as when the library at `place` was made; what is not said stays.
pub(super) fn expect_same(place: &Path, given: &Base, made: &Base) -> Result<()> {
    let shown = |value: Option<String>| value.unwrap_or_else(|| "what the model's files have".into());
    let tokens = |context: Option<u32>| context.map(|context| context.to_string());
    let differing = [
        ("--weights", given.weights.clone(), made.weights.clone()),
        ("--context", tokens(given.context), tokens(made.context)),
        ("--f16", given.f16.then(|| "on".into()), made.f16.then(|| "on".into())),
    ];
    match differing.into_iter().find(|(_, given, made)| given.is_some() && given != made) {
        None => Ok(()),
        Some((option, given, made)) => {
            let problem =
                format!("is {}, but {} was made with {}", shown(given), place.display(), shown(made));
            Err(Error::usage(option, problem, "leave it out, or make a new library"))
        }
    }
}

/// A learner on the GPU whose adapter has the shape that `settings` say and does nothing yet.
pub(super) fn learner(
    opened: Opened,
    settings: &LearnSettings,
    context: &Context,
) -> Result<(Session, Learner)> {
    let file = settings.fresh(&opened.config)?;
    opened.check_memory("learning", &settings.workload(&opened.config, opened.context_length)?)?;
    context.stoppable();
    let session = load(opened)?;
    choose_kernels(session.model())?;
    let learner = session.learner(&file)?;
    Ok((session, learner))
}

/// Shows the news of a course.
pub(super) struct Teller<'a> {
    context: &'a Context,
    bar: Progress,
    /// The last word of the gate, which is shown once something follows: the final one is a part of the answer.
    judged: Option<String>,
}

impl<'a> Teller<'a> {
    pub(super) fn new(context: &'a Context) -> Self {
        Self { context, bar: Progress::new("learn", "parts", 0), judged: None }
    }

    /// Whether the user asked to stop, for work that tells of itself.
    pub(super) fn go_on(&mut self, done: usize, all: usize, words: &str) -> bool {
        self.bar.set_of(done as u64, all as u64, words);
        !self.stopped()
    }
}

impl Listener for Teller<'_> {
    fn news(&mut self, news: &News) -> Result<()> {
        if self.context.json {
            return self.context.answer(news, String::new);
        }
        if let Some(judged) = self.judged.take() {
            self.bar.note(&judged);
        }
        match news {
            News::Exam { what, questions } => self.bar.note(&format!("exam {what}: {questions} questions")),
            News::Epoch { epoch, .. } => self.bar.note(&epoch.words()),
            // The share of it is an epoch's news.
            News::Recall { .. } => {}
            News::Judged { scale, verdict, .. } => {
                let share = if *scale < 1.0 {
                    format!(" with {:.0} % of the update", 100.0 * scale)
                } else {
                    String::new()
                };
                self.judged = Some(format!("the gate{share}:\n{}", verdict_text(verdict)));
            }
            News::Next { what } => self.bar.note(what),
        }
        Ok(())
    }

    fn progress(&mut self, done: u64, all: u64, words: &str) {
        self.bar.set_of(done, all, words);
    }

    fn stopped(&self) -> bool {
        self.context.cancelled().load(Ordering::Relaxed)
    }
}

/// A verdict, in lines of at most 80 columns, from the left a check each.
pub(super) fn verdict_text(verdict: &Verdict) -> String {
    // The dash gives the line the indent that lines behind it get.
    let lines: String = verdict.lines().iter().map(|line| wrapped(&format!("- {line}"), "  ")).collect();
    lines.trim_end().to_owned()
}
