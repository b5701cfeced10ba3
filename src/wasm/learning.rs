//! What learns from tasks: LADDER and test-time RL; and the evaluation.

use std::path::Path;
use std::sync::Arc;

use js_sys::Function;
use serde::{Deserialize, Serialize};
use wasm_bindgen::prelude::*;

use super::convert::{Answer, from_json, thrown_text, to_json};
use super::engine::Engine;
use super::options::{Evaluate, Ladder, Paths, Ttrl};
use super::store::{JsLog, JsStore};
use super::task::choose;
use super::text::seconds;
use crate::ladder::eval::{Questions, evaluate};
use crate::ladder::events::Event;
use crate::ladder::learner::{Language, Learner};
use crate::ladder::run::{self, RunCard};
use crate::ladder::settings::{EvaluationSettings, Settings};
use crate::ladder::state::{Host, MemoryStore, Snapshot};
use crate::ladder::ttrl::{TtrlSettings, ttrl_with_checkpoints};
use crate::model::generate::Sampling;
use crate::task::{Origin, Problem, Task, TaskOptions, check_problems};
use crate::train::adapter;
use crate::train::checkpoint::{STATE_FILE, State};
use crate::train::fingerprint::Base;
use crate::train::lora_config::LoraConfig;
use crate::train::peft::AdapterFile;
use crate::{Error, Result};

