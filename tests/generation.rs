//! Sampling on the GPU against PyTorch's greedy text, and against the training forward pass.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixture_models;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fixture_models::{FAMILIES, adapter_file, checks, folder, load, source, trainer};
use pollster::block_on;
use stepladder::Error;
use stepladder::gpu::{Gpu, GpuOptions};
use stepladder::kernel::cache::CacheFormat;
use stepladder::model::Model;
use stepladder::model::config::ModelConfig;
use stepladder::model::generate::{Completion, Generator, Request, Sampling};
use stepladder::train::loss::LossName;
use stepladder::train::trainer::{Optimizer, Trainer, Trajectory};

fn generate(generator: &mut Generator, requests: &[Request]) -> Vec<Vec<Completion>> {
    block_on(generator.generate(requests, &mut |_| ControlFlow::Continue(()))).unwrap()
}

fn request(prompt: &[u32], samples: usize, temperature: f32, max_tokens: usize, seed: u64) -> Request {
    let sampling = Sampling { max_tokens, temperature, ..Sampling::default() };
    Request { prompt: prompt.to_vec(), samples, sampling, seed }
}

fn with_adapter(name: &str) -> Trainer {
    let model = load(name);
    let file = adapter_file(&model, &folder(name).join("adapter"));
    trainer(&model, &file, 512)
}

/// Prompts of several lengths, page ends included.
fn prompts() -> Vec<Vec<u32>> {
    [1, 2, 15, 16, 17, 33, 40].iter().map(|&len| (0..len).map(|i| (i * 37 + len) % 250).collect()).collect()
}

#[test]
fn greedy_text_equals_pytorch() {
    for name in FAMILIES {
        block_on(checks::greedy(&load(name), name)).unwrap();
    }
}

#[test]
fn rollout_logprobs_equal_the_training_forward_pass() {
    for name in FAMILIES {
        let mut trainer = with_adapter(name);
        let mut generator = Generator::new(Arc::clone(trainer.model()), Some(trainer.lora()), 8);
        let requests: Vec<Request> = prompts().iter().map(|p| request(p, 3, 1.0, 21, 7)).collect();
        let got = generate(&mut generator, &requests);
        let mut batch = Vec::new();
        for (request, samples) in requests.iter().zip(&got) {
            for sample in samples {
                let tokens = [request.prompt.as_slice(), &sample.tokens].concat();
                let scored = (0..tokens.len()).map(|t| t + 1 >= request.prompt.len()).collect();
                batch.push(Trajectory::supervised(tokens, scored));
            }
        }
        let scores = block_on(trainer.logprobs(&batch, true)).unwrap();
        for (sample, scores) in got.iter().flatten().zip(&scores) {
            assert_eq!(sample.logprobs.len(), scores.logp.len());
            for (rollout, training) in sample.logprobs.iter().zip(&scores.logp) {
                assert!((rollout - training).abs() < 1e-3, "{name}: {rollout} {training}");
            }
        }
    }
}

#[test]
fn a_completion_does_not_depend_on_its_batch() {
    let trainer = with_adapter("llama");
    let requests: Vec<Request> =
        prompts().iter().zip(0..).map(|(p, seed)| request(p, 3, 1.0, 30, seed)).collect();
    let mut wide = Generator::new(Arc::clone(trainer.model()), Some(trainer.lora()), 32);
    let together = generate(&mut wide, &requests);
    // Fewer rows than samples: rows are used again, and the batch shrinks at the end.
    let mut narrow = Generator::new(Arc::clone(trainer.model()), Some(trainer.lora()), 4);
    for got in [generate(&mut narrow, &requests), generate(&mut wide, &requests)] {
        for (a, b) in together.iter().flatten().zip(got.iter().flatten()) {
            assert_eq!(a.tokens, b.tokens);
            let worst = a.logprobs.iter().zip(&b.logprobs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-4, "{worst}");
        }
    }
    let mut single = Generator::new(Arc::clone(trainer.model()), Some(trainer.lora()), 1);
    for (request, group) in requests.iter().zip(&together) {
        let got = generate(&mut single, std::slice::from_ref(request));
        for (a, b) in group.iter().zip(&got[0]) {
            assert_eq!(a.tokens, b.tokens);
            let worst = a.logprobs.iter().zip(&b.logprobs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-4, "{worst}");
        }
    }
    assert_ne!(together[6][0].tokens, together[6][1].tokens);
}

