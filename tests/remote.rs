//! Rollouts that other workers answer, with a real model: what a completion's bits depend on, and runs to the same bits.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixture_models;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use fixture_models::gpu;
use pollster::block_on;
use stepladder::Result;
use stepladder::ladder::events::Event;
use stepladder::ladder::learner::Learner;
use stepladder::ladder::policy::Policy;
use stepladder::ladder::presets::Preset;
use stepladder::ladder::remote::message::{Task, Terms};
use stepladder::ladder::remote::{Delivered, Next, Published, Remote, Transport, answer};
use stepladder::ladder::run::{RunCard, run};
use stepladder::ladder::settings::Settings;
use stepladder::ladder::state::{Host, MemoryStore, Snapshot};
use stepladder::model::generate::{Completion, Generator, Request, Sampling};
use stepladder::model::open::OpenModel;
use stepladder::model::{Model, tiny};
use stepladder::session::{Session, SessionOptions};
use stepladder::task::{self, Problem, TaskOptions};
use stepladder::train::adapter::{dims, layout};
use stepladder::train::checkpoint::State;
use stepladder::train::lora_config::LoraConfig;
use stepladder::train::peft;
use stepladder::train::trainer::Trainer;

/// Tokens, and log-probabilities in bits.
fn bits(made: &[Completion]) -> Vec<(Vec<u32>, Vec<u32>)> {
    made.iter().map(|one| (one.tokens.clone(), one.logprobs.iter().map(|x| x.to_bits()).collect())).collect()
}

/// Decides how work is cut into tasks. Under an adapter the last bits of log-probabilities depend on the number of rows, on
/// llvmpipe of nearly every group; so a task is drawn alone, with all its rows. Then it has the same bits whatever was drawn before.
#[test]
fn a_group_that_is_drawn_alone_has_the_same_bits_whatever_was_drawn_before() {
    let OpenModel { config, mut source, tokenizer, .. } = tiny::open().unwrap();
    let model = Arc::new(Model::load(gpu(), config, &mut *source, None, 256, &mut |_, _| {}).unwrap());
    let layout = layout(model.config(), &LoraConfig::default()).unwrap();
    let mut trainer = Trainer::new(Arc::clone(&model), &layout, 512).unwrap();
    let values: Vec<f32> = (0..layout.len()).map(|i| ((i * 37 % 101) as f32 - 50.0) / 1500.0).collect();
    trainer.write_adapter(&values).unwrap();
    let new = || Generator::new(Arc::clone(&model), Some(trainer.lora()), 64);
    let run = |generator: &mut Generator, requests: &[Request]| {
        block_on(generator.generate(requests, &mut |_| ControlFlow::Continue(()))).unwrap()
    };
    let sampling = Sampling { max_tokens: 24, ..Sampling::default() };
    let mut others = 0;
    for (samples, prefix) in [(8, ""), (3, "x+2*sin(x)+3*cos(x)+4*exp(x)+")] {
        let request = |i: u64| {
            let prompt = tokenizer.encode(&format!("?{prefix}x**{i}+{}=", 3 * i), true).unwrap();
            Request { prompt, samples, sampling, seed: 7 + i }
        };
        let requests: Vec<Request> = (0..8).map(request).collect();
        let mut wide = new();
        let among = run(&mut wide, &requests);
        for (request, among) in requests.iter().zip(among) {
            let request = std::slice::from_ref(request);
            let (alone, after) = (run(&mut new(), request).remove(0), run(&mut wide, request).remove(0));
            assert_eq!(bits(&alone), bits(&after));
            others += usize::from(bits(&alone) != bits(&among));
            assert!(alone.iter().zip(&among).all(|(alone, among)| alone.tokens == among.tokens));
        }
    }
    println!("{others} of 16 groups have other bits among others than alone");
}

/// A queue and a log in memory; three workers take turns.
struct Queue {
    tasks: VecDeque<Vec<u8>>,
    log: Vec<Delivered>,
    adapters: Vec<Published>,
    workers: Vec<Learner>,
    terms: Terms,
    bytes: [usize; 2],
}

#[derive(Clone)]
struct Shared(Rc<RefCell<Queue>>);

impl Transport for Shared {
    async fn put_adapter(&mut self, adapter: &Published) -> Result<()> {
        self.0.borrow_mut().adapters.push(adapter.clone());
        Ok(())
    }

    async fn publish(&mut self, task: &Task) -> Result<()> {
        let mut queue = self.0.borrow_mut();
        let known = queue.log.iter().any(|one| (one.task, one.attempt) == (task.task, task.attempt));
        if !known {
            let bytes = task.to_bytes().unwrap();
            queue.bytes[0] += bytes.len();
            // The last task comes first: order is nobody's promise.
            queue.tasks.push_front(bytes);
        }
        Ok(())
    }

