//! `stepladder train`: supervised fine-tuning of a LoRA adapter.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use clap::ValueEnum;
use pollster::block_on;
use serde::{Deserialize, Serialize};
use stepladder::model::module::Module;
use stepladder::train::adapter;
use stepladder::train::checkpoint::State;
use stepladder::train::data::Dataset;
use stepladder::train::files::{OutputFolder, read, read_state, write_adapter, write_state};
use stepladder::train::fit::Workload;
use stepladder::train::lora_config::LoraConfig;
use stepladder::train::peft::AdapterFile;
use stepladder::train::sft::{Sft, SftSettings, SftStep, largest_pass};
use stepladder::train::text::ModelText;
use stepladder::train::trainer::{Optimizer, Trainer};
use stepladder::{Error, Result};

use super::args::{DeviceArgs, non_negative, positive};
use super::context::Context;
use super::progress::Progress;
use super::session::Opened;
use super::tuning::choose_kernels;

/// Options of `train`. With `--resume`, what is not given comes from the run.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct Args {
    /// `tiny` (built in), a Hugging Face folder, a .gguf file, or hf:OWNER/NAME[@REV]
    #[arg(short, long, required_unless_present = "resume")]
    pub(super) model: Option<String>,
    /// PEFT adapter to go on from
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    pub(super) adapter: Option<PathBuf>,
    /// Examples, one JSON object a line: `text`, or `prompt` and `completion`, or `messages` (and `tools`)
    #[arg(long, value_name = "FILE", required_unless_present = "resume")]
    pub(super) data: Option<PathBuf>,
    /// Folder to write the adapter to, in PEFT's layout
    #[arg(long, value_name = "DIR")]
    pub(super) output: PathBuf,
    /// Go on with the run in --output that was stopped
    #[arg(long)]
    pub(super) resume: bool,
    /// Number of updates, instead of --epochs
    #[arg(long, value_name = "N", conflicts_with = "epochs", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) steps: Option<u32>,
    /// Times that every example is seen
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) epochs: u32,
    /// Examples an update; what does not fit into one pass is accumulated
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) batch_size: u32,
    /// Size of an update
    #[arg(long, value_name = "X", default_value_t = 2e-4, value_parser = positive)]
    pub(super) learning_rate: f64,
    /// Course of the size of updates after warm-up: constant, linear or cosine
    #[arg(long, value_name = "NAME", default_value = "constant")]
    pub(super) schedule: String,
    /// Updates in which their size grows to its full value
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) warmup_steps: u32,
    /// Pull of the adapter towards zero
    #[arg(long, value_name = "X", default_value_t = 0.0, value_parser = non_negative)]
    pub(super) weight_decay: f64,
    /// Largest norm of the gradient; 0 for no bound
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = non_negative)]
    pub(super) max_grad_norm: f64,
    /// Rank of a new adapter [default: 8]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) rank: Option<u32>,
    /// Scale of a new adapter: its output is multiplied by alpha/rank
    #[arg(long, value_name = "X", default_value_t = 16.0, value_parser = positive)]
    pub(super) alpha: f64,
    /// Scale a new adapter by alpha/sqrt(rank) instead (rsLoRA)
    #[arg(long)]
    pub(super) rslora: bool,
    /// Linear layers that a new adapter is put on
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = TargetModule::ALL)]
    pub(super) target_modules: Vec<TargetModule>,
    /// Tokens of the longest example; longer ones are cut
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(2..))]
    pub(super) max_length: u32,
    /// Keep the order of the file
    #[arg(long)]
    pub(super) no_shuffle: bool,
    /// Seed of the adapter's first values and of the order
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) seed: u64,
    /// Updates between checkpoints, from which --resume goes on
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) checkpoint_every: u32,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
}

/// What defines a run; its checkpoint holds it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Card {
    model: String,
    adapter: Option<PathBuf>,
    data: PathBuf,
    lora: LoraConfig,
    settings: SftSettings,
}

