//! Repair of an adapter on the GPU: what it answers goes back towards what another one says.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixture_models;

use std::sync::Arc;

use fixture_models::{Expected, adapter_file, folder, load};
use pollster::block_on;
use stepladder::Error;
use stepladder::ladder::learner::{Language, Learner, LearnerSettings};
use stepladder::lessons::repair::repair;
use stepladder::lessons::settings::LearnSettings;
use stepladder::model::tokenizer::Tokenizer;
use stepladder::train::loss::LossName;
use stepladder::train::trainer::{Optimizer, Trajectory};

fn learner() -> Learner {
    let model = load("llama");
    let file = folder("llama").join("tokenizer.json");
    let tokenizer = Tokenizer::from_bytes(&file, &std::fs::read(&file).unwrap()).unwrap();
    let language = Arc::new(Language { tokenizer, chat: None, style: None, end: None });
    let adapter = adapter_file(&model, &folder("llama").join("adapter"));
    let settings = LearnerSettings { rows: 16, pack_tokens: 2048 };
    Learner::new("llama".into(), model, language, &adapter, settings, Arc::default()).unwrap()
}

#[test]
fn own_answers_go_back_towards_the_head_before() {
    let mut learner = learner();
    let before = block_on(learner.trainer().read_adapter()).unwrap();
    let records = Expected::read("llama").completions();
    let prompts: Vec<Vec<u32>> = records.iter().map(|record| record.tokens[..4].to_vec()).collect();
    // A lesson that costs something.
    let sft = LossName::Sft.config(64);
    for _ in 0..8 {
        block_on(learner.trainer().step(&records, &sft, 1e-2, &Optimizer::default())).unwrap();
    }
    let settings = LearnSettings { max_answer_tokens: 12, ..LearnSettings::for_model(1_000) };
    let mut divergences = Vec::new();
    let mut progress = |done: u64, _: u64, kl: f64| {
        if divergences.len() < done as usize {
            divergences.push(kl);
        }
        true
    };
    let cost = block_on(repair(&mut learner, &prompts, &before, &settings, 1, &mut progress)).unwrap();
    assert!(cost.training_tokens > 0);
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    let (first, last) = (mean(&divergences[..4]), mean(&divergences[divergences.len() - 4..]));
    assert!(divergences.len() == 32 && last < 0.5 * first, "{divergences:?}");
    // Nothing is set aside that a caller does not know of.
    assert!(learner.trainer().pop_adapter(true).is_err());
    // Who stops it is heard.
    let stopped = block_on(repair(&mut learner, &prompts, &before, &settings, 1, &mut |_, _, _| false));
    assert!(matches!(stopped, Err(Error::Cancelled)));
    assert_eq!(
        block_on(repair(&mut learner, &[], &before, &settings, 1, &mut |_, _, _| true))
            .unwrap()
            .training_tokens,
        0
    );
}

/// A sequence's own reference takes the place of the base model.
#[test]
fn a_trajectory_may_bring_its_reference() {
    use stepladder::train::loss::{KlConfig, KlEstimator, LossConfig};
    let mut learner = learner();
    let trainer = learner.trainer();
    let kl = KlConfig { coef: 1.0, estimator: KlEstimator::K2, bias_correction: false };
    let config = LossConfig { kl: Some(kl), ..LossName::Sft.config(64) };
    let idle: Vec<Trajectory> = Expected::read("llama")
        .completions()
        .into_iter()
        .map(|record| Trajectory { advantage: Some(0.0), ..record })
        .collect();
    let own = block_on(trainer.logprobs(&idle, true)).unwrap();
    let with_own: Vec<Trajectory> = idle
        .iter()
        .zip(own)
        .map(|(record, scores)| Trajectory { ref_logp: Some(scores.logp), ..record.clone() })
        .collect();
    // Held against itself nothing pulls; against the base the adapter does; half of each lies between.
    let half: Vec<Trajectory> = idle[..1].iter().chain(&with_own[1..]).cloned().collect();
    let [base, mixed, none] =
        [&idle, &half, &with_own].map(|batch| block_on(trainer.gradient(batch, &config)).unwrap().0);
    assert!(none.abs() < 1e-9 && base > mixed && mixed > 1e-9, "{base} {mixed} {none}");
}
