//! What sampling and training ask of the device, against committed counts: a change that makes the same work dearer is seen here.
//!
//! The counts are exact and depend on nothing but the program and the kind of adapter. After a change that was meant,
//! `UPDATE=1 cargo test --test work` writes the file anew; the difference belongs into the commit.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixture_models;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use fixture_models::folder;
use pollster::block_on;
use serde::{Deserialize, Serialize};
use stepladder::gpu::{Gpu, GpuOptions};
use stepladder::model::Model;
use stepladder::model::generate::{Generator, Request, Sampling};
use stepladder::model::lora::Layout;
use stepladder::model::open::open;
use stepladder::train::adapter;
use stepladder::train::lora_config::LoraConfig;
use stepladder::train::loss::LossName;
use stepladder::train::trainer::{Optimizer, Trainer, Trajectory};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/work.json");

/// What some work took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Taken {
    dispatches: u64,
    submissions: u64,
    allocations: u64,
    peak_bytes: u64,
}

fn taken(gpu: &Gpu, work: impl FnOnce()) -> Taken {
    let before = (gpu.work().dispatches(), gpu.work().submissions(), gpu.memory().allocations());
    work();
    Taken {
        dispatches: gpu.work().dispatches() - before.0,
        submissions: gpu.work().submissions() - before.1,
        allocations: gpu.memory().allocations() - before.2,
        peak_bytes: gpu.memory().peak(),
    }
}

/// The fixture's model on a device of its own.
fn opened(model: &str, software: bool) -> Arc<Model> {
    let mut opened = open(folder(model).to_str().unwrap()).unwrap();
    let options = GpuOptions { as_software: Some(software), ..GpuOptions::default() };
    let gpu = Arc::new(block_on(Gpu::open(&options)).unwrap());
    let config = opened.config.clone();
    Arc::new(Model::load(gpu, config, &mut *opened.source, None, 256, &mut |_, _| {}).unwrap())
}

fn adapter_of(model: &Model) -> Layout {
    let lora = LoraConfig { rank: 4, ..LoraConfig::default() };
    adapter::layout(model.config(), &lora).unwrap()
}

/// Eight answers of 32 tokens, each after a prompt of 128, as drawn by the policy that learns.
fn answers(prompt: impl Fn(u32) -> Vec<u32>) -> Vec<Trajectory> {
    let answer = |index: u32| {
        let tokens = [prompt(index), (0..32).map(|t| (t * 5 + index) % 90).collect()].concat();
        let advantage = Some(if index.is_multiple_of(2) { 1.0 } else { -1.0 });
        Trajectory { advantage, ..Trajectory::completing(tokens, 128) }
    };
    (0..8).map(answer).collect()
}

fn update(trainer: &mut Trainer, batch: &[Trajectory]) {
    block_on(trainer.step(batch, &LossName::Grpo.config(32), 1e-3, &Optimizer::default())).unwrap();
}

/// The first time plans and buffers are made, the second time shows what the work itself takes.
fn measure(model: &str, software: bool) -> BTreeMap<String, Taken> {
    let model = opened(model, software);
    let gpu = Arc::clone(model.gpu());
    let layout = adapter_of(&model);
    let mut all = BTreeMap::new();
    let mut add = |name: &str, work: &mut dyn FnMut()| {
        for time in ["first", "again"] {
            all.insert(format!("{name}, {time}"), taken(&gpu, &mut *work));
        }
    };

    // A single token takes a single step: a block has no more than are left.
    for (rows, adapted, tokens) in [(1, false, 32), (8, false, 32), (8, true, 32), (1, false, 1)] {
        let mut trainer = adapted.then(|| Trainer::new(Arc::clone(&model), &layout, 256).unwrap());
        let mut generator = Generator::new(Arc::clone(&model), trainer.as_mut().map(|t| t.lora()), rows);
        // Nothing ends early: what is sampled depends on the adapter's arithmetic, the counts must not.
        let sampling = Sampling { max_tokens: tokens, ..Sampling::default() };
        let request = Request { prompt: vec![3; 20], samples: rows, sampling, seed: 1 };
        let requests = [Request { sampling: Sampling { temperature: 0.0, ..sampling }, ..request }];
        let name = format!("{tokens} tokens, {rows} rows{}", if adapted { ", LoRA" } else { "" });
        add(&name, &mut || {
            let answers =
                block_on(generator.generate(&requests, &mut |_| ControlFlow::Continue(()))).unwrap();
            assert!(answers[0].iter().all(|answer| answer.tokens.len() == tokens), "an answer ended early");
        });
    }
    let mut trainer = Trainer::new(Arc::clone(&model), &layout, 256).unwrap();
    // What texts begin with would be computed once.
    let batch = [2, 3, 4, 5].map(|token| Trajectory::supervised(vec![token; 64], vec![true; 64]));
    add("LoRA step, 4 x 64 tokens", &mut || {
        block_on(trainer.step(&batch, &LossName::Sft.config(1), 1e-3, &Optimizer::default())).unwrap();
    });
    let mut trainer = Trainer::new(Arc::clone(&model), &layout, 2048).unwrap();
    let batch = answers(|_| (0..128).map(|t| t % 89).collect());
    add("GRPO update, 8 x 32 tokens after 128", &mut || update(&mut trainer, &batch));
    all
}

#[test]
fn an_update_computes_a_prompt_once() {
    for software in [true, false] {
        // One prompt, and as many as answers.
        let [(shared, fewer), (apart, more)] = [0, 1].map(|step| {
            let model = opened("llama", software);
            let mut trainer = Trainer::new(Arc::clone(&model), &adapter_of(&model), 2048).unwrap();
            let before = model.gpu().memory().current();
            update(&mut trainer, &answers(|index| (0..128).map(|t| (t + step * index) % 89).collect()));
            (trainer.forward_rows(), model.gpu().memory().current() - before)
        });
        assert_eq!((shared, apart), (128 + 8 * 32, 8 * (128 + 32)));
        assert!(2 * fewer < more, "bytes of the pass: {fewer}, {more} apart");
    }
}

#[test]
fn the_same_work_takes_what_it_took() {
    let found: BTreeMap<String, _> = [("llama", true), ("llama", false), ("qwen3", true), ("qwen3", false)]
        .map(|(model, software)| {
            let kind = if software { "software" } else { "a GPU" };
            (format!("{model}, as on {kind}"), measure(model, software))
        })
        .into();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(FILE, serde_json::to_string_pretty(&found).unwrap() + "\n").unwrap();
    }
    let text = std::fs::read_to_string(FILE).unwrap();
    let known: BTreeMap<String, BTreeMap<String, Taken>> = serde_json::from_str(&text).unwrap();
    for (model, works) in &found {
        assert_eq!(works.len(), known[model].len(), "{model}");
        for (name, taken) in works {
            assert_eq!(taken, &known[model][name], "{model}: {name} (left: now, right: committed)");
        }
        // Buffers of a new shape are made once.
        let again = |name: &str| works[&format!("{name}, again")].allocations;
        assert_eq!(again("LoRA step, 4 x 64 tokens"), 0, "{model}");
    }
}
