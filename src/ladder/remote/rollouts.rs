//! Groups of completions, drawn by whoever takes their tasks.

use std::collections::HashMap;
use std::ops::ControlFlow;

use super::ledger::Ledger;
use super::message::{Answer, Task, Terms};
use crate::ladder::policy::{AdapterFile, Completion, OnProgress, Request, SampleProgress};
use crate::train::fingerprint::sha256;
use crate::{Error, Result};

/// Answers to one task that are refused before the run gives up.
const MOST_ATTEMPTS: u32 = 5;

/// An adapter under its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// [`adapter_hash`] of the files.
    pub hash: String,
    /// The files of its PEFT folder, in f32.
    pub files: Vec<AdapterFile>,
}

/// SHA-256 of an adapter's files, with their names and lengths, in hexadecimal.
pub fn adapter_hash(files: &[AdapterFile]) -> String {
    let mut all = Vec::new();
    for AdapterFile { name, bytes } in files {
        all.extend(format!("{name}\0{}\0", bytes.len()).into_bytes());
        all.extend(bytes);
    }
    sha256(&all)
}

/// An answer as a transport delivers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// Its place in the log of answers, from 1.
    pub position: u64,
    /// Number of the task that it was sent for.
    pub task: u64,
    /// Attempt that it was sent for.
    pub attempt: u32,
    /// What was sent.
    pub body: Vec<u8>,
}

/// What comes next of a transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// An answer.
    Answer(Delivered),
    /// Nothing yet: a moment to look whether the user wants to stop.
    Quiet,
    /// Nothing for long: what waits is to be published again.
    Overdue,
    /// The log of answers was lost and begun anew, with places from 1, and so may be tasks that were on offer.
    Anew,
}

/// What carries tasks to workers, and answers back. It may deliver late, more than once, in any order or not at all, and is
/// trusted in nothing.
#[allow(
    async_fn_in_trait,
    reason = "the loop is generic over its transport and never sends the futures to another thread"
)]
pub trait Transport {
    /// Makes an adapter known to workers before the tasks that name it; one that is known already costs nothing.
    ///
    /// # Errors
    /// The transport's own.
    async fn put_adapter(&mut self, adapter: &Published) -> Result<()>;

    /// Offers a task to workers, unless it is on offer, in work or answered by this number and attempt. Where it is answered,
    /// [`Transport::next`] delivers that answer, be its place behind the position or not.
    ///
    /// # Errors
    /// The transport's own.
    async fn publish(&mut self, task: &Task) -> Result<()>;

    /// The next answer whose place lies behind `position`. Waits for one, but not long.
    ///
    /// # Errors
    /// The transport's own.
    async fn next(&mut self, position: u64) -> Result<Next>;

    /// Allows to drop answers up to this place: a checkpoint holds what they came to.
    ///
    /// # Errors
    /// The transport's own.
    async fn forget(&mut self, position: u64) -> Result<()>;
}

/// The trainer's side: plans tasks, and takes the answers to them.
#[derive(Debug)]
pub struct Rollouts<T> {
    /// What carries messages.
    pub transport: T,
    /// What was planned and what of it is done.
    pub ledger: Ledger,
    /// What answers are held to.
    pub terms: Terms,
}

/// A task that waits for its answer.
struct Waiting {
    /// Place of the request.
    request: usize,
    task: Task,
}

/// What a call has so far.
struct Gathered {
    groups: Vec<Vec<Completion>>,
    so_far: SampleProgress,
}

impl<T: Transport> Rollouts<T> {
    /// Completions of every request under the adapter of this hash, without their texts: outer index request, inner index sample.
    /// Each request is one task, and completion i of it depends on its seed and i, so nobody but the clock can tell who drew it.
    ///
    /// # Errors
    /// [`Error::Cancelled`] after `progress` answered `Break`; [`Error::Usage`] for requests that no message can hold, and if
    /// answers are refused again and again; the transport's.
    pub async fn collect(
        &mut self,
        adapter: &str,
        requests: &[Request],
        progress: &mut OnProgress<'_>,
    ) -> Result<Vec<Vec<Completion>>> {
        let outcome = self.gather(adapter, requests, progress).await;
        if outcome.is_err() {
            self.ledger.abandon();
        }
        outcome
    }

