//! Supervised steps, with checkpoints from which they go on.

use std::path::Path;
use std::sync::atomic::Ordering;

use js_sys::{Function, Uint8Array};
use serde::{Deserialize, Serialize};
use serde_json::json;
use wasm_bindgen::prelude::*;

use super::console::warn;
use super::convert::{Answer, from_json, to_json, to_value};
use super::engine::Engine;
use super::learning::tell;
use super::options::train_changes;
use super::store::JsLog;
use super::text::seconds;
use crate::settings::PACKAGE;
use crate::train::adapter;
use crate::train::checkpoint::{STATE_FILE, State};
use crate::train::data::{Cursor, Order};
use crate::train::lora_config::LoraConfig;
use crate::train::peft::AdapterFile;
use crate::train::resume::{Owner, before};
use crate::train::sft::{News, Sft, SftOptions, SftSettings, SftStep};
use crate::{Error, Result};

/// What messages call the lines to learn.
const EXAMPLES: &str = "examples";

/// The adapter that a new run goes on from.
const ADAPTER: Owner<'static> = Owner {
    name: "the adapter that is trained on",
    hint: "leave it out, or clear the adapter first to begin a new one",
};

/// Everything that defines a run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TrainCard {
    /// Tells the run from those of other commands.
    kind: String,
    version: String,
    model: String,
    lora: LoraConfig,
    pub(super) settings: SftSettings,
    checkpoint_every: u64,
    /// JSON lines.
    pub(super) examples: String,
}

/// Where a checkpoint stands.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Mark {
    step: u64,
    steps: u64,
    /// Length of the log, in the store's own unit.
    position: u64,
    /// The run is over, whatever the steps that were asked for.
    #[serde(default)]
    over: bool,
}

/// Where [`Mark`] is in the JSON value of a state.
const MARK: &str = "run";

impl Mark {
    /// The mark of a state, if it is one of supervised steps.
    pub(super) fn of(state: &State, file: &Path) -> Result<Option<Self>> {
        if state.value.get(MARK).is_none() {
            return Ok(None);
        }
        state.get(MARK, file).map(Some)
    }
}

#[wasm_bindgen]
impl Engine {
    /// What defines a new run on `examples` (JSON lines), as JSON.
    ///
    /// # Errors
    /// All that a run finds wrong with what it was given: `usage`, `input` with the line at fault, `out_of_memory`.
    pub fn train_card(&self, examples: String, options: &str) -> Answer<String> {
        let changes = train_changes(options)?;
        let mut asked = SftOptions::of(PACKAGE).with(&changes)?;
        let opened = self.opened();
        asked.max_length = asked.max_length.min(opened.context_length);
        let lora = match &*self.adapter.borrow() {
            Some(adapter) => {
                let own = to_value("adapter", &adapter.config)?;
                SftOptions::change(ADAPTER, &changes, &mut json!({ "lora": own }))?;
                adapter.config.clone()
            }
            None => LoraConfig { base_model: Some(opened.name.clone()), ..asked.lora.clone() },
        };
        let data = opened.dataset(examples.as_bytes(), Path::new(EXAMPLES), asked.max_length)?;
        let card = TrainCard {
            kind: "train".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            model: opened.name.clone(),
            lora,
            settings: asked.settings(opened.config.parameters(), &data)?,
            checkpoint_every: asked.checkpoint_every,
            examples,
        };
        opened.check_training(&card.lora, &data, card.settings.batch_size)?;
        // Its errors are those of settings, and data, that nothing can be learnt from.
        Order::new(data.examples.len(), None, Cursor::default())?;
        to_json(&card)
    }

