//! Log-probabilities of a given text, in one forward pass.

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
    let (count, config, gpu) = (tokens.len(), model.config(), model.gpu());
    if count < 2 {
        return Err(Error::usage("text", format!("has {count} tokens"), "give a text of at least two"));
    }
    if count > model.context() {
        return Err(Error::context("the text", count, model.context()));
    }
    if let Some(token) = tokens.iter().find(|&&token| token as usize >= config.vocab_size) {
        return Err(Error::usage(
            "text",
            format!("token {token} is outside of the vocabulary of {}", config.vocab_size),
            "use the tokenizer that belongs to the model",
        ));
    }
    let buffers = PackedBuffers::for_model(model, count, count - 1)?;
    let rank = lora.map_or(0, |lora| lora.layout().max_rank());
    let act = Intermediates::new(gpu, config, count, rank, false)?;
    let hidden = [gpu.buffer("hidden", &[count, config.hidden_size])?];
    let mut rec = Recorder::new(gpu);
    packed::record_blocks(&mut rec, model, lora, &buffers, &act, &hidden)?;
    packed::record_select(&mut rec, model, &buffers, &hidden[0])?;
    packed::record_logprobs(&mut rec, model, &buffers)?;
    let plan = rec.finish()?;
    buffers.write(gpu, &Packed::new(&[tokens], model.config().window_size(), |_, _| true))?;
    gpu.run_cancellable(&plan, 1, cancel).await?;
    let logprobs = gpu.read(&buffers.logprob).await?;
    check_logprobs(&logprobs)?;
    Ok(logprobs)
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
