//! Rows that come and go in one batch say what a generator says that knows all of them beforehand.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixture_models;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use fixture_models::{FAMILIES, adapter_file, folder, load};
use pollster::block_on;
use stepladder::kernel::cache::CacheFormat;
use stepladder::model::Model;
use stepladder::model::generate::{Continuous, End, Generator, Request, Sampling};
use stepladder::train::adapter;

fn request(prompt: Vec<u32>, max_tokens: usize) -> Request {
    let sampling = Sampling { max_tokens, temperature: 0.0, ..Sampling::default() };
    Request { prompt, samples: 1, sampling, seed: 3 }
}

/// Prompts of several lengths, page ends included, of which some begin with others.
fn requests() -> Vec<Request> {
    let prompt = |len: u32| (0..len).map(|i| (i * 37) % 250).collect();
    let lengths = [40, 1, 33, 100, 17, 16, 2, 65].into_iter();
    lengths.zip([30, 9, 21, 14, 5, 1, 40, 12]).map(|(len, most)| request(prompt(len), most)).collect()
}

fn batch(model: &Arc<Model>, rows: usize, context: usize) -> Continuous {
    Continuous::new(Arc::clone(model), Continuous::sizes(rows, context, CacheFormat::F32)).unwrap()
}

/// Tokens by request, with the tokens that were cached; a row begins whenever one is free.
fn run(batch: &mut Continuous, requests: &[Request]) -> (Vec<Vec<u32>>, Vec<usize>) {
    let (mut made, mut ends): (BTreeMap<u64, Vec<u32>>, usize) = (BTreeMap::new(), 0);
    let mut cached = Vec::new();
    while ends < requests.len() {
        while let Some(request) = requests.get(cached.len()) {
            let id = cached.len() as u64;
            let Some(tokens) = block_on(batch.admit(id, request, 0, 0)).unwrap() else { break };
            cached.push(tokens);
        }
        block_on(batch.step(&mut |news| {
            made.entry(news.id).or_default().extend(news.tokens);
            ends += usize::from(matches!(news.end, Some(End::Stop | End::Length)));
        }))
        .unwrap();
    }
    assert_eq!(batch.running(), 0);
    (made.into_values().collect(), cached)
}

#[test]
fn rows_say_what_they_would_say_alone() {
    for name in FAMILIES {
        let model = load(name);
        let requests = requests();
        let mut generator = Generator::new(Arc::clone(&model), None, 4);
        let expected = block_on(generator.generate(&requests, &mut |_| ControlFlow::Continue(()))).unwrap();
        let expected: Vec<Vec<u32>> = expected.into_iter().flatten().map(|made| made.tokens).collect();
        let mut batch = batch(&model, 3, 160);
        let (first, cached) = run(&mut batch, &requests);
        assert_eq!(first, expected, "{name}");
        // 33 tokens begin as the 40 before them did: two pages, the last token apart.
        assert_eq!((cached[0], cached[2]), (0, 32), "{name}");
        let (again, cached) = run(&mut batch, &requests);
        assert_eq!((again, cached[3]), (expected, 96), "{name}");
    }
}

#[test]
fn a_row_that_is_stopped_leaves_nothing_wrong_behind() {
    let model = load("llama");
    let requests = requests();
    let mut batch = batch(&model, 2, 160);
    let (expected, _) = run(&mut batch, &requests);
    for _ in 0..40 {
        // More stops than there are pages: none may be lost.
        block_on(batch.admit(90, &requests[3], 0, 0)).unwrap().unwrap();
        block_on(batch.step(&mut |_| {})).unwrap();
        assert!(batch.take_adapter(1, None).is_err(), "a row runs");
        batch.stop(90).unwrap();
    }
    assert_eq!(run(&mut batch, &requests).0, expected);
}

#[test]
fn the_cache_of_one_adapter_is_not_taken_for_another() {
    let model = load("qwen2");
    let file = adapter_file(&model, &folder("qwen2").join("adapter"));
    let lora = adapter::upload(model.gpu(), model.config(), &file).unwrap();
    let requests = requests();
    let mut of_lora = Generator::new(Arc::clone(&model), Some(&lora), 4);
    let tuned = block_on(of_lora.generate(&requests, &mut |_| ControlFlow::Continue(()))).unwrap();
    let tuned: Vec<Vec<u32>> = tuned.into_iter().flatten().map(|made| made.tokens).collect();
    let mut batch = batch(&model, 4, 160);
    let (base, _) = run(&mut batch, &requests);
    batch.take_adapter(1, Some(&lora)).unwrap();
    let (got, cached) = run(&mut batch, &requests);
    assert_eq!((got, cached[0]), (tuned, 0));
    assert_ne!(run(&mut batch, &requests).0, base);
    batch.take_adapter(0, None).unwrap();
    assert_eq!(run(&mut batch, &requests).0, base);
}

#[test]
fn the_likeliest_tokens_are_those_that_are_drawn() {
    let model = load("llama");
    let mut batch = batch(&model, 1, 64);
    block_on(batch.admit(0, &request(vec![5, 9, 70], 6), 0, 4)).unwrap().unwrap();
    let mut seen = 0;
    while batch.running() > 0 {
        block_on(batch.step(&mut |news| {
            assert_eq!(news.tokens.len(), news.likeliest.len());
            for ((token, logprob), likeliest) in news.tokens.iter().zip(news.logprobs).zip(news.likeliest) {
                assert_eq!((likeliest.len(), likeliest[0].0), (4, *token));
                assert!((likeliest[0].1 - logprob).abs() < 1e-4 && likeliest.is_sorted_by(|a, b| a.1 >= b.1));
                seen += 1;
            }
        }))
        .unwrap();
    }
    assert_eq!(seen, 6);
}
