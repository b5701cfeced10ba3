//! Whole models on the GPU against PyTorch + transformers + PEFT in float32 (design section 4).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixture_models;

use fixture_models::checks::{self, max_error, relative_l2};
use fixture_models::{
    Expected, FAMILIES, adapter_file, f16_gpu, folder, gpu, limited_gpu, load, load_on, source, trainer,
};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use pollster::block_on;
use stepladder::gpu::{Gpu, GpuOptions};
use stepladder::kernel::weight::Format;
use stepladder::model::Model;
use stepladder::model::config::ModelConfig;
use stepladder::model::score::{Pooling, embedding, hidden_states, logprobs};
use stepladder::model::source::TensorSource;
use stepladder::train::adapter;
use stepladder::train::loss::{KlConfig, KlEstimator, LossConfig, LossName};
use stepladder::train::trainer::{Optimizer, Trajectory};

#[test]
fn logprobs_equal_pytorch_with_and_without_adapter() {
    for name in FAMILIES {
        block_on(checks::logprobs(&load(name), name)).unwrap();
    }
}

/// Hidden states times the head are the logits of the log-probabilities, which are PyTorch's; a vector is what they are on average.
#[test]
fn hidden_states_are_those_that_the_head_sees() {
    for name in ["llama", "qwen2", "gemma3", "olmo2"] {
        let (model, expected, cancel) = (load(name), Expected::read(name), AtomicBool::new(false));
        let (tokens, width) = (&expected.tokens[0], model.config().hidden_size);
        let states = block_on(hidden_states(&model, None, tokens, &cancel)).unwrap();
        let got = block_on(logprobs(&model, None, tokens, &cancel)).unwrap();
        let mut source = source(name);
        let place = |name: &str| source.tensors().iter().position(|tensor| tensor.name == name);
        let head = place("lm_head.weight").or_else(|| place("model.embed_tokens.weight")).unwrap();
        let mut bytes = Vec::new();
        source.read(head, 0, model.config().vocab_size, &mut bytes).unwrap();
        let head: Vec<f32> = bytemuck::pod_collect_to_vec(&bytes);
        assert_eq!(head.len(), width * model.config().vocab_size, "{name}: the head is not in 32 bits");
        for (place, (state, got)) in states.chunks_exact(width).zip(&got).enumerate() {
            let dot = |row: &[f32]| -> f64 {
                row.iter().zip(state).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
            };
            let logits: Vec<f64> = head.chunks_exact(width).map(dot).collect();
            let all = logits.iter().map(|logit| logit.exp()).sum::<f64>().ln();
            let want = logits[tokens[place + 1] as usize] - all;
            assert!((want - f64::from(*got)).abs() < 1e-4, "{name}, token {place}: {got}, expected {want}");
        }
        for (pooling, rows) in
            [(Pooling::Mean, &states[..]), (Pooling::Last, &states[states.len() - width..])]
        {
            let got = block_on(embedding(&model, None, tokens, pooling, &cancel)).unwrap();
            let sums: Vec<f64> = (0..width)
                .map(|at| rows.iter().skip(at).step_by(width).map(|x| f64::from(*x)).sum())
                .collect();
            let length = sums.iter().map(|sum| sum * sum).sum::<f64>().sqrt();
            let close = |(got, sum): (&f32, &f64)| (f64::from(*got) - sum / length).abs() < 1e-6;
            assert!(got.len() == width && got.iter().zip(&sums).all(close), "{name}, {pooling:?}");
        }
    }
}

#[test]
fn a_batch_of_eight_equals_eight_batches_of_one() {
    for name in FAMILIES {
        let (model, expected) = (load(name), Expected::read(name));
        let file = adapter_file(&model, &folder(name).join("adapter"));
        let mut trainer = trainer(&model, &file, 512);
        // Pieces of the fixture's sequences, of eight lengths.
        let longest = &expected.tokens[2];
        let batch: Vec<Trajectory> = (2..10)
            .map(|len| Trajectory::supervised(longest[len..3 * len].to_vec(), vec![true; 2 * len]))
            .collect();
        let together = block_on(trainer.logprobs(&batch, true)).unwrap();
        for (trajectory, together) in batch.iter().zip(&together) {
            let alone = block_on(trainer.logprobs(std::slice::from_ref(trajectory), true)).unwrap();
            let error = max_error(&alone[0].logp, &together.logp);
            assert!(error < 1e-4, "{name}, {} tokens: {error}", trajectory.tokens.len());
        }
    }
}

