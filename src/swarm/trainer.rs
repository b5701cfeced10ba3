//! The trainer's side: offers tasks, reads the log of answers, leads the run.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_nats::jetstream::kv::Store;
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use async_nats::jetstream::stream::{DirectGetErrorKind, LastRawMessageErrorKind, Stream};
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::announcement::Announcement;
use super::leader::{beat, claim, led_by_another};
use super::link::Link;
use super::names::Names;
use super::server::{Connection, Problem, Server};
use crate::ladder::remote::message::Task;
use crate::ladder::remote::{Delivered, Next, Published, Transport};
use crate::{Error, Result};

/// The key of the announcement.
pub(super) const CARD: &str = "card";
/// How long [`Transport::next`] waits.
const MOMENT: Duration = Duration::from_millis(500);
/// How long between two looks at the log of answers.
const LOOK: Duration = Duration::from_millis(10);
/// How long without an answer before what waits is offered once more.
const OVERDUE: Duration = Duration::from_secs(5);
/// Adapters that are kept: that of the tasks on offer, and the one before, which a slow worker may still fetch.
const ADAPTERS: usize = 2;

/// How to lead a run.
#[derive(Debug)]
pub struct Join<'a> {
    /// How to reach the server.
    pub connection: Connection,
    /// The run's name: [`super::name`].
    pub run: &'a str,
    /// What its workers must have.
    pub announcement: Announcement,
    /// A task whose worker is silent for so long is given to another.
    pub redeliver: Duration,
}

/// A run that is led by this process.
#[derive(Debug, Clone)]
pub struct Trainer {
    link: Arc<Link>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    server: Server,
    names: Names,
    card: Vec<u8>,
    redeliver: Duration,
    epoch: u64,
    /// Another trainer leads.
    lost: Arc<AtomicBool>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When the log of answers was made, which tells it from another of its name.
    log: Option<String>,
    /// The log of answers was begun anew, which is still to be told.
    anew: bool,
    /// The position that the run goes on from was compared with the log.
    compared: bool,
    /// Answers to tasks that were offered once more.
    again: VecDeque<Delivered>,
    /// Places of answers that were delivered this way, and need not come a second time.
    delivered: BTreeSet<u64>,
    /// The adapter in use, to be put again if the server loses it.
    adapter: Option<Published>,
    /// Hashes of those on the server, oldest first.
    kept: VecDeque<String>,
    /// Since when nothing has come.
    quiet: Option<Instant>,
}

impl Trainer {
    /// Connects, sets up what a run needs on the server, and takes the lead.
    ///
    /// # Errors
    /// [`Error::Usage`] for a server that cannot be used, with what to do, and for a run that another trainer leads;
    /// [`Error::Cancelled`].
    pub fn join(join: Join<'_>) -> Result<Self> {
        let link = Arc::new(Link::open(&join.connection)?);
        let (server, names) = (link.server.clone(), Names::new(join.run));
        let (card, redeliver) = (join.announcement.to_bytes(), join.redeliver);
        let trainer = super::names::name(join.run);
        let lost = Arc::new(AtomicBool::new(false));
        let of_thread = Arc::clone(&lost);
        let shared = pollster::block_on(link.on(async move {
            let mut shared =
                Shared { server, names, card, redeliver, epoch: 0, lost, state: Mutex::default() };
            // What cannot be set up now never can: a store without room, an account without rights.
            shared.set_up().await.map_err(|problem| {
                let address = &shared.server.address;
                let problem = format!("{address}: a run cannot be set up: {problem}");
                Error::usage(
                    "swarm",
                    problem,
                    "give the server's JetStream room, and this user the right to it",
                )
            })?;
            let lead = claim(&shared.server, &shared.names, &trainer).await?;
            let keys = shared.server.wait(|| shared.keys()).await?;
            shared.epoch = lead.leader.epoch;
            drop(tokio::spawn(beat(keys, lead, of_thread)));
            Ok(Arc::new(shared))
        }))?;
        Ok(Self { link, shared })
    }

    /// The epoch of this trainer.
    pub fn epoch(&self) -> u64 {
        self.shared.epoch
    }

    /// Removes from the server all that the run had there, unless another trainer leads it now.
    ///
    /// # Errors
    /// None but that of a thread which ended: what could not be removed is told as a warning.
    pub fn finish(self) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        pollster::block_on(self.link.on(async move {
            if shared.lost.load(Ordering::Relaxed) {
                return Ok(());
            }
            let (jetstream, names) = (&shared.server.jetstream, &shared.names);
            let mut problems = Vec::new();
            let mut note = |outcome: Result<(), Problem>| problems.extend(outcome.err());
            // The keys last: by them workers know that there is a run.
            for stream in [names.tasks(), names.results()] {
                note(jetstream.delete_stream(stream).await.map(drop).map_err(Into::into));
            }
            note(jetstream.delete_object_store(names.adapters()).await.map(drop).map_err(Into::into));
            for bucket in [names.workers(), names.keys()] {
                note(jetstream.delete_key_value(bucket).await.map(drop).map_err(Into::into));
            }
            if let Some(problem) = problems.first() {
                let Shared { server, .. } = &*shared;
                (server.warn)(&format!(
                    "{}: not all of run {} could be removed: {problem}",
                    server.address, names.run
                ));
            }
            Ok(())
        }))
    }

    async fn on<T: Send + 'static, F>(&self, work: impl FnOnce(Arc<Shared>) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        self.link.on(work(Arc::clone(&self.shared))).await
    }
}

