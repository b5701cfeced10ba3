//! Fields of a `config.json` that change no log-probability here, and those that do unless they have one value.
//!
//! A field that is neither read nor listed is refused by name: it may be what makes a model another one.

use serde_json::{Value, json};

use super::fields::{Fields, Harmless};
use crate::Result;

/// Fields that change nothing.
pub const HARMLESS: &[Harmless] = &[
    Harmless {
        reason: "where the model comes from and which program wrote the file",
        names: &[
            "_*",
            "model_type",
            "model_name",
            "model_version",
            "transformers_version",
            "transformers.js_config",
            "peft_version",
            "torch_dtype",
            "dtype",
            "torchscript",
            "use_bfloat16",
            "unsloth_*",
            "is_llama_config",
            "language",
            "license",
            "version",
            "name_or_path",
            "base_model",
            "base_model_name_or_path",
            "finetuning_task",
            "tokenizer_class",
            "processor_class",
            "custom_pipelines",
            "auto_map",
        ],
    },
    Harmless {
        reason: "how it was initialised and trained",
        names: &[
            "initializer_range",
            "initializer_cutoff_factor",
            "initializer_factor",
            "attention_dropout",
            "attention_probs_dropout_prob",
            "attn_pdrop",
            "embd_pdrop",
            "resid_pdrop",
            "hidden_dropout",
            "hidden_dropout_prob",
            "resid_dropout",
            "embedding_dropout",
            "dropout",
            "mlp_dropout",
            "classifier_dropout",
            "classifier_dropout_prob",
            "layerdrop",
            "gradient_checkpointing",
            "neftune_noise_alpha",
            "seq_length",
            "max_sequence_length",
            "model_max_length",
            "loss_type",
            "z_loss_coefficient",
            "ignore_index",
            "keys_to_ignore_at_inference",
        ],
    },
    Harmless {
        reason: "how a program computes the same numbers",
        names: &[
            "use_cache",
            "cache_implementation",
            "pretraining_tp",
            "attn_implementation",
            "attention_implementation",
            "use_flash_attn",
            "use_flash_attention",
            "use_flash_attention_2",
            "flash_attention",
            "use_sdpa",
            "fused_*",
            "use_fused_*",
            "chunk_size_feed_forward",
            "logits_to_keep",
            "num_logits_to_keep",
            "return_dict",
            "return_dict_in_generate",
            "output_attentions",
            "output_hidden_states",
            "output_scores",
            "output_router_logits",
            "base_model_tp_plan",
            "base_model_pp_plan",
        ],
    },
    Harmless {
        reason: "defaults of generation: what generates here has options of its own",
        names: &[
            "max_length",
            "min_length",
            "max_new_tokens",
            "do_sample",
            "early_stopping",
            "num_beams",
            "num_beam_groups",
            "diversity_penalty",
            "temperature",
            "top_k",
            "top_p",
            "min_p",
            "typical_p",
            "repetition_penalty",
            "length_penalty",
            "no_repeat_ngram_size",
            "encoder_no_repeat_ngram_size",
            "bad_words_ids",
            "num_return_sequences",
            "begin_suppress_tokens",
            "suppress_tokens",
            "exponential_decay_length_penalty",
            "remove_invalid_values",
            "forced_bos_token_id",
            "forced_eos_token_id",
            "prefix",
            "task_specific_params",
            "decoder_start_token_id",
            "pad_token_id",
            "unk_token_id",
            "sep_token_id",
            "cls_token_id",
            "mask_token_id",
            "bos_token",
            "eos_token",
            "pad_token",
            "unk_token",
            "padding_side",
        ],
    },
    Harmless {
        reason: "for other tasks than language models",
        names: &[
            "id2label",
            "label2id",
            "num_labels",
            "problem_type",
            "pruned_heads",
            "is_decoder",
            "is_encoder_decoder",
            "tie_encoder_decoder",
            "tf_legacy_loss",
            "cross_attention_hidden_size",
        ],
    },
];

/// Fields of a `generation_config.json` that change nothing, besides [`HARMLESS`].
pub const GENERATION: &[Harmless] = &[Harmless {
    reason: "how other programs search, sample and compute: what generates here has options of its own",
    names: &[
        "bos_token_id",
        "epsilon_cutoff",
        "eta_cutoff",
        "top_h",
        "renormalize_logits",
        "penalty_alpha",
        "max_time",
        "low_memory",
        "cache_config",
        "prompt_lookup_num_tokens",
        "assistant_*",
        "num_assistant_tokens*",
        "dola_layers",
        "use_model_defaults",
        "compile_config",
        "disable_compile",
        "trust_remote_code",
        "chat_format",
        "max_window_size",
        "seed",
    ],
}];

/// Fields that other architectures and forks have, with the value at which they change nothing.
fn neutral() -> [(&'static str, Value); 22] {
    [
        ("causal", json!(true)),
        ("is_causal", json!(true)),
        ("use_rope", json!(true)),
        ("use_rotary_embedding", json!(true)),
        ("partial_rotary_factor", json!(1)),
        ("rotary_pct", json!(1)),
        ("logit_scale", json!(1)),
        ("logits_scaling", json!(1)),
        ("lm_head_multiplier", json!(1)),
        ("embedding_multiplier", json!(1)),
        ("embedding_scale", json!(1)),
        ("scale_emb", json!(1)),
        ("residual_multiplier", json!(1)),
        ("residual_scale", json!(1)),
        ("num_experts", json!(0)),
        ("num_local_experts", json!(0)),
        ("num_nextn_predict_layers", json!(0)),
        ("attn_logit_softcapping", json!(0)),
        ("final_logit_softcapping", json!(0)),
        ("no_rope_layer_interval", json!(0)),
        ("norm_type", json!("rmsnorm")),
        ("position_embedding_type", json!("rope")),
    ]
}

/// Rejects fields that change the result in a way that the model's family has not: it has not read them.
///
/// # Errors
/// `Input` naming the field and the only value that works.
pub fn reject_other_values(fields: &Fields<'_>) -> Result<()> {
    for (name, neutral) in neutral() {
        if fields.was_read(name) {
            continue;
        }
        let Some(value) = fields.get(name) else { continue };
        let same = match (value.as_f64(), neutral.as_f64()) {
            (Some(value), Some(neutral)) => value == neutral,
            _ => *value == neutral,
        };
        if !same {
            let problem = format!("is {}; only {neutral} is supported", super::fields::shown(value));
            return Err(fields.error(name, problem, "use another model"));
        }
    }
    Ok(())
}
