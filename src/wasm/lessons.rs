//! Lessons on the model that is loaded: learnt into a library, and asked of its heads.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use js_sys::{Array, Function};
use serde::{Deserialize, Serialize};
use serde_json::json;
use wasm_bindgen::prelude::*;

use super::convert::{Answer, from_json};
use super::engine::Engine;
use super::files::JsFile;
use super::learning::tell;
use super::library::LessonLibrary;
use crate::ladder::base::{first_difference, wording};
use crate::ladder::learner::{Learner, LearnerSettings};
use crate::lessons::anchors;
use crate::lessons::card::{Card, LessonKind};
use crate::lessons::course::{Course, Listener, News};
use crate::lessons::decide::conclude;
use crate::lessons::gate::Decision;
use crate::lessons::library::Library;
use crate::lessons::pairs;
use crate::lessons::propose::{Origin, Otherwise, correction, from_pairs};
use crate::lessons::settings::{LearnSettings, Wishes};
use crate::model::open::OpenModel;
use crate::task::PromptStyle;
use crate::train::adapter;
use crate::train::fingerprint::{self, Base};
use crate::train::loss::preference::PreferenceConfig;
use crate::train::resume::words;
use crate::{Error, Result};

/// Of `learn`; without a source it goes on with the lesson that is not decided.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct Learn {
    /// JSON lines of pairs.
    pairs: Option<String>,
    correct: Option<Correction>,
    name: Option<String>,
    supersede: bool,
    accept: bool,
    rank: Option<usize>,
    learning_rate: Option<f64>,
    epochs: Option<u64>,
    seed: Option<u64>,
    /// The hash of the model's weights.
    weights: String,
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
        self.generator.replace(None);
        let options: Learn = from_json("options", &options)?;
        // Out of its cell while it is changed; what it is then is read anew.
        let there = library.library.take();
        let learnt = self.learn_into(library, there, &options, &on_news).await;
        library.reopen()?;
        Ok(learnt?)
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
            let dims = adapter::dims(self.model.config());
            let head = served.map(|name| Ok((name.to_owned(), library.head(name, &dims)?)));
            self.set_head(head.transpose()?);
            Ok(())
        })?;
        Ok(())
    }
}

impl Engine {
    async fn learn_into(
        &self,
        file: &LessonLibrary,
        library: Option<Library>,
        options: &Learn,
        on_news: &Function,
    ) -> Result<String> {
        let mut teller = Teller { on_news, cancel: &self.cancel };
        let source = options.pairs.as_deref();
        let name = Path::new(options.name.as_deref().unwrap_or("pairs"));
        let pairs = source.map(|pairs| pairs::parse(pairs.as_bytes(), name)).transpose()?;
        if let Some(library) = &library {
            options.expect_no_settings(file.name())?;
            self.expect_base(library, &options.weights)?;
            match (library.standing().pending(), &pairs, &options.correct) {
                (None, None, None) => {
                    return Err(Error::usage("pairs", "no lesson waits", "give pairs, or a correction"));
                }
                (_, None, None) => {}
                _ => library.expect_decided()?,
            }
        } else if pairs.is_none() {
            return Err(file.empty());
        }
        let settings = match &library {
            Some(library) => library.card().settings.clone(),
            None => options.settings(self)?,
        };
        let mut learner = self.lesson_learner(&settings)?;
        let mut library = match library {
            Some(library) => library,
            None => {
                let mut go_on = |done: usize, all: usize| {
                    teller.progress(done as u64, all as u64, "answers of the base");
                    !teller.stopped()
                };
                let anchors = anchors::make(&mut learner, settings.seed, &mut go_on).await?;
                let loops = anchors::loops(&mut learner, &anchors, &mut go_on).await?;
                let base =
                    Base { sha256: options.weights.clone(), model: self.computed()?, ..Base::default() };
                let card = Card::new(self.name.clone(), base, settings, loops);
                Library::create_in(Box::new(file.pack()?), &card, &anchors)?
            }
        };
        let frames = self.language.style() == PromptStyle::Instruct;
        let seed = library.card().settings.seed;
        let origin = |kind, usual: &str, source: &[u8]| Origin {
            kind,
            name: options.name.clone().unwrap_or_else(|| usual.to_owned()),
            source: source.to_vec(),
            reached: None,
            preference: PreferenceConfig::default(),
        };
        let number = match (library.standing().pending(), pairs, &options.correct) {
            (Some(number), ..) => number,
            (None, Some(pairs), _) => {
                let otherwise = if options.supersede { Otherwise::Replace } else { Otherwise::Refuse };
                let proposal = from_pairs(&library, pairs, name, frames, otherwise, seed)?;
                let source = source.unwrap_or_default().as_bytes();
                proposal.put(&mut library, &mut learner, origin(LessonKind::Pairs, "pairs", source))?
            }
            (None, None, Some(Correction { question, answer })) => {
                let proposal = correction(&library, question, answer, frames, seed)?;
                let source = json!({ "question": question, "answer": answer }).to_string() + "\n";
                let origin = origin(LessonKind::Correction, "correction", source.as_bytes());
                proposal.put(&mut library, &mut learner, origin)?
            }
            (None, None, None) => return Err(file.empty()),
        };
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
        serde_json::to_string(&learnt).map_err(|error| Error::write("the answer", error.into()))
    }