    async fn gather(
        &mut self,
        adapter: &str,
        requests: &[Request],
        progress: &mut OnProgress<'_>,
    ) -> Result<Vec<Vec<Completion>>> {
        let mut waiting = self.plan(adapter, requests)?;
        let total = requests.iter().map(|request| request.samples).sum();
        let mut gathered = Gathered {
            groups: vec![Vec::new(); requests.len()],
            so_far: SampleProgress { done: 0, total, tokens: 0 },
        };
        self.publish(&waiting).await?;
        while !waiting.is_empty() {
            if progress(gathered.so_far) == ControlFlow::Break(()) {
                return Err(Error::Cancelled);
            }
            match self.transport.next(self.ledger.position()).await? {
                Next::Answer(delivered) => self.take(delivered, &mut waiting, &mut gathered).await?,
                Next::Quiet => {}
                Next::Overdue => self.publish(&waiting).await?,
                Next::Anew => {
                    self.ledger.read_again();
                    self.publish(&waiting).await?;
                }
            }
        }
        if progress(gathered.so_far) == ControlFlow::Break(()) {
            return Err(Error::Cancelled);
        }
        Ok(gathered.groups)
    }

    /// Notes one task for each request that asks for something. All are checked before the first is noted.
    fn plan(&mut self, adapter: &str, requests: &[Request]) -> Result<HashMap<u64, Waiting>> {
        let asked = requests.iter().enumerate().filter(|(_, request)| request.samples > 0);
        let tasks = asked.zip(self.ledger.next()..).map(|((place, request), number)| {
            let task = Task::new(number, request, &self.terms.base, adapter);
            task.check(&self.terms).map_err(cannot_be_sent)?;
            let digest = task.digest().map_err(cannot_be_sent)?;
            Ok((Waiting { request: place, task }, digest))
        });
        let tasks: Vec<(Waiting, String)> = tasks.collect::<Result<_>>()?;
        let note = |(waiting, digest): (Waiting, String)| {
            self.ledger.plan(digest);
            (waiting.task.task, waiting)
        };
        Ok(tasks.into_iter().map(note).collect())
    }

    /// In the order of their numbers, so that a slow start is the same each time.
    async fn publish(&mut self, waiting: &HashMap<u64, Waiting>) -> Result<()> {
        let mut tasks: Vec<&Task> = waiting.values().map(|waiting| &waiting.task).collect();
        tasks.sort_by_key(|task| task.task);
        for task in tasks {
            self.transport.publish(task).await?;
        }
        Ok(())
    }

    /// Admits an answer, or counts why not. A task whose answer is refused is offered once more, with the same seed, so that
    /// nobody chooses among draws by withholding some.
    async fn take(
        &mut self,
        delivered: Delivered,
        waiting: &mut HashMap<u64, Waiting>,
        gathered: &mut Gathered,
    ) -> Result<()> {
        let Delivered { position, task: number, attempt, body } = delivered;
        self.ledger.read(position);
        let answer = Answer::from_bytes(&body);
        let digest = answer.as_ref().map_or("", |answer| &answer.digest).to_owned();
        let Some(own) = waiting.get_mut(&number) else {
            self.ledger.admit(number, &digest);
            return Ok(());
        };
        let read = answer.and_then(|answer| match self.ledger.waits(number, &digest) {
            true => answer.completions(&own.task, &self.terms),
            // A task of another run, or of this one with other settings, had its number.
            false => Err("it answers another task".into()),
        });
        match read {
            Ok(group) => {
                gathered.so_far.done += group.len();
                gathered.so_far.tokens += group.iter().map(|one| one.tokens.len()).sum::<usize>();
                gathered.groups[own.request] = group;
                self.ledger.admit(number, &digest);
                waiting.remove(&number);
                Ok(())
            }
            Err(problem) => {
                self.ledger.refuse();
                // The same bad answer may come twice.
                if attempt != own.task.attempt {
                    return Ok(());
                }
                own.task.attempt += 1;
                if own.task.attempt >= MOST_ATTEMPTS {
                    return Err(Error::usage(
                        "swarm",
                        format!("{MOST_ATTEMPTS} answers to task {number} were refused, the last: {problem}"),
                        "run the same version of stepladder on all machines",
                    ));
                }
                self.transport.publish(&own.task).await
            }
        }
    }
}

fn cannot_be_sent(problem: String) -> Error {
    Error::usage("swarm", problem, "lower <group_size> or <sampling.max_tokens>, or run without <swarm>")
}