/// Where the card is in the JSON value of a checkpoint, and the checkpoint's file name.
const CARD: &str = "run";
const STATE_FILE: &str = "state.safetensors";

/// Tokens of one pass of the model. Sets the memory and not the result.
pub(super) const PACK_TOKENS: usize = 2048;

/// Trains, or goes on with training.
pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let state_file = args.output.join(STATE_FILE);
    let (mut card, saved) = if args.resume {
        let (card, saved) = args.resumed(&state_file)?;
        (card, Some(saved))
    } else if state_file.exists() {
        let problem = format!("{} holds a run that was stopped", args.output.display());
        return Err(Error::usage(
            "--output",
            problem,
            "add --resume to go on with it, or choose another folder",
        ));
    } else {
        (args.card()?, None)
    };
    let opened = Opened::new(context, &card.model, &args.device)?;
    let adapter = if saved.is_some() {
        AdapterFile::init(card.lora.clone(), &adapter::dims(&opened.config), 0)?
    } else {
        opened.trainable(card.adapter.as_deref(), &card.lora, card.settings.seed)?
    };
    if let (Some(rank), Some(folder)) = (args.rank, &card.adapter) {
        adapter.expect_rank(rank as usize, folder)?;
    }
    card.lora = adapter.config.clone();
    let data = read_data(&opened, &card)?;
    let layout = adapter::layout(&opened.config, &adapter.config)?;
    let workload = Workload {
        training: Some(largest_pass(&data, card.settings.batch_size, PACK_TOKENS)),
        adapter: Some(layout.clone()),
        ..Workload::default()
    };
    opened.check_memory("training", &workload)?;
    let folder = OutputFolder::new(&args.output)?;
    let session = opened.load()?;
    choose_kernels(&session.model)?;
    let mut trainer = Trainer::new(Arc::clone(&session.model), &layout, PACK_TOKENS)?;
    trainer.set_cancel(Arc::clone(context.cancelled()));
    trainer.write_adapter(&adapter::flatten(&layout, &adapter)?)?;
    let mut sft = Sft::new(trainer, adapter.config.clone(), &data, card.settings.clone())?;
    if let Some(saved) = &saved {
        sft.restore(saved, &state_file)?;
    }
    let outcome =
        train(&mut sft, context, |sft| save(sft, &card, folder.path()), args.checkpoint_every.into());
    if let Err(Error::Cancelled | Error::Diverged { .. }) = outcome {
        save(&sft, &card, folder.path())?;
    }
    outcome?;
    write_adapter(folder.path(), &block_on(sft.adapter_file())?)?;
    if state_file.exists() {
        std::fs::remove_file(&state_file).map_err(|source| Error::write(&state_file, source))?;
    }
    if !context.json {
        context.answer(&(), || format!("adapter: {}", folder.path().display()))?;
    }
    session.print_profile(context)
}

/// The steps, each a line of JSON or a move of the bar.
fn train(
    sft: &mut Sft,
    context: &Context,
    mut save: impl FnMut(&Sft) -> Result<()>,
    checkpoint_every: u64,
) -> Result<()> {
    #[derive(Serialize)]
    struct Line {
        #[serde(flatten)]
        step: SftStep,
        tokens_per_second: f64,
    }
    let mut bar = Progress::new("train", "steps", sft.steps());
    while sft.done() < sft.steps() {
        if context.cancelled().load(Ordering::Relaxed) {
            return Err(Error::Cancelled);
        }
        let began = Instant::now();
        let step = block_on(sft.step())?;
        let tokens_per_second = step.tokens as f64 / began.elapsed().as_secs_f64().max(1e-9);
        if step.skipped {
            bar.note(&format!(
                "step {}: the loss or gradient was not finite; the update was skipped",
                step.step
            ));
        }
        bar.set(step.step, &format!("loss {:.4}  {tokens_per_second:.0} tokens/s", step.loss));
        if context.json {
            context.answer(&Line { step, tokens_per_second }, String::new)?;
        }
        if sft.done().is_multiple_of(checkpoint_every) && sft.done() < sft.steps() {
            save(sft)?;
        }
    }
    Ok(())
}

