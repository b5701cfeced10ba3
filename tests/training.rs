//! Steps of the GRPO family on the GPU, adapters set aside, and what happens to a gradient that is no number.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixture_models;

use std::sync::Arc;

use fixture_models::{Expected, adapter_file, folder, limited_gpu, load, load_on, trainer};
use pollster::block_on;
use stepladder::Error;
use stepladder::gpu::{Gpu, GpuOptions};
use stepladder::lessons::preferences::{self, Choice};
use stepladder::model::source::folder::Folder;
use stepladder::train::loss::preference::{
    AnswerScore, PairScore, PreferenceConfig, PreferenceLoss, preference,
};
use stepladder::train::loss::{KlConfig, KlEstimator, LossConfig, LossName};
use stepladder::train::trainer::{Optimizer, Trainer, Trajectory};

fn learner() -> Trainer {
    let model = load("llama");
    let file = adapter_file(&model, &folder("llama").join("adapter"));
    trainer(&model, &file, 512)
}

/// The fixture's sequences as rollouts of the present policy, the first good and the others bad.
fn rollouts(trainer: &mut Trainer) -> Vec<Trajectory> {
    let mut batch = Expected::read("llama").completions();
    let scores = block_on(trainer.logprobs(&batch, true)).unwrap();
    for (index, (trajectory, scores)) in batch.iter_mut().zip(scores).enumerate() {
        trajectory.old_logp = Some(scores.logp);
        trajectory.advantage = Some(if index == 0 { 1.0 } else { -0.5 });
    }
    batch
}

fn total(trainer: &mut Trainer, trajectory: &Trajectory) -> f32 {
    block_on(trainer.logprobs(std::slice::from_ref(trajectory), true)).unwrap()[0].logp.iter().sum()
}

fn step(trainer: &mut Trainer, batch: &[Trajectory], config: &LossConfig, rate: f64) -> f64 {
    let report = block_on(trainer.step(batch, config, rate, &Optimizer::default())).unwrap();
    assert!(!report.skipped);
    report.loss
}

#[test]
fn every_loss_makes_good_sequences_likelier_and_bad_ones_less_likely() {
    for name in [LossName::Grpo, LossName::Dapo, LossName::DrGrpo, LossName::Gspo, LossName::Cispo] {
        let mut trainer = learner();
        let batch = rollouts(&mut trainer);
        let before: Vec<f32> = batch.iter().map(|t| total(&mut trainer, t)).collect();
        step(&mut trainer, &batch, &name.config(64), 1e-3);
        let after: Vec<f32> = batch.iter().map(|t| total(&mut trainer, t)).collect();
        assert!(after[0] > before[0] && after[1] < before[1], "{name:?}: {before:?} {after:?}");
    }
}

#[test]
fn the_reference_is_the_base_model_and_kl_pulls_towards_it() {
    let mut trainer = learner();
    let kl = KlConfig { coef: 1.0, estimator: KlEstimator::K2, bias_correction: false };
    let config = LossConfig { kl: Some(kl), ..LossName::Grpo.config(64) };
    let mut batch = rollouts(&mut trainer);
    batch.iter_mut().for_each(|trajectory| trajectory.advantage = Some(0.0));
    let distance = |trainer: &mut Trainer| {
        let policy = block_on(trainer.logprobs(&batch, true)).unwrap();
        let base = block_on(trainer.logprobs(&batch, false)).unwrap();
        let pairs = policy.iter().zip(&base).flat_map(|(p, b)| p.logp.iter().zip(&b.logp));
        pairs.map(|(p, b)| (p - b) * (p - b)).sum::<f32>()
    };
    let before = distance(&mut trainer);
    assert!(before > 1e-3, "the fixture's adapter must differ from the base");
    for _ in 0..5 {
        step(&mut trainer, &batch, &config, 1e-3);
    }
    let after = distance(&mut trainer);
    assert!(after < 0.9 * before, "{before} {after}");
}

