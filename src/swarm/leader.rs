//! One trainer leads a run: the first by its epoch, until it falls silent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::jetstream::kv::{Operation, Store};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::names::Names;
use super::server::{Problem, Server};
use crate::{Error, Result};

/// The key that says who leads.
pub(super) const KEY: &str = "leader";
/// How often a trainer says that it is there.
const BEAT: Duration = Duration::from_secs(1);
/// How long a trainer must have said nothing before another may take its place. What counts is that the key does not change
/// meanwhile, not the time that anybody's clock shows.
const LEASE: Duration = Duration::from_secs(5);

/// Who leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Leader {
    /// Higher than that of every trainer before.
    pub(super) epoch: u64,
    /// A name that no other trainer has.
    pub(super) trainer: String,
    /// Counts up, so that each beat is another value.
    pub(super) beat: u64,
}

impl Leader {
    fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// The leadership of this process.
#[derive(Debug)]
pub(super) struct Lead {
    pub(super) leader: Leader,
    revision: u64,
}

/// Whose the key is, with its revision.
async fn read(keys: &Store) -> Result<Option<(Leader, u64)>, Problem> {
    let entry = keys.entry(KEY).await?.filter(|entry| entry.operation == Operation::Put);
    Ok(match entry {
        Some(entry) => Some((serde_json::from_slice(&entry.value)?, entry.revision)),
        None => None,
    })
}

/// Takes the lead of a run, after waiting whether its last trainer still lives.
///
/// # Errors
/// [`Error::Usage`] if it does; [`Error::Cancelled`].
pub(super) async fn claim(server: &Server, names: &Names, trainer: &str) -> Result<Lead> {
    let mut epoch = 1;
    // The run that its last trainer ends meanwhile takes the keys with it.
    let keys = || server.bucket(names.keys(), names.key_bucket());
    let look = || async { read(&keys().await?).await };
    let found = server.wait(look).await?;
    if let Some((before, revision)) = &found {
        // The server may be slow: one more beat is waited for.
        sleep(LEASE).await;
        let now = server.wait(look).await?;
        if now.as_ref().is_some_and(|(_, now)| now != revision) {
            return Err(led_by_another(server, before.epoch));
        }
        epoch = before.epoch + 1;
    }
    let keys = server.wait(keys).await?;
    let leader = Leader { epoch, trainer: trainer.to_owned(), beat: 0 };
    let taken: Result<u64, Problem> = match &found {
        Some((_, revision)) => keys.update(KEY, leader.bytes().into(), *revision).await.map_err(Into::into),
        None => keys.create(KEY, leader.bytes().into()).await.map_err(Into::into),
    };
    match taken {
        Ok(revision) => Ok(Lead { leader, revision }),
        // Another one was faster, or the answer was lost.
        Err(_) => match server.wait(look).await? {
            Some((now, revision)) if now.trainer == trainer => Ok(Lead { leader, revision }),
            _ => Err(led_by_another(server, epoch)),
        },
    }
}

/// The error of a trainer that is not the one.
pub(super) fn led_by_another(server: &Server, epoch: u64) -> Error {
    Error::usage(
        "swarm",
        format!("{}: another trainer leads this run (epoch {epoch})", server.address),
        "stop that one first, or begin a run of your own in another folder",
    )
}

/// Says that this trainer is there until the thread ends. Sets `lost` once another leads.
pub(super) async fn beat(keys: Store, mut lead: Lead, lost: Arc<AtomicBool>) {
    loop {
        sleep(BEAT).await;
        lead.leader.beat += 1;
        if let Ok(revision) = keys.update(KEY, lead.leader.bytes().into(), lead.revision).await {
            lead.revision = revision;
            continue;
        }
        match read(&keys).await {
            Ok(Some((now, revision))) if now.trainer == lead.leader.trainer => lead.revision = revision,
            Ok(Some(_)) => {
                lost.store(true, Ordering::Relaxed);
                return;
            }
            // The server was emptied: the place is free, for the faster of those who want it.
            Ok(None) => {
                if let Ok(revision) = keys.create(KEY, lead.leader.bytes().into()).await {
                    lead.revision = revision;
                }
            }
            // The server is away.
            Err(_) => {}
        }
    }
}
