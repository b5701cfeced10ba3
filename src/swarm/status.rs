//! What a server knows of runs: tasks, answers, who leads and who works.

use async_nats::jetstream::kv::Store;
use futures_util::{StreamExt, TryStreamExt};
use pollster::block_on;
use serde::{Deserialize, Serialize};

use super::announcement::Announcement;
use super::leader::{KEY, Leader};
use super::link::Link;
use super::names::{CONSUMER, Names};
use super::server::{Connection, Problem, Server};
use super::trainer::CARD;
use crate::Result;

/// A run as the server knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunStatus {
    /// The run's name.
    pub run: String,
    /// The model, as its trainer names it.
    pub model: Option<String>,
    /// Epoch of the trainer that leads or led it last.
    pub epoch: Option<u64>,
    /// Tasks that no worker has yet.
    pub queued: u64,
    /// Tasks in work.
    pub out: u64,
    /// Of these, delivered more than once.
    pub redelivered: u64,
    /// Answers since the checkpoint before last.
    pub answers: u64,
    /// Bytes of these.
    pub answer_bytes: u64,
    /// Workers that said something within half a minute.
    pub workers: Vec<WorkerStatus>,
}

/// A worker as the server knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WorkerStatus {
    /// Its name.
    pub worker: String,
    /// Its device.
    pub device: String,
    /// Tasks that it answered first.
    pub answered: u64,
}

/// What the server keeps about a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Beat {
    pub(super) device: String,
    pub(super) answered: u64,
}

/// The runs of a server.
///
/// # Errors
/// [`crate::Error::Usage`] for a server that cannot be used; [`crate::Error::Cancelled`].
pub fn status(connection: &Connection) -> Result<Vec<RunStatus>> {
    let link = Link::open(connection)?;
    let server = link.server.clone();
    block_on(link.on(async move { server.wait(|| all(&server)).await }))
}

async fn all(server: &Server) -> Result<Vec<RunStatus>, Problem> {
    let mut runs = Vec::new();
    for (names, card) in announced(server).await? {
        runs.push(one(server, &names, card.ok()).await?);
    }
    Ok(runs)
}

async fn one(server: &Server, names: &Names, card: Option<Announcement>) -> Result<RunStatus, Problem> {
    let keys = server.jetstream.get_key_value(names.keys()).await?;
    let leader = keys.get(KEY).await?;
    let leader = leader.and_then(|bytes| serde_json::from_slice::<Leader>(&bytes).ok());
    let tasks = server.jetstream.get_stream(names.tasks()).await?;
    let consumer = tasks.consumer_info(CONSUMER).await?;
    let results = server.jetstream.get_stream(names.results()).await?;
    let results = &results.cached_info().state;
    Ok(RunStatus {
        run: names.run.clone(),
        model: card.map(|card| card.model),
        epoch: leader.map(|leader| leader.epoch),
        queued: consumer.num_pending,
        out: consumer.num_ack_pending as u64,
        redelivered: consumer.num_redelivered as u64,
        answers: results.messages,
        answer_bytes: results.bytes,
        workers: workers(&server.jetstream.get_key_value(names.workers()).await?).await?,
    })
}

async fn workers(bucket: &Store) -> Result<Vec<WorkerStatus>, Problem> {
    let mut names: Vec<String> = bucket.keys().await?.try_collect().await?;
    names.sort();
    let mut workers = Vec::new();
    for worker in names {
        let beat = bucket.get(worker.as_str()).await?;
        if let Some(Beat { device, answered }) = beat.and_then(|beat| serde_json::from_slice(&beat).ok()) {
            workers.push(WorkerStatus { worker, device, answered });
        }
    }
    Ok(workers)
}

/// The runs of a server in the order of their names, with what they say of themselves, or why that is not understood.
pub(super) async fn announced(
    server: &Server,
) -> Result<Vec<(Names, Result<Announcement, String>)>, Problem> {
    let mut streams = server.jetstream.stream_names();
    let mut found = Vec::new();
    while let Some(stream) = streams.next().await {
        found.extend(Names::of_stream(&stream?));
    }
    found.sort_by(|a, b| a.run.cmp(&b.run));
    let mut runs = Vec::new();
    for names in found {
        let keys = server.jetstream.get_key_value(names.keys()).await?;
        // A run that is just being set up, or removed, says nothing.
        if let Some(card) = keys.get(CARD).await? {
            runs.push((names, Announcement::from_bytes(&card)));
        }
    }
    Ok(runs)
}
