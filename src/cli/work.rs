//! `stepladder work`: draw completions for a run on another machine.

use serde::Serialize;
use stepladder::Result;
use stepladder::swarm::{News, Work, is_name, work};

use super::args::DeviceArgs;
use super::context::Context;
use super::session::{load, open, print_profile, tie};
use super::signals::say;
use super::swarm::{ServerArgs, announcement};
use super::tuning::choose_kernels;

/// Options of `work`.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct Args {
    /// The model of the run: `tiny` (built in), a Hugging Face folder, a .gguf file, or hf:OWNER/NAME[@REV]
    #[arg(short, long)]
    model: String,
    #[command(flatten)]
    server: ServerArgs,
    /// Work for this run [default: the first that has this model]
    #[arg(long = "run", id = "work_run", value_name = "NAME", value_parser = run_name)]
    run: Option<String>,
    #[command(flatten)]
    device: DeviceArgs,
}

fn run_name(text: &str) -> Result<String, String> {
    match is_name(text) {
        true => Ok(text.to_owned()),
        false => Err("expected the 12 digits that `ladder --swarm` and `swarm status` print".into()),
    }
}

/// Works until it is stopped.
pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let opened = open(context, &args.model, &args.device)?;
    let mut base = None;
    tie(&opened, &mut base, &args.device, context, true, "run")?;
    let own = announcement(&opened, base.as_ref());
    let session = load(opened)?;
    choose_kernels(session.model())?;
    context.stoppable();
    let task = Work { connection: args.server.connection(context), run: args.run.as_deref(), own };
    let mut failed = None;
    let outcome = work(&session, &task, &mut |news| {
        if let News::Joined { same_device: false, .. } = &news {
            say(
                "the trainer has another device: the run is sound, but not the same in the last bits as on one device",
            );
        }
        if let Err(error) = context.answer(&news, || words(&news)) {
            failed.get_or_insert(error);
            context.cancelled().store(true, std::sync::atomic::Ordering::Relaxed);
        }
    });
    match failed {
        Some(error) => return Err(error),
        None => outcome?,
    }
    print_profile(context, session.model().gpu())
}

fn words(news: &News) -> String {
    match news {
        News::Waiting => "waiting for a run".into(),
        News::Joined { run, .. } => format!("working for run {run}"),
        News::Answered { task, completions, seconds, late } => {
            let late = if *late { ", and others were there first" } else { "" };
            format!("task {task}: {completions} completions in {seconds:.1} s{late}")
        }
        News::Left { run } => format!("left run {run}"),
    }
}
