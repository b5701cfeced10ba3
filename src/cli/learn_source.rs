//! What `stepladder learn` is given: read before a model is loaded, put into the library once it is.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use pollster::block_on;
use serde_json::json;
use stepladder::ladder::learner::Learner;
use stepladder::lessons::card::LessonKind;
use stepladder::lessons::document::{self, Learners};
use stepladder::lessons::exam::request;
use stepladder::lessons::fact::{Given, prepare};
use stepladder::lessons::feedback::{self, ALTERNATIVE, Feedback};
use stepladder::lessons::library::Library;
use stepladder::lessons::pairs;
use stepladder::lessons::propose::{Origin, Otherwise, Proposal, correction, from_pairs, from_run};
use stepladder::lessons::rows::Pair;
use stepladder::lessons::settings::LearnSettings;
use stepladder::lessons::{records::Encoder, runs};
use stepladder::train::loss::preference::{PreferenceConfig, PreferenceLoss};
use stepladder::{Error, Result};

use super::args::DeviceArgs;
use super::args::positive;
use super::context::Context;
use super::library_args::{Teller, asks_in_sentences};
use super::session::{Opened, read_text};
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

/// What is to be learnt, as the user gave it.
pub(super) enum Source<'a> {
    Pairs {
        file: &'a Path,
        bytes: Vec<u8>,
        pairs: Vec<Pair>,
        kind: LessonKind,
    },
    Document {
        file: &'a Path,
        text: String,
    },
    Run(&'a Path),
    Correction {
        question: &'a str,
        answer: &'a str,
    },
    /// The lesson that is not decided yet.
    Pending,
}

