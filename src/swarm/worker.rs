//! A worker: takes a task, draws its completions with the adapter that it names, sends them, and takes the next.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use async_nats::jetstream::{AckKind, Message};
use futures_util::StreamExt;
use pollster::block_on;
use serde::Serialize;
use tokio::io::AsyncReadExt;
use tokio::time::sleep;

use super::announcement::Announcement;
use super::link::Link;
use super::names::{CONSUMER, Names};
use super::server::{Connection, Problem, Server};
use super::status::{Beat, announced};
use super::terms;
use super::trainer::object;
use crate::ladder::learner::Learner;
use crate::ladder::policy;
use crate::ladder::remote::message::{Task, Terms};
use crate::ladder::remote::{adapter_hash, answer};
use crate::session::Session;
use crate::train::adapter::dims;
use crate::train::peft::{AdapterFile, CONFIG_FILE, WEIGHTS_FILE};
use crate::{Error, Result};

/// How long the server is asked to wait for a task.
const MOMENT: Duration = Duration::from_secs(1);
/// How long between two looks for a run.
const LOOK: Duration = Duration::from_secs(1);
/// How often a worker says that it is there.
const BEAT: Duration = Duration::from_secs(10);
/// How long without a task before another run is looked for.
const IDLE: Duration = Duration::from_secs(5);
/// After how long a task is offered to others that this worker could not begin.
const LATER: Duration = Duration::from_secs(1);
/// Most bytes of an adapter's file.
const MOST_ADAPTER: usize = 4 << 30;

/// How to work.
#[derive(Debug)]
pub struct Work<'a> {
    /// How to reach the server.
    pub connection: Connection,
    /// The run to work for; without it the first that fits.
    pub run: Option<&'a str>,
    /// What this worker has.
    pub own: Announcement,
}

/// What a worker does.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum News {
    /// It waits for a run.
    Waiting,
    /// It works for a run from now on.
    Joined {
        /// The run's name.
        run: String,
        /// Whether its device is called like the trainer's; else last bits of log-probabilities may differ.
        same_device: bool,
    },
    /// It answered a task.
    Answered {
        /// The task's number.
        task: u64,
        /// Completions.
        completions: usize,
        /// Seconds from its arrival to the answer's.
        seconds: f64,
        /// Another answer was there first.
        late: bool,
    },
    /// The run is over, or another one may have more to do.
    Left {
        /// The run's name.
        run: String,
    },
}

/// Works until the user stops it.
///
/// # Errors
/// [`Error::Usage`] for a server that cannot be used, and for runs none of which this worker can work for, with what differs;
/// [`Error::Cancelled`]; those of the GPU.
pub fn work(session: &Session, work: &Work<'_>, on_news: &mut dyn FnMut(News)) -> Result<()> {
    let link = Link::open(&work.connection)?;
    let mut worker = Worker {
        session,
        terms: terms(session.opened(), &work.own),
        name: super::names::name(&work.own.device),
        learner: None,
        answered: 0,
    };
    let (mut waits, mut first, mut last) = (false, true, None);
    loop {
        let Some((names, theirs)) = find(&link, work, first, last.as_ref())? else {
            first = false;
            if !std::mem::replace(&mut waits, true) {
                on_news(News::Waiting);
            }
            continue;
        };
        (waits, first) = (false, false);
        let same_device = theirs.device == work.own.device;
        on_news(News::Joined { run: names.run.clone(), same_device });
        worker.serve(&link, work, &names, on_news)?;
        on_news(News::Left { run: names.run.clone() });
        last = Some(names);
    }
}

/// A run, with what it says of itself.
type Run = (Names, Announcement);

/// Runs in the order of their names that this worker can work for, and what speaks against others.
fn fitting(link: &Link, work: &Work<'_>) -> Result<(Vec<Run>, Vec<String>)> {
    let server = link.server.clone();
    let runs = block_on(link.on(async move { server.wait(|| announced(&server)).await }))?;
    let (mut fitting, mut problems) = (Vec::new(), Vec::new());
    for (names, card) in runs {
        if work.run.is_some_and(|run| run != names.run) {
            continue;
        }
        match card.map(|card| (card.difference(&work.own), card)) {
            Ok((None, card)) => fitting.push((names, card)),
            Ok((Some(problem), _)) | Err(problem) => problems.push(format!("run {}: {problem}", names.run)),
        }
    }
    Ok((fitting, problems))
}

/// A run to work for: the one after `last`, so that one whose trainer is gone does not keep its workers from others.
fn find(link: &Link, work: &Work<'_>, first: bool, last: Option<&Names>) -> Result<Option<Run>> {
    let (mut runs, problems) = fitting(link, work)?;
    if !runs.is_empty() {
        let after = runs.iter().position(|(names, _)| last.is_some_and(|last| names.run > last.run));
        return Ok(Some(runs.swap_remove(after.unwrap_or(0))));
    }
    // Later on a run of others may come and go beside.
    if let Some(problem) = problems.first().filter(|_| first || work.run.is_some()) {
        return Err(Error::usage(
            "swarm",
            format!("{}: {problem}", link.server.address),
            "take the model, the options and the version of stepladder that its trainer has",
        ));
    }
    let server = link.server.clone();
    block_on(link.on(async move {
        sleep(LOOK).await;
        if server.is_cancelled() { Err(Error::Cancelled) } else { Ok(None) }
    }))
}