#[test]
fn progress_gives_every_token_once_and_stops_on_request() {
    let trainer = with_adapter("llama");
    let mut generator = Generator::new(Arc::clone(trainer.model()), None, 2);
    let requests: Vec<Request> = prompts().iter().map(|p| request(p, 2, 1.0, 19, 3)).collect();
    let mut streamed = vec![vec![Vec::new(); 2]; requests.len()];
    let mut ends = 0;
    let got = block_on(generator.generate(&requests, &mut |news| {
        streamed[news.request][news.sample].extend_from_slice(news.tokens);
        ends += usize::from(news.done);
        ControlFlow::Continue(())
    }))
    .unwrap();
    let tokens: Vec<Vec<Vec<u32>>> =
        got.iter().map(|group| group.iter().map(|c| c.tokens.clone()).collect()).collect();
    assert_eq!((streamed, ends), (tokens, 2 * requests.len()));

    let outcome = block_on(generator.generate(&requests, &mut |_| ControlFlow::Break(())));
    assert!(matches!(outcome, Err(Error::Cancelled)));
    assert_eq!(generate(&mut generator, &requests), got, "a cancelled run leaves nothing behind");
}

#[test]
fn a_prompt_stops_between_slices_once_it_is_cancelled() {
    let trainer = with_adapter("llama");
    let mut generator = Generator::new(Arc::clone(trainer.model()), None, 2);
    let cancel = Arc::new(AtomicBool::new(true));
    generator.set_cancel(Arc::clone(&cancel));
    let requests: Vec<Request> = prompts().iter().map(|p| request(p, 2, 1.0, 9, 3)).collect();
    let mut news = 0;
    let outcome = block_on(generator.generate(&requests, &mut |_| {
        news += 1;
        ControlFlow::Continue(())
    }));
    assert!(matches!(outcome, Err(Error::Cancelled)));
    assert_eq!(news, 0, "it was not heard before the first token");
    cancel.store(false, Ordering::Relaxed);
    let mut fresh = Generator::new(Arc::clone(trainer.model()), None, 2);
    assert_eq!(generate(&mut generator, &requests), generate(&mut fresh, &requests));
}

#[test]
fn prompts_that_do_not_fit_are_refused() {
    let trainer = with_adapter("llama");
    let mut generator = Generator::new(Arc::clone(trainer.model()), None, 2);
    let context = trainer.model().context();
    for (prompt, code) in [(vec![], "usage"), (vec![1; context], "context"), (vec![1_000_000], "usage")] {
        let outcome = block_on(
            generator.generate(&[request(&prompt, 1, 1.0, 4, 0)], &mut |_| ControlFlow::Continue(())),
        );
        assert_eq!(outcome.unwrap_err().code(), code);
    }
    // The context ends a completion that may go on.
    let got = generate(&mut generator, &[request(&vec![1; context - 3], 1, 0.0, 50, 0)]);
    assert!(got[0][0].tokens.len() <= 3);
}

/// `shared` tokens that all begin with, and then each its own.
fn with_prefix(shared: usize, own: &[u32]) -> Vec<u32> {
    (0..shared as u32).map(|i| (i * 53 + 11) % 250).chain(own.iter().copied()).collect()
}

/// Prompts that share `shared` tokens and end at and about page ends.
fn prefixed(shared: usize) -> Vec<Vec<u32>> {
    [1, 2, 5, 15, 16, 17, 33]
        .iter()
        .map(|&len| with_prefix(shared, &(0..len).map(|i| (i * 37 + len * 7) % 250).collect::<Vec<_>>()))
        .collect()
}