impl Source<'_> {
    /// Fails at a pair that is too long to be learnt or asked, before anything is computed or written.
    pub(super) fn expect_fitting(&self, learner: &mut Learner, settings: &LearnSettings) -> Result<()> {
        let Self::Pairs { file, pairs, .. } = self else { return Ok(()) };
        let (frames, context) = (asks_in_sentences(learner), learner.trainer().model().context());
        let records = Encoder::of(learner, settings.max_length);
        let exam = Encoder::of(learner, context);
        for pair in pairs {
            let mut fits = || -> Result<()> {
                for fact in &prepare(vec![pair.given.clone()], frames, settings.seed) {
                    records.records(fact)?;
                    for asked in &fact.exam {
                        exam.exchange(&asked.before, &asked.prompt, &asked.answer)?;
                        request(learner, asked, &asked.prompt, settings.max_answer_tokens)?;
                    }
                }
                Ok(())
            };
            fits().map_err(|error| at_line(error, file, pair.line))?;
        }
        Ok(())
    }

    /// Whether a library can begin with it.
    pub(super) fn begins(&self) -> bool {
        !matches!(self, Self::Correction { .. } | Self::Pending)
    }

    /// Fails, before anything is computed, for a source that is none for the model whose weights have the hash `base`.
    pub(super) fn check(&self, opened: &Opened, base: &str) -> Result<()> {
        match self {
            Self::Run(folder) => runs::read(folder, base, opened.language.style(), 0).map(|_| ()),
            Self::Pairs { pairs, .. } => {
                // Whether the chat template writes all the turns.
                for Given { before, wordings, .. } in pairs.iter().map(|pair| &pair.given) {
                    let turns: Vec<_> =
                        before.iter().map(|turn| (turn.role.as_str(), turn.content.as_str())).collect();
                    if !turns.is_empty() {
                        opened.language.conversation(&turns, &wordings[0])?;
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Says what the model's vocabulary lacks of it.
    pub(super) fn tell_lacking(&self, opened: &Opened) {
        let Self::Pairs { pairs, .. } = self else { return };
        let texts = pairs.iter().flat_map(|pair| pair.given.wordings.iter().chain([&pair.given.answer]));
        opened.tell_lacking(texts.map(String::as_str));
    }
}

impl SourceArgs {
    /// Reads what is given.
    pub(super) fn read(&self) -> Result<Source<'_>> {
        if let Some(file) = &self.pairs {
            let bytes = read_text(file)?.into_bytes();
            let pairs = pairs::parse(&bytes, file)?;
            return Ok(Source::Pairs { file, bytes, pairs, kind: LessonKind::Pairs });
        }
        if let Some(file) = &self.document {
            let bytes = read_start(file)?;
            let text = document::text(&bytes, file)?.to_owned();
            return Ok(Source::Document { file, text });
        }
        if let Some(file) = &self.feedback {
            let bytes = read_text(file)?.into_bytes();
            let Feedback { pairs, down } = feedback::parse(&bytes, file)?;
            if !down.is_empty() {
                let (count, first) = (down.len(), down[0]);
                let rows = if count == 1 { "row is a thumb down" } else { "rows are thumbs down" };
                say(&format!(
                    "{}: {count} {rows} (line {first}{}) and nothing is learnt of them; {ALTERNATIVE}",
                    file.display(),
                    if count == 1 { "" } else { " and others" }
                ));
            }
            return Ok(Source::Pairs { file, bytes, pairs, kind: LessonKind::Feedback });
        }
        match (&self.run, &self.correct, &self.answer) {
            (Some(folder), ..) => Ok(Source::Run(folder)),
            (None, Some(question), Some(answer)) => Ok(Source::Correction { question, answer }),
            _ => Ok(Source::Pending),
        }
    }

    /// Makes pairs of a document, by the author or the learner, whose adapter does nothing yet. Other sources stay as they are.
    pub(super) fn study<'a>(
        &self,
        source: Source<'a>,
        learner: &mut Learner,
        base: &str,
        teller: &mut Teller<'_>,
        context: &Context,
        device: &DeviceArgs,
    ) -> Result<Source<'a>> {
        let Source::Document { file, text } = source else { return Ok(source) };
        let mut author = match &self.author {
            Some(author) => {
                Some((author, Opened::new(context, author, device)?.load()?.sampler(context, None)?))
            }
            None => None,
        };
        let name = author.as_ref().map_or(base, |(name, _)| name);
        let asks = author.as_ref().map_or(&*learner, |(_, author)| author);
        if !asks_in_sentences(asks) {
            let problem = format!("{name} has no chat template, so it cannot be asked to read a text");
            return Err(Error::usage("--document", problem, document::REMEDY));
        }
        let mut progress = |done, all, what: &str| teller.go_on(done, all, what);
        let mut models = Learners {
            author: author.as_mut().map(|(_, author)| author),
            reader: learner,
            progress: &mut progress,
            seed: 0,
        };
        say(&format!("testing whether {name} can use a text"));
        let test = block_on(document::teacher::teacher_test(&mut models, 0))?;
        test.expect_passed(name)?;
        say(&format!("{}: passed", test.words()));
        let study = block_on(document::study::study(&mut models, &text, file))?;
        say(&format!("{}; {} pairs are learnt", study.words(), study.pairs.len()));
        let line = |pair: &Pair| {
            let (question, answer) = (&pair.given.wordings[0], &pair.given.answer);
            json!({ "question": question, "answer": answer, "line": pair.line, "author": name }).to_string()
                + "\n"
        };
        let bytes = study.pairs.iter().map(line).collect::<String>().into_bytes();
        Ok(Source::Pairs { file, bytes, pairs: study.pairs, kind: LessonKind::Document })
    }

    /// Puts the source into the library; the lesson's number.
    pub(super) fn propose(
        &self,
        library: &mut Library,
        source: &Source<'_>,
        learner: &mut Learner,
    ) -> Result<u32> {
        let (mut proposal, origin) = self.make(library, source, learner)?;
        let (known, contradicting) = (proposal.known, proposal.contradicting);
        if contradicting > 0 {
            say(&format!(
                "{contradicting} pairs contradict earlier lessons and are left out; --supersede lets them take their place"
            ));
        }
        if known > 0 {
            let what = match origin.kind {
                LessonKind::Run => "solved problems",
                _ => "pairs",
            };
            say(&format!("{known} {what} are taught by earlier lessons already and are left out"));
        }
        if origin.kind == LessonKind::Run {
            let encoder = Encoder::of(learner, library.card().settings.max_length);
            let facts = &mut proposal.facts;
            let all = facts.len();
            // A run's answers are the model's, not the user's: one that is too long is no mistake of anybody's.
            facts.retain(|fact| !matches!(encoder.records(fact), Err(Error::Context { .. })));
            match (all - facts.len(), facts.len()) {
                (0, _) => {}
                (_, 0) => {
                    let problem = format!("each of {all} solved problems is longer than a record may be");
                    return Err(Error::usage("--run", problem, "teach pairs with shorter answers"));
                }
                (long, _) => say(&format!("{long} solved problems are left out: their records are too long")),
            }
        }
        let origin = Origin { name: self.name.clone().unwrap_or(origin.name), ..origin };
        proposal.put(library, learner, origin)
    }

    fn loss(&self) -> PreferenceConfig {
        let usual = PreferenceConfig::default();
        let loss = match self.preference {
            None => usual.loss,
            Some(Preference::Dpo) => PreferenceLoss::Dpo,
            Some(Preference::Ipo) => PreferenceLoss::Ipo,
            Some(Preference::Kto) => PreferenceLoss::Kto,
        };
        PreferenceConfig { loss, beta: self.beta.unwrap_or(usual.beta) }
    }

    /// The lesson of a source, and what it is made from.
    fn make(&self, library: &Library, source: &Source<'_>, learner: &Learner) -> Result<(Proposal, Origin)> {
        let frames = asks_in_sentences(learner);
        let seed = library.card().settings.seed;
        let preference = self.loss();
        let named = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let otherwise = match source {
            _ if self.supersede => Otherwise::Replace,
            Source::Pairs { kind: LessonKind::Document, .. } => Otherwise::LeaveOut,
            _ => Otherwise::Refuse,
        };
        match source {
            Source::Pairs { file, bytes, pairs, kind } => {
                let proposal = from_pairs(library, pairs.clone(), file, frames, otherwise, seed)?;
                let name = named(file).unwrap_or_default();
                let source = bytes.clone();
                Ok((proposal, Origin { kind: *kind, name, source, reached: None, preference }))
            }
            Source::Run(folder) => {
                let style = learner.language().style();
                let run = runs::read(folder, &library.card().base.sha256, style, seed)?;
                if run.cut > 0 {
                    say(&format!(
                        "{} solved problems are left out: the run's log has only a part of them",
                        run.cut
                    ));
                }
                let (source, reached) = (run.source.clone(), run.reached);
                let proposal = from_run(library, run, folder, seed)?;
                let name = named(folder).unwrap_or_default();
                Ok((proposal, Origin { kind: LessonKind::Run, name, source, reached, preference }))
            }
            Source::Correction { question, answer } => {
                let proposal = correction(library, question, answer, frames, seed)?;
                let line = json!({ "question": question, "answer": answer }).to_string() + "\n";
                let (source, name) = (line.into_bytes(), "correction".to_owned());
                let kind = LessonKind::Correction;
                Ok((proposal, Origin { kind, name, source, reached: None, preference }))
            }
            Source::Document { .. } | Source::Pending => {
                Err(Error::usage("--pairs", "no lesson waits", "give one by --pairs"))
            }
        }
    }
}

/// The bytes of a document's file, no more of it than tells that it is too long.
fn read_start(file: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = document::MAX_BYTES as u64 + 1;
    let read = File::open(file).and_then(|open| open.take(most).read_to_end(&mut bytes));
    read.map(|_| bytes).map_err(|source| Error::read(file, source))
}

/// What is wrong with a pair, with its place.
fn at_line(error: Error, file: &Path, line: usize) -> Error {
    match error {
        Error::Context { what, tokens, context, .. } => {
            let problem = format!("{what} has {tokens} tokens, and {context} fit");
            let hint = "split it into shorter pairs, or leave it out";
            Error::input(file, format!("line {line}"), problem, hint)
        }
        other => other,
    }
}
