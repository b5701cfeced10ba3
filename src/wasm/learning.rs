//! What trains the adapter: supervised steps, LADDER, test-time RL; and the evaluation.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use js_sys::Function;
use serde::Serialize;
use wasm_bindgen::prelude::*;

use super::convert::{Answer, from_json, thrown_text, to_json};
use super::engine::Engine;
use super::options::{Evaluate, Ladder, Train, Ttrl};
use super::store::JsStore;
use super::task::{check_problems, choose};
use super::text::seconds;
use crate::ladder::eval::{Questions, evaluate};
use crate::ladder::events::Event;
use crate::ladder::learner::{Learner, LearnerSettings};
use crate::ladder::run::{self, RunCard};
use crate::ladder::settings::EvaluationSettings;
use crate::ladder::state::{Host, MemoryStore, Snapshot, Store};
use crate::ladder::ttrl::ttrl;
use crate::model::generate::Sampling;
use crate::task::{Problem, Task};
use crate::train::adapter;
use crate::train::checkpoint::State;
use crate::train::data::Dataset;
use crate::train::fit::Workload;
use crate::train::lora_config::LoraConfig;
use crate::train::peft::AdapterFile;
use crate::train::sft::{Sft, SftStep, largest_pass};
use crate::train::text::ModelText;
use crate::train::trainer::Trainer;
use crate::{Error, Result};

#[wasm_bindgen]
impl Engine {
    /// Supervised steps on `examples` (JSON lines); `on_step(json)` gets each (`TrainStep`). A call that is cancelled keeps
    /// what was learnt.
    ///
    /// # Errors
    /// `input` with the line at fault, `usage`, `out_of_memory`, `cancelled`, `diverged`, GPU errors.
    pub async fn train(&self, examples: String, options: String, on_step: Function) -> Answer<()> {
        self.begin();
        self.generator.replace(None);
        let options: Train = from_json("options", &options)?;
        let (config, context) = (self.model.config(), self.model.context());
        let settings = options.settings(context);
        let text = ModelText {
            tokenizer: &self.language.tokenizer,
            chat: self.language.chat.as_ref(),
            ends: &config.eos_token_ids,
        };
        let data =
            Dataset::from_jsonl(examples.as_bytes(), Path::new("examples"), &text, settings.max_length)?;
        let adapter = self.trainable(options.lora(), settings.seed)?;
        let layout = adapter::layout(config, &adapter.config)?;
        let pack_tokens = LearnerSettings::default().pack_tokens;
        let training = Some(largest_pass(&data, settings.batch_size, pack_tokens));
        self.check_memory(
            "training",
            &Workload { training, adapter: Some(layout.clone()), ..Workload::default() },
        )?;
        let mut trainer = Trainer::new(Arc::clone(&self.model), &layout, pack_tokens)?;
        trainer.set_cancel(Arc::clone(&self.cancel));
        trainer.write_adapter(&adapter::flatten(&layout, &adapter)?)?;
        let mut sft = Sft::new(trainer, adapter.config.clone(), &data, settings)?;
        let outcome = self.steps(&mut sft, &on_step).await;
        // A lost device has nothing to read back: the adapter from before stays.
        if matches!(outcome, Ok(()) | Err(Error::Cancelled | Error::Diverged { .. })) {
            self.set_adapter(Some(sft.adapter_file().await?));
        }
        Ok(outcome?)
    }

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
        let file = Path::new("state.safetensors");
        let saved = match saved {
            Some(bytes) => Some(Snapshot::from_state(State::from_bytes(&bytes, file)?, file)?.0),
            None => None,
        };
        let task = choose(&card.task, &card.task_options, &task)?;
        let adapter = match saved {
            // The checkpoint has the values; only the shape counts.
            Some(_) => AdapterFile::init(card.settings.lora.clone(), &adapter::dims(self.model.config()), 0)?,
            None => self.trainable(card.settings.lora.clone(), card.settings.seed)?,
        };
        let mut learner =
            self.learner(&adapter, Some((&card.settings, &*task, [&card.problems, &card.held_out])))?;
        let mut store = JsStore::new(store)?;
        let outcome = {
            let mut sink = listener(&on_event);
            let mut host = Host { store: &mut store, sink: &mut sink, clock: &seconds, cancel: &self.cancel };
            run::run(&mut learner, &*task, &card, saved, &mut host).await
        };
        self.take_adapter(&learner, &outcome).await?;
        to_json(&outcome?.finished)
    }

    /// Learns one problem's neighbourhood and answers it; `on_event(json)` gets every event. The answer is JSON.
    ///
    /// # Errors
    /// As [`Engine::ladder`].
    pub async fn ttrl(&self, options: String, task: JsValue, on_event: Function) -> Answer<String> {
        self.begin();
        self.generator.replace(None);
        let options: Ttrl = from_json("options", &options)?;
        let settings = options.settings(self.preset())?;
        let task = choose(&options.task, &options.task_options, &task)?;
        let problems: Vec<Problem> = options.problem.into_iter().collect();
        check_problems(&problems)?;
        let adapter = self.trainable(settings.settings.lora.clone(), settings.settings.seed)?;
        let mut learner = self.learner(&adapter, Some((&settings.settings, &*task, [&problems, &[]])))?;
        let mut store = MemoryStore::default();
        let outcome = {
            let mut sink = listener(&on_event);
            let store: &mut dyn Store = &mut store;
            let mut host = Host { store, sink: &mut sink, clock: &seconds, cancel: &self.cancel };
            ttrl(&mut learner, &*task, &problems[0], &settings, &mut host).await
        };
        if settings.keep {
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

/// What a learner is made for: settings, task, problems and held-out problems.
type Purpose<'a> = (&'a crate::ladder::settings::Settings, &'a dyn Task, [&'a [Problem]; 2]);

impl Engine {
    async fn steps(&self, sft: &mut Sft, on_step: &Function) -> Result<()> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Line {
            step: u64,
            steps: u64,
            loss: f64,
            grad_norm: f64,
            learning_rate: f64,
            tokens: usize,
            tokens_per_second: f64,
        }
        while sft.done() < sft.steps() {
            if self.cancel.load(Ordering::Relaxed) {
                return Err(Error::Cancelled);
            }
            let began = seconds();
            let SftStep { step, steps, loss, grad_norm, learning_rate, tokens, .. } = sft.step().await?;
            let tokens_per_second = tokens as f64 / (seconds() - began).max(1e-9);
            tell(on_step, &Line { step, steps, loss, grad_norm, learning_rate, tokens, tokens_per_second })?;
        }
        Ok(())
    }

    fn learner(&self, adapter: &AdapterFile, purpose: Option<Purpose<'_>>) -> Result<Learner> {
        let settings = LearnerSettings::default();
        let mut language = Arc::clone(&self.language);
        if let Some((run, task, problems)) = purpose {
            language = Arc::new(language.worded(run.prompt_style));
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

fn tell(listener: &Function, news: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string(news).map_err(|error| Error::write("an event", error.into()))?;
    let called = listener.call1(&JsValue::NULL, &text.into());
    called.map_err(|thrown| Error::usage("listener", thrown_text(&thrown), "let it not throw")).map(|_| ())
}
