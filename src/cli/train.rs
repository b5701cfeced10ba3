//! `stepladder train`: supervised fine-tuning of a LoRA adapter.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use clap::ValueEnum;
use pollster::block_on;
use serde::Serialize;
use stepladder::model::module::Module;
use stepladder::train::adapter;
use stepladder::train::checkpoint::State;
use stepladder::train::data::Dataset;
use stepladder::train::files::{
    PREVIOUS_STATE_FILE, STATE_FILE, read, remove_states, write_adapter, write_first_state, write_state,
};
use stepladder::train::fit::Workload;
use stepladder::train::output::{OutputFolder, expect_folder};
use stepladder::train::peft::AdapterFile;
use stepladder::train::resume::before;
use stepladder::train::sft::{Sft, SftSettings, SftStep, largest_pass};
use stepladder::train::text::ModelText;
use stepladder::train::trainer::{Optimizer, Trainer};
use stepladder::{Error, Result};

use super::args::{DeviceArgs, non_negative, positive};
use super::context::Context;
use super::progress::Progress;
use super::resume::{expect_model, expect_place};
use super::session::Opened;
use super::signals::{quoted, say};
use super::train_card::Card;
use super::tuning::choose_kernels;

/// Options of `train`. With `--resume`, what is not given comes from the run.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct Args {
    /// `tiny` (built in), a Hugging Face folder, a .gguf file, or hf:OWNER/NAME[@REV]
    #[arg(short, long, required_unless_present = "resume")]
    pub(super) model: Option<String>,
    /// PEFT adapter to go on from
    #[arg(long, value_name = "DIR")]
    pub(super) adapter: Option<PathBuf>,
    /// Examples, one JSON object a line: `text`, or `prompt` and `completion`, or `messages` (and `tools`)
    #[arg(long, value_name = "FILE", required_unless_present = "resume")]
    pub(super) data: Option<PathBuf>,
    /// Folder to write the adapter to, in PEFT's layout: new, or empty
    #[arg(long, value_name = "DIR")]
    pub(super) output: PathBuf,
    /// Go on with the run in --output that was stopped, on the same model and data. Steps, epochs, learning rate, schedule,
    /// warm-up, weight decay, bound of the gradient and checkpoints may be given anew; anything else that differs is refused
    #[arg(long)]
    pub(super) resume: bool,
    /// Number of updates, instead of --epochs
    #[arg(long, value_name = "N", conflicts_with = "epochs", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) steps: Option<u32>,
    /// Times that every example is seen
    #[arg(long, value_name = "N", default_value_t = SftSettings::default().epochs as u32, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) epochs: u32,
    /// Examples an update; what does not fit into one pass is accumulated
    #[arg(long, value_name = "N", default_value_t = SftSettings::default().batch_size as u32, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) batch_size: u32,
    /// Size of an update
    #[arg(long, value_name = "X", default_value_t = SftSettings::default().learning_rate, value_parser = positive)]
    pub(super) learning_rate: f64,
    /// Course of the size of updates after warm-up: constant, linear or cosine
    #[arg(long, value_name = "NAME", default_value = "constant")]
    pub(super) schedule: String,
    /// Updates in which their size grows to its full value
    #[arg(long, value_name = "N", default_value_t = SftSettings::default().warmup_steps as u32)]
    pub(super) warmup_steps: u32,
    /// Pull of the adapter towards zero
    #[arg(long, value_name = "X", default_value_t = Optimizer::default().weight_decay, value_parser = non_negative)]
    pub(super) weight_decay: f64,
    /// Largest norm of the gradient; 0 for no bound
    #[arg(long, value_name = "X", default_value_t = Optimizer::default().max_grad_norm, value_parser = non_negative)]
    pub(super) max_grad_norm: f64,
    /// Rank of a new adapter
    #[arg(long, value_name = "N", default_value_t = SftSettings::adapter().rank as u32, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) rank: u32,
    /// Scale of a new adapter: its output is multiplied by alpha/rank
    #[arg(long, value_name = "X", default_value_t = SftSettings::adapter().alpha, value_parser = positive)]
    pub(super) alpha: f64,
    /// Scale a new adapter by alpha/sqrt(rank) instead (rsLoRA)
    #[arg(long)]
    pub(super) rslora: bool,
    /// Linear layers that a new adapter is put on
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = TargetModule::ALL)]
    pub(super) target_modules: Vec<TargetModule>,
    /// Tokens of the longest example; longer ones are cut
    #[arg(long, value_name = "N", default_value_t = SftSettings::default().max_length as u32, value_parser = clap::value_parser!(u32).range(2..))]
    pub(super) max_length: u32,
    /// Keep the order of the file
    #[arg(long)]
    pub(super) no_shuffle: bool,
    /// Seed of the adapter's first values and of the order
    #[arg(long, value_name = "N", default_value_t = SftSettings::default().seed)]
    pub(super) seed: u64,
    /// Updates between checkpoints, from which --resume goes on
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) checkpoint_every: u32,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
}

/// Tokens of one pass of the model. Sets the memory and not the result.
pub(super) const PACK_TOKENS: usize = 2048;

