//! What the base model answers to prompts that no lesson is about: learnt along so that lessons do not change it, and the
//! measure of how far a head has moved.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use crate::ladder::learner::Learner;
use crate::ladder::policy::{Completion, Policy, Request, Sampling};
use crate::model::tokenizer::Lacking;
use crate::random::stream;
use crate::task::{self, ExampleSettings, Lesson, PromptStyle, worked_examples};
use crate::train::trainer::Trajectory;
use crate::{Error, Result};

/// Prompts for models that are asked in sentences, a line each.
const GENERAL: &str = include_str!("general.txt");
/// Answers of the base to each prompt: the first measures, the others are learnt along.
const ANSWERS: usize = 4;
/// Prompts of models whose vocabulary has no words: they are small and quick, and what is learnt is more to them.
const NOTATIONS: usize = 192;
/// Most tokens of an answer.
const TOKENS: usize = 32;
/// Prompts whose greedy answers tell whether a head still ends what it says.
pub const SANE_PROMPTS: usize = 16;
/// Most tokens of those answers.
const SANE_TOKENS: usize = 96;
/// Times that a stretch of text stands in a row in a loop.
const REPEATS: usize = 4;
/// Names the random streams.
const ANCHORS: u64 = 0x616e_6368;

/// An answer of the base with its log-probabilities.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    /// What was asked.
    pub prompt: String,
    /// Tokens of the prompt as the model reads it.
    pub prompt_tokens: usize,
    /// Prompt and answer.
    pub tokens: Vec<u32>,
    /// Natural log-probability of each token of the answer under the base.
    pub logprobs: Vec<f32>,
}

impl Anchor {
    /// The answer as a record to be learnt: its expected loss is the KL divergence from the base, up to a constant.
    pub fn record(&self) -> Trajectory {
        Trajectory::completing(self.tokens.clone(), self.prompt_tokens)
    }
}

/// The prompts for a model: sentences, or where its vocabulary has no words, problems of the task `integral` in its notation.
fn prompts(learner: &Learner, seed: u64) -> Result<Vec<String>> {
    let general: Vec<&str> = GENERAL.lines().filter(|line| !line.is_empty()).collect();
    let language = learner.language();
    if Lacking::of(&language.tokenizer, general.iter().copied()).is_empty() {
        return Ok(general.into_iter().map(str::to_owned).collect());
    }
    let task = task::create("integral", &Default::default())?;
    let settings = ExampleSettings {
        count: NOTATIONS,
        levels: &[1, 2, 3, 4, 5],
        variant_share: 0.0,
        style: PromptStyle::Terse,
        exclude: &[],
        transformations: [0, 0],
        personas: &[],
    };
    let examples = worked_examples(&*task, &settings, &mut stream(seed, &[ANCHORS]))?;
    let prompts = examples.lines.into_iter().filter_map(|line| match line.lesson {
        Lesson::Text { prompt, .. } => Some(prompt),
        Lesson::Chat { .. } => None,
    });
    Ok(prompts.collect())
}