    /// Supervised steps of a card, from the beginning or from the bytes of its last checkpoint; `store` keeps log and
    /// checkpoints, `on_step(json)` gets each step (`TrainStep`). A call that is cancelled keeps what was learnt.
    ///
    /// # Errors
    /// `input` with the line at fault, `usage`, `out_of_memory`; `cancelled` and `diverged` after a checkpoint; GPU errors.
    pub async fn train(
        &self,
        card: String,
        saved: Option<Vec<u8>>,
        store: JsValue,
        on_step: Function,
    ) -> Answer<()> {
        self.begin();
        self.silence();
        let card: TrainCard = from_json("card", &card)?;
        let (opened, file) = (self.opened(), Path::new(STATE_FILE));
        let data = opened.dataset(card.examples.as_bytes(), Path::new(EXAMPLES), card.settings.max_length)?;
        for note in data.notes("the length limit") {
            warn(&note);
        }
        opened.check_training(&card.lora, &data, card.settings.batch_size)?;
        let settings = card.settings;
        let saved = saved.map(|bytes| State::from_bytes(&bytes, file)).transpose()?;
        let adapter = match &saved {
            // The checkpoint has the values; only the shape counts.
            Some(_) => AdapterFile::init(card.lora, &adapter::dims(&opened.config), 0)?,
            None => self.trainable(&card.lora, settings.seed)?,
        };
        let mut sft = self.session.supervised(&adapter, &data, settings)?;
        if let Some(saved) = &saved {
            sft.restore(saved, file)?;
            if sft.steps() < sft.done() {
                return Err(before("epochs", sft.steps(), sft.done()).into());
            }
        }
        let log = JsLog::new(store)?;
        let outcome = self.steps(&mut sft, card.checkpoint_every, &log, &on_step).await;
        // A lost device has nothing to read back: the adapter from before stays. After any other end what was learnt is kept.
        if !matches!(outcome, Err(Error::DeviceLost(_))) {
            self.set_adapter(Some(sft.adapter_file().await?));
        }
        if matches!(outcome, Ok(()) | Err(Error::Cancelled | Error::Diverged { .. })) {
            save(&sft, &log).await?;
        }
        Ok(outcome?)
    }
}

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
    /// After the last step of an epoch, where examples are held out.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_out_loss: Option<f64>,
}

impl Engine {
    async fn steps(&self, sft: &mut Sft, every: u64, log: &JsLog, on_step: &Function) -> Result<()> {
        // Of an epoch whose last step was told before the run was cut off.
        let mut held_out_loss = None;
        loop {
            if self.opened().cancel.load(Ordering::Relaxed) {
                return Err(Error::Cancelled);
            }
            let began = seconds();
            let done = match sft.next().await? {
                None => return Ok(()),
                Some(News::Epoch(epoch)) => {
                    held_out_loss = epoch.held_out_loss;
                    continue;
                }
                Some(News::Step(done)) => done,
            };
            let SftStep { step, steps, loss, grad_norm, learning_rate, tokens, .. } = done;
            let tokens_per_second = tokens as f64 / (seconds() - began).max(1e-9);
            let measured = if sft.epoch_is_due() { sft.next().await } else { Ok(None) };
            if let Ok(Some(News::Epoch(epoch))) = &measured {
                held_out_loss = epoch.held_out_loss;
            }
            let held_out_loss = held_out_loss.take();
            let line = Line {
                step,
                steps,
                loss,
                grad_norm,
                learning_rate,
                tokens,
                tokens_per_second,
                held_out_loss,
            };
            log.append_json(&line)?;
            if measured.is_ok() && step.is_multiple_of(every) {
                save(sft, log).await?;
            }
            tell(on_step, &line)?;
            measured?;
        }
    }
}

/// Saves adapter, optimizer and place in the data.
async fn save(sft: &Sft, log: &JsLog) -> Result<()> {
    let mut state = sft.state().await?;
    let (step, steps, over) = (sft.done(), sft.steps(), sft.has_waited());
    state.put(MARK, &Mark { step, steps, position: log.position(), over })?;
    log.save_bytes(&Uint8Array::from(&*state.to_bytes()?))
}
