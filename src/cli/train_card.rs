//! What defines a run of `train`, and what it is held to when it goes on.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use stepladder::settings::Change;
use stepladder::train::checkpoint::STATE_FILE;
use stepladder::train::checkpoint::State;
use stepladder::train::data::Dataset;
use stepladder::train::files::last_state;
use stepladder::train::fingerprint::{Base, sha256};
use stepladder::train::lora_config::LoraConfig;
use stepladder::train::peft::{AdapterFile, WEIGHTS_FILE};
use stepladder::train::resume::differs;
use stepladder::train::sft::{SftOptions, SftSettings};
use stepladder::{Error, Result};

use super::context::Context;
use super::resume::{ADAPTER, RUN, expect_computed};
use super::signals::say;
use super::train_args::Args;

/// What defines a run; its checkpoint holds it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Card {
    pub(super) model: String,
    pub(super) adapter: Option<PathBuf>,
    pub(super) data: PathBuf,
    pub(super) lora: LoraConfig,
    pub(super) settings: SftSettings,
    /// Updates between checkpoints. What follows here is missing from runs of older versions.
    #[serde(default)]
    pub(super) checkpoint_every: Option<u64>,
    /// The weights that the run stands on.
    #[serde(default)]
    pub(super) base: Option<Base>,
    /// Hash of the data's file.
    #[serde(default)]
    pub(super) data_sha256: Option<String>,
    /// Hash of what the model sees of it: the tokens, and which of them are learnt.
    #[serde(default)]
    pub(super) tokens_sha256: Option<String>,
    /// There is another adapter in the folder, which stays until the run is finished.
    #[serde(default)]
    pub(super) replaces: bool,
}

/// Where the card is in the JSON value of a checkpoint.
const CARD: &str = "run";

impl Card {
    /// What defines the run that `args` ask for.
    pub(super) fn new(args: &Args, asked: &SftOptions, context: &Context) -> Self {
        Self {
            model: args.model.clone().unwrap_or_default(),
            adapter: args.adapter.clone(),
            data: args.data.clone().unwrap_or_default(),
            lora: asked.lora.clone(),
            // Of no model and no data: what follows from them is put in once they are read.
            settings: SftSettings::for_model_and_data(asked, 0, 0, 0),
            checkpoint_every: Some(asked.checkpoint_every),
            base: Some(args.device.base(context)),
            data_sha256: None,
            tokens_sha256: None,
            replaces: false,
        }
    }

    /// The run that was stopped, with what `args` change of it, and its state.
    pub(super) fn resumed(args: &Args, context: &Context) -> Result<(Self, State)> {
        let folder = &args.output;
        let read = |state: State, file: &Path| Ok((state.get::<Self>(CARD, file)?, state));
        let Some(((card, state), warning)) = last_state(folder, read)? else {
            let done = folder.join(WEIGHTS_FILE).exists();
            let (problem, hint) = match done {
                true => {
                    ("holds a finished adapter and", "train on from it with --adapter and another --output")
                }
                false => ("", "leave --resume out to start one there"),
            };
            let problem = format!("{} {problem} holds no run that was stopped", folder.display());
            return Err(Error::usage("--resume", problem.replace("  ", " "), hint));
        };
        if let Some(warning) = warning {
            say(&warning);
        }
        let failed = |error: serde_json::Error| Error::read(folder.join(STATE_FILE), error.into());
        let mut has = serde_json::to_value(&card).map_err(failed)?;
        let asked = serde_json::to_value(args.device.base(context)).map_err(failed)?;
        expect_computed(context, &asked, &has["base"])?;
        SftOptions::change(RUN, args.settings.changes()?, &mut has)?;
        let mut card: Self = serde_json::from_value(has).map_err(failed)?;
        if let Some(data) = &args.data {
            card.data.clone_from(data);
        }
        if let Some(adapter) = args.adapter.as_ref().filter(|adapter| card.adapter.as_ref() != Some(*adapter))
        {
            let old = card.adapter.map_or(Value::Null, |old| old.display().to_string().into());
            return Err(differs("--adapter", RUN, &old, &adapter.display().to_string().into()));
        }
        if let Some(model) = &args.model {
            if card.base.is_none() && *model != card.model {
                let (old, new) = (Value::from(card.model), Value::from(model.as_str()));
                return Err(differs("--model", RUN, &old, &new));
            }
            card.model.clone_from(model);
        }
        Ok((card, state))
    }

    /// Holds the run to the data that it was begun with, or notes what it begins with.
    pub(super) fn tie_to_data(&mut self, bytes: &[u8], data: &Dataset) -> Result<()> {
        let mut seen = Vec::new();
        for example in &data.examples {
            seen.extend((example.tokens.len() as u64).to_le_bytes());
            seen.extend(example.tokens.iter().flat_map(|token| token.to_le_bytes()));
            seen.extend(example.scored.iter().map(|&scored| u8::from(scored)));
        }
        let (file, tokens) = (sha256(bytes), sha256(&seen));
        let other = |old: &Option<String>, new: &String| old.as_ref().is_some_and(|old| old != new);
        let problem = match () {
            () if other(&self.data_sha256, &file) => "are not those that the run was begun with",
            () if other(&self.tokens_sha256, &tokens) => {
                "are other tokens than when the run was begun: the tokenizer, the chat template or this program has changed"
            }
            () => {
                (self.data_sha256, self.tokens_sha256) = (Some(file), Some(tokens));
                return Ok(());
            }
        };
        Err(Error::input(
            &self.data,
            "contents",
            problem,
            "give the data that the run was begun with, or start a new run in another folder",
        ))
    }

    /// Whether a checkpoint holds the same card.
    pub(super) fn is_in(&self, state: &State) -> bool {
        serde_json::to_value(self).is_ok_and(|card| state.value.get(CARD) == Some(&card))
    }

    /// Puts the card into a checkpoint.
    pub(super) fn put_into(&self, state: &mut State) -> Result<()> {
        state.put(CARD, self)
    }
}

/// Holds the options that describe a new adapter to the one that training goes on from.
///
/// # Errors
/// [`Error::Usage`] that names the option and both values.
pub(super) fn expect_adapter(adapter: &AdapterFile, changes: &[Change]) -> Result<()> {
    let lora = serde_json::to_value(&adapter.config).map_err(|error| Error::read("adapter", error.into()))?;
    SftOptions::change(ADAPTER, changes, &mut serde_json::json!({ "lora": lora }))
}
