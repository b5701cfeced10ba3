//! What a run's streams, buckets and subjects are called, and how they are set up.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::object_store;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy};

use crate::train::fingerprint::sha256;

/// Most bytes of answers that the server keeps: those since the checkpoint before last.
const RESULT_BYTES: i64 = 1 << 30;
/// Most tasks on offer.
const TASKS: i64 = 100_000;
/// Most tasks in work.
const IN_WORK: i64 = 10_000;
/// Seconds after which a worker that says nothing is no longer listed.
const WORKER_SECONDS: u64 = 30;
/// The consumer that workers share.
pub(super) const CONSUMER: &str = "native";

/// A new name for a run: 12 hexadecimal digits of the hash of `of` and of this moment.
pub fn name(of: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    sha256(format!("{of}\0{}\0{}", now.as_nanos(), std::process::id()).as_bytes())[..12].to_owned()
}

/// Whether a text can be the name of a run.
pub fn is_name(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|sign| sign.is_ascii_digit() || (b'a'..=b'f').contains(&sign))
}

/// The names of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    /// The run's own.
    pub(super) run: String,
}

impl Names {
    pub(super) fn new(run: &str) -> Self {
        Self { run: run.to_owned() }
    }

    /// The run of a stream that holds its keys.
    pub(super) fn of_stream(stream: &str) -> Option<Self> {
        let run = stream.strip_prefix("KV_sl_")?.strip_suffix("_run")?;
        is_name(run).then(|| Self::new(run))
    }

    pub(super) fn tasks(&self) -> String {
        format!("SL_{}_TASK", self.run)
    }

    pub(super) fn results(&self) -> String {
        format!("SL_{}_RESULT", self.run)
    }

    pub(super) fn adapters(&self) -> String {
        format!("sl_{}_adapter", self.run)
    }

    /// Keys `card` and `leader`.
    pub(super) fn keys(&self) -> String {
        format!("sl_{}_run", self.run)
    }

    /// One key for each worker.
    pub(super) fn workers(&self) -> String {
        format!("sl_{}_work", self.run)
    }

    /// Where a task is offered: a subject of its own, which holds one message.
    pub(super) fn task(&self, task: u64, attempt: u32) -> String {
        format!("sl.{}.task.native.{task}.{attempt}", self.run)
    }

    /// Where its answer goes.
    pub(super) fn result(&self, task: u64, attempt: u32) -> String {
        format!("sl.{}.result.{task}.{attempt}", self.run)
    }

    /// All answers.
    pub(super) fn any_result(&self) -> String {
        format!("sl.{}.result.>", self.run)
    }

    /// Task and attempt of an answer's subject.
    pub(super) fn answered(&self, subject: &str) -> Option<(u64, u32)> {
        let rest = subject.strip_prefix(&format!("sl.{}.result.", self.run))?;
        let (task, attempt) = rest.split_once('.')?;
        Some((task.parse().ok()?, attempt.parse().ok()?))
    }

    pub(super) fn task_stream(&self) -> Config {
        Config {
            name: self.tasks(),
            subjects: vec![format!("sl.{}.task.>", self.run)],
            retention: RetentionPolicy::WorkQueue,
            discard: DiscardPolicy::New,
            max_messages: TASKS,
            max_messages_per_subject: 1,
            discard_new_per_subject: true,
            description: Some("stepladder: tasks of a run".into()),
            ..Config::default()
        }
    }

    pub(super) fn result_stream(&self) -> Config {
        Config {
            name: self.results(),
            subjects: vec![self.any_result()],
            discard: DiscardPolicy::New,
            max_bytes: RESULT_BYTES,
            max_messages_per_subject: 1,
            discard_new_per_subject: true,
            allow_direct: true,
            description: Some("stepladder: answers to tasks of a run".into()),
            ..Config::default()
        }
    }

    /// Tasks are delivered until they are answered, however often their workers die: their seeds are their own, so nobody gains
    /// by letting one lie.
    pub(super) fn consumer(&self, ack_wait: Duration) -> pull::Config {
        pull::Config {
            durable_name: Some(CONSUMER.into()),
            filter_subject: format!("sl.{}.task.native.>", self.run),
            ack_policy: AckPolicy::Explicit,
            ack_wait,
            max_deliver: -1,
            max_ack_pending: IN_WORK,
            max_waiting: 2048,
            ..pull::Config::default()
        }
    }

    pub(super) fn key_bucket(&self) -> Config {
        bucket(&self.keys())
    }

    pub(super) fn worker_bucket(&self) -> Config {
        Config { max_age: Duration::from_secs(WORKER_SECONDS), ..bucket(&self.workers()) }
    }

    pub(super) fn adapter_bucket(&self) -> object_store::Config {
        object_store::Config { bucket: self.adapters(), ..object_store::Config::default() }
    }
}

/// The stream that a bucket of keys is, each with its last value. The client makes such a bucket only on servers that tell it
/// more of the account than 2.9 does.
fn bucket(name: &str) -> Config {
    Config {
        name: format!("KV_{name}"),
        subjects: vec![format!("$KV.{name}.>")],
        discard: DiscardPolicy::New,
        max_messages_per_subject: 1,
        allow_rollup: true,
        deny_delete: true,
        allow_direct: true,
        description: Some("stepladder: keys of a run".into()),
        ..Config::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let run = name("card");
        assert!(is_name(&run) && run != name("card"), "{run}");
        let names = Names::new(&run);
        assert_eq!(Names::of_stream(&format!("KV_{}", names.keys())).as_ref(), Some(&names));
        assert_eq!(Names::of_stream("KV_sl_x.y_run"), None);
        assert_eq!(names.answered(&names.result(17, 2)), Some((17, 2)));
        assert_eq!(names.answered(&names.task(17, 2)), None);
    }
}
