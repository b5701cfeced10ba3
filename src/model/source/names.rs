//! Names of tensors: what files hold beside weights, and checkpoints that were saved from within another module.

use super::{TensorInfo, TensorSource};
use crate::Result;
use crate::model::config::ModelConfig;
use crate::model::family::tensors::{EMBEDDING, HEAD, Tensor};

/// Ends of the names of buffers that programs store beside the weights and compute again: rotation caches, masks, counters.
const BUFFERS: &[&str] = &[
    "rotary_emb.inv_freq",
    "rotary_emb.original_inv_freq",
    "rotary_emb.cos_cached",
    "rotary_emb.sin_cached",
    "rotary_pos_emb.inv_freq",
    "masked_bias",
    "position_ids",
    "attention_mask",
    "attn_mask",
    "causal_mask",
    "num_batches_tracked",
];

/// The same for names that a weight may have too: only where the tensor does not hold floats.
const MASKS: &[&str] = &["attn.bias", "attention.bias", ".mask"];

/// Whether a stored tensor is no weight; `float` says whether its type is one of floats.
pub fn is_buffer(name: &str, float: bool) -> bool {
    BUFFERS.iter().any(|end| name.ends_with(end)) || !float && MASKS.iter().any(|end| name.ends_with(end))
}

/// The module of a language model that holds all but the head.
const DECODER: &str = "model.";

/// A source under other names, and of fewer tensors.
struct Renamed {
    inner: Box<dyn TensorSource>,
    tensors: Vec<TensorInfo>,
    /// The number in `inner` of each.
    places: Vec<usize>,
}

impl TensorSource for Renamed {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn read(&mut self, index: usize, row_start: usize, row_count: usize, out: &mut Vec<u8>) -> Result<()> {
        self.inner.read(self.places[index], row_start, row_count, out)
    }

    fn name(&self) -> String {
        self.inner.name()
    }

    fn is_gguf(&self) -> bool {
        self.inner.is_gguf()
    }
}

/// `source` under the names of a language model's own checkpoint.
///
/// What is stored below another module has that module's name before all of its own (`_orig_mod.` of torch.compile,
/// `base_model.model.` of PEFT, `module.`, ...), and a bare decoder lacks `model.`; both are undone where all tensors are so.
/// What [`Family::skipped`](crate::model::family::Family::skipped) names is left out.
/// In a model that ties the two and has no embedding the head is stored in its place.
pub fn canonical(source: Box<dyn TensorSource>, config: &ModelConfig) -> Box<dyn TensorSource> {
    let skipped = |name: &str| config.family.skipped.iter().any(|start| name.starts_with(start));
    let kept = source.tensors().iter().cloned().enumerate().filter(|(_, tensor)| !skipped(&tensor.name));
    let (places, mut tensors): (Vec<usize>, Vec<TensorInfo>) = kept.unzip();
    let first = config.family.tensors.iter().find(|tensor| tensor.role.is_of_block());
    let first = first.map(|tensor| tensor.hf_name(0)).unwrap_or_default();
    if let Some(names) = below_one_module(&tensors, &first) {
        tensors.iter_mut().zip(names).for_each(|(tensor, name)| tensor.name = name);
    }
    let has = |wanted: Tensor| tensors.iter().position(|tensor| wanted.is(&tensor.name));
    if let (true, None, Some(head)) = (config.tie_word_embeddings, has(EMBEDDING), has(HEAD)) {
        tensors[head].name = EMBEDDING.hf_name(0);
    }
    if tensors == source.tensors() { source } else { Box::new(Renamed { inner: source, tensors, places }) }
}

/// The names without what stands before all of them; `None` if they are right already or have nothing in common. `first` is the
/// name of a tensor that the model must have.
fn below_one_module(tensors: &[TensorInfo], first: &str) -> Option<Vec<String>> {
    let (first, head) = (first.strip_prefix(DECODER)?, HEAD.hf_name(0));
    let decoder = tensors.iter().find_map(|tensor| tensor.name.strip_suffix(first))?;
    if decoder == DECODER || !(decoder.is_empty() || decoder.ends_with('.')) {
        return None;
    }
    let rename = |tensor: &TensorInfo| {
        let name = tensor.name.as_str();
        // The head stands beside the decoder, below the same module.
        match name.strip_suffix(&head) {
            Some(above) if decoder.starts_with(above) => Some(head.clone()),
            _ => name.strip_prefix(decoder).map(|rest| format!("{DECODER}{rest}")),
        }
    };
    tensors.iter().map(rename).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::model::source::Dtype;

    fn renamed(names: &[&str]) -> Option<Vec<String>> {
        let tensor = |name: &&str| TensorInfo { name: name.to_string(), dtype: Dtype::F32, shape: vec![1] };
        below_one_module(
            &names.iter().map(tensor).collect::<Vec<_>>(),
            "model.layers.0.input_layernorm.weight",
        )
    }

    #[test]
    fn names_below_one_module_are_understood() {
        let want = ["model.layers.0.input_layernorm.weight", "model.norm.weight", "lm_head.weight"];
        for (decoder, head) in [
            ("", ""),
            ("_orig_mod.model.", "_orig_mod."),
            ("base_model.model.model.", "base_model.model."),
            ("model.model.", "model."),
            ("transformer.", ""),
            ("module.model.", "module."),
        ] {
            let names =
                ["layers.0.input_layernorm.weight", "norm.weight"].map(|name| format!("{decoder}{name}"));
            let head = format!("{head}lm_head.weight");
            assert_eq!(renamed(&[&names[0], &names[1], &head]).unwrap(), want, "{decoder}");
        }
        assert_eq!(renamed(&want), None);
        // Something else is stored beside the decoder.
        assert_eq!(renamed(&["a.layers.0.input_layernorm.weight", "b.norm.weight"]), None);
        assert_eq!(renamed(&["xlayers.0.input_layernorm.weight", "xnorm.weight"]), None);
    }

    #[test]
    fn a_bias_is_no_mask() {
        assert!(
            is_buffer("model.layers.0.self_attn.bias", false)
                && !is_buffer("model.layers.0.self_attn.bias", true)
        );
        assert!(is_buffer("model.embed_tokens.position_ids", false));
        assert!(!is_buffer("model.layers.0.self_attn.q_proj.bias", false));
    }
}
