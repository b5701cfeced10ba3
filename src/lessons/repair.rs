//! Repair of what a lesson cost: the model answers earlier questions and general ones itself, and its answers are pulled towards what the
//! head before the lesson would have said. On its own answers the pull k2 has the gradient of KL(pi || pi_before) (arXiv 2506.09477),
//! which moves less than learning given answers again does.

use std::ops::ControlFlow;

use super::ledger::Cost;
use super::settings::LearnSettings;
use crate::ladder::learner::Learner;
use crate::ladder::policy::{Policy, Request, Sampling};
use crate::random::{below, stream};
use crate::train::guard::FiniteGuard;
use crate::train::loss::{KlConfig, KlEstimator, LossConfig, LossName};
use crate::train::trainer::Trajectory;
use crate::{Error, Result};

/// Updates, the prompts of each, and how many updates the answers of one round of sampling are good for.
const STEPS: u64 = 32;
const PROMPTS: usize = 16;
const ROUND: u64 = 4;
/// Share of a library's learning rate.
const RATE: f64 = 1.0 / 3.0;
/// Names the random stream of prompts.
const REPAIR: u64 = 0x7265_7061;

/// The loss: nothing but the pull towards each answer's own reference.
fn config(max_length: usize) -> LossConfig {
    let kl = KlConfig { coef: 1.0, estimator: KlEstimator::K2, bias_correction: false };
    LossConfig { kl: Some(kl), ..LossName::Sft.config(max_length) }
}

/// Repairs the learner's adapter by `prompts`, each as its tokens; `before` is the adapter of the head before the lesson.
/// `progress` gets (done, all, estimate of the divergence) and may ask to stop by `false`.
///
/// # Errors
/// [`Error::Cancelled`]; [`Error::Diverged`]; GPU errors.
pub async fn repair(
    learner: &mut Learner,
    prompts: &[Vec<u32>],
    before: &[f32],
    settings: &LearnSettings,
    stream_id: u64,
    progress: &mut dyn FnMut(u64, u64, f64) -> bool,
) -> Result<Cost> {
    let mut cost = Cost::default();
    if prompts.is_empty() {
        return Ok(cost);
    }
    let len = learner.trainer().lora().layout().len();
    learner.trainer().write_moments(&vec![0.0; len], &vec![0.0; len], 0)?;
    let config = config(settings.max_length);
    let mut rng = stream(settings.seed, &[REPAIR, stream_id]);
    let mut guard = FiniteGuard::default();
    let sampling =
        Sampling { max_tokens: settings.max_answer_tokens, temperature: 1.0, ..Sampling::default() };
    let mut step = 0;
    while step < STEPS {
        let requests: Vec<Request> = (0..PROMPTS * ROUND as usize)
            .map(|place| Request {
                prompt: prompts[below(&mut rng, prompts.len())].clone(),
                samples: 1,
                sampling,
                seed: settings.seed.wrapping_add(stream_id << 32 | step << 8 | place as u64),
            })
            .collect();
        let mut kl = f64::NAN;
        let mut watch = |_| match progress(step, STEPS, kl) {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        };
        let answers = learner.sample(&requests, &mut watch).await?;
        let mut batch: Vec<Trajectory> = Vec::with_capacity(requests.len());
        for (request, samples) in requests.iter().zip(answers) {
            for sample in samples.into_iter().filter(|sample| !sample.tokens.is_empty()) {
                let answer = Trajectory::sampled(&request.prompt, &sample, 0.0);
                cost.training_tokens += 2 * answer.tokens.len() as u64;
                // The loss has no ratio to how likely it was when it was drawn.
                batch.push(Trajectory { old_logp: None, ..answer });
            }
        }
        let references = reference(learner, before, &batch).await?;
        for (answer, scores) in batch.iter_mut().zip(references) {
            answer.ref_logp = Some(scores);
        }
        for part in batch.chunks(PROMPTS) {
            let rate = settings.learning_rate * RATE;
            let report = learner.trainer().step(part, &config, rate, &settings.optimizer).await?;
            guard.admits(report.loss, report.grad_norm)?;
            cost.training_tokens += report.tokens as u64;
            kl = report.metrics.kl_mean();
            step += 1;
            if !progress(step.min(STEPS), STEPS, kl) {
                return Err(Error::Cancelled);
            }
        }
        // A model that says nothing has nothing to be repaired by.
        if batch.is_empty() {
            break;
        }
    }
    Ok(cost)
}

/// Log-probabilities of a batch's answers under the adapter `before`; the learner's own stays.
async fn reference(learner: &mut Learner, before: &[f32], batch: &[Trajectory]) -> Result<Vec<Vec<f32>>> {
    let trainer = learner.trainer();
    trainer.push_adapter()?;
    trainer.write_adapter(before)?;
    let scores = trainer.logprobs(batch, true).await;
    trainer.pop_adapter(false)?;
    Ok(scores?.into_iter().map(|scores| scores.logp).collect())
}