#[wasm_bindgen]
impl Engine {
    /// What defines a new LADDER run, as JSON: every setting, the problems, the model. `task` is as in [`Engine::ladder`].
    ///
    /// # Errors
    /// All that a run finds wrong with what it was given: `usage` that names the setting at fault, `context`, `out_of_memory`.
    pub fn ladder_card(&self, options: &str, task: &JsValue) -> Answer<String> {
        let options: Ladder = from_json("options", options)?;
        let mut settings = options.settings(self.opened().preset())?;
        self.go_on_from_adapter(&mut settings.lora, &options.settings)?;
        let task = choose(&options.task, &options.task_options, task)?;
        check_problems(&*task, Origin::Option("problems"), &options.problems)?;
        if !options.held_out.is_empty() {
            check_problems(&*task, Origin::Option("heldOut"), &options.held_out)?;
        }
        self.check_run((&settings, &*task, [&options.problems, &options.held_out]))?;
        let base = |sha256| {
            let model = self.opened().computed(true)?;
            Ok::<_, Error>(Base { sha256, model, ..Base::default() })
        };
        let (task, problems) = ((options.task, options.task_options), [options.problems, options.held_out]);
        to_json(&RunCard {
            base: options.weights.map(base).transpose()?,
            ..RunCard::new(self.opened().name.clone(), task, settings, problems)
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
        self.silence();
        let card: RunCard = from_json("card", &card)?;
        let saved = snapshot(saved)?;
        let task = choose(&card.task, &card.task_options, &task)?;
        let adapter = self.starting_adapter(saved.is_some(), &card.settings)?;
        let mut learner =
            self.learner(&adapter, (&card.settings, &*task, [&card.problems, &card.held_out]))?;
        let mut store = JsStore(JsLog::new(store)?);
        let outcome = {
            let mut sink = listener(&on_event);
            let mut host =
                Host { store: &mut store, sink: &mut sink, clock: &seconds, cancel: &self.opened().cancel };
            run::run(&mut learner, &*task, &card, saved, &mut host).await
        };
        self.take_adapter(&learner, &outcome).await?;
        to_json(&outcome?.finished)
    }

    /// What defines test-time learning of one problem, as JSON.
    ///
    /// # Errors
    /// As [`Engine::ladder_card`].
    pub fn ttrl_card(&self, options: &str, task: &JsValue) -> Answer<String> {
        let options: Ttrl = from_json("options", options)?;
        let mut settings = options.settings(self.opened().preset())?;
        let Some(problem) = options.problem else {
            return Err(Error::usage("problem", "there is none", "give a problem of the task").into());
        };
        self.go_on_from_adapter(&mut settings.settings.lora, &options.settings)?;
        let task = choose(&options.task, &options.task_options, task)?;
        check_problems(&*task, Origin::Option("problem"), std::slice::from_ref(&problem))?;
        self.check_run((&settings.settings, &*task, [std::slice::from_ref(&problem), &[]]))?;
        to_json(&TtrlCard {
            kind: "ttrl".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            model: self.opened().name.clone(),
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
        self.silence();
        let TtrlCard { task: name, task_options, problem, settings, .. } = from_json("card", &card)?;
        let task = choose(&name, &task_options, &task)?;
        let saved = snapshot(saved)?;
        let adapter = self.starting_adapter(saved.is_some(), &settings.settings)?;
        let problems = [problem];
        let mut learner = self.learner(&adapter, (&settings.settings, &*task, [&problems, &[]]))?;
        let mut store = JsStore(JsLog::new(store)?);
        let outcome = {
            let mut sink = listener(&on_event);
            let mut host =
                Host { store: &mut store, sink: &mut sink, clock: &seconds, cancel: &self.opened().cancel };
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
        self.silence();
        let options: Evaluate = from_json("options", &options)?;
        let task = choose(&options.task, &options.task_options, &task)?;
        check_problems(&*task, Origin::Option("problems"), &options.problems)?;
        let adapter = self.adapter.borrow().clone().filter(|_| options.adapter);
        let mut learner = self.session.sampler(adapter.as_ref())?;
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
        let mut host =
            Host { store: &mut store, sink: &mut sink, clock: &seconds, cancel: &self.opened().cancel };
        let questions = Questions { problems: &options.problems, shots: &[] };
        let evaluation =
            evaluate(&mut learner, &*task, questions, &settings, options.seed, 0, &mut host).await?;
        to_json(&evaluation)
    }
}

/// Everything that defines test-time learning.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TtrlCard {
    /// Tells the run from those of other commands.
    kind: String,
    version: String,
    model: String,
    pub(super) task: String,
    pub(super) task_options: TaskOptions,
    pub(super) problem: Problem,
    pub(super) settings: TtrlSettings,
}

/// The checkpoint in the bytes that a store kept.
fn snapshot(saved: Option<Vec<u8>>) -> Result<Option<Snapshot>> {
    let file = Path::new(STATE_FILE);
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
            true => AdapterFile::init(settings.lora.clone(), &adapter::dims(&self.opened().config), 0),
            false => self.trainable(&settings.lora, settings.seed),
        }
    }

    /// A run goes on from the adapter that is there, and a resumed one must make one of the same shape. Fails if the settings
    /// `asked` for another.
    fn go_on_from_adapter(&self, lora: &mut LoraConfig, asked: &Paths) -> Result<()> {
        let adapter = self.adapter.borrow();
        let Some(there) = adapter.as_ref().map(|adapter| &adapter.config) else { return Ok(()) };
        let wished = LoraConfig { base_model: there.base_model.clone(), ..lora.clone() };
        if wished != *there
            && let Some(path) = asked.keys().find(|path| *path == "lora" || path.starts_with("lora."))
        {
            let problem = "the adapter that is trained on has another shape";
            return Err(Error::usage(path, problem, "leave it out, or clear the adapter first"));
        }
        *lora = there.clone();
        Ok(())
    }

    /// Fails, with what is wrong, if a run of this purpose cannot begin; answers the wording of its prompts.
    fn check_run(&self, (run, task, problems): Purpose<'_>) -> Result<Arc<Language>> {
        self.opened().check_run("the run", run, task, problems, &run.lora)
    }

    fn learner(&self, adapter: &AdapterFile, purpose: Purpose<'_>) -> Result<Learner> {
        self.opened().tell_lacking_of(purpose.2);
        self.session.learner_in(self.check_run(purpose)?, adapter)
    }

    /// Keeps what a run learnt, however it ended; a lost device has nothing to read back.
    async fn take_adapter<T>(&self, learner: &Learner, outcome: &Result<T>) -> Result<()> {
        if !matches!(outcome, Err(Error::DeviceLost(_))) {
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
