//! `stepladder report`: what a LADDER run came to, from its folder. No GPU is needed, and the run may still be going.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::json;
use stepladder::Result;
use stepladder::ladder::events::{Event, Step};
use stepladder::ladder::run_folder::{REPORT_FILE, read_card, read_events};

use super::context::Context;
use super::ladder_view::Summary;

/// Options of `report`.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct Args {
    /// The folder of the run: the --output of `ladder`
    #[arg(value_name = "RUN")]
    pub(super) run: PathBuf,
}

/// Says how far the run is, what it was measured at, and where its page is.
pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let card = read_card(&args.run)?;
    let events = read_events(&args.run)?;
    let summary = Summary::told_by(&events);
    // A run that goes on with more steps has finished before them, and is not at its end.
    let ending = events.iter().rev().find(|event| matches!(event, Event::Finished(_) | Event::Started(_)));
    let finished = match ending {
        Some(Event::Finished(finished)) => Some(finished),
        _ => None,
    };
    let last: Option<&Step> = events.iter().rev().find_map(|event| match event {
        Event::Step(step) => Some(&**step),
        _ => None,
    });
    let page = Some(args.run.join(REPORT_FILE)).filter(|page| page.is_file());
    let steps = card.settings.steps;
    let value = json!({
        "model": card.model,
        "task": card.task,
        "steps": steps,
        "step": last,
        "finished": finished,
        "evaluations": summary.evaluations(),
        "report": page,
    });
    context.answer(&value, || {
        let mut text = format!("{} on {}, task {}", args.run.display(), card.model, card.task);
        match (finished, last) {
            (Some(finished), step) => text += &summary.of(finished, step.map_or(0, |step| step.nodes)),
            (None, Some(step)) => {
                text +=
                    &format!("\n\nstep {} of {steps} is done; the run goes on, or was stopped\n", step.step);
                text += &summary.so_far();
            }
            (None, None) => text += &format!("\n\nno step of {steps} is done yet\n"),
        }
        match &page {
            Some(page) => text += &format!("\nreport: {}", page.display()),
            None => text += "\nits page comes with its first checkpoint",
        }
        text
    })
}
