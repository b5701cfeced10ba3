//! `stepladder train`: supervised fine-tuning of a LoRA adapter.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Instant;

use pollster::block_on;
use serde::Serialize;
use stepladder::session::Opened;
use stepladder::settings::{Change, setter};
use stepladder::train::adapter;
use stepladder::train::checkpoint::{STATE_FILE, State};
use stepladder::train::data::Dataset;
use stepladder::train::files::{read, remove_states, write_adapter, write_first_state, write_state};
use stepladder::train::output::{OutputFolder, expect_folder};
use stepladder::train::peft::AdapterFile;
use stepladder::train::resume::before;
use stepladder::train::sft::{Epoch, News, Sft, SftStep, Split};
use stepladder::{Error, Result};

use super::context::Context;
use super::progress::Progress;
use super::resume::{expect_model, expect_place};
use super::session::{load, open, print_profile, tie};
use super::signals::{quoted, say};
use super::train_args::Args;
use super::train_card::{Card, expect_adapter};
use super::train_samples::{answer, choose};
use super::train_words::{end, finished, next, plan, warning};
use super::tuning::choose_kernels;

/// Trains, or goes on with training.
pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    expect_folder("--output", &args.output)?;
    let folder = OutputFolder::new(&args.output)?;
    let replaces = args.check_output(context)?;
    let asked = args.asked()?;
    let changes = args.settings.changes()?;
    let (mut card, saved) = if args.resume {
        let (card, saved) = Card::resumed(args, context)?;
        (card, Some(saved))
    } else {
        (Card { replaces, ..Card::new(args, &asked, context) }, None)
    };
    let device = args.device.as_in(card.base.as_ref());
    if args.resume {
        expect_model(&card.model)?;
        expect_place("--data", &card.data)?;
    }
    let opened = open(context, &card.model, &device)?;
    tie(&opened, &mut card.base, &device, context, false, "run")?;
    let adapter = if saved.is_some() {
        AdapterFile::init(card.lora.clone(), &adapter::dims(&opened.config), 0)?
    } else {
        opened.trainable(card.adapter.as_deref(), &card.lora, card.settings.seed)?
    };
    if let (Some(folder), false) = (&card.adapter, args.resume) {
        if setter(changes, "lora.rank").is_some() {
            adapter.expect_rank(asked.lora.rank, folder)?;
        }
        expect_adapter(&adapter, changes)?;
    }
    card.lora = adapter.config.clone();
    let bytes = read(&card.data)?;
    let data = read_data(&opened, &card, &bytes)?;
    card.tie_to_data(&bytes, &data)?;
    let parameters = opened.config.parameters();
    if saved.is_none() {
        card.settings = asked.settings(parameters, &data)?;
    }
    let split = Split::new(&data, card.settings.held_out, card.settings.seed);
    let prompts = if args.no_samples { Vec::new() } else { choose(&bytes, &data, &split) };
    drop(bytes);
    opened.check_training(&adapter.config, &data, card.settings.batch_size)?;
    context.stoppable();
    let session = load(opened)?;
    choose_kernels(session.model())?;
    let rank = adapter.config.rank;
    let mut sft = session.supervised(&adapter, &data, card.settings.clone())?;
    if let Some(saved) = &saved {
        sft.restore(saved, &folder.path().join(STATE_FILE))?;
        expect_more(changes, sft.done(), sft.steps())?;
        say(&format!(
            "going on in {} from its checkpoint after step {} of {}",
            folder.path().display(),
            sft.done(),
            sft.steps()
        ));
    }
    let tokens = split.learnt.iter().map(|&index| data.examples[index].scored_tokens()).sum();
    // A run that goes on has what it was begun with, whatever would follow from the data.
    let given = |path: &str| saved.is_some() || setter(changes, path).is_some();
    plan(&card.settings, &split, rank, (tokens, parameters), given).iter().for_each(|line| say(line));
    drop(data);
    if let Some(note) = sft.schedule().note() {
        say(&format!("--warmup-steps: {note}"));
    }
    let every = card.checkpoint_every.unwrap_or(asked.checkpoint_every);
    let mut keeper = Keeper { card, folder: folder.path(), saved: saved.is_some() };
    // What was changed is kept from here on.
    if saved.is_some_and(|saved| !keeper.card.is_in(&saved)) {
        keeper.save(&sft)?;
    }
    let result = train(&mut sft, context, |sft| keeper.save(sft), every);
    match &result {
        Err(Error::Cancelled | Error::Diverged { .. }) => {
            keeper.save(&sft)?;
            say(&keeper.way_on(sft.done()));
        }
        // Nobody reads the answers any more, or the disk is full: what can be saved is.
        Err(Error::Io { .. }) => drop(keeper.save(&sft)),
        _ => {}
    }
    result?;
    let adapter = block_on(sft.adapter_file())?;
    write_adapter(folder.path(), &adapter)?;
    remove_states(folder.path())?;
    let run = sft.into_outcome();
    let samples = match answer(&session, &adapter, &prompts) {
        Ok(samples) => samples,
        // The adapter is whole and kept: the run is finished all the same.
        Err(Error::Cancelled) => Vec::new(),
        Err(error) => {
            say(&format!("no answers before and after: {error}"));
            Vec::new()
        }
    };
    if let Some(warning) = warning(&run, parameters) {
        say(&warning);
    }
    let next = next(&keeper.card.model, folder.path(), session.opened().language.chat.is_some(), &prompts);
    context.answer(&finished(&run, &samples, folder.path(), &next), || {
        end(&run, &samples, folder.path(), &next)
    })?;
    print_profile(context, session.model().gpu())
}

