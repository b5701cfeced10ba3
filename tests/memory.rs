//! What is said about memory before loading, against the device's own account of a real run.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixture_models;

use std::ops::ControlFlow;
use std::sync::Arc;

use fixture_models::folder;
use pollster::block_on;
use stepladder::gpu::{Gpu, GpuOptions};
use stepladder::kernel::cache::CacheFormat;
use stepladder::kernel::weight::Format;
use stepladder::model::Model;
use stepladder::model::generate::{Generator, Lengths, Request, Sampling, Sizes};
use stepladder::model::open::open;
use stepladder::train::adapter;
use stepladder::train::fit::{Fit, Workload};
use stepladder::train::lora_config::LoraConfig;
use stepladder::train::loss::LossName;
use stepladder::train::trainer::{Optimizer, Trainer, Trajectory};

/// How far the peak of a run may be from what was planned.
const BOUND: f64 = 0.15;

/// Loads a model on a device of its own, samples prompts that share `prefix` tokens and trains; what was planned, and the
/// most that was allocated.
fn planned_and_used(model: &str, format: Option<Format>, training: bool, prefix: u32) -> (Fit, u64) {
    let mut opened = open(model).unwrap();
    let context = 200;
    let lora = LoraConfig { rank: 16, ..LoraConfig::default() };
    let layout = adapter::layout(&opened.config, &lora).unwrap();
    let lengths = Lengths { prompt: 40, samples: 4, max_tokens: 30 };
    let (rows, tokens) = (8, 512);
    let workload = Workload {
        adapter: Some(layout.clone()),
        sampling: Some(Sizes::new(&[lengths; 3], rows, context, prefix as usize)),
        training: training.then_some(tokens),
        scoring: None,
    };
    let fit = Fit::new(&opened.config, &*opened.source, format, context, &workload);

    // With more room than planned, training would keep what it need not.
    let options = GpuOptions { memory_limit: Some(fit.total() * 5 / 4), ..GpuOptions::default() };
    let gpu = Arc::new(block_on(Gpu::open(&options)).unwrap());
    let config = opened.config.clone();
    let model =
        Model::load(Arc::clone(&gpu), config, &mut *opened.source, format, context, &mut |_, _| {}).unwrap();
    let model = Arc::new(model);
    let sampling = Sampling { max_tokens: lengths.max_tokens, ..Sampling::default() };
    let request = |seed: u32| {
        let token = |at: u32| if at < prefix { 2 } else { 3 + seed };
        let prompt = (0..lengths.prompt as u32).map(token).collect();
        Request { prompt, samples: lengths.samples, sampling, seed: u64::from(seed) }
    };
    let requests = [request(0), request(1), request(2)];
    let sample = |generator: &mut Generator| {
        block_on(generator.generate(&requests, &mut |_| ControlFlow::Continue(()))).unwrap();
    };
    if training {
        let mut trainer = Trainer::new(Arc::clone(&model), &layout, tokens).unwrap();
        sample(&mut Generator::new(Arc::clone(&model), Some(trainer.lora()), rows));
        let mut generator = Generator::new(Arc::clone(&model), Some(trainer.lora()), rows);
        sample(&mut generator);
        // What texts begin with would be computed once.
        let batch = [2, 3, 4, 5].map(|token| Trajectory::supervised(vec![token; 128], vec![true; 128]));
        block_on(trainer.step(&batch, &LossName::Sft.config(1), 1e-3, &Optimizer::default())).unwrap();
        drop(generator);
    } else {
        let file =
            stepladder::train::peft::AdapterFile::init(lora, &adapter::dims(model.config()), 0).unwrap();
        let lora = adapter::upload(&gpu, model.config(), &file).unwrap();
        sample(&mut Generator::new(Arc::clone(&model), Some(&lora), rows));
    }
    (fit, gpu.memory().peak())
}

