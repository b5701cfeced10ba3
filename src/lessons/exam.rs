//! An exam: every question asked once, greedily, and judged; and how likely the right answers are.

use super::anchors::sample;
use super::grade::Grader;
use super::outcome::{Judge, Outcome, Question, Sitting};
use super::records::Encoder;
use crate::ladder::learner::Learner;
use crate::ladder::policy::{Policy, Request, Sampling};
use crate::train::trainer::Trajectory;
use crate::{Error, Result};

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
        return Ok(Sitting::default());
    }
    let context = learner.trainer().model().context();
    let texts: Vec<String> =
        questions.iter().map(|question| format!("{}{}", before(question), question.prompt)).collect();
    let mut requests = Vec::with_capacity(texts.len());
    for (question, text) in questions.iter().zip(&texts) {
        requests.push(request(learner, question, text, max_answer_tokens)?);
    }
    let began = web_time::Instant::now();
    let answers = sample(learner, &requests, progress).await?;
    let seconds = began.elapsed().as_secs_f64();
    let right: Vec<&str> = questions.iter().map(|question| question.answer.as_str()).collect();
    let logprobs = likelihoods(learner, questions, &texts, &right, context).await?;
    let others: Vec<&str> = questions.iter().map(|question| question.over().unwrap_or_default()).collect();
    let others = likelihoods(learner, questions, &texts, &others, context).await?;
    let grader = Grader::new(questions.iter().copied())?;
    let mut outcomes = Vec::with_capacity(questions.len());
    let mut tokens = 0;
    for ((((question, request), samples), logprob), other) in
        questions.iter().zip(&requests).zip(answers).zip(logprobs).zip(others)
    {
        let Some(sample) = samples.into_iter().next() else { continue };
        tokens += (request.prompt.len() + sample.tokens.len()) as u64;
        let right = match &question.judge {
            Some(Judge::Over(_)) => logprob > other,
            _ => grader.is_right(question, &sample.text),
        };
        outcomes.push(Outcome { right, said: sample.text, logprob, finished: !sample.truncated });
    }
    Ok(Sitting { outcomes, tokens, seconds })
}

/// The greedy answer to `question`, which stands in `text`, as it is asked for.
///
/// # Errors
/// [`Error::Context`] for a question that does not fit; those of the tokenizer and the template.
pub fn request(
    learner: &mut Learner,
    question: &Question,
    text: &str,
    max_answer_tokens: usize,
) -> Result<Request> {
    let context = learner.trainer().model().context();
    let prompt = match question.before.as_slice() {
        [] => learner.encode_prompt(text)?,
        turns => {
            let turns: Vec<_> =
                turns.iter().map(|turn| (turn.role.as_str(), turn.content.as_str())).collect();
            learner.language().conversation(&turns, text)?
        }
    };
    // A right answer has room, and one token shows where it ends.
    let needed = learner.language().tokenizer.encode(&question.answer, false)?.len() + 1;
    let max_tokens = match question.posed() {
        // A run's answers end where the context does.
        Some(posed) => posed.max_tokens.min(context.saturating_sub(prompt.len()).max(1)),
        None => max_answer_tokens.max(needed),
    };
    if prompt.len() + max_tokens > context {
        return Err(Error::context("a question with its answer", prompt.len() + max_tokens, context));
    }
    let sampling = Sampling { max_tokens, temperature: 0.0, ..Sampling::default() };
    Ok(Request { prompt, samples: 1, sampling, seed: 0 })
}

/// Mean log-probability of each answer's tokens; `None` for an empty one.
async fn likelihoods(
    learner: &mut Learner,
    questions: &[&Question],
    texts: &[String],
    answers: &[&str],
    context: usize,
) -> Result<Vec<Option<f64>>> {
    let encoder = Encoder::of(learner, context);
    let mut batch: Vec<Trajectory> = Vec::with_capacity(questions.len());
    for ((question, text), answer) in questions.iter().zip(texts).zip(answers) {
        if !answer.is_empty() {
            batch.push(encoder.exchange(&question.given(), text, answer)?.into());
        }
    }
    let mut scores = learner.trainer().logprobs(&batch, true).await?.into_iter();
    let mean = |values: Vec<f32>| {
        values.iter().map(|&value| f64::from(value)).sum::<f64>() / values.len().max(1) as f64
    };
    let known = |answer: &&str| (!answer.is_empty()).then(|| scores.next().map(|scores| mean(scores.logp)));
    Ok(answers.iter().map(known).map(Option::flatten).collect())
}