    /// A learner whose adapter has the shape of a library's heads and does nothing yet, if there is memory for it.
    fn lesson_learner(&self, settings: &LearnSettings) -> Result<Learner> {
        self.layout(&settings.lora)?;
        let file = settings.fresh(self.model.config())?;
        self.check_memory("learning", &settings.workload(self.model.config(), self.model.context())?)?;
        let (model, language) = (Arc::clone(&self.model), Arc::clone(&self.language));
        let learner = LearnerSettings::default();
        Learner::new(self.name.clone(), model, language, &file, learner, Arc::clone(&self.cancel))
    }

    /// What the model computes, and how it reads texts, as a library's card has it.
    fn computed(&self) -> Result<serde_json::Map<String, serde_json::Value>> {
        let mut model = fingerprint::numbers(self.model.config());
        model.extend(wording(&self.language, self.model.config(), self.model.context())?);
        Ok(model)
    }

    /// Fails if the model is not the one that a library was made with.
    fn expect_base(&self, library: &Library, weights: &str) -> Result<()> {
        let Card { model, base, .. } = library.card();
        let other = |field: &str, problem: &str| {
            let hint = format!("load {model}, with which it was made, or choose another library");
            Err(Error::input(&self.name, field, problem, hint))
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
        match first_difference(&base.model, &self.computed()?) {
            Some((field, old, new)) => {
                other(&field, &format!("is {}, but the library was made with {}", words(&new), words(&old)))
            }
            None => Ok(()),
        }
    }
}

impl Learn {
    /// A library keeps the settings that it was made with.
    fn expect_no_settings(&self, library: &str) -> Result<()> {
        let given = [
            ("rank", self.rank.is_some()),
            ("learningRate", self.learning_rate.is_some()),
            ("epochs", self.epochs.is_some()),
            ("seed", self.seed.is_some()),
        ];
        match given.iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((option, _)) => {
                let problem = format!("`{library}` keeps what it was made with");
                Err(Error::usage(*option, problem, "leave it out, or make a new library"))
            }
        }
    }

    /// Those of a new library.
    fn settings(&self, engine: &Engine) -> Result<LearnSettings> {
        let wishes = Wishes {
            rank: self.rank,
            learning_rate: self.learning_rate,
            epochs: self.epochs,
            seed: self.seed,
        };
        let (config, context) = (engine.model.config(), engine.model.context());
        LearnSettings::for_library(&engine.name, config, context, &wishes)
    }
}
