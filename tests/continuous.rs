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
use stepladder::model::generate::{Adjustment, Continuous, End, Generator, Guide, Request, Sampling};
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

/// Allows the tokens of a list one after the other, then the model's end.
struct Spelled {
    left: Vec<u32>,
    end: u32,
}

impl Guide for Spelled {
    fn allowed(&mut self, words: &mut [u32]) -> stepladder::Result<()> {
        let token = self.left.first().copied().unwrap_or(self.end) as usize;
        words[token / 32] |= 1 << (token % 32);
        Ok(())
    }

    fn take(&mut self, token: u32) -> stepladder::Result<()> {
        match self.left.iter().position(|&left| left == token) {
            Some(0) => drop(self.left.remove(0)),
            _ => return Err(stepladder::Error::usage("guide", "is not followed", "")),
        }
        Ok(())
    }
}

/// Tokens by request of rows of one batch, each with what it asks of its logits, and how each ended.
fn run_adjusted(
    model: &Arc<Model>,
    requests: &[Request],
    asks: &[(Adjustment, Option<Vec<u32>>)],
) -> Vec<(Vec<u32>, Option<End>)> {
    let mut batch = batch(model, 8, 160);
    let end = model.config().eos_token_ids[0];
    let mut made: Vec<(Vec<u32>, Option<End>)> = vec![(Vec::new(), None); requests.len()];
    for (id, (request, (adjustment, spelled))) in requests.iter().zip(asks).enumerate() {
        let mut guide = || {
            let spelled = spelled.clone()?;
            Some(Box::new(Spelled { left: spelled, end }) as Box<dyn Guide>)
        };
        let admitted = batch.admit_adjusted(id as u64, request, 0, 0, adjustment.clone(), &mut guide);
        block_on(admitted).unwrap().unwrap();
    }
    while batch.running() > 0 {
        block_on(batch.step(&mut |news| {
            let made = &mut made[news.id as usize];
            made.0.extend(news.tokens);
            made.1 = news.end;
        }))
        .unwrap();
    }
    made
}

#[test]
fn rows_that_adjust_their_logits_leave_others_as_they_are() {
    let model = load("qwen2");
    let requests = requests();
    let none = (Adjustment::default(), None);
    let plain = run_adjusted(&model, &requests, &vec![none.clone(); 8]);
    let mut asks = vec![none; 8];
    let banned: Vec<(u32, f32)> = plain[0].0.iter().map(|&token| (token, -100.0)).collect();
    asks[0].0.bias = banned.clone();
    asks[2].0.presence = 50.0;
    asks[3].0.repetition = 1e6;
    asks[4].1 = Some(vec![7, 7, 9]);
    asks[6] =
        (Adjustment { bias: vec![(7, -100.0)], frequency: 3.0, ..Adjustment::default() }, Some(vec![7; 60]));
    let got = run_adjusted(&model, &requests, &asks);
    for index in [1, 5, 7] {
        assert_eq!(got[index], plain[index], "{index}");
    }
    assert!(got[0].0.iter().all(|token| banned.iter().all(|(banned, _)| banned != token)));
    // Such penalties let no token come twice; that of repetition knows the prompt too.
    for index in [2, 3] {
        let mut seen = got[index].0.clone();
        seen.sort_unstable();
        assert!(seen.windows(2).all(|pair| pair[0] != pair[1]), "{seen:?}");
    }
    assert!(got[3].0.iter().all(|token| !requests[3].prompt.contains(token)));
    assert_ne!(plain[2].0, got[2].0);
    let end = model.config().eos_token_ids[0];
    assert_eq!(got[4], (vec![7, 7, 9, end], Some(End::Stop)));
    assert_eq!(got[6], (vec![7; 40], Some(End::Length)));
}

#[test]
fn penalties_are_those_of_their_formulas() {
    // Each greedy choice is the largest of what an unchanged row says, with the formula applied.
    let model = load("llama");
    let request = request(vec![5, 9, 70], 12);
    let adjustment =
        Adjustment { presence: 0.4, frequency: 0.3, bias: vec![(11, 0.2)], ..Adjustment::default() };
    let got = &run_adjusted(&model, std::slice::from_ref(&request), &[(adjustment.clone(), None)])[0].0;
    let (mut plain, vocab) = (batch(&model, 1, 64), model.config().vocab_size);
    let mut text = request.prompt.clone();
    for &token in got {
        let sampling = Sampling { max_tokens: 1, ..request.sampling };
        let step = Request { prompt: text.clone(), sampling, ..request.clone() };
        block_on(plain.admit(0, &step, 0, vocab)).unwrap().unwrap();
        let mut scores = Vec::new();
        while plain.running() > 0 {
            block_on(plain.step(&mut |news| scores.extend(news.likeliest.iter().flatten().copied())))
                .unwrap();
        }
        assert_eq!(scores.len(), vocab);
        for (of, score) in &mut scores {
            let drawn = text[request.prompt.len()..].iter().filter(|drawn| *drawn == of).count() as f32;
            *score += if *of == 11 { 0.2 } else { 0.0 } - 0.4 * drawn.min(1.0) - 0.3 * drawn;
        }
        let best = scores.iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
        assert_eq!(best.0, token);
        text.push(token);
    }
}