    async fn next(&mut self, position: u64) -> Result<Next> {
        let mut queue = self.0.borrow_mut();
        let queue = &mut *queue;
        if let Some(task) = queue.tasks.pop_front() {
            let task = Task::from_bytes(&task, &queue.terms).unwrap();
            let place = queue.log.len() % queue.workers.len();
            let adapter = queue.adapters.iter().rfind(|adapter| adapter.hash == task.adapter).unwrap();
            let worker = &mut queue.workers[place];
            let file = |name| &adapter.files.iter().find(|file| file.name == name).unwrap().bytes[..];
            let [config, weights] = [peft::CONFIG_FILE, peft::WEIGHTS_FILE].map(file);
            let model = Arc::clone(worker.trainer().model());
            let shape = dims(model.config());
            let file = peft::AdapterFile::from_bytes(config, weights, "adapter".as_ref(), &shape).unwrap();
            worker.take_adapter(&file).unwrap();
            let body = block_on(answer(worker, &task, &mut |_| ControlFlow::Continue(())))?;
            queue.bytes[1] += body.len();
            let position = queue.log.len() as u64 + 1;
            queue.log.push(Delivered { position, task: task.task, attempt: task.attempt, body });
        }
        Ok(queue.log.get(position as usize).cloned().map_or(Next::Overdue, Next::Answer))
    }

    async fn forget(&mut self, _: u64) -> Result<()> {
        Ok(())
    }
}

fn opened() -> Session {
    block_on(Session::open("tiny", &SessionOptions::default())).unwrap()
}

fn run_card() -> RunCard {
    let mut settings = Settings { steps: 3, prompts_per_step: 3, ..Settings::preset(Preset::Tiny) };
    settings.evaluation.every = 2;
    settings.checkpoint_every = 1;
    let problems = [&["x*sin(2*x)", "x**3", "2*x"][..], &["x**2"]]
        .map(|texts| texts.iter().map(|text| Problem::new(*text)).collect());
    RunCard::new("tiny".into(), ("integral".into(), TaskOptions::new()), settings, problems)
}

/// Runs; the checkpoint that it ends with.
fn ends<P: Policy>(policy: &mut P, card: &RunCard) -> Snapshot {
    let (mut store, cancel) = (MemoryStore::default(), AtomicBool::new(false));
    let mut sink = |_: &Event| Ok(());
    let mut host = Host { store: &mut store, sink: &mut sink, clock: &|| 0.0, cancel: &cancel };
    let task = task::create(&card.task, &card.task_options).unwrap();
    block_on(run(policy, &*task, card, None, &mut host)).unwrap();
    store.snapshot.unwrap()
}

/// Both sides draw on one device, and each task alone: the single process is told to.
#[test]
fn a_trainer_with_three_workers_ends_with_the_bits_of_one_process() {
    let session = opened();
    let card = run_card();
    let fresh = session.opened().fresh_adapter(&card.settings.lora, card.settings.seed).unwrap();
    let learner = || session.learner(&fresh).unwrap();
    let mut alone = learner();
    alone.draw_alone();
    let alone = ends(&mut alone, &card);

    let config = session.model().config();
    let terms = Terms {
        base: "b".into(),
        vocab_size: config.vocab_size,
        context: session.model().context(),
        stops: config.eos_token_ids.clone(),
    };
    let queue = Queue {
        tasks: VecDeque::new(),
        log: Vec::new(),
        adapters: Vec::new(),
        workers: (0..3).map(|_| learner()).collect(),
        terms: terms.clone(),
        bytes: [0; 2],
    };
    let shared = Shared(Rc::new(RefCell::new(queue)));
    let mut remote = Remote::new(learner(), shared.clone(), terms.clone());
    let together = ends(&mut remote, &card);
    let same = |together: &Snapshot| {
        let bits = |state: &State| -> Vec<(String, Vec<u32>)> {
            let bits = |data: &Vec<f32>| data.iter().map(|x| x.to_bits()).collect();
            state.tensors.iter().map(|(name, data)| (name.clone(), bits(data))).collect()
        };
        assert!(bits(&together.trainer) == bits(&alone.trainer), "the weights differ");
        assert_eq!((&together.nodes, &together.progress), (&alone.nodes, &alone.progress));
    };
    same(&together);
    let (fates, tasks) = (remote.fates(), shared.0.borrow().log.len() as u64);
    assert!(
        tasks > 10 && fates.admitted == tasks && fates.refused + fates.duplicate + fates.abandoned == 0,
        "{fates:?}"
    );
    let bytes = shared.0.borrow().bytes;
    println!("{tasks} tasks of {} bytes, answers of {}", bytes[0] as u64 / tasks, bytes[1] as u64 / tasks);

    // A trainer that was lost before its first checkpoint plans the same tasks; what workers had answered counts.
    let mut again = Remote::new(learner(), shared.clone(), terms.clone());
    same(&ends(&mut again, &card));
    assert_eq!((shared.0.borrow().log.len() as u64, again.fates().admitted), (tasks, tasks));

    // The ledger is a part of the state, and goes on from there.
    let state = block_on(again.state()).unwrap();
    let mut other = Remote::new(learner(), shared.clone(), terms);
    block_on(other.restore(&state)).unwrap();
    assert_eq!(other.fates(), again.fates());
}
