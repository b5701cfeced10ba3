//! Lessons on the model that is loaded: learnt into a library, and asked of its heads.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use js_sys::{Array, Function};
use serde::{Deserialize, Serialize};
use serde_json::json;
use wasm_bindgen::prelude::*;

use super::convert::{Answer, from_json, to_text};
use super::engine::Engine;
use super::files::JsFile;
use super::learning::tell;
use super::library::LessonLibrary;
use super::options::Paths;
use crate::ladder::base::first_difference;
use crate::ladder::learner::Learner;
use crate::ladder::run::RunCard;
use crate::lessons::begin::{Place, begin};
use crate::lessons::card::Card;
use crate::lessons::course::{Course, Listener, News};
use crate::lessons::decide::{conclude, expect_consolidation};
use crate::lessons::examination::Examination;
use crate::lessons::gate::Decision;
use crate::lessons::library::Library;
use crate::lessons::notes::View;
use crate::lessons::settings::LearnSettings;
use crate::lessons::source::{Source, Wanted};
use crate::model::open::OpenModel;
use crate::session::Opened;
use crate::settings::LESSONS;
use crate::train::adapter;
use crate::train::fingerprint::{self, Base};
use crate::train::loss::preference::{PreferenceConfig, PreferenceLoss};
use crate::train::resume::words;
use crate::{Error, Result};

/// Options of `learn`; without a source it goes on with the lesson that is not decided.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Learn {
    /// JSON lines of pairs.
    pairs: Option<String>,
    /// JSON lines of feedback.
    feedback: Option<String>,
    /// A text.
    document: Option<String>,
    run: Option<Run>,
    correct: Option<Correction>,
    name: Option<String>,
    supersede: bool,
    preference: Option<PreferenceLoss>,
    beta: Option<f64>,
    neighbours: Vec<String>,
    accept: bool,
    /// The hash of the model's weights.
    weights: String,
    /// Settings of a new library, as [`LESSONS`] names them; what is none is refused there.
    #[serde(flatten)]
    settings: Paths,
}

/// Options of `exam`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Exam {
    head: Option<String>,
    notes: bool,
    retrieve: Option<NonZeroUsize>,
    lesson: Option<u32>,
    /// The hash of the model's weights.
    weights: String,
}

/// A LADDER run of the browser's store.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Run {
    name: String,
    card: RunCard,
    /// JSON lines of its events.
    log: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Correction {
    question: String,
    answer: String,
}

/// How far what the last news began has come.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename = "progress")]
struct Progress<'a> {
    done: u64,
    all: u64,
    words: &'a str,
}

/// Tells JavaScript.
struct Teller<'a> {
    on_news: &'a Function,
    cancel: &'a AtomicBool,
}

impl Listener for Teller<'_> {
    fn news(&mut self, news: &News) -> Result<()> {
        tell(self.on_news, news)
    }

    fn progress(&mut self, done: u64, all: u64, words: &str) {
        // A listener that throws has gone; the abort that follows ends this.
        let _ = tell(self.on_news, &Progress { done, all, words });
    }

    fn stopped(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }
}

/// Tells people what is not learnt, or was found, in words.
fn note(on_news: &Function) -> impl FnMut(&str) {
    // As for progress.
    |words| {
        let _ = tell(on_news, &json!({ "event": "note", "words": words }));
    }
}

/// The hash of the weights in a model's `files`.
///
/// # Errors
/// `input` for files that are damaged.
#[wasm_bindgen]
pub fn weights_hash(name: &str, files: Array) -> Answer<String> {
    let OpenModel { mut source, .. } = OpenModel::from_files(name, JsFile::all(&files)?, 0)?;
    Ok(fingerprint::weights(&mut *source)?)
}

#[wasm_bindgen]
impl Engine {
    /// Learns a lesson into `library`, open for writing, by JSON `options` of the package (`LearnOptions`), with the hash of the
    /// model's weights; `on_news(json)` hears how it goes. A call that is cancelled goes on by one without a source. The answer is
    /// JSON (`Learned`).
    ///
    /// # Errors
    /// `usage` and `input` for what cannot be learnt; `cancelled`; `io` without space; GPU errors.
    pub async fn learn(&self, library: &LessonLibrary, options: String, on_news: Function) -> Answer<String> {
        self.begin();
        self.silence();
        let options: Learn = from_json("options", &options)?;
        // Out of its cell while it is changed; what it is then is read anew.
        let there = library.library.take();
        let learnt = self.learn_into(library, there, &options, &on_news).await;
        library.reopen()?;
        Ok(learnt?)
    }

    /// Asks what was not asked yet of an examination by JSON `options` of the package (`ExamOptions`), with the hash of the model's
    /// weights. The answer is JSON: papers, a lesson each.
    ///
    /// # Errors
    /// `usage` and `input` for what cannot be examined; `cancelled`; `io` without space; GPU errors.
    pub async fn exam(&self, library: &LessonLibrary, options: String, on_news: Function) -> Answer<String> {
        self.begin();
        self.silence();
        let options: Exam = from_json("options", &options)?;
        let there = library.taken()?;
        let papers = self.examined(there, &options, &on_news).await;
        library.reopen()?;
        Ok(papers?)
    }

