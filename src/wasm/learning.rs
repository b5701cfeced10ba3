//! What learns from tasks: LADDER and test-time RL; and the evaluation.

use std::path::Path;
use std::sync::Arc;

use js_sys::Function;
use serde::{Deserialize, Serialize};
use wasm_bindgen::prelude::*;

use super::convert::{Answer, from_json, thrown_text, to_json};
use super::engine::Engine;
use super::options::{Evaluate, Ladder, Ttrl};
use super::store::{JsLog, JsStore};
use super::task::{check_problems, choose};
use super::text::seconds;
use crate::ladder::eval::{Questions, evaluate};
use crate::ladder::events::Event;
use crate::ladder::learner::{Learner, LearnerSettings};
use crate::ladder::run::{self, RunCard};
use crate::ladder::settings::{EvaluationSettings, Settings};
use crate::ladder::state::{Host, MemoryStore, Snapshot};
use crate::ladder::ttrl::{TtrlSettings, ttrl_with_checkpoints};
use crate::model::generate::Sampling;
use crate::task::{Problem, Task, TaskOptions};
use crate::train::adapter;
use crate::train::checkpoint::State;
use crate::train::lora_config::LoraConfig;
use crate::train::peft::AdapterFile;
use crate::{Error, Result};

#[wasm_bindgen]
impl Engine {
    /// What defines a new LADDER run, as JSON: every setting, the problems, the model.
    ///
    /// # Errors
    /// `usage` that names the setting at fault.
    pub fn ladder_card(&self, options: &str) -> Answer<String> {
        let options: Ladder = from_json("options", options)?;
        check_problems(&options.problems)?;
        let mut settings = options.settings(self.preset())?;
        if let Some(adapter) = &*self.adapter.borrow() {
            // The run goes on from this adapter; a resumed one must make one of the same shape.
            settings.lora = adapter.config.clone();
        }
        to_json(&RunCard {
            version: env!("CARGO_PKG_VERSION").into(),
            model: self.name.clone(),
            adapter: None,
            task: options.task,
            task_options: options.task_options,
            settings,
            problems: options.problems,
            held_out: options.held_out,
            policy: None,
        })
    }

    /// Runs a card from the beginning, or from the bytes of its last checkpoint. `task` is an object with a task's methods, or
    /// undefined for the card's own; `store` keeps log and checkpoints; `on_event(json)` gets every event. The answer is the
    /// `finished` event.
    ///
    /// # Errors
    /// `usage`, `out_of_memory`; `cancelled` and `diverged` after a checkpoint; GPU errors.
    pub async fn ladder(
        &self,
        card: String,
        task: JsValue,
        saved: Option<Vec<u8>>,
        store: JsValue,
        on_event: Function,
    ) -> Answer<String> {
        self.begin();
        self.generator.replace(None);
        let card: RunCard = from_json("card", &card)?;
        let saved = snapshot(saved)?;
        let task = choose(&card.task, &card.task_options, &task)?;
        let adapter = self.starting_adapter(saved.is_some(), &card.settings)?;
        let mut learner =
            self.learner(&adapter, Some((&card.settings, &*task, [&card.problems, &card.held_out])))?;
        let mut store = JsStore(JsLog::new(store)?);
        let outcome = {
            let mut sink = listener(&on_event);
            let mut host = Host { store: &mut store, sink: &mut sink, clock: &seconds, cancel: &self.cancel };
            run::run(&mut learner, &*task, &card, saved, &mut host).await
        };
        self.take_adapter(&learner, &outcome).await?;
        to_json(&outcome?.finished)
    }

    /// What defines test-time learning of one problem, as JSON.
    ///
    /// # Errors
    /// `usage` that names the setting at fault.
    pub fn ttrl_card(&self, options: &str) -> Answer<String> {
        let options: Ttrl = from_json("options", options)?;
        let mut settings = options.settings(self.preset())?;
        let Some(problem) = options.problem else {
            return Err(Error::usage("problem", "there is none", "give a problem of the task").into());
        };
        if let Some(adapter) = &*self.adapter.borrow() {
            settings.settings.lora = adapter.config.clone();
        }
        to_json(&TtrlCard {
            kind: "ttrl".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            model: self.name.clone(),
            task: options.task,
            task_options: options.task_options,
            problem,
            settings,
        })
    }

    /// Learns the neighbourhood of a card's problem and answers it, from the beginning or from the bytes of its last
    /// checkpoint; the rest is as in [`Engine::ladder`]. The answer is JSON.
    ///
    /// # Errors
    /// As [`Engine::ladder`].
    pub async fn ttrl(
        &self,
        card: String,
        task: JsValue,
        saved: Option<Vec<u8>>,
        store: JsValue,
        on_event: Function,
    ) -> Answer<String> {
        self.begin();
        self.generator.replace(None);
        let TtrlCard { task: name, task_options, problem, settings, .. } = from_json("card", &card)?;
        let task = choose(&name, &task_options, &task)?;
        let saved = snapshot(saved)?;
        let adapter = self.starting_adapter(saved.is_some(), &settings.settings)?;
        let problems = [problem];
        let mut learner = self.learner(&adapter, Some((&settings.settings, &*task, [&problems, &[]])))?;
        let mut store = JsStore(JsLog::new(store)?);
        let outcome = {
            let mut sink = listener(&on_event);
            let mut host = Host { store: &mut store, sink: &mut sink, clock: &seconds, cancel: &self.cancel };
            ttrl_with_checkpoints(&mut learner, &*task, &problems[0], &settings, saved, &mut host).await
        };
        // What was learnt for a question goes with it, unless it is answered and to be kept.
        if settings.keep && outcome.is_ok() {
            self.take_adapter(&learner, &outcome).await?;
        }
        to_json(&outcome?)
    }

