//! Tasks and answers over a transport that loses, doubles, delays and damages them, with a trainer that dies at any moment.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::rc::Rc;

use pollster::block_on;
use stepladder::ladder::policy::{Completion, Request, Sampling};
use stepladder::ladder::remote::ledger::Ledger;
use stepladder::ladder::remote::message::{Answer, Task, Terms};
use stepladder::ladder::remote::{Delivered, Next, Published, Rollouts, Transport};
use stepladder::random::{below, stream};
use stepladder::{Error, Result};

const STOP: u32 = 0;

fn terms() -> Terms {
    Terms { base: "b".repeat(64), vocab_size: 50, context: 40, stops: vec![STOP] }
}

/// What a worker draws: a function of the task alone.
fn drawn(request: &Request) -> Vec<Completion> {
    let one = |index: usize| {
        let mut rng = stream(request.seed, &[index as u64]);
        let mut tokens: Vec<u32> = (0..below(&mut rng, 6)).map(|_| 1 + below(&mut rng, 49) as u32).collect();
        let truncated = tokens.len() == request.sampling.max_tokens;
        if !truncated {
            tokens.push(STOP);
        }
        let logprobs = tokens.iter().map(|&token| -(token as f32) / 7.0).collect();
        Completion { tokens, logprobs, text: String::new(), truncated }
    };
    (0..request.samples).map(one).collect()
}

/// A broker and its workers, in disorder.
struct Disorder {
    rng: rand_pcg::Pcg64Mcg,
    /// On offer or in work, by number and attempt.
    queue: BTreeMap<(u64, u32), Task>,
    /// The log of answers: the first by number and attempt stays.
    log: Vec<Delivered>,
    /// Answers to tasks that were offered once more.
    again: Vec<Delivered>,
    /// Places that were dropped.
    forgotten: u64,
    adapters: BTreeSet<String>,
    /// Answers that were drawn, by the task's number.
    draws: u64,
    /// Calls after which the trainer dies.
    life: u64,
    /// Whether workers do their work at all.
    faults: bool,
}

impl Disorder {
    fn dies(&mut self) -> Result<()> {
        self.life = self.life.saturating_sub(1);
        if self.life == 0 { Err(Error::DeviceLost("killed".into())) } else { Ok(()) }
    }

    fn chance(&mut self, one_in: usize) -> bool {
        self.faults && below(&mut self.rng, one_in) == 0
    }

    /// A worker takes some task, and may die, answer wrongly, or answer twice.
    fn work(&mut self) {
        if self.queue.is_empty() {
            return;
        }
        let place = below(&mut self.rng, self.queue.len());
        let (&key, task) = self.queue.iter().nth(place).unwrap();
        let task = Task::from_bytes(&task.to_bytes().unwrap(), &terms()).unwrap();
        assert!(self.adapters.contains(&task.adapter), "a task came before its adapter");
        if self.chance(4) {
            return;
        }
        self.draws += 1;
        let mut body = Answer::new(&task, &drawn(&task.request())).unwrap().to_bytes().unwrap();
        if key.1 < 2 && self.chance(8) {
            let at = below(&mut self.rng, body.len());
            body[at] ^= 0x20;
            body.truncate(body.len() - usize::from(self.chance(2)));
        }
        for _ in 0..1 + usize::from(self.chance(5)) {
            let position = self.log.len() as u64 + 1;
            self.log.push(Delivered { position, task: key.0, attempt: key.1, body: body.clone() });
        }
        // The worker may die before it says that the task is done: it is done again.
        if !self.chance(6) {
            self.queue.remove(&key);
        }
    }
}

#[derive(Clone)]
struct Wire(Rc<RefCell<Disorder>>);

impl Transport for Wire {
    async fn put_adapter(&mut self, adapter: &Published) -> Result<()> {
        self.0.borrow_mut().adapters.insert(adapter.hash.clone());
        self.0.borrow_mut().dies()
    }

    async fn publish(&mut self, task: &Task) -> Result<()> {
        let mut disorder = self.0.borrow_mut();
        disorder.dies()?;
        let key = (task.task, task.attempt);
        let forgotten = disorder.forgotten;
        let answered = |one: &&Delivered| one.position > forgotten && (one.task, one.attempt) == key;
        match disorder.log.iter().find(answered).cloned() {
            Some(answer) => disorder.again.push(answer),
            None if disorder.chance(6) => {}
            None => drop(disorder.queue.insert(key, task.clone())),
        }
        Ok(())
    }

    async fn next(&mut self, position: u64) -> Result<Next> {
        let mut disorder = self.0.borrow_mut();
        disorder.dies()?;
        if disorder.chance(60) {
            // The server's disk is lost.
            disorder.log.clear();
            disorder.queue.clear();
            disorder.forgotten = 0;
            return Ok(Next::Anew);
        }
        // It may have been lost while the trainer was dead.
        if position > disorder.log.len() as u64 {
            return Ok(Next::Anew);
        }
        for _ in 0..below(&mut disorder.rng, 4) {
            disorder.work();
        }
        if disorder.chance(5) {
            return Ok(Next::Quiet);
        }
        if let Some(again) = disorder.again.pop() {
            return Ok(Next::Answer(again));
        }
        let after = position.max(disorder.forgotten);
        let next = disorder.log.iter().find(|one| one.position > after).cloned();
        Ok(next.map_or(Next::Overdue, Next::Answer))
    }