/// Holds what `generator` says to requests together to what `alone` says to each: the same tokens, and log-probabilities
/// within the bound of a batch.
#[track_caller]
fn assert_as_alone(generator: &mut Generator, alone: &mut Generator, requests: &[Request]) {
    let together = generate(generator, requests);
    for (index, (request, got)) in requests.iter().zip(&together).enumerate() {
        let want = &generate(alone, std::slice::from_ref(request))[0];
        assert_eq!(got.len(), want.len());
        for (a, b) in got.iter().zip(want) {
            assert_eq!((&a.tokens, a.truncated), (&b.tokens, b.truncated), "request {index}");
            let worst = a.logprobs.iter().zip(&b.logprobs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-4, "request {index}: {worst}");
        }
    }
}

#[test]
fn a_shared_prefix_changes_nothing_but_the_work() {
    for name in FAMILIES {
        let trainer = with_adapter(name);
        for lora in [None, Some(trainer.lora())] {
            let new = |rows| Generator::new(Arc::clone(trainer.model()), lora, rows);
            // More samples than rows, too: the prefix outlives the rows that end.
            let (mut wide, mut narrow, mut alone) = (new(32), new(4), new(32));
            // Families differ in what they compute, not in what of it is shared.
            for &shared in if name == "llama" { &[16, 40, 64][..] } else { &[40] } {
                for temperature in [0.0, 1.0] {
                    let requests: Vec<Request> = prefixed(shared)
                        .iter()
                        .zip(3..)
                        .map(|(p, seed)| request(p, 2, temperature, 12, seed))
                        .collect();
                    assert_as_alone(&mut wide, &mut alone, &requests);
                    assert_as_alone(&mut narrow, &mut alone, &requests);
                }
            }
        }
    }
}

#[test]
fn a_shared_prefix_is_computed_once() {
    let trainer = with_adapter("llama");
    let lengths = |prompts: &[Vec<u32>]| prompts.iter().map(|p| p.len() as u64).sum::<u64>();
    let count = |prompts: &[Vec<u32>], rows: usize| {
        let mut generator = Generator::new(Arc::clone(trainer.model()), Some(trainer.lora()), rows);
        let mut alone = Generator::new(Arc::clone(trainer.model()), Some(trainer.lora()), 8);
        let requests: Vec<Request> =
            prompts.iter().zip(0..).map(|(p, seed)| request(p, 2, 0.0, 6, seed)).collect();
        assert_as_alone(&mut generator, &mut alone, &requests);
        assert_eq!(alone.prefilled_tokens(), lengths(prompts));
        generator.prefilled_tokens()
    };
    let saved = |prompts: &[Vec<u32>], pages: u64| {
        let want = lengths(prompts) - 16 * pages * (prompts.len() as u64 - 1);
        for rows in [2, 64] {
            assert_eq!(count(prompts, rows), want, "{rows} rows");
        }
    };
    saved(&prompts(), 0);
    for (shared, pages) in [(15, 0), (16, 1), (31, 1), (32, 2), (40, 2)] {
        saved(&prefixed(shared), pages);
    }
    // A prompt that is what the others begin with, and one that ends inside of it.
    saved(&[with_prefix(32, &[]), with_prefix(32, &[1]), with_prefix(32, &[2, 3])], 1);
    saved(&[with_prefix(33, &[]), with_prefix(33, &[1]), with_prefix(33, &[2, 3])], 2);
    saved(&[with_prefix(64, &[1]), with_prefix(20, &[]), with_prefix(64, &[2])], 1);
    saved(&[with_prefix(64, &[1]), with_prefix(3, &[]), with_prefix(64, &[2])], 0);
    // The same prompt twice.
    saved(&[with_prefix(50, &[]), with_prefix(50, &[])], 3);
    // More tokens after the prefix than one pass takes.
    let own = |i: u32| (0..40).map(|t| (t * 7 + i) % 250).collect::<Vec<_>>();
    saved(&(0..30).map(|i| with_prefix(48, &own(i))).collect::<Vec<_>>(), 3);
}