impl Shared {
    /// Makes what is missing on the server. Whoever reads the log hears if that was made anew.
    async fn set_up(&self) -> Result<(), Problem> {
        let (jetstream, names) = (&self.server.jetstream, &self.names);
        let log = jetstream.get_or_create_stream(names.result_stream()).await?;
        let tasks = jetstream.get_or_create_stream(names.task_stream()).await?;
        let consumer = names.consumer(self.redeliver);
        let wanted = (consumer.ack_wait, consumer.max_ack_pending);
        // A run that goes on may ask for another patience.
        let consumer = match tasks.consumer_info(super::names::CONSUMER).await {
            Ok(info) if (info.config.ack_wait, info.config.max_ack_pending) == wanted => None,
            _ => Some(consumer),
        };
        if let Some(consumer) = consumer {
            tasks.create_consumer(consumer).await?;
        }
        self.server.bucket(names.workers(), names.worker_bucket()).await?;
        if jetstream.get_object_store(names.adapters()).await.is_err() {
            jetstream.create_object_store(names.adapter_bucket()).await?;
        }
        let mut state = self.state.lock().await;
        if let Some(adapter) = state.adapter.clone()
            && !self.has_adapter(&adapter).await
        {
            self.put(&adapter).await?;
        }
        let keys = self.keys().await?;
        if keys.get(CARD).await?.as_deref() != Some(&self.card[..]) {
            keys.put(CARD, self.card.clone().into()).await?;
        }
        let made = format!("{:?}", log.cached_info().created);
        state.anew |= state.log.as_ref().is_some_and(|log| *log != made);
        state.log = Some(made);
        Ok(())
    }

    /// [`Shared::set_up`] between two tries.
    async fn mend(&self) -> Result<()> {
        self.check_lead()?;
        // If it fails, so does the next try, which says why.
        if let Err(problem) = self.set_up().await {
            tracing::debug!(%problem, "the swarm is not set up");
        }
        Ok(())
    }

    fn check_lead(&self) -> Result<()> {
        match self.lost.load(Ordering::Relaxed) {
            true => Err(led_by_another(&self.server, self.epoch + 1)),
            false => Ok(()),
        }
    }

    async fn stream(&self, name: String) -> Result<Stream<()>, Problem> {
        Ok(self.server.jetstream.get_stream_no_info(name).await?)
    }

    async fn keys(&self) -> Result<Store, Problem> {
        self.server.bucket(self.names.keys(), self.names.key_bucket()).await
    }

    async fn has_adapter(&self, adapter: &Published) -> bool {
        let Ok(store) = self.server.jetstream.get_object_store(self.names.adapters()).await else {
            return false;
        };
        for file in &adapter.files {
            if store.info(object(&adapter.hash, &file.name)).await.is_err() {
                return false;
            }
        }
        true
    }

    async fn put(&self, adapter: &Published) -> Result<(), Problem> {
        let store = self.server.jetstream.get_object_store(self.names.adapters()).await?;
        for file in &adapter.files {
            store.put(object(&adapter.hash, &file.name).as_str(), &mut &file.bytes[..]).await?;
        }
        Ok(())
    }

    async fn drop_adapter(&self, hash: &str, adapter: &Published) -> Result<(), Problem> {
        let store = self.server.jetstream.get_object_store(self.names.adapters()).await?;
        for file in &adapter.files {
            store.delete(object(hash, &file.name)).await?;
        }
        Ok(())
    }

    /// Offers a task; if it is answered already, its answer.
    async fn offer(&self, number: u64, attempt: u32, body: &[u8]) -> Result<Option<Delivered>, Problem> {
        let log = self.stream(self.names.results()).await?;
        match log.get_last_raw_message_by_subject(&self.names.result(number, attempt)).await {
            Ok(answer) => return Ok(self.delivered(answer)),
            Err(error) if matches!(error.kind(), LastRawMessageErrorKind::NoMessageFound) => {}
            Err(error) => return Err(error.into()),
        }
        // No id of the message: for two minutes the server would take a task that it gave out and lost for one that it has.
        let subject = self.names.task(number, attempt);
        let message = PublishMessage::build().payload(body.to_vec().into()).expected_last_subject_sequence(0);
        let sent = self.server.jetstream.send_publish(subject.clone(), message).await?.await;
        let Err(problem) = sent else { return Ok(None) };
        // Is it refused since it is on offer?
        let tasks = self.stream(self.names.tasks()).await?;
        match tasks.get_last_raw_message_by_subject(&subject).await {
            Ok(_) => Ok(None),
            // There are too many: it is offered again once no more answers come.
            Err(_) if problem.to_string().contains("maximum messages") => Ok(None),
            Err(_) => Err(problem.into()),
        }
    }