/// Asks the base, whose adapter the learner must hold (one that does nothing), and keeps what it says.
///
/// # Errors
/// [`Error::Cancelled`] after `progress` said so; GPU errors.
pub async fn make(
    learner: &mut Learner,
    seed: u64,
    progress: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<Vec<Anchor>> {
    let texts = prompts(learner, seed)?;
    let sampling = Sampling { max_tokens: TOKENS, temperature: 1.0, ..Sampling::default() };
    let requests = requests(learner, &texts, ANSWERS, sampling, seed)?;
    let answers = sample(learner, &requests, progress).await?;
    let mut anchors = Vec::new();
    // The first answers of all prompts before the second ones: a part of them asks about everything.
    for answer in 0..ANSWERS {
        for ((text, request), samples) in texts.iter().zip(&requests).zip(&answers) {
            let Some(sample) = samples.get(answer).filter(|sample| !sample.tokens.is_empty()) else {
                continue;
            };
            anchors.push(Anchor {
                prompt: text.clone(),
                prompt_tokens: request.prompt.len(),
                tokens: [request.prompt.as_slice(), &sample.tokens].concat(),
                logprobs: sample.logprobs.clone(),
            });
        }
    }
    Ok(anchors)
}

/// The anchors that are learnt along: all but the first answer to each prompt.
pub fn replayed(anchors: &[Anchor]) -> &[Anchor] {
    &anchors[anchors.len().div_ceil(ANSWERS)..]
}

/// The anchors that no lesson learns, so that they measure: the first answers.
fn measuring(anchors: &[Anchor]) -> &[Anchor] {
    &anchors[..anchors.len().div_ceil(ANSWERS)]
}

/// How far the learner's adapter is from the base: the mean over tokens of log pi_0 - log pi on answers of the base that are not
/// learnt along, an unbiased estimate of KL(pi_0 || pi) in nats a token; and the number of tokens.
///
/// # Errors
/// GPU errors.
pub async fn drift(learner: &mut Learner, anchors: &[Anchor]) -> Result<(f64, usize)> {
    let anchors = measuring(anchors);
    let sequences: Vec<(usize, Vec<u32>)> =
        anchors.iter().map(|anchor| (anchor.prompt_tokens, anchor.tokens.clone())).collect();
    let logprobs = learner.logprobs(&sequences, true).await?;
    let (mut sum, mut count) = (0.0, 0);
    for (anchor, now) in anchors.iter().zip(&logprobs) {
        for (&before, &now) in anchor.logprobs.iter().zip(now) {
            sum += f64::from(before) - f64::from(now);
            count += 1;
        }
    }
    Ok((sum / (count.max(1)) as f64, count))
}

/// Of [`SANE_PROMPTS`] greedy answers, how many repeat themselves without end.
///
/// # Errors
/// As [`make`].
pub async fn loops(
    learner: &mut Learner,
    anchors: &[Anchor],
    progress: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<usize> {
    let texts: Vec<String> = anchors.iter().take(SANE_PROMPTS).map(|anchor| anchor.prompt.clone()).collect();
    let sampling = Sampling { max_tokens: SANE_TOKENS, temperature: 0.0, ..Sampling::default() };
    let requests = requests(learner, &texts, 1, sampling, 0)?;
    let answers = sample(learner, &requests, progress).await?;
    Ok(answers.iter().flatten().filter(|sample| sample.truncated && repeats(&sample.tokens)).count())
}

/// Whether the end of a sequence is one stretch of it several times in a row.
fn repeats(tokens: &[u32]) -> bool {
    (1..=tokens.len() / REPEATS).any(|length| {
        let end = &tokens[tokens.len() - length..];
        tokens.rchunks_exact(length).take(REPEATS).filter(|stretch| *stretch == end).count() == REPEATS
    })
}

fn requests(
    learner: &Learner,
    texts: &[String],
    samples: usize,
    sampling: Sampling,
    seed: u64,
) -> Result<Vec<Request>> {
    let request = |(index, text): (usize, &String)| {
        let seed = seed.wrapping_add(index as u64);
        Ok(Request { prompt: learner.encode_prompt(text)?, samples, sampling, seed })
    };
    texts.iter().enumerate().map(request).collect()
}

/// Samples with progress (done, all) that may ask to stop by `false`.
pub async fn sample(
    learner: &mut Learner,
    requests: &[Request],
    progress: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<Vec<Vec<Completion>>> {
    let mut watch = |news: crate::ladder::policy::SampleProgress| match progress(news.done, news.total) {
        true => ControlFlow::Continue(()),
        false => ControlFlow::Break(()),
    };
    learner.sample(requests, &mut watch).await
}

/// Reads the lines of a file of anchors, which is named in errors.
///
/// # Errors
/// [`Error::Input`].
pub fn parse(bytes: &[u8], file: &std::path::Path) -> Result<Vec<Anchor>> {
    let lines = bytes.split(|&byte| byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty());
    lines
        .map(|(index, line)| {
            crate::json::from_slice::<Anchor>(line)
                .ok()
                .filter(|anchor| anchor.prompt_tokens + anchor.logprobs.len() == anchor.tokens.len())
                .ok_or_else(|| {
                    let hint = "bring back a copy of the library";
                    Error::input(file, format!("line {}", index + 1), "is damaged", hint)
                })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_is_the_same_stretch_four_times_at_the_end() {
        assert!(repeats(&[1, 2, 3, 3, 3, 3]));
        assert!(repeats(&[9, 1, 2, 1, 2, 1, 2, 1, 2]));
        assert!(!repeats(&[1, 2, 1, 2, 1, 2, 3]));
        assert!(!repeats(&[1, 1, 1]));
        assert!(!repeats(&[]));
    }

    /// Shares of an update are counted in these.
    #[test]
    fn the_tokens_of_the_answer_are_learnt() {
        let (prompt_tokens, tokens) = (2, vec![1, 2, 3, 4, 5]);
        let anchor = Anchor { prompt: String::new(), prompt_tokens, tokens, logprobs: vec![-1.0; 3] };
        assert_eq!(anchor.record().scored_count(), anchor.logprobs.len());
    }

    #[test]
    fn general_prompts_are_enough_and_distinct() {
        let lines: Vec<&str> = GENERAL.lines().filter(|line| !line.is_empty()).collect();
        let distinct: std::collections::BTreeSet<_> = lines.iter().collect();
        assert!(lines.len() >= 48 && distinct.len() == lines.len());
    }
}
