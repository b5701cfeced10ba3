//! The check of a source against the tensors that its configuration calls for.

use std::collections::HashMap;
use std::path::Path;

use super::{TensorInfo, TensorSource, quant};
use crate::model::config::ModelConfig;
use crate::model::config::quantised::UNQUANTISED;
use crate::model::config::tensors::expected;
use crate::model::family::tensors::HEAD;
use crate::{Error, Result};

/// Errors if `bytes`, which were read from tensor `index` of `source`, hold a number that is not finite or absurdly large: it would
/// make the model's every answer one of chance.
///
/// # Errors
/// `Input` naming the tensor.
pub fn check_finite(source: &dyn TensorSource, index: usize, bytes: &[u8]) -> Result<()> {
    let info = &source.tensors()[index];
    match quant::all_usable(info.dtype, bytes) {
        true => Ok(()),
        false => Err(Error::input(
            source.name(),
            &info.name,
            "holds a number that is not finite, or so large that its square is not",
            "the training or merge that made it overflowed or diverged; use an earlier or the original model",
        )),
    }
}

/// Checks that `source` holds exactly the tensors that `config` calls for, each with its shape.
///
/// A stored copy of a tied head is no contradiction.
///
/// # Errors
/// `Input` naming the tensor that is missing, has another shape or is not called for.
pub fn check(config: &ModelConfig, source: &dyn TensorSource) -> Result<()> {
    let file = source.name();
    let file = Path::new(&file);
    let found: HashMap<&str, &TensorInfo> =
        source.tensors().iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
    let expected = expected(config);
    for (name, shape) in &expected {
        let Some(tensor) = found.get(name.as_str()) else {
            let hint = if HEAD.is(name) {
                "set tie_word_embeddings to true if the head is the embedding, or take the complete model"
            } else {
                "take the complete model, with the config.json that belongs to it"
            };
            return Err(Error::input(file, name, "the tensor is missing", hint));
        };
        if tensor.dtype.is_part() {
            let problem = format!("is {}, and what that stands for is not known here", tensor.dtype.name());
            return Err(Error::input(file, name, problem, UNQUANTISED));
        }
        if tensor.shape != *shape {
            let problem = format!("has shape {:?} where the configuration calls for {shape:?}", tensor.shape);
            return Err(Error::input(
                file,
                name,
                problem,
                "take config.json and weights from the same model",
            ));
        }
    }
    let known: std::collections::HashSet<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
    for tensor in source.tensors() {
        let name = tensor.name.as_str();
        if !HEAD.is(name) && !known.contains(name) {
            return Err(Error::input(
                file,
                name,
                "the configuration does not call for this tensor",
                "take config.json and weights from the same model; adapters go to <adapter>",
            ));
        }
    }
    Ok(())
}