    /// The first answer from this place of the log on.
    async fn read(&self, place: u64) -> Result<Option<StreamMessage>, Problem> {
        let log = self.stream(self.names.results()).await?;
        match log.direct_get_next_for_subject(self.names.any_result(), Some(place)).await {
            Ok(message) => Ok(Some(message)),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What a message of the log says; nothing if its subject is none of an answer.
    fn delivered(&self, message: StreamMessage) -> Option<Delivered> {
        let (task, attempt) = self.names.answered(&message.subject)?;
        Some(Delivered { position: message.sequence, task, attempt, body: message.payload.to_vec() })
    }

    async fn next(&self, position: u64) -> Result<Next> {
        let (began, mut place) = (Instant::now(), position + 1);
        if !self.state.lock().await.compared {
            let last = self.server.ask(|| self.last(), || self.mend()).await?;
            let mut state = self.state.lock().await;
            state.compared = true;
            // It was lost while no trainer was there.
            state.anew |= last < position;
        }
        loop {
            self.check_lead()?;
            {
                let mut state = self.state.lock().await;
                if std::mem::take(&mut state.anew) {
                    state.again.clear();
                    state.delivered.clear();
                    state.quiet = None;
                    return Ok(Next::Anew);
                }
                if let Some(answer) = state.again.pop_front() {
                    state.quiet = None;
                    state.delivered.insert(answer.position);
                    return Ok(Next::Answer(answer));
                }
            }
            let found = self.server.ask(|| self.read(place), || self.mend()).await?;
            let mut state = self.state.lock().await;
            if state.anew {
                continue;
            }
            if let Some(message) = found {
                let at = message.sequence;
                place = at + 1;
                if let Some(answer) = self.delivered(message).filter(|_| !state.delivered.remove(&at)) {
                    state.quiet = None;
                    return Ok(Next::Answer(answer));
                }
                continue;
            }
            let quiet = *state.quiet.get_or_insert_with(Instant::now);
            if quiet.elapsed() > OVERDUE {
                state.quiet = None;
                drop(state);
                self.mend().await?;
                return Ok(Next::Overdue);
            }
            drop(state);
            if began.elapsed() > MOMENT {
                return Ok(Next::Quiet);
            }
            sleep(LOOK).await;
        }
    }

    /// The last place of the log.
    async fn last(&self) -> Result<u64, Problem> {
        Ok(self.stream(self.names.results()).await?.get_info().await?.state.last_sequence)
    }

    async fn put_adapter(&self, adapter: Published) -> Result<()> {
        self.check_lead()?;
        self.state.lock().await.adapter = Some(adapter.clone());
        let put = || async {
            match self.has_adapter(&adapter).await {
                true => Ok(()),
                false => self.put(&adapter).await,
            }
        };
        self.server.ask(put, || self.mend()).await?;
        let mut state = self.state.lock().await;
        state.kept.retain(|hash| *hash != adapter.hash);
        state.kept.push_back(adapter.hash.clone());
        while state.kept.len() > ADAPTERS {
            let Some(old) = state.kept.pop_front() else { break };
            // One that stays costs room, and goes with the run.
            if let Err(problem) = self.drop_adapter(&old, &adapter).await {
                tracing::debug!(%problem, "an old adapter stays");
            }
        }
        Ok(())
    }

    async fn publish(&self, number: u64, attempt: u32, body: Vec<u8>) -> Result<()> {
        self.check_lead()?;
        let answer = self.server.ask(|| self.offer(number, attempt, &body), || self.mend()).await?;
        self.state.lock().await.again.extend(answer);
        Ok(())
    }

    async fn forget(&self, position: u64) -> Result<()> {
        self.check_lead()?;
        let purge = || async {
            let log = self.stream(self.names.results()).await?;
            log.purge().sequence(position + 1).await?;
            Ok(())
        };
        self.server.ask(purge, || self.mend()).await?;
        self.state.lock().await.delivered.retain(|place| *place > position);
        Ok(())
    }
}

/// Where a file of an adapter is.
pub(super) fn object(hash: &str, file: &str) -> String {
    format!("{hash}/{file}")
}

impl Transport for Trainer {
    async fn put_adapter(&mut self, adapter: &Published) -> Result<()> {
        let adapter = adapter.clone();
        self.on(|shared| async move { shared.put_adapter(adapter).await }).await
    }

    async fn publish(&mut self, task: &Task) -> Result<()> {
        let (number, attempt) = (task.task, task.attempt);
        let body = task.to_bytes().map_err(|problem| {
            Error::usage(
                "swarm",
                problem,
                "lower <group_size> or <sampling.max_tokens>, or run without <swarm>",
            )
        })?;
        self.on(|shared| async move { shared.publish(number, attempt, body).await }).await
    }

    async fn next(&mut self, position: u64) -> Result<Next> {
        self.on(|shared| async move { shared.next(position).await }).await
    }

    async fn forget(&mut self, position: u64) -> Result<()> {
        if position == 0 {
            return Ok(());
        }
        self.on(|shared| async move { shared.forget(position).await }).await
    }
}