    /// Learns all lessons that count but those of `without` anew from the base, and makes the result the head; JSON with the head
    /// and the lessons. A call that is cancelled goes on by the same one.
    ///
    /// # Errors
    /// `usage` for what cannot be consolidated; `input` for another base; `cancelled`; `io` without space; GPU errors.
    pub async fn consolidate(
        &self,
        library: &LessonLibrary,
        without: Vec<u32>,
        weights: String,
        on_news: Function,
    ) -> Answer<String> {
        self.begin();
        self.silence();
        let there = library.taken()?;
        let made = self.consolidated(there, &without, &weights, &on_news).await;
        library.reopen()?;
        Ok(made?)
    }

    /// Serves the head of `library`, or what `lesson` made, to calls that ask for the head. `weights` is the hash of the model's.
    ///
    /// # Errors
    /// `input` for another base model, and for a head that is damaged.
    pub fn serve(&self, library: &LessonLibrary, lesson: Option<u32>, weights: &str) -> Answer<()> {
        library.read(|library| {
            self.expect_base(library, weights)?;
            let served = library.served_head(lesson)?;
            if self.head.borrow().as_ref().map(|(name, _)| name.as_str()) == served {
                return Ok(());
            }
            let dims = adapter::dims(&self.opened().config);
            let head = served.map(|name| Ok((name.to_owned(), library.head(name, &dims)?)));
            self.set_head(head.transpose()?);
            Ok(())
        })?;
        Ok(())
    }
}

impl Engine {
    async fn examined(&self, mut library: Library, options: &Exam, on_news: &Function) -> Result<String> {
        let view = options.view()?;
        self.expect_base(&library, &options.weights)?;
        let examination = Examination::of(&library, options.head.as_deref(), view, options.lesson)?;
        let mut learner = self.lesson_learner(&library.card().settings)?;
        let mut teller = Teller { on_news, cancel: &self.opened().cancel };
        examination.sit(&mut Course::new(&mut library, &mut learner, &mut teller)?).await?;
        to_text(&examination.papers(&library)?)
    }

    async fn consolidated(
        &self,
        mut library: Library,
        without: &[u32],
        weights: &str,
        on_news: &Function,
    ) -> Result<String> {
        self.expect_base(&library, weights)?;
        expect_consolidation(&library, without)?;
        let mut learner = self.lesson_learner(&library.card().settings)?;
        let mut teller = Teller { on_news, cancel: &self.opened().cancel };
        let head = Course::new(&mut library, &mut learner, &mut teller)?.consolidate(without).await?;
        to_text(&json!({ "head": head, "lessons": library.standing().active() }))
    }

    async fn learn_into(
        &self,
        file: &LessonLibrary,
        library: Option<Library>,
        options: &Learn,
        on_news: &Function,
    ) -> Result<String> {
        let opened = self.opened();
        let mut teller = Teller { on_news, cancel: &opened.cancel };
        let source = options.source(on_news)?;
        let wanted = options.wanted()?;
        if let Some(library) = &library {
            options.expect_no_settings(file.name())?;
            self.expect_base(library, &options.weights)?;
            match (library.standing().pending(), &source) {
                (None, Source::Pending) => {
                    return Err(Error::usage("pairs", "no lesson waits", "give what is to be learnt"));
                }
                (_, Source::Pending) => {}
                _ => library.expect_decided()?,
            }
        } else if !source.begins() {
            return Err(file.empty());
        }
        source.check(&opened.language, &options.weights)?;
        opened.tell_lacking(source.texts());
        let settings = match &library {
            Some(library) => library.card().settings.clone(),
            None => options.settings(opened)?,
        };
        let mut learner = self.lesson_learner(&settings)?;
        let mut progress = |done: usize, all: usize, what: &str| {
            teller.progress(done as u64, all as u64, what);
            !teller.stopped()
        };
        let source =
            source.worked_out((&opened.name, None), &mut learner, &mut note(on_news), &mut progress).await?;
        let make = |card: &Card, anchors: &[_]| Library::create_in(Box::new(file.pack()?), card, anchors);
        let place = match library {
            Some(library) => Place::There(Box::new(library)),
            None => {
                let model = opened.computed(true)?;
                let base = Base { sha256: options.weights.clone(), model, ..Base::default() };
                Place::New { model: opened.name.clone(), base, settings: Box::new(settings), make: &make }
            }
        };
        let (mut library, number) =
            begin(&source, &wanted, place, &mut learner, &mut note(on_news), &mut progress).await?;
        let lesson = library.lesson(number)?;
        let questions: Vec<_> = lesson
            .facts
            .iter()
            .map(|fact| json!({ "question": fact.wordings.first(), "answer": fact.answer }))
            .collect();
        let begun =
            json!({ "event": "lesson", "lesson": number, "name": lesson.card.name, "facts": questions });
        tell(on_news, &begun)?;
        let verdict = Course::new(&mut library, &mut learner, &mut teller)?.teach(number).await?;
        let head = library.standing().candidate(number).map(str::to_owned).unwrap_or_default();
        let accept = options.accept && verdict.decision == Decision::Accepted;
        let state = conclude(&mut library, number, &verdict, accept)?;
        let cost = library.standing().cost(number);
        let learnt = json!({
            "lesson": number, "head": head, "state": state, "verdict": verdict, "words": verdict.lines(), "cost": cost,
        });
        to_text(&learnt)
    }