#[test]
fn the_same_steps_give_the_same_bits() {
    let run = || {
        let mut trainer = learner();
        let batch = rollouts(&mut trainer);
        for _ in 0..3 {
            step(&mut trainer, &batch, &LossName::Grpo.config(64), 1e-3);
        }
        block_on(trainer.read_adapter()).unwrap()
    };
    assert_eq!(run(), run());
}

#[test]
fn a_saved_optimizer_goes_on_as_if_it_had_not_stopped() {
    let mut trainer = learner();
    let batch = rollouts(&mut trainer);
    let config = LossName::Grpo.config(64);
    step(&mut trainer, &batch, &config, 1e-3);
    let adapter = block_on(trainer.read_adapter()).unwrap();
    let (m, v, steps) = block_on(trainer.read_moments()).unwrap();
    step(&mut trainer, &batch, &config, 1e-3);
    let want = block_on(trainer.read_adapter()).unwrap();

    let mut other = learner();
    other.write_adapter(&adapter).unwrap();
    other.write_moments(&m, &v, steps).unwrap();
    step(&mut other, &batch, &config, 1e-3);
    assert_eq!(block_on(other.read_adapter()).unwrap(), want);
}

#[test]
fn an_adapter_set_aside_comes_back_unchanged() {
    let mut trainer = learner();
    let batch = rollouts(&mut trainer);
    let config = LossName::Grpo.config(64);
    step(&mut trainer, &batch, &config, 1e-3);
    let state = |trainer: &Trainer| {
        (block_on(trainer.read_adapter()).unwrap(), block_on(trainer.read_moments()).unwrap())
    };
    let kept = state(&trainer);
    trainer.push_adapter().unwrap();
    assert_eq!(block_on(trainer.read_adapter()).unwrap(), kept.0, "the copy starts where the original was");
    step(&mut trainer, &batch, &config, 1e-2);
    assert_ne!(block_on(trainer.read_adapter()).unwrap(), kept.0);
    trainer.pop_adapter(false).unwrap();
    assert_eq!(state(&trainer), kept);
    assert!(matches!(trainer.pop_adapter(false), Err(Error::Usage { .. })));

    trainer.push_adapter().unwrap();
    step(&mut trainer, &batch, &config, 1e-2);
    let learnt = state(&trainer);
    trainer.pop_adapter(true).unwrap();
    assert_eq!(state(&trainer), learnt);
}

#[test]
fn a_gradient_that_is_no_number_changes_nothing() {
    let mut trainer = learner();
    let good = rollouts(&mut trainer);
    let before = block_on(trainer.read_adapter()).unwrap();
    // An infinite advantage makes the loss infinite; a huge one overflows the gradient only.
    for advantage in [f32::INFINITY, 1e38] {
        let mut bad = good.clone();
        bad[0].advantage = Some(advantage);
        let config = LossName::Grpo.config(64);
        let report = block_on(trainer.step(&bad, &config, 1e-3, &Optimizer::default())).unwrap();
        assert!(report.skipped, "{advantage}");
        assert_eq!(block_on(trainer.read_adapter()).unwrap(), before);
        assert_eq!(trainer.steps(), 0);
    }
    step(&mut trainer, &good, &LossName::Grpo.config(64), 1e-3);
    assert_eq!(trainer.steps(), 1);
}

#[test]
fn steps_allocate_nothing_once_their_plans_exist() {
    // A device of its own: other tests allocate on the shared one.
    let gpu = limited_gpu();
    let mut source = Folder::open(folder("llama")).unwrap();
    let model = load_on(gpu.clone(), "llama", &mut source, None);
    let file = adapter_file(&model, &folder("llama").join("adapter"));
    let mut trainer = trainer(&model, &file, 512);
    let batch = rollouts(&mut trainer);
    let config = LossName::Grpo.config(64);
    step(&mut trainer, &batch, &config, 1e-3);
    let (bytes, buffers) = (gpu.memory().current(), gpu.memory().allocations());
    step(&mut trainer, &batch, &config, 1e-3);
    assert_eq!((gpu.memory().current(), gpu.memory().allocations()), (bytes, buffers));
}