/// Writes a checkpoint, and the adapter as it is.
fn save(sft: &Sft, card: &Card, folder: &Path) -> Result<()> {
    let mut state: State = block_on(sft.state())?;
    state.put(CARD, card)?;
    write_state(folder.join(STATE_FILE), &state)?;
    write_adapter(folder, &block_on(sft.adapter_file())?)
}

fn read_data(opened: &Opened, card: &Card) -> Result<Dataset> {
    let text = ModelText {
        tokenizer: &opened.language.tokenizer,
        chat: opened.language.chat.as_ref(),
        ends: &opened.config.eos_token_ids,
    };
    let max_length = card.settings.max_length.min(opened.context_length);
    let data = Dataset::from_jsonl(&read(&card.data)?, &card.data, &text, max_length)?;
    let limit = if max_length < card.settings.max_length { "the context" } else { "--max-length" };
    for note in data.notes(limit) {
        eprintln!("{note}");
    }
    Ok(data)
}

impl Args {
    /// What defines a new run.
    fn card(&self) -> Result<Card> {
        let lora = LoraConfig {
            rank: self.rank.unwrap_or(8) as usize,
            alpha: self.alpha,
            rslora: self.rslora,
            targets: self.target_modules.iter().map(|&module| module.into()).collect(),
            ..LoraConfig::default()
        };
        let optimizer = Optimizer {
            weight_decay: self.weight_decay,
            max_grad_norm: self.max_grad_norm,
            ..Optimizer::default()
        };
        Ok(Card {
            model: self.model.clone().unwrap_or_default(),
            adapter: self.adapter.clone(),
            data: self.data.clone().unwrap_or_default(),
            lora,
            settings: SftSettings {
                steps: self.steps.map(u64::from),
                epochs: self.epochs.into(),
                batch_size: self.batch_size as usize,
                max_length: self.max_length as usize,
                shuffle: !self.no_shuffle,
                seed: self.seed,
                learning_rate: self.learning_rate,
                schedule: self.schedule.parse()?,
                warmup_steps: self.warmup_steps.into(),
                optimizer,
            },
        })
    }

    /// The run that was stopped, and its state.
    fn resumed(&self, file: &Path) -> Result<(Card, State)> {
        if !file.exists() {
            let problem = format!("{} holds no run that was stopped", self.output.display());
            return Err(Error::usage("--resume", problem, "leave --resume out to start one there"));
        }
        let state = read_state(file)?;
        let mut card: Card = state.get(CARD, file)?;
        if let Some(data) = &self.data {
            card.data.clone_from(data);
        }
        if let Some(steps) = self.steps {
            card.settings.steps = Some(steps.into());
        }
        Ok((card, state))
    }
}

/// A linear layer of a transformer block, by its name in checkpoints: queries, keys, values and output of attention,
/// then gate, up and down projection of the MLP. The variants have no text of their own, so that the help stays short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[allow(clippy::enum_variant_names, reason = "the names of checkpoints and of PEFT")]
pub(super) enum TargetModule {
    QProj,
    KProj,
    VProj,
    OProj,
    GateProj,
    UpProj,
    DownProj,
}

impl TargetModule {
    const ALL: &str = "q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj";
}

impl From<TargetModule> for Module {
    fn from(module: TargetModule) -> Self {
        match module {
            TargetModule::QProj => Self::Q,
            TargetModule::KProj => Self::K,
            TargetModule::VProj => Self::V,
            TargetModule::OProj => Self::O,
            TargetModule::GateProj => Self::Gate,
            TargetModule::UpProj => Self::Up,
            TargetModule::DownProj => Self::Down,
        }
    }
}