    /// A learner whose adapter has the shape of a library's heads and does nothing yet, if there is memory for it.
    fn lesson_learner(&self, settings: &LearnSettings) -> Result<Learner> {
        let opened = self.opened();
        opened.layout(&settings.lora)?;
        let file = settings.fresh(&opened.config)?;
        opened.check_memory("learning", &settings.workload(&opened.config, opened.context_length)?)?;
        self.session.learner(&file)
    }

    /// Fails if the model is not the one that a library was made with.
    fn expect_base(&self, library: &Library, weights: &str) -> Result<()> {
        let Card { model, base, .. } = library.card();
        let other = |field: &str, problem: &str| {
            let hint = format!("load {model}, with which it was made, or choose another library");
            Err(Error::input(&self.opened().name, field, problem, hint))
        };
        if base.sha256 != weights {
            return other("weights", "are not those that the library was made with");
        }
        if base.weights.is_some() || base.f16 {
            return other(
                "weights",
                "are stored otherwise than the library's; only the command line does that",
            );
        }
        match first_difference(&base.model, &self.opened().computed(true)?) {
            Some((field, old, new)) => {
                other(&field, &format!("is {}, but the library was made with {}", words(&new), words(&old)))
            }
            None => Ok(()),
        }
    }
}

impl Exam {
    fn view(&self) -> Result<Option<View>> {
        match (self.notes, self.retrieve) {
            (true, None) => Ok(Some(View::All)),
            (false, Some(count)) => Ok(Some(View::Best(count.get()))),
            (false, None) => Ok(None),
            (true, Some(_)) => {
                let problem = "is for some of the notes, `notes` for all";
                Err(Error::usage("retrieve", problem, "leave one of them out"))
            }
        }
    }
}

impl Learn {
    /// A library keeps the settings that it was made with.
    fn expect_no_settings(&self, library: &str) -> Result<()> {
        match LESSONS.asked(self.settings.clone())?.first() {
            None => Ok(()),
            Some(change) => {
                let problem = format!("`{library}` keeps what it was made with");
                Err(Error::usage(&change.name, problem, "leave it out, or make a new library"))
            }
        }
    }

    /// What is to be learnt, under the name that errors call it.
    fn source(&self, on_news: &Function) -> Result<Source> {
        let file = |usual: &str| PathBuf::from(self.name.as_deref().unwrap_or(usual));
        let bytes = |text: &String| text.clone().into_bytes();
        match (&self.pairs, &self.feedback, &self.document, &self.run, &self.correct) {
            (Some(pairs), None, None, None, None) => Source::pairs(bytes(pairs), file("pairs")),
            (None, Some(feedback), None, None, None) => {
                Source::feedback(bytes(feedback), file("feedback"), &mut note(on_news))
            }
            (None, None, Some(text), None, None) => Source::document(text.as_bytes(), file("document")),
            (None, None, None, Some(Run { name, card, log }), None) => {
                let events = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
                Ok(Source::Run { folder: name.into(), card: Box::new(card.clone()), events })
            }
            (None, None, None, None, Some(Correction { question, answer })) => {
                Ok(Source::Correction { question: question.clone(), answer: answer.clone() })
            }
            (None, None, None, None, None) => Ok(Source::Pending),
            _ => Err(Error::usage("source", "is more than one", "learn one after the other")),
        }
    }

    fn wanted(&self) -> Result<Wanted> {
        let usual = PreferenceConfig::default();
        let beta = self.beta.unwrap_or(usual.beta);
        if !(beta > 0.0 && beta.is_finite()) {
            return Err(Error::usage("beta", format!("is {beta}"), "give a number above 0"));
        }
        if self.feedback.is_none() && (self.preference.is_some() || self.beta.is_some()) {
            let problem = "is for answers that are preferred to others";
            return Err(Error::usage("preference", problem, "leave it out, or learn from feedback"));
        }
        let preference = PreferenceConfig { loss: self.preference.unwrap_or(usual.loss), beta };
        let neighbours = self.neighbours.clone();
        Ok(Wanted { name: self.name.clone(), supersede: self.supersede, preference, neighbours })
    }

    /// The settings of a new library.
    fn settings(&self, opened: &Opened) -> Result<LearnSettings> {
        let changes = LESSONS.asked(self.settings.clone())?;
        LearnSettings::for_library(&opened.name, &opened.config, opened.context_length, &changes)
    }
}