#[test]
fn intermediate_results_kept_or_computed_again_give_the_same_gradient() {
    let gradient = |memory_limit: Option<u64>| {
        let options = GpuOptions { memory_limit, ..GpuOptions::default() };
        let gpu = Arc::new(block_on(Gpu::open(&options)).unwrap());
        let mut source = Folder::open(folder("llama")).unwrap();
        let model = load_on(Arc::clone(&gpu), "llama", &mut source, None);
        let file = adapter_file(&model, &folder("llama").join("adapter"));
        let mut trainer = trainer(&model, &file, 512);
        let mut bits: Vec<Vec<u32>> = Vec::new();
        // In one pass over the model, and in two with the loss between them.
        for name in [LossName::Sft, LossName::Grpo] {
            block_on(trainer.gradient(&Expected::read("llama").completions(), &name.config(64))).unwrap();
            bits.push(block_on(trainer.read_gradient()).unwrap().into_iter().map(f32::to_bits).collect());
        }
        assert!(bits.iter().flatten().any(|&word| word != 0));
        (bits, gpu.memory().peak(), gpu.work().dispatches())
    };
    let (kept, peak, fewer) = gradient(None);
    let (again, lower, more) = gradient(Some(peak));
    assert!(lower < peak && more > fewer, "peaks {lower} {peak}, dispatches {more} {fewer}");
    assert!(kept == again, "the gradients differ");
}

/// The weighted cross-entropy has the value of the loss on preferences and its gradient: the margin of the better answer over the worse
/// one rises, and the loss falls.
#[test]
fn choices_are_learnt_by_the_loss_on_preferences() {
    for loss in [PreferenceLoss::Dpo, PreferenceLoss::Ipo, PreferenceLoss::Kto] {
        let mut trainer = learner();
        let batch = Expected::read("llama").completions();
        let config = PreferenceConfig { loss, beta: 0.1 };
        let other = (loss == PreferenceLoss::Kto).then(|| batch[batch.len() - 1].clone());
        let (chosen, rejected) = (batch[0].clone(), batch[1].clone());
        let choice = Choice { chosen, rejected, other, weight: 1.0, config };
        let choices = [&choice];
        let before = block_on(preferences::scores(&mut trainer, &choices)).unwrap();
        let pure = |now: &[f64; 3]| {
            let answer = |place: usize, record: &Trajectory| AnswerScore {
                policy: now[place],
                reference: before[0][place],
                tokens: record.scored_count(),
            };
            let (chosen, rejected) = (answer(0, &choice.chosen), answer(1, &choice.rejected));
            let pair = PairScore { chosen, rejected, weight: 1.0 };
            preference(&config, &[pair], now[2] - before[0][2]).loss
        };
        let mut losses = Vec::new();
        for _ in 0..6 {
            let now = block_on(preferences::scores(&mut trainer, &choices)).unwrap();
            let weighed = block_on(preferences::weigh(&mut trainer, &choices, &before)).unwrap();
            let scored = weighed.records.iter().map(Trajectory::scored_count).sum();
            let sft = LossName::Sft.config(64);
            let value = weighed.loss_of(step(&mut trainer, &weighed.records, &sft, 3e-3), scored);
            let expected = pure(&now[0]);
            assert!((value - expected).abs() < 1e-4 * (1.0 + expected), "{loss:?}: {value}, not {expected}");
            losses.push(value);
        }
        let after = block_on(preferences::scores(&mut trainer, &choices)).unwrap();
        let margin = |scores: &[f64; 3]| scores[0] - scores[1];
        assert!(margin(&after[0]) > margin(&before[0]) + 0.5, "{loss:?}: {before:?} {after:?}");
        assert!(losses.windows(2).all(|pair| pair[1] < pair[0]), "{loss:?}: {losses:?}");
    }
}