#[test]
fn requests_for_no_samples_are_no_trouble() {
    let trainer = with_adapter("llama");
    let mut generator = Generator::new(Arc::clone(trainer.model()), None, 4);
    let prompt = with_prefix(40, &[1]);
    let requests: Vec<Request> =
        [(vec![1], 0), (prompt.clone(), 2), (vec![2; 30], 0), (prompt.clone(), 1), (vec![3], 0)]
            .map(|(prompt, samples)| request(&prompt, samples, 0.0, 5, 0))
            .into();
    let got = generate(&mut generator, &requests);
    assert_eq!(got.iter().map(Vec::len).collect::<Vec<_>>(), [0, 2, 0, 1, 0]);
    assert_eq!(got[1][0].tokens, got[3][0].tokens);
    assert_eq!(generator.prefilled_tokens(), 32 + 2 * 9);
}

/// Greedy completions with room for long rows, and the dispatches that they took.
fn long_rows(software: bool, rows: usize) -> (Vec<Completion>, u64) {
    let options = GpuOptions { as_software: Some(software), ..GpuOptions::default() };
    let gpu = Arc::new(block_on(Gpu::open(&options)).unwrap());
    let file = folder("llama").join("config.json");
    let mut config = ModelConfig::from_json(&file, &std::fs::read_to_string(&file).unwrap()).unwrap();
    config.max_position_embeddings = 1024;
    let mut weights = source("llama");
    let model = Model::load(Arc::clone(&gpu), config, &mut weights, None, 1024, &mut |_, _| {}).unwrap();
    let model = Arc::new(model);
    let mut generator = Generator::new(Arc::clone(&model), None, rows);
    let prompt: Vec<u32> = (0..530).map(|i| (i * 37) % 250).collect();
    let before = gpu.work().dispatches();
    let long = generate(&mut generator, &[request(&prompt, rows, 0.0, 9, 0)]);
    let dispatches = gpu.work().dispatches() - before;
    // The room is there still, but short rows are computed as if it was not.
    let short = [request(&prompt[..30], rows, 0.0, 9, 0)];
    let mut fresh = Generator::new(model, None, rows);
    assert_eq!(generate(&mut generator, &short), generate(&mut fresh, &short));
    (long.concat(), dispatches)
}

#[test]
fn long_rows_are_split_on_a_gpu_and_say_the_same() {
    for rows in [1, 3] {
        let ((whole, few), (split, more)) = (long_rows(true, rows), long_rows(false, rows));
        assert!(more > few, "{more} dispatches, {few} without splits");
        for (a, b) in whole.iter().zip(&split) {
            assert_eq!(a.tokens, b.tokens);
            let worst = a.logprobs.iter().zip(&b.logprobs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-4, "{worst}");
        }
    }
}

/// A prompt of `len` tokens; those of other seeds differ from the first on.
fn tokens(len: u32, seed: u32) -> Vec<u32> {
    (0..len).map(|i| (i * 37 + seed * 11 + 5) % 250).collect()
}

/// Asks a generator that keeps and a new one; the same tokens, and log-probabilities within the bound of a batch. What was
/// said, how many tokens of the prompt were computed, and how many were there.
#[track_caller]
fn turn(kept: &mut Generator, fresh: &mut Generator, request: &Request) -> (Completion, u64, usize) {
    let before = kept.prefilled_tokens();
    let got = generate(kept, std::slice::from_ref(request)).remove(0).remove(0);
    let want = &generate(fresh, std::slice::from_ref(request))[0][0];
    assert_eq!((&got.tokens, got.truncated), (&want.tokens, want.truncated));
    let worst = got.logprobs.iter().zip(&want.logprobs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 1e-4, "{worst}");
    let (computed, cached) = (kept.prefilled_tokens() - before, kept.cached_tokens());
    assert_eq!(computed as usize + cached, request.prompt.len());
    (got, computed, cached)
}