/// Answers to two prompts, two of them alike and one that another goes on from, between sequences by themselves: under `pack_tokens` of 1
/// each has a pass of its own, with more those of a prompt share its rows.
fn answers(vocab: usize) -> Vec<Trajectory> {
    let tokens = |seed: usize, count: usize| -> Vec<u32> {
        (0..count).map(|t| ((seed * 31 + t * 17 + t * t * seed) % vocab) as u32).collect()
    };
    let mut batch = Vec::new();
    let mut add = |seed: usize, prompt: &[u32], count: usize| {
        let all = [prompt, &tokens(seed, count)].concat();
        let advantage = Some([1.0, -0.6, 0.3][batch.len() % 3]);
        batch.push(Trajectory { advantage, ..Trajectory::completing(all, prompt.len()) });
    };
    let [first, second] = [tokens(3, 21), tokens(4, 40)];
    add(1, &tokens(1, 6), 9);
    for (seed, count) in [(5, 7), (6, 1), (7, 12), (7, 12), (7, 4), (8, 19)] {
        add(seed, &first, count);
    }
    add(2, &tokens(2, 3), 5);
    for (seed, count) in [(9, 3), (10, 8)] {
        add(seed, &second, count);
    }
    batch
}

/// Whether some layers of a fixture see only the last positions.
fn windowed(name: &str) -> bool {
    load(name).config().window_size().is_some()
}

#[test]
fn answers_that_share_the_rows_of_their_prompt_equal_separate_copies() {
    let open = |software: bool, memory_limit: Option<u64>| {
        let options = GpuOptions { as_software: Some(software), memory_limit, ..GpuOptions::default() };
        Arc::new(block_on(Gpu::open(&options)).unwrap())
    };
    let kl = KlConfig { coef: 0.1, estimator: KlEstimator::K3, bias_correction: false };
    let grpo = LossConfig { kl: Some(kl), ..LossName::Grpo.config(64) };
    // Loss, log-probabilities under the adapter and the base model, and the gradients of a policy's loss and of a supervised one that
    // scores the prompts too; then the rows that this took and the most memory.
    let results = |gpu: &Arc<Gpu>, name: &str, format: Format, pack_tokens: usize| {
        let model = load_on(Arc::clone(gpu), name, &mut source(name), Some(format));
        let file = adapter_file(&model, &folder(name).join("adapter"));
        let mut trainer = trainer(&model, &file, pack_tokens);
        let mut batch = answers(model.config().vocab_size);
        let scores = [true, false].map(|adapter| block_on(trainer.logprobs(&batch, adapter)).unwrap());
        let logprobs: Vec<f32> = scores.iter().flatten().flat_map(|scores| scores.logp.clone()).collect();
        for (trajectory, scores) in batch.iter_mut().zip(&scores[0]) {
            // A policy that has moved on since: ratios are not 1.
            let old = scores.logp.iter().enumerate().map(|(t, logp)| logp + [0.05, -0.1][t % 2]);
            trajectory.old_logp = Some(old.collect());
        }
        let whole: Vec<_> = batch
            .iter()
            .map(|t| Trajectory::supervised(t.tokens.clone(), vec![true; t.tokens.len()]))
            .collect();
        let mut gradients = Vec::new();
        for (batch, config) in [(&batch, &grpo), (&whole, &LossName::Sft.config(64))] {
            let (loss, _) = block_on(trainer.gradient(batch, config)).unwrap();
            gradients.push((loss, block_on(trainer.read_gradient()).unwrap()));
        }
        (logprobs, gradients, trainer.forward_rows(), gpu.memory().peak())
    };
    for name in FAMILIES {
        // Families differ in their blocks, formats in what all blocks are made of.
        let formats = Format::offered().map(|(format, _)| format);
        for (place, format) in formats.filter(|&f| f == Format::F32 || name == "llama").enumerate() {
            // Trees change neither kind's kernels; those of all formats are compared in both, and here in one after the other.
            let kinds = match (name, format) {
                ("llama", Format::F32) => &[true, false][..],
                ("llama", _) => [&[true][..], &[false]][place % 2],
                _ => &[false],
            };
            for &software in kinds {
                let (want, expected, rows, _) = results(&open(software, None), name, format, 1);
                let (got, gradients, fewer, peak) = results(&open(software, None), name, format, 512);
                let what = format!("{name} in {}, as on software: {software}", format.name());
                match windowed(name) {
                    // Only what fits into the window lies as a tree, and these prompts do not.
                    true => assert_eq!(rows, fewer, "{what}"),
                    false => assert!(4 * rows > 5 * fewer, "{what}: {fewer} rows, {rows} apart"),
                }
                let error = relative_l2(&got, &want);
                assert!(error < 1e-5, "{what}: log-probabilities {error}");
                for ((loss, got), (expected, want)) in gradients.iter().zip(&expected) {
                    assert!(
                        (loss - expected).abs() < 1e-5 * (1.0 + expected.abs()),
                        "{what}: {loss}, {expected}"
                    );
                    let error = relative_l2(got, want);
                    assert!(error < 1e-5, "{what}: gradient {error}");
                }
                if format == Format::F32 {
                    // With room for one block's intermediate results the others' are computed again.
                    let (_, again, _, lower) = results(&open(software, Some(peak)), name, format, 512);
                    assert!(lower < peak, "{what}: peaks {lower} {peak}");
                    assert!(again == gradients, "{what}: results kept or computed again differ");
                }
            }
        }
    }
}

