//! What a lesson is made from, as a user gave it: read, held against the model, worked out where it is a document, and proposed to
//! a library.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::card::LessonKind;
use super::document::{self, Learners, study::study, teacher::teacher_test};
use super::exam::request;
use super::fact::{Fact, Given, prepare};
use super::feedback::{self, ALTERNATIVE, Feedback};
use super::library::Library;
use super::propose::{Origin, Otherwise, Proposal, correction, from_pairs, from_run};
use super::records::Encoder;
use super::rows::Pair;
use super::settings::LearnSettings;
use super::{heads, neighbours, pairs, runs};
use crate::ladder::events::Event;
use crate::ladder::learner::{Language, Learner};
use crate::ladder::run::RunCard;
use crate::train::loss::preference::PreferenceConfig;
use crate::{Error, Result};

/// What is to be learnt. A `file` is named in errors, and names the lesson.
#[derive(Debug)]
pub enum Source {
    /// Questions with their answers.
    Pairs {
        /// Where they come from.
        file: PathBuf,
        /// What was read.
        bytes: Vec<u8>,
        /// Each of them.
        pairs: Vec<Pair>,
        /// What was read is pairs, feedback, or what a model made of a document.
        kind: LessonKind,
    },
    /// A text, of which a model makes pairs ([`Source::worked_out`]).
    Document {
        /// Where it comes from.
        file: PathBuf,
        /// All of it.
        text: String,
    },
    /// A LADDER run.
    Run {
        /// Where it lies.
        folder: PathBuf,
        /// What defines it.
        card: Box<RunCard>,
        /// Its log.
        events: Vec<Event>,
    },
    /// Another answer to a question that a lesson answers.
    Correction {
        /// In any wording of the lesson.
        question: String,
        /// The right answer.
        answer: String,
    },
    /// The lesson that is not decided yet.
    Pending,
}

/// What the user wants of a lesson beside its source.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Its name, in place of the source's.
    pub name: Option<String>,
    /// Answers that differ from those of earlier lessons take their place.
    pub supersede: bool,
    /// How answers are learnt to be preferred.
    pub preference: PreferenceConfig,
    /// Questions whose present answers must stay.
    pub neighbours: Vec<String>,
}

impl Source {
    /// Pairs from the bytes of a file.
    ///
    /// # Errors
    /// As [`pairs::parse`].
    pub fn pairs(bytes: Vec<u8>, file: PathBuf) -> Result<Self> {
        let pairs = pairs::parse(&bytes, &file)?;
        Ok(Self::Pairs { file, bytes, pairs, kind: LessonKind::Pairs })
    }

    /// Feedback from the bytes of a file; `tell` gets what is not learnt of it.
    ///
    /// # Errors
    /// As [`feedback::parse`].
    pub fn feedback(bytes: Vec<u8>, file: PathBuf, tell: &mut dyn FnMut(&str)) -> Result<Self> {
        let Feedback { pairs, down } = feedback::parse(&bytes, &file)?;
        if let [first, others @ ..] = down.as_slice() {
            let (rows, more) = if others.is_empty() {
                ("1 row is a thumb down".to_owned(), "")
            } else {
                (format!("{} rows are thumbs down", down.len()), " and others")
            };
            let place = format!("(line {first}{more})");
            tell(&format!("{}: {rows} {place} and nothing is learnt of them; {ALTERNATIVE}", file.display()));
        }
        Ok(Self::Pairs { file, bytes, pairs, kind: LessonKind::Feedback })
    }