#[test]
fn a_conversation_computes_only_what_is_new() {
    for name in FAMILIES {
        let trainer = with_adapter(name);
        for (lora, temperature) in [(None, 0.0), (Some(trainer.lora()), 1.0)] {
            let mut kept = Generator::new(Arc::clone(trainer.model()), lora, 1);
            kept.keep();
            let mut fresh = Generator::new(Arc::clone(trainer.model()), lora, 1);
            let mut history = tokens(21, 1);
            let mut known = 0;
            // Turns that end at, before and after the ends of pages, and outgrow the room of those before.
            for (index, new) in [1, 5, 16, 2, 33, 14].into_iter().enumerate() {
                if history.len() + new as usize >= trainer.model().context() {
                    assert!(index >= 4, "{name}: a conversation of {index} turns");
                    break;
                }
                history.extend(tokens(new, index as u32 + 2));
                let asked = request(&history, 1, temperature, 11, index as u64);
                let (said, _, cached) = turn(&mut kept, &mut fresh, &asked);
                assert_eq!(cached, known, "{name}, turn {index}");
                // The last token that was made was never fed.
                known = history.len() + said.tokens.len() - 1;
                history.extend(&said.tokens);
            }
        }
    }
}

#[test]
fn other_turns_keep_what_they_begin_with() {
    let trainer = with_adapter("llama");
    let mut kept = Generator::new(Arc::clone(trainer.model()), Some(trainer.lora()), 1);
    kept.keep();
    let mut fresh = Generator::new(Arc::clone(trainer.model()), Some(trainer.lora()), 1);
    let mut cached = |prompt: &[u32]| turn(&mut kept, &mut fresh, &request(prompt, 1, 0.0, 7, 0)).2;
    let long = tokens(70, 1);
    assert_eq!(cached(&long), 0);
    assert_eq!(cached(&long), 69, "the same again: its last token has to be fed");
    assert_eq!(cached(&long[..40]), 39, "taken back");
    // What comes after the branch is overwritten.
    let edited = [&long[..30], &tokens(30, 9)].concat();
    assert_eq!(cached(&edited), 30);
    assert_eq!(cached(&long), 30);
    assert_eq!(cached(&tokens(50, 4)), 0, "another conversation");
    assert_eq!(cached(&long), 0);
}

#[test]
fn what_is_kept_goes_with_the_adapters_values_and_with_a_batch() {
    let mut trainer = with_adapter("llama");
    let mut kept = Generator::new(Arc::clone(trainer.model()), Some(trainer.lora()), 4);
    kept.keep();
    let mut fresh = Generator::new(Arc::clone(trainer.model()), Some(trainer.lora()), 4);
    let asked = request(&tokens(40, 1), 1, 0.0, 7, 0);
    let mut cached = |asked: &Request| turn(&mut kept, &mut fresh, asked).2;
    assert_eq!((cached(&asked), cached(&asked)), (0, 39));
    let values = block_on(trainer.read_adapter()).unwrap();
    trainer.write_adapter(&values.iter().map(|value| value * 3.0).collect::<Vec<_>>()).unwrap();
    assert_eq!((cached(&asked), cached(&asked)), (0, 39), "values were written");
    let batch = [Trajectory::supervised(tokens(30, 2), vec![true; 30])];
    let optimizer = Optimizer::default();
    block_on(trainer.step(&batch, &LossName::Sft.config(1), 1e-2, &optimizer)).unwrap();
    assert_eq!((cached(&asked), cached(&asked)), (0, 39), "a step was taken");
    trainer.push_adapter().unwrap();
    assert_eq!(cached(&asked), 39, "a copy has the same values");
    trainer.pop_adapter(false).unwrap();
    assert_eq!((cached(&asked), cached(&asked)), (0, 39));
    let several = [request(&tokens(40, 1), 2, 1.0, 7, 0), request(&tokens(9, 3), 1, 1.0, 7, 1)];
    assert_eq!(generate(&mut kept, &several), generate(&mut fresh, &several));
    assert_eq!((kept.cached_tokens(), turn(&mut kept, &mut fresh, &asked).2), (0, 0));
    // One that is not told to keeps nothing.
    generate(&mut fresh, std::slice::from_ref(&asked));
    assert_eq!(fresh.cached_tokens(), 0);
}