/// Trains, or goes on with training.
pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    expect_folder("--output", &args.output)?;
    let folder = OutputFolder::new(&args.output)?;
    let replaces = args.check_output(context)?;
    let (mut card, saved) = if args.resume {
        let (card, saved) = Card::resumed(args, context)?;
        (card, Some(saved))
    } else {
        (Card { replaces, ..Card::new(args, context)? }, None)
    };
    let device = args.device.as_in(card.base.as_ref());
    if args.resume {
        expect_model(&card.model)?;
        expect_place("--data", &card.data)?;
    }
    let mut opened = Opened::new(context, &card.model, &device)?;
    opened.tie(&mut card.base, &device, context, false)?;
    let adapter = if saved.is_some() {
        AdapterFile::init(card.lora.clone(), &adapter::dims(&opened.config), 0)?
    } else {
        opened.trainable(card.adapter.as_deref(), &card.lora, card.settings.seed)?
    };
    if let (Some(folder), false) = (&card.adapter, args.resume) {
        if context.is_given("rank") {
            adapter.expect_rank(args.rank as usize, folder)?;
        }
        card.expect_adapter(&adapter, context)?;
    }
    card.lora = adapter.config.clone();
    let bytes = read(&card.data)?;
    let data = read_data(&opened, &card, &bytes)?;
    card.tie_to_data(&bytes, &data)?;
    drop(bytes);
    let layout = adapter::layout(&opened.config, &adapter.config)?;
    let workload = Workload {
        training: Some(largest_pass(&data, card.settings.batch_size, PACK_TOKENS)),
        adapter: Some(layout.clone()),
        ..Workload::default()
    };
    opened.check_memory("training", &workload)?;
    context.stoppable();
    let session = opened.load()?;
    choose_kernels(&session.model)?;
    let mut trainer = Trainer::new(Arc::clone(&session.model), &layout, PACK_TOKENS)?;
    trainer.set_cancel(Arc::clone(context.cancelled()));
    trainer.write_adapter(&adapter::flatten(&layout, &adapter)?)?;
    let mut sft = Sft::new(trainer, adapter.config.clone(), &data, card.settings.clone())?;
    if let Some(saved) = &saved {
        sft.restore(saved, &folder.path().join(STATE_FILE))?;
        expect_more(context, sft.done(), sft.steps())?;
    }
    if let Some(note) = sft.schedule().note() {
        say(&format!("--warmup-steps: {note}"));
    }
    let every = card.checkpoint_every.unwrap_or(args.checkpoint_every.into());
    let mut keeper = Keeper { card, folder: folder.path(), saved: saved.is_some() };
    // What was changed is kept from here on.
    if saved.is_some_and(|saved| !keeper.card.is_in(&saved)) {
        keeper.save(&sft)?;
    }
    let outcome = train(&mut sft, context, |sft| keeper.save(sft), every);
    match &outcome {
        Err(Error::Cancelled | Error::Diverged { .. }) => {
            keeper.save(&sft)?;
            say(&keeper.way_on(sft.done()));
        }
        // Nobody reads the answers any more, or the disk is full: what can be saved is.
        Err(Error::Io { .. }) => drop(keeper.save(&sft)),
        _ => {}
    }
    outcome?;
    write_adapter(folder.path(), &block_on(sft.adapter_file())?)?;
    remove_states(folder.path())?;
    if !context.json {
        context.answer(&(), || format!("adapter: {}", folder.path().display()))?;
    }
    session.print_profile(context)
}

/// Holds a new end of a run to what is done.
fn expect_more(context: &Context, done: u64, steps: u64) -> Result<()> {
    if steps >= done {
        return Ok(());
    }
    let name = if context.is_given("epochs") { "--epochs" } else { "--steps" };
    Err(before(name, steps, done))
}

/// Writes checkpoints.
struct Keeper<'a> {
    card: Card,
    folder: &'a Path,
    /// The checkpoints in the folder are of this run.
    saved: bool,
}

impl Keeper<'_> {
    /// Writes a checkpoint, and the adapter as it is.
    fn save(&mut self, sft: &Sft) -> Result<()> {
        let mut state: State = block_on(sft.state())?;
        self.card.put_into(&mut state)?;
        if std::mem::replace(&mut self.saved, true) {
            write_state(self.folder, &state)?;
        } else if write_first_state(self.folder, &state)? {
            let folder = self.folder.display();
            say(&format!(
                "the checkpoints of the run that is replaced are {folder}/state.replaced*.safetensors until this one is finished"
            ));
        }
        // What is to be replaced stays until the new adapter is whole.
        if self.card.replaces {
            return Ok(());
        }
        write_adapter(self.folder, &block_on(sft.adapter_file())?)
    }

    fn way_on(&self, step: u64) -> String {
        let folder = quoted(self.folder);
        let adapter =
            if self.card.replaces { "; until it is finished, the adapter there is the old one" } else { "" };
        format!(
            "stopped after step {step}, and saved; go on with: stepladder train --output {folder} --resume{adapter}"
        )
    }
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

fn read_data(opened: &Opened, card: &Card, bytes: &[u8]) -> Result<Dataset> {
    let text = ModelText {
        tokenizer: &opened.language.tokenizer,
        chat: opened.language.chat.as_ref(),
        ends: &opened.config.eos_token_ids,
    };
    let max_length = card.settings.max_length.min(opened.context_length);
    let data = Dataset::from_jsonl(bytes, &card.data, &text, max_length)?;
    let limit = if max_length < card.settings.max_length { "the context" } else { "--max-length" };
    for note in data.notes(limit) {
        say(&note);
    }
    Ok(data)
}

impl Args {
    /// Whether the output may be written to; true if there is something to be replaced.
    fn check_output(&self, context: &Context) -> Result<bool> {
        if self.resume {
            return Ok(false);
        }
        let stopped = [STATE_FILE, PREVIOUS_STATE_FILE].iter().any(|name| self.output.join(name).exists());
        if stopped && !context.gate.overwrite {
            let problem = format!("{} holds a run that was stopped", self.output.display());
            let hint = "add --resume to go on with it or --overwrite to replace it, or choose another folder";
            return Err(Error::usage("--output", problem, hint));
        }
        // Only the adapter's own files are replaced; others stay.
        context.gate.folder("--output", &self.output, |_| true)
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
