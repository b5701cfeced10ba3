//! An exam: every question asked once, greedily, and judged; and how likely the right answers are.

use super::anchors::sample;
use super::grade::Grader;
use super::outcome::{Outcome, Question, Sitting};
use super::records::Encoder;
use crate::ladder::learner::Learner;
use crate::ladder::policy::{Policy, SampleRequest, Sampling};
use crate::train::trainer::Trajectory;
use crate::{Error, Result, task};

/// Asks `questions` of the learner's adapter. `before` stands before every question, as notes in the context would; `progress` gets
/// (answered, all) and may ask to stop by `false`.
///
/// # Errors
/// [`Error::Cancelled`]; [`Error::Context`] for a question that does not fit; GPU errors.
pub async fn examine(
    learner: &mut Learner,
    questions: &[&Question],
    before: &dyn Fn(&Question) -> String,
    max_answer_tokens: usize,
    progress: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<Sitting> {
    if questions.is_empty() {
        return Ok(Sitting { outcomes: Vec::new(), tokens: 0, seconds: 0.0 });
    }
    let context = learner.trainer().model().context();
    let sampling = Sampling { max_tokens: max_answer_tokens, temperature: 0.0, ..Sampling::default() };
    let texts: Vec<String> =
        questions.iter().map(|question| format!("{}{}", before(question), question.prompt)).collect();
    let mut requests = Vec::with_capacity(texts.len());
    for text in &texts {
        let prompt = learner.encode_prompt(text)?;
        if prompt.len() + max_answer_tokens > context {
            return Err(Error::context(
                "a question with its answer",
                prompt.len() + max_answer_tokens,
                context,
            ));
        }
        requests.push(SampleRequest { prompt, samples: 1, sampling, seed: 0 });
    }
    let began = web_time::Instant::now();
    let answers = sample(learner, &requests, progress).await?;
    let seconds = began.elapsed().as_secs_f64();
    let logprobs = likelihoods(learner, questions, &texts, context).await?;
    let task = task::create("jsonl", &Default::default())?;
    let grader = Grader::new(&*task, questions.iter().copied());
    let mut outcomes = Vec::with_capacity(questions.len());
    let mut tokens = 0;
    for (((question, request), samples), logprob) in
        questions.iter().zip(&requests).zip(answers).zip(logprobs)
    {
        let Some(sample) = samples.into_iter().next() else { continue };
        tokens += (request.prompt.len() + sample.tokens.len()) as u64;
        let right = grader.is_right(question, &sample.text);
        outcomes.push(Outcome { right, said: sample.text, logprob, finished: sample.finished });
    }
    Ok(Sitting { outcomes, tokens, seconds })
}

/// Mean log-probability of each right answer's tokens.
async fn likelihoods(
    learner: &mut Learner,
    questions: &[&Question],
    texts: &[String],
    context: usize,
) -> Result<Vec<f64>> {
    let encoder = Encoder::of(learner, context);
    let mut batch: Vec<Trajectory> = Vec::with_capacity(questions.len());
    for (question, text) in questions.iter().zip(texts) {
        batch.push(encoder.exchange(text, &question.answer)?.into());
    }
    let scores = learner.trainer().logprobs(&batch, true).await?;
    let mean = |values: &[f32]| {
        values.iter().map(|&value| f64::from(value)).sum::<f64>() / values.len().max(1) as f64
    };
    Ok(scores.iter().map(|scores| mean(&scores.logp)).collect())
}