/// Holds a new end of a run to what is done.
fn expect_more(changes: &[Change], done: u64, steps: u64) -> Result<()> {
    if steps >= done {
        return Ok(());
    }
    let end = setter(changes, "epochs").or_else(|| setter(changes, "steps"));
    Err(before(end.map_or("--steps", |change| &change.name), steps, done))
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
    #[derive(Serialize)]
    struct EpochLine {
        event: &'static str,
        #[serde(flatten)]
        epoch: Epoch,
    }
    let mut bar = Progress::new("train", "steps", sft.steps());
    let mut held_out = String::new();
    loop {
        if context.cancelled().load(Ordering::Relaxed) {
            return Err(Error::Cancelled);
        }
        let began = Instant::now();
        let step = match block_on(sft.next())? {
            None => return Ok(()),
            Some(News::Epoch(epoch)) => {
                if let Some(loss) = epoch.held_out_loss {
                    held_out = format!("  held out {loss:.4}");
                    if context.json {
                        context.answer(&EpochLine { event: "epoch", epoch }, String::new)?;
                    }
                }
                continue;
            }
            Some(News::Step(step)) => step,
        };
        let tokens_per_second = step.tokens as f64 / began.elapsed().as_secs_f64().max(1e-9);
        if step.skipped {
            bar.note(&format!(
                "step {}: the loss or gradient was not finite; the update was skipped",
                step.step
            ));
        }
        bar.set(step.step, &format!("loss {:.4}{held_out}  {tokens_per_second:.0} tokens/s", step.loss));
        if context.json {
            context.answer(&Line { step, tokens_per_second }, String::new)?;
        }
        if sft.done().is_multiple_of(checkpoint_every) && sft.done() < sft.steps() {
            save(sft)?;
        }
    }
}

fn read_data(opened: &Opened, card: &Card, bytes: &[u8]) -> Result<Dataset> {
    let max_length = card.settings.max_length.min(opened.context_length);
    let data = opened.dataset(bytes, &card.data, max_length)?;
    let limit = if max_length < card.settings.max_length { "the context" } else { "--max-length" };
    for note in data.notes(limit) {
        say(&note);
    }
    Ok(data)
}