    /// The run in a folder.
    ///
    /// # Errors
    /// [`Error::Input`] for a folder without a run; [`Error::Io`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run(folder: PathBuf) -> Result<Self> {
        use crate::ladder::run_folder::{read_card, read_events};
        let (card, events) = (Box::new(read_card(&folder)?), read_events(&folder)?);
        Ok(Self::Run { folder, card, events })
    }

    /// A document from the bytes of a file.
    ///
    /// # Errors
    /// As [`document::text`].
    pub fn document(bytes: &[u8], file: PathBuf) -> Result<Self> {
        let text = document::text(bytes, &file)?.to_owned();
        Ok(Self::Document { file, text })
    }

    /// Whether a library can begin with it.
    #[must_use]
    pub fn begins(&self) -> bool {
        !matches!(self, Self::Correction { .. } | Self::Pending)
    }

    /// Fails, before anything is computed, for a source that is none for a model that reads and speaks `language` and whose
    /// weights have the hash `base`.
    ///
    /// # Errors
    /// [`Error::Input`] for turns that the chat template does not write, and for a run of another base.
    pub fn check(&self, language: &Language, base: &str) -> Result<()> {
        match self {
            Self::Run { folder, card, events } => {
                runs::of(card, events, folder, base, language.style(), 0).map(|_| ())
            }
            Self::Pairs { pairs, .. } => {
                for Given { before, wordings, .. } in pairs.iter().map(|pair| &pair.given) {
                    let turns: Vec<_> =
                        before.iter().map(|turn| (turn.role.as_str(), turn.content.as_str())).collect();
                    if let (false, Some(wording)) = (turns.is_empty(), wordings.first()) {
                        language.conversation(&turns, wording)?;
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// What the user wrote, to see whether a vocabulary has it.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let pairs = match self {
            Self::Pairs { pairs, .. } => pairs.as_slice(),
            _ => &[],
        };
        let given = pairs.iter().map(|pair| &pair.given);
        given.flat_map(|given| given.wordings.iter().chain([&given.answer])).map(String::as_str)
    }

    /// Makes pairs of a document: `author` (its name, and another model than the reader if it is one) asks and answers, the
    /// adapter of the `reader` does nothing yet. `tell` gets what was found, `progress` (done, all, what) and may ask to stop by
    /// `false`. Other sources stay as they are.
    ///
    /// # Errors
    /// [`Error::Usage`] for an author that cannot use a text; [`Error::Input`] for a document of which nothing is left;
    /// [`Error::Cancelled`]; GPU errors.
    pub async fn worked_out(
        self,
        (name, author): (&str, Option<&mut Learner>),
        reader: &mut Learner,
        tell: &mut dyn FnMut(&str),
        progress: &mut dyn FnMut(usize, usize, &str) -> bool,
    ) -> Result<Self> {
        let Self::Document { file, text } = self else { return Ok(self) };
        let asks = author.as_deref().unwrap_or(reader);
        if !asks.language().asks_in_sentences() {
            let problem = format!("{name} has no chat template, so it cannot be asked to read a text");
            return Err(Error::usage("document", problem, document::REMEDY));
        }
        let mut models = Learners { author, reader, progress, seed: 0 };
        tell(&format!("testing whether {name} can use a text"));
        let test = teacher_test(&mut models, 0).await?;
        test.expect_passed(name)?;
        tell(&format!("{}: passed", test.words()));
        let study = study(&mut models, &text, &file).await?;
        tell(&format!("{}; {} pairs are learnt", study.words(), study.pairs.len()));
        let line = |pair: &Pair| {
            let (question, answer) = (&pair.given.wordings[0], &pair.given.answer);
            json!({ "question": question, "answer": answer, "line": pair.line, "author": name }).to_string()
                + "\n"
        };
        let bytes = study.pairs.iter().map(line).collect::<String>().into_bytes();
        Ok(Self::Pairs { file, bytes, pairs: study.pairs, kind: LessonKind::Document })
    }

    /// Fails at a pair that is too long to be learnt or asked, before a library is made for it.
    ///
    /// # Errors
    /// [`Error::Input`] with its line.
    pub fn expect_fitting(&self, learner: &mut Learner, settings: &LearnSettings) -> Result<()> {
        let Self::Pairs { file, pairs, .. } = self else { return Ok(()) };
        let (frames, context) = (learner.language().asks_in_sentences(), learner.trainer().model().context());
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

    /// Puts the source into the library as a lesson; its number. `tell` gets what is left out, `progress` (done, all, what) and
    /// may ask to stop by `false`. The learner has the library's head in the end, where questions are asked that must stay.
    ///
    /// # Errors
    /// As [`from_pairs`], [`correction`], [`from_run`] and [`Proposal::put`]; [`Error::Usage`] for a source
    /// that is no lesson.
    pub async fn propose(
        &self,
        library: &mut Library,
        learner: &mut Learner,
        wanted: &Wanted,
        tell: &mut dyn FnMut(&str),
        progress: &mut dyn FnMut(usize, usize, &str) -> bool,
    ) -> Result<u32> {
        let (mut proposal, origin) = self.make(library, learner, wanted, tell)?;
        let (known, contradicting) = (proposal.known, proposal.contradicting);
        if contradicting > 0 {
            tell(&format!(
                "{contradicting} pairs contradict earlier lessons and are left out; `supersede` lets them take their place"
            ));
        }
        if known > 0 {
            let what = if origin.kind == LessonKind::Run { "solved problems" } else { "pairs" };
            tell(&format!("{known} {what} are taught by earlier lessons already and are left out"));
        }
        if !wanted.neighbours.is_empty() {
            heads::load(library, learner, library.standing().head())?;
            let mut go_on = |done, all| progress(done, all, "what must stay");
            let most = library.card().settings.max_answer_tokens;
            proposal.neighbours = neighbours::answered(learner, &wanted.neighbours, most, &mut go_on).await?;
            let silent = wanted.neighbours.len() - proposal.neighbours.len();
            if silent > 0 {
                tell(&format!(
                    "{silent} of the questions whose answers must stay have none now and are left out"
                ));
            }
        }
        let origin = Origin { name: wanted.name.clone().unwrap_or(origin.name), ..origin };
        proposal.put(library, learner, origin)
    }

    /// The lesson of a source, and what it is made from.
    fn make(
        &self,
        library: &Library,
        learner: &mut Learner,
        wanted: &Wanted,
        tell: &mut dyn FnMut(&str),
    ) -> Result<(Proposal, Origin)> {
        let frames = learner.language().asks_in_sentences();
        let seed = library.card().settings.seed;
        let preference = wanted.preference;
        let named = |path: &Path| {
            path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned())
        };
        match self {
            Self::Pairs { file, bytes, pairs, kind } => {
                let otherwise = match kind {
                    _ if wanted.supersede => Otherwise::Replace,
                    LessonKind::Document => Otherwise::LeaveOut,
                    _ => Otherwise::Refuse,
                };
                let proposal = from_pairs(library, pairs.clone(), file, frames, otherwise, seed)?;
                let source = bytes.clone();
                Ok((proposal, Origin { kind: *kind, name: named(file), source, reached: None, preference }))
            }
            Self::Run { folder, card, events } => {
                let style = learner.language().style();
                let run = runs::of(card, events, folder, &library.card().base.sha256, style, seed)?;
                if run.cut > 0 {
                    tell(&format!(
                        "{} solved problems are left out: the run's log has only a part of them",
                        run.cut
                    ));
                }
                let (source, reached) = (run.source.clone(), run.reached);
                let mut proposal = from_run(library, run, folder, seed)?;
                let encoder = Encoder::of(learner, library.card().settings.max_length);
                leave_out_long(&mut proposal.facts, &encoder, tell)?;
                let (kind, name) = (LessonKind::Run, named(folder));
                Ok((proposal, Origin { kind, name, source, reached, preference }))
            }
            Self::Correction { question, answer } => {
                let proposal = correction(library, question, answer, frames, seed)?;
                let line = json!({ "question": question, "answer": answer }).to_string() + "\n";
                let (source, name) = (line.into_bytes(), "correction".to_owned());
                let kind = LessonKind::Correction;
                Ok((proposal, Origin { kind, name, source, reached: None, preference }))
            }
            Self::Document { .. } | Self::Pending => {
                Err(Error::usage("pairs", "no lesson waits", "give what is to be learnt"))
            }
        }
    }
}

/// Leaves out what is too long to be learnt: a run's answers are the model's, so that it is no mistake of anybody's.
fn leave_out_long(facts: &mut Vec<Fact>, encoder: &Encoder, tell: &mut dyn FnMut(&str)) -> Result<()> {
    let all = facts.len();
    facts.retain(|fact| !matches!(encoder.records(fact), Err(Error::Context { .. })));
    match (all - facts.len(), facts.len()) {
        (0, _) => {}
        (_, 0) => {
            let problem = format!("each of {all} solved problems is longer than a record may be");
            return Err(Error::usage("run", problem, "teach pairs with shorter answers"));
        }
        (long, _) => tell(&format!("{long} solved problems are left out: their records are too long")),
    }
    Ok(())
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
