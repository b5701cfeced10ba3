//! More than one machine: `stepladder swarm` looks at a server, and `ladder --swarm` leads a run on it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use pollster::block_on;
use serde::Serialize;
use stepladder::ladder::learner::Learner;
use stepladder::ladder::remote::Remote;
use stepladder::ladder::run::{self, Outcome, RunCard};
use stepladder::ladder::state::{Host, Snapshot};
use stepladder::session::Opened;
use stepladder::swarm::{Announcement, Connection, Join, RunStatus, Trainer, is_name, name, status, terms};
use stepladder::task::Task;
use stepladder::train::fingerprint::Base;
use stepladder::{Error, Result};

use super::context::Context;
use super::info::bytes;
use super::signals::say;

/// How a server is reached.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct ServerArgs {
    /// NATS server with JetStream: nats://HOST:PORT or tls://HOST:PORT, USER:PASSWORD@ before HOST where it asks for them
    #[arg(long, value_name = "URL")]
    #[serde(skip)]
    pub(super) connect: String,
    /// File with a JWT and an NKey seed (.creds), where the server asks for them
    #[arg(long, value_name = "FILE")]
    pub(super) credentials: Option<PathBuf>,
}

impl ServerArgs {
    pub(super) fn connection(&self, context: &Context) -> Connection {
        connection(&self.connect, self.credentials.as_ref(), context)
    }
}

fn connection(address: &str, credentials: Option<&PathBuf>, context: &Context) -> Connection {
    Connection {
        address: address.to_owned(),
        credentials: credentials.cloned(),
        cancel: Arc::clone(context.cancelled()),
        warn: say,
    }
}

/// Options of `swarm`.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct Args {
    /// What to do
    #[arg(value_enum)]
    action: Action,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum, Serialize)]
enum Action {
    /// List runs with their tasks, answers and workers
    Status,
}

/// Shows what a server knows.
pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let Action::Status = args.action;
    let runs = status(&args.server.connection(context))?;
    context.answer(&runs, || match runs.is_empty() {
        true => "no run".into(),
        false => runs.iter().map(words).collect::<Vec<_>>().join("\n"),
    })
}

fn words(run: &RunStatus) -> String {
    let model = run.model.as_deref().unwrap_or("a model of another version");
    let epoch = run.epoch.map_or("none".into(), |epoch| epoch.to_string());
    let mut lines = vec![format!(
        "run {} on {model}, trainer {epoch}: {} tasks queued, {} in work ({} given out again), {} answers since \
         the checkpoint before last ({})",
        run.run,
        run.queued,
        run.out,
        run.redelivered,
        run.answers,
        bytes(run.answer_bytes)
    )];
    let worker = |worker: &stepladder::swarm::WorkerStatus| {
        format!("  worker {} on {}: {} answers", worker.worker, worker.device, worker.answered)
    };
    lines.extend(run.workers.iter().map(worker));
    lines.join("\n")
}

/// Options of `ladder` that let others draw.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct SwarmArgs {
    /// Let workers draw all completions, over this NATS server (see `stepladder help work`): nats://HOST:PORT
    #[arg(long, value_name = "URL", help_heading = "Options of the swarm")]
    #[serde(skip)]
    pub(super) swarm: Option<String>,
    /// File with a JWT and an NKey seed (.creds), where the server asks for them
    #[arg(long, value_name = "FILE", requires = "swarm", help_heading = "Options of the swarm")]
    credentials: Option<PathBuf>,
    /// Give a task to another worker when its own has been silent for so long
    #[arg(long, value_name = "SECONDS", default_value_t = 30, requires = "swarm", value_parser = clap::value_parser!(u32).range(3..=3600), help_heading = "Options of the swarm")]
    redeliver: u32,
}

impl SwarmArgs {
    /// Notes in the card of a run that workers draw for it, each task alone.
    pub(super) fn note(&self, card: &mut RunCard) -> Result<()> {
        if self.swarm.is_none() {
            return Ok(());
        }
        card.alone = true;
        if card.swarm.as_deref().is_none_or(|name| !is_name(name)) {
            let text = serde_json::to_string(card);
            let text = text.map_err(|error| Error::usage("--swarm", error.to_string(), "report this"))?;
            card.swarm = Some(name(&text));
        }
        Ok(())
    }

    /// Takes the lead of the run, if it is to be drawn by others.
    pub(super) fn join(&self, context: &Context, card: &RunCard, opened: &Opened) -> Result<Option<Trainer>> {
        let (Some(address), Some(run)) = (&self.swarm, &card.swarm) else { return Ok(None) };
        let join = Join {
            connection: connection(address, self.credentials.as_ref(), context),
            run,
            announcement: announcement(opened, card.base.as_ref()),
            redeliver: Duration::from_secs(self.redeliver.into()),
        };
        Trainer::join(join).map(Some)
    }
}

/// What a model is for others.
pub(super) fn announcement(opened: &Opened, base: Option<&Base>) -> Announcement {
    let report = opened.gpu.report();
    let device = format!("{} ({})", report.name, report.driver);
    Announcement::new(&opened.name, &device, &base.cloned().unwrap_or_default())
}

/// A run whose completions workers draw.
pub(super) fn lead(
    trainer: &Trainer,
    learner: Learner,
    opened: &Opened,
    (task, card): (&dyn Task, &RunCard),
    saved: Option<Snapshot>,
    host: &mut Host<'_>,
) -> Result<Outcome> {
    let terms = terms(opened, &announcement(opened, card.base.as_ref()));
    let run = card.swarm.as_deref().unwrap_or_default();
    say(&format!("run {run}, trainer {}: waiting for workers where there are none", trainer.epoch()));
    let mut remote = Remote::new(learner, trainer.clone(), terms);
    let outcome = block_on(run::run(&mut remote, task, card, saved, host));
    let fates = remote.fates();
    let more = [
        (fates.duplicate, "came twice"),
        (fates.unknown, "to no task of this run"),
        (fates.refused, "refused"),
        (fates.abandoned, "tasks given up"),
    ];
    let more =
        more.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!(", {count} {what}"));
    say(&format!("run {run}: {} answers counted{}", fates.admitted, more.collect::<String>()));
    outcome
}