#[test]
fn an_rslora_adapter_with_patterns_equals_peft() {
    let (model, expected) = (load("llama"), Expected::read("llama"));
    let file = adapter_file(&model, &folder("llama").join("adapter_rslora"));
    let mut trainer = trainer(&model, &file, 512);
    let scores = block_on(trainer.logprobs(&expected.all_scored(), true)).unwrap();
    for (index, scores) in scores.iter().enumerate() {
        let error = max_error(&scores.logp, &expected.tensors[&format!("logprobs.rslora.{index}")]);
        assert!(error < 1e-3, "sequence {index}: {error}");
    }
}

#[test]
fn default_limits_give_the_same_model() {
    let gpu = limited_gpu();
    for name in FAMILIES {
        let (model, expected) = (load_on(gpu.clone(), name, &mut source(name), None), Expected::read(name));
        let file = adapter_file(&model, &folder(name).join("adapter"));
        let mut trainer = trainer(&model, &file, 512);
        block_on(checks::loss(&mut trainer, &expected, name)).unwrap();
    }
}

#[test]
fn scores_equal_pytorch() {
    for name in FAMILIES {
        block_on(checks::scores(&load(name), name)).unwrap();
    }
}

/// How far a log-probability may be from PyTorch's in float32, and the gradient's norm as a share, if products are made
/// in f16, whose ε is 2⁻¹¹: 60 ε, for a few logits' size and some layers. Worst log-probability seen on llvmpipe: 0.018.
const F16_LOGPROB: f32 = 0.03;

#[test]
fn scores_and_gradients_in_f16_are_near_pytorch() {
    let gpu = f16_gpu();
    for name in FAMILIES {
        let (model, expected) = (load_on(gpu.clone(), name, &mut source(name), None), Expected::read(name));
        let file = adapter_file(&model, &folder(name).join("adapter"));
        let lora = adapter::upload(model.gpu(), model.config(), &file).unwrap();
        for (kind, lora) in [("base", None), ("adapter", Some(&lora))] {
            for (index, tokens) in expected.tokens.iter().enumerate() {
                let got = block_on(logprobs(&model, lora, tokens, &AtomicBool::new(false))).unwrap();
                let error = max_error(&got, &expected.tensors[&format!("logprobs.{kind}.{index}")]);
                assert!(error < F16_LOGPROB, "{name} {kind} sequence {index}: {error}");
            }
        }
        let mut trainer = trainer(&model, &file, 512);
        let (loss, _) =
            block_on(trainer.gradient(&expected.completions(), &LossName::Sft.config(1))).unwrap();
        let want = expected.json["loss"].as_f64().unwrap();
        assert!((loss - want).abs() < f64::from(F16_LOGPROB), "{name}: loss {loss}, PyTorch {want}");
        let norm = |values: &[f32]| values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        let got = norm(&block_on(trainer.read_gradient()).unwrap());
        let want = expected.json["grad_norm"].as_f64().unwrap();
        assert!((got - want).abs() < f64::from(F16_LOGPROB) * want, "{name}: gradient {got}, PyTorch {want}");
    }
}