struct Worker<'a> {
    session: &'a Session,
    terms: Terms,
    name: String,
    /// The learner, with the hash of its adapter.
    learner: Option<(String, Learner)>,
    answered: u64,
}

impl Worker<'_> {
    /// Works for a run until that is over, or has had nothing to do for a while and another may have.
    fn serve(
        &mut self,
        link: &Link,
        work: &Work<'_>,
        names: &Names,
        on_news: &mut dyn FnMut(News),
    ) -> Result<()> {
        let (mut beaten, mut beat_at) = (None, Instant::now());
        let mut busy = Instant::now();
        loop {
            if link.server.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let pause = if beaten == Some(self.answered) { BEAT } else { LOOK };
            if beaten.is_none() || beat_at.elapsed() > pause {
                (beaten, beat_at) = (Some(self.answered), Instant::now());
                self.beat(link, names);
            }
            let (server, own) = (link.server.clone(), names.clone());
            let message = match block_on(link.on(async move { Ok(take(&server, &own).await) }))? {
                Ok(None) => {
                    if busy.elapsed() > IDLE {
                        busy = Instant::now();
                        if fitting(link, work)?.0.iter().any(|(other, _)| other != names) {
                            return Ok(());
                        }
                    }
                    continue;
                }
                Ok(Some(message)) => message,
                // The server may be away, or emptied, or the run is over.
                Err(problem) => {
                    tracing::debug!(%problem, "no task");
                    if self.is_over(link, names)? {
                        return Ok(());
                    }
                    continue;
                }
            };
            self.answer(link, names, message, on_news)?;
            busy = Instant::now();
        }
    }

    fn beat(&self, link: &Link, names: &Names) {
        let device = self.session.model().gpu().report().name.clone();
        let value = serde_json::to_vec(&Beat { device, answered: self.answered }).unwrap_or_default();
        let (server, bucket, name) = (link.server.clone(), names.workers(), self.name.clone());
        link.spawn(async move {
            // A beat that is lost does no harm.
            if let Ok(bucket) = server.jetstream.get_key_value(bucket).await {
                let _ = bucket.put(name, value.into()).await;
            }
        });
    }

    /// Whether the run has gone from a server that is there.
    fn is_over(&self, link: &Link, names: &Names) -> Result<bool> {
        let (server, run) = (link.server.clone(), names.clone());
        block_on(link.on(async move {
            sleep(LOOK / 4).await;
            let runs = server.wait(|| announced(&server)).await?;
            Ok(!runs.iter().any(|(names, _)| *names == run))
        }))
    }

    fn answer(
        &mut self,
        link: &Link,
        names: &Names,
        message: Message,
        on_news: &mut dyn FnMut(News),
    ) -> Result<()> {
        let began = Instant::now();
        let delivered = message.info().ok().map(|info| info.delivered);
        tracing::debug!(subject = %message.subject, delivered, "a task");
        let task = match Task::from_bytes(&message.payload, &self.terms) {
            Ok(task) => task,
            Err(problem) => {
                // Its trainer made it for others, or nobody: another delivery would be no better.
                (link.server.warn)(&format!("task {}: {problem}; it is left", message.subject));
                return say(link, message, AckKind::Term);
            }
        };
        // It is ours while this lives.
        let holds = Holds::new(link, &message);
        let (server, own) = (link.server.clone(), names.clone());
        let subject = own.result(task.task, task.attempt);
        let (log, place) = (own.results(), subject.clone());
        let done = block_on(link.on(async move { server.wait(|| is_there(&server, &log, &place)).await }))?;
        let mut late = done;
        if !done {
            if !self.take_adapter(link, names, &task.adapter)? {
                drop(holds);
                return say(link, message, AckKind::Nak(Some(LATER)));
            }
            let Some((_, learner)) = &mut self.learner else { return Ok(()) };
            let server = link.server.clone();
            let mut progress = |_: policy::SampleProgress| match server.is_cancelled() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            };
            let drawn = block_on(answer(learner, &task, &mut progress));
            let body = match drawn {
                Ok(body) => body,
                Err(error) => {
                    // Others need not wait until it is overdue.
                    drop(holds);
                    say(link, message, AckKind::Nak(None))?;
                    return Err(error);
                }
            };
            let (server, log) = (link.server.clone(), own.results());
            late =
                block_on(link.on(async move { server.wait(|| send(&server, &log, &subject, &body)).await }))?;
        }
        drop(holds);
        let acked = block_on(link.on(async move { Ok(message.double_ack().await) }))?;
        if let Err(problem) = acked {
            // It is delivered once more, and found done.
            tracing::debug!(%problem, "an answered task was not acknowledged");
        }
        self.answered += u64::from(!late);
        let completions = task.request().samples;
        on_news(News::Answered {
            task: task.task,
            completions,
            seconds: began.elapsed().as_secs_f64(),
            late,
        });
        Ok(())
    }

    /// Makes the adapter of this hash the one in use; whether it is there and whole.
    fn take_adapter(&mut self, link: &Link, names: &Names, hash: &str) -> Result<bool> {
        if self.learner.as_ref().is_some_and(|(own, _)| own == hash) {
            return Ok(true);
        }
        let (server, names, of) = (link.server.clone(), names.clone(), hash.to_owned());
        let files = match block_on(link.on(async move { Ok(fetch(&server, &names, &of).await) }))? {
            Ok(files) => files,
            Err(problem) => {
                tracing::debug!(%problem, hash, "no adapter");
                return Ok(false);
            }
        };
        if adapter_hash(&files) != hash {
            (link.server.warn)("an adapter has not the hash that its task names: it was damaged on its way");
            return Ok(false);
        }
        let [config, weights] = &files[..] else { return Ok(false) };
        let shape = dims(self.session.model().config());
        let file = AdapterFile::from_bytes(&config.bytes, &weights.bytes, "adapter".as_ref(), &shape)?;
        let same = self.learner.take().and_then(|(_, mut learner)| {
            // One of another shape needs other buffers.
            learner.take_adapter(&file).is_ok().then_some(learner)
        });
        let learner = match same {
            Some(learner) => learner,
            None => self.session.learner(&file)?,
        };
        self.learner = Some((hash.to_owned(), learner));
        Ok(true)
    }
}