    /// Answers problems and judges the answers; the answer is JSON.
    ///
    /// # Errors
    /// As [`Engine::ladder`].
    pub async fn evaluate(&self, options: String, task: JsValue, on_event: Function) -> Answer<String> {
        self.begin();
        self.generator.replace(None);
        let options: Evaluate = from_json("options", &options)?;
        check_problems(&options.problems)?;
        let task = choose(&options.task, &options.task_options, &task)?;
        let adapter = self.adapter.borrow().clone().filter(|_| options.adapter);
        let mut learner = match &adapter {
            Some(adapter) => self.learner(adapter, None)?,
            None => {
                let smallest = LoraConfig { rank: 1, ..LoraConfig::default() };
                let nothing = AdapterFile::init(smallest, &adapter::dims(self.model.config()), 0)?;
                let mut learner = self.learner(&nothing, None)?;
                learner.sample_base();
                learner
            }
        };
        let settings = EvaluationSettings {
            every: 0,
            samples: options.samples.max(1),
            sampling: Sampling {
                max_tokens: options.max_tokens,
                temperature: options.temperature,
                ..Sampling::default()
            },
        };
        settings.sampling.validate()?;
        let mut store = MemoryStore::default();
        let mut sink = listener(&on_event);
        let mut host = Host { store: &mut store, sink: &mut sink, clock: &seconds, cancel: &self.cancel };
        let questions = Questions { problems: &options.problems, shots: &[] };
        let evaluation =
            evaluate(&mut learner, &*task, questions, &settings, options.seed, 0, &mut host).await?;
        to_json(&evaluation)
    }
}

/// Everything that defines test-time learning.
#[derive(Debug, Serialize, Deserialize)]
struct TtrlCard {
    /// Tells the run from those of other commands.
    kind: String,
    version: String,
    model: String,
    task: String,
    task_options: TaskOptions,
    problem: Problem,
    settings: TtrlSettings,
}

/// The checkpoint in the bytes that a store kept.
fn snapshot(saved: Option<Vec<u8>>) -> Result<Option<Snapshot>> {
    let file = Path::new("state.safetensors");
    let Some(bytes) = saved else { return Ok(None) };
    Snapshot::from_state(State::from_bytes(&bytes, file)?, file).map(|(snapshot, _)| Some(snapshot))
}

/// What a learner is made for: settings, task, problems and held-out problems.
type Purpose<'a> = (&'a Settings, &'a dyn Task, [&'a [Problem]; 2]);

impl Engine {
    /// The adapter that a run begins with.
    fn starting_adapter(&self, resumed: bool, settings: &Settings) -> Result<AdapterFile> {
        match resumed {
            // The checkpoint has the values; only the shape counts.
            true => AdapterFile::init(settings.lora.clone(), &adapter::dims(self.model.config()), 0),
            false => self.trainable(settings.lora.clone(), settings.seed),
        }
    }

    fn learner(&self, adapter: &AdapterFile, purpose: Option<Purpose<'_>>) -> Result<Learner> {
        let settings = LearnerSettings::default();
        let mut language = Arc::clone(&self.language);
        if let Some((run, task, problems)) = purpose {
            language = Arc::new(language.worded(run.prompt_style));
            self.tell_lacking(problems.into_iter().flatten().map(|problem| problem.problem.as_str()));
            let (context, layout) =
                (self.model.context(), adapter::layout(self.model.config(), &adapter.config)?);
            let workload = settings.run(run, &language, task, problems, layout, context)?;
            self.check_memory("the run", &workload)?;
        }
        let model = Arc::clone(&self.model);
        Learner::new(self.name.clone(), model, language, adapter, settings, Arc::clone(&self.cancel))
    }

    /// Keeps what a run learnt, as far as it can be read back.
    async fn take_adapter<T>(&self, learner: &Learner, outcome: &Result<T>) -> Result<()> {
        if matches!(outcome, Ok(_) | Err(Error::Cancelled | Error::Diverged { .. })) {
            self.set_adapter(Some(learner.adapter_file().await?));
        }
        Ok(())
    }
}

/// A listener that gets events as JSON.
fn listener(on_event: &Function) -> impl FnMut(&Event) -> Result<()> + '_ {
    |event| tell(on_event, event)
}

pub(super) fn tell(listener: &Function, news: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string(news).map_err(|error| Error::write("an event", error.into()))?;
    let called = listener.call1(&JsValue::NULL, &text.into());
    called.map_err(|thrown| Error::usage("listener", thrown_text(&thrown), "let it not throw")).map(|_| ())
}