#[test]
fn gradients_equal_pytorch() {
    for name in FAMILIES {
        for pack_tokens in [1, 512] {
            block_on(checks::gradients(&load(name), name, pack_tokens)).unwrap();
        }
    }
}

#[test]
fn models_equal_pytorch_in_either_kind_of_adapters_variants_and_with_small_bindings() {
    // Decoding a few rows on a GPU normalises within products, which SwiGLU may end. With 16 KiB the matrices of one input, and what is computed from them, have memories of their own.
    for (software, max_binding) in [(false, None), (true, Some(16 << 10)), (false, Some(16 << 10))] {
        let options = GpuOptions { as_software: Some(software), max_binding, ..GpuOptions::default() };
        let gpu = Arc::new(block_on(Gpu::open(&options)).unwrap());
        for name in FAMILIES {
            let model = load_on(Arc::clone(&gpu), name, &mut source(name), None);
            block_on(checks::logprobs(&model, name)).unwrap();
            block_on(checks::gradients(&model, name, 512)).unwrap();
            block_on(checks::greedy(&model, name)).unwrap();
        }
    }
}

#[test]
fn sequences_that_a_software_adapters_loops_cannot_go_through_are_refused() {
    let (gpu, file) = (gpu(), folder("qwen2").join("config.json"));
    let text = std::fs::read_to_string(&file).unwrap();
    let mut config = ModelConfig::from_json(&file, &text).unwrap();
    config.max_position_embeddings = 70_000;
    let open = |context: usize| {
        Model::load(Arc::clone(&gpu), config.clone(), &mut source("qwen2"), None, context, &mut |_, _| {})
    };
    let is_bounded = gpu.most_turns() < usize::MAX;
    match open(70_000) {
        Ok(_) => assert!(!is_bounded),
        Err(error) => assert!(is_bounded && error.to_string().contains("65534"), "{error}"),
    }
    // Two query heads read each key: with the row's own, three turns a row.
    let model = Arc::new(open(40_000).unwrap());
    let adapter = adapter_file(&model, &folder("qwen2").join("adapter"));
    let mut trainer = trainer(&model, &adapter, 512);
    let long = Trajectory::completing(vec![1; 22_000], 21_999);
    match block_on(trainer.gradient(&[long], &LossName::Sft.config(1))) {
        Ok(_) => assert!(!is_bounded),
        Err(error) => {
            assert!(is_bounded && error.to_string().contains("22000 tokens: too long"), "{error}");
        }
    }
}

#[test]
fn ten_adamw_steps_equal_pytorch() {
    for name in FAMILIES {
        let (model, expected) = (load(name), Expected::read(name));
        let file = adapter_file(&model, &folder(name).join("adapter"));
        let mut trainer = trainer(&model, &file, 512);
        let settings = Optimizer { weight_decay: 0.01, max_grad_norm: 1.0, ..Optimizer::default() };
        let config = LossName::Sft.config(1);
        for step in 0..10 {
            let report = block_on(trainer.step(&expected.completions(), &config, 1e-2, &settings)).unwrap();
            let want = f64::from(expected.tensors["steps.loss"][step]);
            assert!((report.loss - want).abs() < 1e-3 * want, "{name} step {step}: {} {want}", report.loss);
            let want = f64::from(expected.tensors["steps.grad_norm"][step]);
            assert!(
                (report.grad_norm - want).abs() < 1e-2 * want,
                "{name} step {step}: {} {want}",
                report.grad_norm
            );
        }
    }
}