    async fn forget(&mut self, position: u64) -> Result<()> {
        let mut disorder = self.0.borrow_mut();
        disorder.forgotten = disorder.forgotten.max(position.min(disorder.log.len() as u64));
        disorder.dies()
    }
}

fn rollouts(wire: &Wire, ledger: &str) -> Rollouts<Wire> {
    let ledger: Ledger = serde_json::from_str(ledger).unwrap();
    ledger.check().unwrap();
    Rollouts { transport: wire.clone(), ledger, terms: terms() }
}

fn batch(seed: u64, step: u64) -> Vec<Request> {
    let mut rng = stream(seed, &[step]);
    let sampling = Sampling { max_tokens: 5, ..Sampling::default() };
    let count = 1 + below(&mut rng, 5);
    let one = |i: u64| Request {
        prompt: vec![1 + (i % 40) as u32; 3],
        samples: (i % 4) as usize,
        sampling,
        seed: seed ^ (step << 8) ^ i,
    };
    (0..count as u64).map(one).collect()
}

/// One run of 6 steps, that dies and is resumed from its last checkpoint until it is done; what was admitted by step.
fn run(seed: u64, faults: bool) -> (Vec<Vec<Vec<Completion>>>, Ledger, Wire) {
    let wire = Wire(Rc::new(RefCell::new(Disorder {
        rng: stream(seed, &[99]),
        queue: BTreeMap::new(),
        log: Vec::new(),
        again: Vec::new(),
        forgotten: 0,
        adapters: BTreeSet::new(),
        draws: 0,
        life: u64::MAX,
        faults,
    })));
    // The checkpoint: what was learnt, and the ledger, in one piece.
    let mut saved = (Vec::new(), serde_json::to_string(&Ledger::default()).unwrap());
    let mut deaths = 0;
    loop {
        let life =
            if faults && deaths < 6 { 1 + below(&mut wire.0.borrow_mut().rng, 60) as u64 } else { u64::MAX };
        wire.0.borrow_mut().life = life;
        let (mut learnt, ledger) = saved.clone();
        let mut trainer = rollouts(&wire, &ledger);
        let outcome = block_on(async {
            while learnt.len() < 6 {
                let step = learnt.len() as u64;
                let adapter = Published { hash: format!("{step}"), files: Vec::new() };
                trainer.transport.put_adapter(&adapter).await?;
                let requests = batch(seed, step);
                learnt.push(
                    trainer.collect(&adapter.hash, &requests, &mut |_| ControlFlow::Continue(())).await?,
                );
                // Every second step has a checkpoint.
                if step % 2 == 1 {
                    assert_eq!(trainer.ledger.waiting(), 0);
                    let before: Ledger = serde_json::from_str(&saved.1).unwrap();
                    saved = (learnt.clone(), serde_json::to_string(&trainer.ledger).unwrap());
                    trainer.transport.forget(before.position()).await?;
                }
            }
            Ok::<_, Error>(())
        });
        match outcome {
            Ok(()) => return (learnt, trainer.ledger, wire),
            Err(Error::DeviceLost(_)) => deaths += 1,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn every_task_is_admitted_once_whatever_happens_to_messages_and_trainer() {
    let (mut doubles, mut refused) = (0, 0);
    for seed in 0..300 {
        let wanted: Vec<Vec<Vec<Completion>>> =
            (0..6).map(|step| batch(seed, step).iter().map(drawn).collect()).collect();
        let tasks =
            (0..6).flat_map(|step| batch(seed, step)).filter(|request| request.samples > 0).count() as u64;
        let (quiet, ledger, wire) = run(seed, false);
        assert_eq!(quiet, wanted, "{seed}");
        assert_eq!((ledger.fates().admitted, wire.0.borrow().draws), (tasks, tasks), "{seed}");
        let (learnt, ledger, _) = run(seed, true);
        assert_eq!(learnt, wanted, "{seed}");
        assert_eq!((ledger.fates().admitted, ledger.next()), (tasks, tasks), "{seed}: {:?}", ledger.fates());
        assert_eq!((ledger.check(), ledger.waiting()), (Ok(()), 0), "{seed}");
        doubles += ledger.fates().duplicate;
        refused += ledger.fates().refused;
    }
    assert!(doubles > 100 && refused > 100, "the disorder was too small: {doubles} {refused}");
}

#[test]
fn what_is_no_answer_is_refused_with_words() {
    let request = Request {
        prompt: vec![1, 2],
        samples: 2,
        sampling: Sampling { max_tokens: 3, ..Sampling::default() },
        seed: u64::MAX,
    };
    let task = Task::new(7, &request, &terms().base, "a");
    let done = |tokens: &[u32], truncated| Completion {
        tokens: tokens.to_vec(),
        logprobs: vec![-0.5; tokens.len()],
        text: String::new(),
        truncated,
    };
    let read = |group: &[Completion]| {
        let bytes = Answer::new(&task, group).unwrap().to_bytes().unwrap();
        Answer::from_bytes(&bytes).unwrap().completions(&task, &terms())
    };
    let good = vec![done(&[4, STOP], false), done(&[4, 5, 6], true)];
    assert_eq!(read(&good).unwrap(), good);
    let with = |one: Completion| read(&[good[0].clone(), one]).unwrap_err();
    assert!(read(&good[..1]).unwrap_err().contains("1 completions, not 2"));
    assert!(with(done(&[4, 5], true)).contains("neither by a stop token nor at 3"));
    assert!(with(done(&[4, 5, 6], false)).contains("neither"));
    assert!(with(done(&[STOP, 4, STOP], false)).contains("neither"));
    assert!(with(done(&[4, 5, 6, STOP], false)).contains("neither"));
    assert!(with(done(&[], true)).contains("neither"));
    assert!(with(done(&[4, 5, 50], true)).contains("token 50 is outside of the vocabulary of 50"));
    for value in [f32::NAN, f32::NEG_INFINITY, 0.1] {
        let logprobs = vec![-1.0, value, -1.0];
        assert!(with(Completion { logprobs, ..good[1].clone() }).contains("is no log-probability"));
    }
    assert!(
        with(Completion { logprobs: vec![-1.0], ..good[1].clone() })
            .contains("3 log-probabilities are for 5")
    );
    // Whatever byte is changed, and wherever the body ends, it is the same answer or a refusal in words, and no panic.
    let bytes = Answer::new(&task, &good).unwrap().to_bytes().unwrap();
    let whole = Answer::from_bytes(&bytes).unwrap();
    for at in 0..bytes.len() {
        assert!(Answer::from_bytes(&bytes[..at]).is_err(), "{at}");
        for bit in 0..8 {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << bit;
            let read = Answer::from_bytes(&bytes);
            // Spaces that fill the header say nothing.
            assert!(read.as_ref().map_or_else(|problem| !problem.is_empty(), |read| *read == whole), "{at}");
        }
    }
}

#[test]
fn what_is_no_task_is_refused_with_words() {
    let sampling = Sampling { max_tokens: 3, temperature: 0.7, top_p: 0.95, ..Sampling::default() };
    let request = Request { prompt: vec![1, 2], samples: 2, sampling, seed: u64::MAX };
    let task = Task::new(7, &request, &terms().base, "a");
    let bytes = task.to_bytes().unwrap();
    let read = Task::from_bytes(&bytes, &terms()).unwrap();
    assert_eq!((read.request(), read.digest()), (request.clone(), task.digest()));
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains(r#""seed":"18446744073709551615""#), "{text}");
    let refused = |old: &str, new: &str| {
        assert!(text.contains(old), "{text}");
        Task::from_bytes(text.replace(old, new).as_bytes(), &terms()).unwrap_err()
    };
    assert!(refused(r#""v":1"#, r#""v":2"#).contains("have form 2"));
    assert!(refused(r#""v":1"#, r#""v":1,"extra":1"#).contains("unknown field"));
    assert!(refused(r#""v":1"#, r#""v":1,"v":1"#).contains("duplicate field"));
    assert!(refused("[1,2]", "[]").contains("0 tokens"));
    assert!(refused("[1,2]", "[1,99]").contains("token 99 is outside"));
    assert!(refused("\"samples\":2", "\"samples\":0").contains("no completion"));
    assert!(refused("\"samples\":2", "\"samples\":9999999").contains("may have more"));
    assert!(refused("\"7\"", "\"07\"").contains("no plain number"));
    assert!(refused("\"top_k\":0", "\"top_k\":-1").contains("invalid value"));
    assert!(refused("\"base\":\"b", "\"base\":\"c").contains("take the same model, options and version"));
    let long = Request { prompt: vec![1; 40], ..request };
    assert!(Task::new(1, &long, "b", "a").check(&terms()).unwrap_err().contains("40 tokens does not fit"));
}

#[test]
fn a_ledger_that_contradicts_itself_is_refused() {
    let ledger = |text: &str| serde_json::from_str::<Ledger>(text).unwrap().check();
    let fates = r#""fates":{"admitted":0,"duplicate":0,"unknown":0,"refused":0,"abandoned":0}"#;
    let of = |planned, watermark, above, outstanding| {
        ledger(&format!(
            r#"{{"planned":{planned},"watermark":{watermark},"above":{above},"outstanding":{outstanding},"position":0,{fates}}}"#
        ))
    };
    assert_eq!(of(5, 2, "[3]", r#"{"2":"x","4":"y"}"#), Ok(()));
    assert!(of(1, 2, "[]", "{}").is_err());
    assert!(of(5, 2, "[3]", r#"{"2":"x"}"#).is_err(), "task 4 is neither");
    assert!(of(5, 2, "[3,2]", r#"{"2":"x","4":"y"}"#).is_err(), "task 2 is both");
    assert!(of(5, 2, "[1]", r#"{"2":"x","4":"y"}"#).is_err());
    assert!(of(5, 2, "[3]", r#"{"2":"x","5":"y"}"#).is_err());
}