/// Tells the server what becomes of a task.
fn say(link: &Link, message: Message, kind: AckKind) -> Result<()> {
    block_on(link.on(async move {
        if let Err(problem) = message.ack_with(kind).await {
            tracing::debug!(%problem, "a task was not given back");
        }
        Ok(())
    }))
}

/// Tells the server that a task is in work, while it lives.
struct Holds(Option<tokio::sync::oneshot::Sender<()>>);

impl Holds {
    fn new(link: &Link, message: &Message) -> Self {
        let (end, mut ended) = tokio::sync::oneshot::channel::<()>();
        let (client, reply) = (link.server.client.clone(), message.reply.clone());
        link.spawn(async move {
            let Some(reply) = reply else { return };
            while tokio::time::timeout(MOMENT, &mut ended).await.is_err() {
                let _ = client.publish(reply.clone(), AckKind::Progress.into()).await;
            }
        });
        Self(Some(end))
    }
}

impl Drop for Holds {
    fn drop(&mut self) {
        drop(self.0.take());
    }
}

/// The next task, if there is one within a moment.
async fn take(server: &Server, names: &Names) -> Result<Option<Message>, Problem> {
    let tasks = server.jetstream.get_stream_no_info(names.tasks()).await?;
    let consumer: PullConsumer = tasks.get_consumer(CONSUMER).await?;
    let mut messages = consumer.batch().max_messages(1).expires(MOMENT).messages().await?;
    match tokio::time::timeout(4 * MOMENT, messages.next()).await {
        Ok(message) => message.transpose(),
        Err(_) => Err("the server does not answer".into()),
    }
}

/// Whether a log holds a message under a subject.
async fn is_there(server: &Server, log: &str, subject: &str) -> Result<bool, Problem> {
    let log = server.jetstream.get_stream_no_info(log).await?;
    match log.get_last_raw_message_by_subject(subject).await {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), LastRawMessageErrorKind::NoMessageFound) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Sends an answer; whether another was there before.
async fn send(server: &Server, log: &str, subject: &str, body: &[u8]) -> Result<bool, Problem> {
    let message = PublishMessage::build().payload(body.to_vec().into()).expected_last_subject_sequence(0);
    match server.jetstream.send_publish(subject.to_owned(), message).await?.await {
        Ok(_) => Ok(false),
        Err(problem) => match is_there(server, log, subject).await {
            Ok(true) => Ok(true),
            _ => Err(problem.into()),
        },
    }
}

/// The files of an adapter.
async fn fetch(server: &Server, names: &Names, hash: &str) -> Result<Vec<policy::AdapterFile>, Problem> {
    let store = server.jetstream.get_object_store(names.adapters()).await?;
    let mut files = Vec::new();
    for name in [CONFIG_FILE, WEIGHTS_FILE] {
        let mut object = store.get(object(hash, name)).await?;
        let size = object.info().size;
        if size > MOST_ADAPTER {
            return Err(format!("an adapter's file of {size} bytes is too long").into());
        }
        let mut bytes = Vec::new();
        object.read_to_end(&mut bytes).await?;
        files.push(policy::AdapterFile { name: name.into(), bytes });
    }
    Ok(files)
}
