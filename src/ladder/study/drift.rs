//! How far a policy has gone from its base: KL on the problems that it now answers, and the likelihood of held-out text.
//!
//! Forgetting follows the KL divergence to the base on the new task (arXiv 2509.04259), so both stand beside each arm.

use crate::Result;
use crate::ladder::climb::sample;
use crate::ladder::events::Phase;
use crate::ladder::policy::{Policy, Request, Sampling};
use crate::ladder::state::Host;
use crate::random::stream;
use crate::task::{Problem, Task};

/// Names the random streams of these samples.
const DRIFT: u64 = 0x6472_6966;
/// Most problems that are answered for it.
const MOST: usize = 120;

/// Mean over the policy's own tokens of log(policy / base), one answer a problem: an unbiased estimate of
/// KL(policy‖base) per token.
pub(super) async fn kl<P: Policy>(
    policy: &mut P,
    task: &dyn Task,
    problems: &[Problem],
    sampling: Sampling,
    seed: u64,
    host: &mut Host<'_>,
) -> Result<f64> {
    let style = policy.prompt_style();
    let mut requests = Vec::new();
    for (index, problem) in problems.iter().step_by(problems.len().div_ceil(MOST).max(1)).enumerate() {
        requests.push(Request {
            prompt: policy.encode_prompt(&task.prompt(&problem.problem, style))?,
            samples: 1,
            sampling,
            seed: rand::Rng::next_u64(&mut stream(seed, &[DRIFT, index as u64])),
        });
    }
    let answers = sample(policy, host, Phase::Evaluation, 0, &requests).await?;
    let mut sequences = Vec::new();
    for (request, samples) in requests.iter().zip(&answers) {
        for sample in samples {
            sequences.push((request.prompt.len(), [&request.prompt[..], &sample.tokens].concat()));
        }
    }
    let with = policy.logprobs(&sequences, true).await?;
    let without = policy.logprobs(&sequences, false).await?;
    let pairs = with.iter().flatten().zip(without.iter().flatten());
    let (sum, count) = pairs.fold((0.0, 0usize), |(sum, count), (a, b)| (sum + f64::from(a - b), count + 1));
    Ok(sum / count.max(1) as f64)
}

/// Mean log-probability per token of `texts`; `None` if there is none.
pub(crate) async fn text_logprob<P: Policy>(policy: &mut P, texts: &[String]) -> Result<Option<f64>> {
    let mut sequences = Vec::new();
    for text in texts {
        let tokens = policy.encode_text(text)?;
        if tokens.len() > 1 {
            sequences.push((1, tokens));
        }
    }
    if sequences.is_empty() {
        return Ok(None);
    }
    let logprobs = policy.logprobs(&sequences, true).await?;
    let (sum, count) = logprobs
        .iter()
        .flatten()
        .fold((0.0, 0usize), |(sum, count), value| (sum + f64::from(*value), count + 1));
    Ok(Some(sum / count.max(1) as f64))
}