#[test]
fn a_turn_that_was_cancelled_leaves_what_was_computed() {
    let trainer = with_adapter("llama");
    let mut kept = Generator::new(Arc::clone(trainer.model()), None, 1);
    kept.keep();
    let cancel = Arc::new(AtomicBool::new(false));
    kept.set_cancel(Arc::clone(&cancel));
    let mut fresh = Generator::new(Arc::clone(trainer.model()), None, 1);
    let first = request(&tokens(40, 1), 1, 0.0, 30, 0);
    let mut made = Vec::new();
    let outcome = block_on(kept.generate(std::slice::from_ref(&first), &mut |news| {
        made.extend_from_slice(news.tokens);
        if made.is_empty() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }));
    assert!(matches!(outcome, Err(Error::Cancelled)) && (2..30).contains(&made.len()), "{made:?}");
    let next = request(&[&first.prompt[..], &made, &tokens(20, 2)].concat(), 1, 0.0, 9, 0);
    cancel.store(true, Ordering::Relaxed);
    let outcome = block_on(kept.generate(std::slice::from_ref(&next), &mut |_| ControlFlow::Continue(())));
    assert!(matches!(outcome, Err(Error::Cancelled)), "before its first token");
    cancel.store(false, Ordering::Relaxed);
    assert_eq!(turn(&mut kept, &mut fresh, &next).2, 40 + made.len() - 1);
}

/// How far log-probabilities may be from those with keys and values as they were computed. The weights of these models are
/// random and large, and so are the scores that are rounded; tests/smollm2.rs holds a trained model to less.
const F16_BOUND: f32 = 2e-2;

#[test]
fn keys_and_values_in_16_bits_say_nearly_the_same() {
    for name in FAMILIES {
        let trainer = with_adapter(name);
        for lora in [None, Some(trainer.lora())] {
            let new = |format| {
                let mut generator = Generator::new(Arc::clone(trainer.model()), lora, 8);
                generator.keep_as(format);
                generator
            };
            let (mut exact, mut halves) = (new(CacheFormat::F32), new(CacheFormat::F16));
            // Prefilled and decoded; and behind a shared prefix.
            for prompts in [prompts(), prefixed(40)] {
                let requests: Vec<Request> = prompts.iter().map(|p| request(p, 2, 0.0, 12, 0)).collect();
                let (want, got) = (generate(&mut exact, &requests), generate(&mut halves, &requests));
                let (mut worst, mut differ) = (0.0f32, 0);
                for (a, b) in want.iter().flatten().zip(got.iter().flatten()) {
                    // Where two tokens are as likely as one another, either may be drawn; what follows is another text.
                    let alike = a.tokens.iter().zip(&b.tokens).take_while(|(a, b)| a == b).count();
                    differ += usize::from(a.tokens != b.tokens);
                    let gaps = a.logprobs.iter().zip(&b.logprobs).map(|(a, b)| (a - b).abs());
                    worst = gaps.take(alike + 1).fold(worst, f32::max);
                }
                let drawn = want.iter().flatten().count();
                assert!(differ * 4 <= drawn, "{name}: {differ} of {drawn} texts differ");
                println!("{name}: log-probabilities differ by at most {worst:.2e}");
                assert!(worst > 0.0 && worst < F16_BOUND, "{name}: {worst}");
            }
        }
    }
}

#[test]
fn a_conversation_is_kept_in_16_bits_too() {
    let trainer = with_adapter("llama");
    let new = || {
        let mut generator = Generator::new(Arc::clone(trainer.model()), None, 1);
        generator.keep_as(CacheFormat::F16);
        generator
    };
    let (mut kept, mut fresh) = (new(), new());
    kept.keep();
    let long = tokens(70, 1);
    for (length, cached) in [(20, 0), (50, 20), (70, 50)] {
        let asked = request(&long[..length], 1, 0.0, 1, 0);
        let (got, want) = (generate(&mut kept, std::slice::from_ref(&asked)), generate(&mut fresh, &[asked]));
        assert_eq!((got[0][0].tokens.clone(), kept.cached_tokens()), (want[0][0].tokens.clone(), cached));
        // A prompt as a whole sees its own keys before they are rounded.
        assert!((got[0][0].logprobs[0] - want[0][0].logprobs[0]).abs() < F16_BOUND);
    }
    kept.keep_as(CacheFormat::F32);
    let asked = request(&long, 1, 0.0, 1, 0);
    generate(&mut kept, std::slice::from_ref(&asked));
    assert_eq!(kept.cached_tokens(), 0, "what is in another format goes");
}
