//! A real pretrained model, SmolLM2-135M-Instruct as Q4_1 GGUF, against PyTorch on its de-quantised weights.
//! `make models` fetches it; without it these tests fail and say so.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use pollster::block_on;
use serde_json::Value;
use stepladder::kernel::cache::CacheFormat;
use stepladder::model::Model;
use stepladder::model::generate::{Generator, Request, Sampling};
use stepladder::model::module::Module;
use stepladder::model::source::bytes::File;
use stepladder::model::source::gguf::Gguf;
use stepladder::train::adapter;
use stepladder::train::lora_config::LoraConfig;
use stepladder::train::loss::LossName;
use stepladder::train::trainer::{Trainer, Trajectory};

mod real;

fn path() -> PathBuf {
    real::path("SmolLM2-135M-Instruct.Q4_1.gguf")
}

fn expected() -> Value {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/smollm2.json");
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

fn tokens(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).unwrap()
}

fn numbers(value: &Value) -> Vec<f32> {
    serde_json::from_value(value.clone()).unwrap()
}

/// Loaded once: it takes a few seconds.
fn model() -> Arc<Model> {
    static MODEL: OnceLock<Arc<Model>> = OnceLock::new();
    let load = || real::load(&mut Gguf::open(File::open(path()).unwrap()).unwrap(), 512);
    Arc::clone(MODEL.get_or_init(load))
}

fn trainer() -> (Trainer, LoraConfig) {
    real::trainer(model(), 256)
}

#[test]
fn logprobs_and_gradients_equal_pytorch() {
    let expected = expected();
    let (mut trainer, config) = trainer();
    let all = |tokens: Vec<u32>| {
        let scored = vec![true; tokens.len()];
        [Trajectory::supervised(tokens, scored)]
    };
    let worst = |got: &[f32], want: &[f32]| {
        assert_eq!(got.len(), want.len());
        got.iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    };
    let scores = block_on(trainer.logprobs(&all(tokens(&expected["tokens"])), false)).unwrap();
    let error = worst(&scores[0].logp, &numbers(&expected["logprobs"]));
    println!("base log-probs: max error {error:.2e}");
    assert!(error < 1e-3, "{error}");

    let training = &expected["training"];
    let batch = all(tokens(&training["tokens"]));
    let scores = block_on(trainer.logprobs(&batch, true)).unwrap();
    let error = worst(&scores[0].logp, &numbers(&training["logprobs"]));
    println!("adapter log-probs: max error {error:.2e}");
    assert!(error < 1e-3, "{error}");

    let (loss, _) = block_on(trainer.gradient(&batch, &LossName::Sft.config(1))).unwrap();
    let want = training["loss"].as_f64().unwrap();
    assert!((loss - want).abs() < 1e-3 * want, "{loss} {want}");
    let flat = block_on(trainer.read_gradient()).unwrap();
    let got = adapter::unflatten(trainer.lora().layout(), config, &flat);
    let bytes =
        std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/smollm2.safetensors")).unwrap();
    let gradients = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut worst_relative = 0.0_f64;
    for (name, view) in gradients.tensors() {
        let path = name.strip_prefix("base_model.model.").unwrap();
        let (path, letter) = path.rsplit_once(".lora_").unwrap();
        let pair = &got.tensors[&Module::from_path(path).unwrap()];
        let values = if letter.starts_with('A') { &pair.a } else { &pair.b };
        let want: Vec<f32> = bytemuck::pod_collect_to_vec(view.data());
        let square = |x: f32| f64::from(x) * f64::from(x);
        let difference: f64 = values.iter().zip(&want).map(|(a, b)| square(a - b)).sum();
        let relative = (difference / want.iter().map(|x| square(*x)).sum::<f64>()).sqrt();
        assert!(relative < 1e-3, "{name}: {relative}");
        worst_relative = worst_relative.max(relative);
    }
    println!("gradients: worst relative error {worst_relative:.2e}");
}

#[test]
fn greedy_text_equals_pytorch() {
    let expected = expected();
    let (trainer, _) = trainer();
    for (kind, lora) in [("base", None), ("adapter", Some(trainer.lora()))] {
        let mut generator = Generator::new(model(), lora, 1);
        let request = Request {
            prompt: tokens(&expected["prompt_tokens"]),
            samples: 1,
            sampling: Sampling { max_tokens: 24, temperature: 0.0, ..Sampling::default() },
            seed: 0,
        };
        let start = std::time::Instant::now();
        let got = block_on(generator.generate(&[request], &mut |_| ControlFlow::Continue(()))).unwrap();
        println!("{kind}: 24 tokens in {:.1} s", start.elapsed().as_secs_f64());
        assert_eq!(got[0][0].tokens, tokens(&expected["greedy"][kind]["tokens"]), "{kind}");
    }
}

#[test]
fn keys_and_values_in_16_bits_keep_text_and_log_probabilities() {
    let expected = expected();
    let (trainer, _) = trainer();
    for (kind, lora) in [("base", None), ("adapter", Some(trainer.lora()))] {
        let prompt = tokens(&expected["prompt_tokens"]);
        let ask = |format| {
            let mut generator = Generator::new(model(), lora, 1);
            generator.keep_as(format);
            let sampling = Sampling { max_tokens: 24, temperature: 0.0, ..Sampling::default() };
            let request = Request { prompt: prompt.clone(), samples: 1, sampling, seed: 0 };
            block_on(generator.generate(&[request], &mut |_| ControlFlow::Continue(())))
                .unwrap()
                .remove(0)
                .remove(0)
        };
        let (want, got) = (ask(CacheFormat::F32), ask(CacheFormat::F16));
        assert_eq!(got.tokens, tokens(&expected["greedy"][kind]["tokens"]), "{kind}");
        let gaps = want.logprobs.iter().zip(&got.logprobs).map(|(a, b)| (a - b).abs());
        let worst = gaps.fold(0.0, f32::max);
        println!("{kind}: log-probabilities differ by at most {worst:.2e}");
        assert!(worst > 0.0 && worst < 2e-3, "{kind}: {worst}");
    }
}

/// One root and the smallest step: the whole loop on a real model, whose answers may all be wrong.
#[test]
fn a_ladder_step_completes_with_honest_events() {
    let folder = tempfile::tempdir().unwrap();
    let problems = folder.path().join("problems.jsonl");
    std::fs::write(&problems, "{\"problem\": \"x*exp(x)\"}\n").unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_stepladder"))
        .args(["ladder", "--task", "integral", "--json", "--steps", "1"])
        .args(["--group-size", "2", "--prompts-per-step", "1", "--max-tokens", "12"])
        .args(["--set", "variants.sampling.max_tokens=24", "--model"])
        .arg(path())
        .arg("--problems")
        .arg(&problems)
        .arg("--output")
        .arg(folder.path().join("run"))
        .env("STEPLADDER_CACHE", folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let events: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |kind: &str| events.iter().filter(|event| event["type"] == kind).collect::<Vec<_>>();
    assert_eq!(of("started").len(), 1);
    assert!(!of("variants").is_empty() && !of("verified").is_empty());
    let steps = of("step");
    assert_eq!(steps.len(), 1);
    let verdicts = &steps[0]["verdicts"];
    let count = |kind: &str| verdicts[kind].as_u64().unwrap();
    assert!(count("correct") + count("wrong") + count("malformed") + count("unverifiable") > 0, "{verdicts}");
    assert_eq!(of("finished")[0]["reason"], "completed");
    assert!(folder.path().join("run/adapter/adapter_model.safetensors").exists());
    assert!(folder.path().join("run/report.html").exists());
}
