//! The embedded model: greedy text and log-probabilities as PyTorch gives them for the same weights.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixture_models;

use std::ops::ControlFlow;
use std::sync::Arc;

use fixture_models::gpu;
use pollster::block_on;
use serde::Deserialize;
use stepladder::model::generate::{Generator, Request, Sampling};
use stepladder::model::open::OpenModel;
use stepladder::model::{Model, tiny};
use stepladder::train::adapter;
use stepladder::train::lora_config::LoraConfig;
use stepladder::train::trainer::{Trainer, Trajectory};

#[derive(Deserialize)]
struct Case {
    prompt: String,
    prompt_tokens: Vec<u32>,
    completion: String,
    completion_tokens: Vec<u32>,
    /// Of every token but the first, prompt and completion.
    logprobs: Vec<f32>,
}

#[test]
fn greedy_text_and_logprobs_equal_pytorch() {
    let OpenModel { config, mut source, tokenizer, .. } = tiny::open().unwrap();
    let model = Arc::new(Model::load(gpu(), config, &mut *source, None, 256, &mut |_, _| {}).unwrap());
    let cases: Vec<Case> = serde_json::from_str(include_str!("fixtures/tiny.json")).unwrap();
    assert!(!cases.is_empty());
    let requests: Vec<Request> = cases
        .iter()
        .map(|case| {
            let prompt = tokenizer.encode(&case.prompt, true).unwrap();
            assert_eq!(prompt, case.prompt_tokens, "{}", case.prompt);
            let sampling = Sampling {
                max_tokens: case.completion_tokens.len(),
                temperature: 0.0,
                ..Sampling::default()
            };
            Request { prompt, samples: 1, sampling, seed: 0 }
        })
        .collect();
    let mut generator = Generator::new(Arc::clone(&model), None, 8);
    let got = block_on(generator.generate(&requests, &mut |_| ControlFlow::Continue(()))).unwrap();
    let layout = adapter::layout(model.config(), &LoraConfig::default()).unwrap();
    let mut trainer = Trainer::new(model, &layout, 512).unwrap();
    for (case, completions) in cases.iter().zip(&got) {
        assert_eq!(completions[0].tokens, case.completion_tokens, "{}", case.prompt);
        assert_eq!(tokenizer.decode(&completions[0].tokens).unwrap(), case.completion, "{}", case.prompt);
        let tokens = [case.prompt_tokens.as_slice(), &case.completion_tokens].concat();
        let all = Trajectory::supervised(tokens.clone(), vec![true; tokens.len()]);
        let scores = block_on(trainer.logprobs(&[all], false)).unwrap();
        let close = |got: &[f32], want: &[f32]| {
            assert_eq!(got.len(), want.len(), "{}", case.prompt);
            for (a, b) in got.iter().zip(want) {
                assert!((a - b).abs() < 1e-3, "{}: {a} {b}", case.prompt);
            }
        };
        close(&scores[0].logp, &case.logprobs);
        close(&completions[0].logprobs, &case.logprobs[case.prompt_tokens.len() - 1..]);
    }
}