#[test]
fn what_is_planned_is_what_is_used() {
    for (name, format, training) in [
        ("llama", None, true),
        ("qwen3", None, true),
        ("gemma3", None, true),
        ("olmo3", None, true),
        ("phi3", None, true),
        ("qwen2", Some(Format::Q8), false),
        ("llama", Some(Format::F16), false),
    ] {
        let (fit, used) = planned_and_used(folder(name).to_str().unwrap(), format, training, 0);
        let ratio = fit.total() as f64 / used as f64;
        eprintln!("{name}: planned {} bytes, used {used}: {ratio:.3}  {fit:?}", fit.total());
        assert!((ratio - 1.0).abs() < BOUND, "{name}: planned {fit:?}, used {used}");
    }
}

#[test]
fn a_shared_prefix_takes_no_more_than_planned() {
    let (alone, used_alone) = planned_and_used(folder("llama").to_str().unwrap(), None, false, 0);
    let (shared, used) = planned_and_used(folder("llama").to_str().unwrap(), None, false, 32);
    eprintln!("planned {} bytes, used {used}; without sharing {used_alone}", shared.total());
    assert!(used <= shared.total(), "planned {shared:?}, used {used}");
    assert!(shared.kv < alone.kv && used < used_alone);
}

/// Plans for the longest turn, and has a conversation up to it with no more memory than that; the bytes of keys and values.
fn conversation(format: CacheFormat) -> u64 {
    let mut opened = open(folder("llama").to_str().unwrap()).unwrap();
    let (context, max_tokens) = (400, 20);
    let longest = Lengths { prompt: 360, samples: 1, max_tokens };
    let sizes = Sizes::new(&[longest], 1, context, 0).kept_as(format);
    let sampling = Some(sizes);
    let workload = Workload { sampling, ..Workload::default() };
    let fit = Fit::new(&opened.config, &*opened.source, None, context, &workload);
    let options = GpuOptions { memory_limit: Some(fit.total()), ..GpuOptions::default() };
    let gpu = Arc::new(block_on(Gpu::open(&options)).unwrap());
    let config = opened.config.clone();
    let model =
        Model::load(Arc::clone(&gpu), config, &mut *opened.source, None, context, &mut |_, _| {}).unwrap();
    let mut generator = Generator::new(Arc::new(model), None, 1);
    generator.keep_as(format);
    generator.keep();
    let sampling = Sampling { max_tokens, temperature: 0.0, ..Sampling::default() };
    for turn in 1..=12 {
        let request = Request { prompt: vec![2; 30 * turn], samples: 1, sampling, seed: 0 };
        block_on(generator.generate(&[request], &mut |_| ControlFlow::Continue(()))).unwrap();
        assert!(turn == 1 || generator.cached_tokens() >= 30 * (turn - 1) - 1, "turn {turn}");
    }
    eprintln!("planned {} bytes, used {}  {fit:?}", fit.total(), gpu.memory().peak());
    assert!(gpu.memory().peak() <= fit.total());
    fit.kv
}

#[test]
fn a_conversation_takes_no_more_than_its_longest_turn() {
    assert_eq!(conversation(CacheFormat::F32), 2 * conversation(CacheFormat::F16));
}

#[test]
fn what_does_not_fit_says_what_is_needed_and_what_lowers_it() {
    let fit = Fit { weights: 10, kv: 70, activations: 20, adapter: 0, optimizer: 0, largest_buffer: 40 };
    fit.check("it", None, 40).unwrap();
    fit.check("it", Some(100), 40).unwrap();
    let error = fit.check("it", Some(99), 40).unwrap_err();
    assert_eq!(error.code(), "out_of_memory");
    let text = error.to_string();
    assert!(text.contains("it needs 100 bytes") && text.contains("99 are available"), "{text}");
    assert!(text.contains("raise memory_limit") && text.contains("context"), "{text}");
    assert!(fit.check("it", None, 39).unwrap_err().to_string().contains("largest buffer of it needs 40"));
}
