//! What fits on the device: a workload on a model that is loaded, or on one of which only the headers are here.

use js_sys::Array;
use serde_json::{Value, json};
use wasm_bindgen::prelude::*;

use super::convert::{Answer, from_json, to_json};
use super::files::JsFile;
use super::options::FitOptions;
use crate::Result;
use crate::ladder::learner::LearnerSettings;
use crate::model::config::ModelConfig;
use crate::settings::PACKAGE;
use crate::train::adapter;
use crate::train::fit::{Fit, Workload};
use crate::train::headers::open_headers;
use crate::train::lora_config::LoraConfig;

/// What a workload needs on the model in `files`, of which only headers are read, as JSON (`PreFlight`). `largest` is the
/// largest binding that the device allows, if there is a device.
///
/// # Errors
/// `input` for files that are damaged or contradict each other; `usage` for a rank that cannot be.
#[wasm_bindgen]
pub fn fit(name: &str, files: &Array, workload: &str, largest: Option<f64>) -> Answer<String> {
    let options: FitOptions = from_json("workload", workload)?;
    let (config, source) = open_headers(name, JsFile::all(files)?)?;
    let context = options.context_length.unwrap_or(PACKAGE.context).min(config.max_position_embeddings);
    let device = (largest.map(|bytes| bytes as u64), None);
    let workload = options.workload(&config, context)?;
    let mut plan = planned(&Fit::new(&config, &*source, None, context, &workload), device);
    plan["family"] = config.family.name.into();
    plan["parameters"] = config.parameters().into();
    plan["layers"] = config.num_layers.into();
    plan["contextLength"] = context.into();
    to_json(&plan)
}

impl FitOptions {
    /// What they ask for on a model that is loaded for sequences of `context` tokens.
    pub(super) fn workload(&self, config: &ModelConfig, context: usize) -> Result<Workload> {
        let lora = LoraConfig { rank: self.rank, ..LoraConfig::default() };
        lora.validate()?;
        let layout = adapter::layout(config, &lora)?;
        let (batch, length) = (self.batch.max(1), self.length.clamp(2, context.max(2)));
        let pack_tokens = LearnerSettings::default().pack_tokens;
        Ok(Workload::of_batch(layout, batch, length, pack_tokens, context))
    }
}

/// The plan (`Fit`) for a device with a largest binding and an amount of free memory, each as far as it is known.
pub(super) fn planned(fit: &Fit, (largest, available): (Option<u64>, Option<u64>)) -> Value {
    let exceeds = |limit: Option<u64>, bytes: u64| limit.filter(|&limit| bytes > limit);
    let (reason, hint) = match (exceeds(available, fit.total()), exceeds(largest, fit.largest_buffer)) {
        (Some(available), _) => {
            (format!("it needs {}, and {} are free", size(fit.total()), size(available)), Some(remedy(fit)))
        }
        (None, Some(largest)) => (
            format!(
                "its largest buffer needs {}, and this device allows {}",
                size(fit.largest_buffer),
                size(largest)
            ),
            Some("lower batch, length or rank"),
        ),
        (None, None) => (within(available, largest), None),
    };
    json!({
        "weights": fit.weights,
        "kv": fit.kv,
        "activations": fit.activations,
        "optimizer": fit.optimizer + fit.adapter,
        "total": fit.total(),
        "largestBuffer": fit.largest_buffer,
        "largestBufferAllowed": largest,
        "available": available,
        "fits": hint.is_none(),
        "reason": reason,
        "hint": hint,
    })
}

fn within(available: Option<u64>, largest: Option<u64>) -> String {
    match (available, largest) {
        (Some(available), _) => format!("{} are free", size(available)),
        (None, Some(largest)) => format!(
            "no buffer is larger than the {} that this device allows; how much memory it has is not known",
            size(largest)
        ),
        (None, None) => "nothing is known of the device".to_owned(),
    }
}

/// The option of the package that lowers the largest part.
fn remedy(fit: &Fit) -> &'static str {
    let parts = [
        (fit.weights, "take a smaller model, or one with fewer bits a weight"),
        (fit.kv, "lower batch or length"),
        (fit.activations, "lower batch or length"),
        (fit.adapter + fit.optimizer, "lower rank"),
    ];
    parts.into_iter().max_by_key(|(bytes, _)| *bytes).map_or("", |(_, option)| option)
}

fn size(bytes: u64) -> String {
    match bytes as f64 {
        bytes if bytes >= 1e9 => format!("{:.2} GB", bytes / 1e9),
        bytes => format!("{:.1} MB", bytes / 1e6),
    }
}
