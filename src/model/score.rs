//! What a model makes of a given text, in one forward pass: log-probabilities of its tokens, and the text as one vector.

use std::sync::atomic::AtomicBool;

use super::Model;
use super::activations::Activations;
use super::config::ModelConfig;
use super::lora::Lora;
use super::packed::{self, Intermediates, Packed, PackedBuffers};
use crate::gpu::Recorder;
use crate::{Error, Result};

/// Bytes that scoring `tokens` tokens takes beside the model and its adapter.
pub fn bytes(config: &ModelConfig, tokens: usize, rank: usize) -> u64 {
    PackedBuffers::bytes(tokens, tokens, config, PackedBuffers::least_chunk(config, tokens))
        + Activations::bytes(tokens, config, rank)
        + 4 * (tokens * config.hidden_size) as u64
}

/// Log-probability of each of `tokens` but the first, given those before it.
///
/// # Errors
/// [`Error::Context`] if there are more tokens than the context holds, [`Error::Usage`] if there are fewer than two or
/// one is outside of the vocabulary, [`Error::NotFinite`], [`Error::Cancelled`], GPU errors.
pub async fn logprobs(
    model: &Model,
    lora: Option<&Lora>,
    tokens: &[u32],
    cancel: &AtomicBool,
) -> Result<Vec<f32>> {
    check(model, tokens, 2)?;
    let buffers = pass(model, lora, tokens, true, cancel).await?;
    let logprobs = model.gpu().read(&buffers.logprob).await?;
    check_logprobs(&logprobs)?;
    Ok(logprobs)
}

/// Final hidden state of each of `tokens` after the last norm, `[tokens, hidden_size]`, row by row.
///
/// # Errors
/// As [`logprobs`], of which it takes one token at least.
pub async fn hidden_states(
    model: &Model,
    lora: Option<&Lora>,
    tokens: &[u32],
    cancel: &AtomicBool,
) -> Result<Vec<f32>> {
    check(model, tokens, 1)?;
    let buffers = pass(model, lora, tokens, false, cancel).await?;
    let states = model.gpu().read(&buffers.normed).await?;
    match states.iter().all(|state: &f32| state.is_finite()) {
        true => Ok(states),
        false => Err(Error::NotFinite { what: "the hidden state of a token" }),
    }
}

/// Which tokens' hidden states make the vector of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pooling {
    /// All, on average.
    #[default]
    Mean,
    /// The last, which has seen all others.
    Last,
}

/// `tokens` as one vector of `hidden_size` numbers and length 1, from the hidden states that `pooling` names.
///
/// # Errors
/// As [`hidden_states`].
pub async fn embedding(
    model: &Model,
    lora: Option<&Lora>,
    tokens: &[u32],
    pooling: Pooling,
    cancel: &AtomicBool,
) -> Result<Vec<f32>> {
    let (states, width) = (hidden_states(model, lora, tokens, cancel).await?, model.config().hidden_size);
    let mut sums = vec![0.0; width];
    let first = if pooling == Pooling::Last { states.len() - width } else { 0 };
    for row in states[first..].chunks_exact(width) {
        sums.iter_mut().zip(row).for_each(|(sum, &state)| *sum += f64::from(state));
    }
    let length = sums.iter().map(|sum| sum * sum).sum::<f64>().sqrt();
    // A vector without length has no direction.
    let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
    Ok(sums.into_iter().map(|sum| (sum * scale) as f32).collect())
}

/// Fails for fewer than `least` tokens, more than the context holds, and those that the model does not have.
fn check(model: &Model, tokens: &[u32], least: usize) -> Result<()> {
    let (count, vocab) = (tokens.len(), model.config().vocab_size);
    if count < least {
        let hint = if least == 1 { "give a text of at least one" } else { "give a text of at least two" };
        return Err(Error::usage("text", format!("has {count} tokens"), hint));
    }
    if count > model.context() {
        return Err(Error::context("the text", count, model.context()));
    }
    match tokens.iter().find(|&&token| token as usize >= vocab) {
        None => Ok(()),
        Some(token) => Err(Error::usage(
            "text",
            format!("token {token} is outside of the vocabulary of {vocab}"),
            "use the tokenizer that belongs to the model",
        )),
    }
}

/// One pass over a text; with `scored` it ends with the log-probabilities of all tokens but the first.
async fn pass(
    model: &Model,
    lora: Option<&Lora>,
    tokens: &[u32],
    scored: bool,
    cancel: &AtomicBool,
) -> Result<PackedBuffers> {
    let (count, config, gpu) = (tokens.len(), model.config(), model.gpu());
    let rows = if scored { count - 1 } else { 1 };
    let buffers = PackedBuffers::for_model(model, count, rows)?;
    let rank = lora.map_or(0, |lora| lora.layout().max_rank());
    let act = Intermediates::new(gpu, config, count, rank, false)?;
    let hidden = [gpu.buffer("hidden", &[count, config.hidden_size])?];
    let mut rec = Recorder::new(gpu);
    packed::record_blocks(&mut rec, model, lora, &buffers, &act, &hidden)?;
    packed::record_select(&mut rec, model, &buffers, &hidden[0])?;
    if scored {
        packed::record_logprobs(&mut rec, model, &buffers)?;
    }
    let plan = rec.finish()?;
    buffers.write(gpu, &Packed::new(&[tokens], config.window_size(), |_, _| scored))?;
    gpu.run_cancellable(&plan, 1, cancel).await?;
    Ok(buffers)
}

/// Errors if a log-probability is not a finite number.
///
/// # Errors
/// [`Error::NotFinite`]
pub fn check_logprobs(logprobs: &[f32]) -> Result<()> {
    match logprobs.iter().all(|logprob: &f32| logprob.is_finite()) {
        true => Ok(()),
        false => Err(Error::NotFinite { what: "the log-probability of a token" }),
    }
}
