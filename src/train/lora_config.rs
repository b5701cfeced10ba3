//! What a LoRA adapter adapts: the linear modules of a block, rank, alpha and scale.
//!
//! For a linear module y = W x the adapter adds y += scale B A x, with A `[rank, in]` and B `[out, rank]`
//! (arXiv 2106.09685).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

pub use crate::model::module::Module;

/// Parses `all-linear` or a list such as `q,v` or `q_proj,v_proj`.
pub fn parse_targets(list: &str) -> Result<BTreeSet<Module>> {
    match list {
        "all-linear" | "all" => Ok(Module::PARTS.into()),
        _ => list.split(',').map(|name| name.trim().parse()).collect(),
    }
}

/// The settings of an adapter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct LoraConfig {
    /// Rank r, unless `rank_pattern` has another.
    pub rank: usize,
    /// Alpha, unless `alpha_pattern` has another.
    pub alpha: f64,
    /// Scale by alpha / sqrt(r) instead of alpha / r (rsLoRA, arXiv 2312.03732).
    pub rslora: bool,
    /// Dropout of the adapter's input in training.
    pub dropout: f64,
    /// The kinds of modules that are adapted, or the parts of such.
    pub targets: BTreeSet<Module>,
    /// The paths of the adapted modules if these are not all `targets` of all layers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<BTreeSet<String>>,
    /// Ranks of single modules, by path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rank_pattern: BTreeMap<String, usize>,
    /// Alphas of single modules, by path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub alpha_pattern: BTreeMap<String, f64>,
    /// The base model's name, for people and for PEFT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_model: Option<String>,
}

impl Default for LoraConfig {
    /// All linear modules, rank 8, alpha 32 (the alpha for which "LoRA Without Regret" gives its learning rates).
    fn default() -> Self {
        Self {
            rank: 8,
            alpha: 32.0,
            rslora: false,
            dropout: 0.0,
            targets: Module::PARTS.into(),
            only: None,
            rank_pattern: BTreeMap::new(),
            alpha_pattern: BTreeMap::new(),
            base_model: None,
        }
    }
}

impl LoraConfig {
    /// Whether `module` of `layer` is adapted; one of several parts is if each of them is a target.
    pub fn adapts(&self, layer: usize, module: Module) -> bool {
        let is_target =
            self.targets.contains(&module) || module.parts().iter().all(|part| self.targets.contains(part));
        is_target && self.only.as_ref().is_none_or(|only| only.contains(&module.path(layer)))
    }

    /// The rank of one module's adapter.
    pub fn rank_of(&self, layer: usize, module: Module) -> usize {
        self.rank_pattern.get(&module.path(layer)).copied().unwrap_or(self.rank)
    }

    /// The alpha of one module's adapter.
    pub fn alpha_of(&self, layer: usize, module: Module) -> f64 {
        self.alpha_pattern.get(&module.path(layer)).copied().unwrap_or(self.alpha)
    }

    /// The factor of B A x.
    pub fn scale(&self, layer: usize, module: Module) -> f32 {
        let rank = self.rank_of(layer, module) as f64;
        let divisor = if self.rslora { rank.sqrt() } else { rank };
        (self.alpha_of(layer, module) / divisor) as f32
    }

    /// Errors ([`Error::Usage`]) on settings with which nothing can be trained.
    pub fn validate(&self) -> Result<()> {
        if self.rank == 0 || self.rank_pattern.values().any(|&rank| rank == 0) {
            return Err(Error::usage("lora.rank", "is 0", "use at least 1"));
        }
        let alphas = || self.alpha_pattern.values().chain([&self.alpha]);
        if let Some(alpha) = alphas().find(|alpha| !alpha.is_finite() || **alpha <= 0.0) {
            return Err(Error::usage(
                "lora.alpha",
                format!("is {alpha}"),
                "use a number above 0, such as 32",
            ));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(Error::usage(
                "lora.dropout",
                format!("is {}", self.dropout),
                "use a number in [0, 1)",
            ));
        }
        if self.targets.is_empty() {
            return Err(Error::usage("lora.targets", "is empty", "name at least one layer, such as q_proj"));
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_hugging_face_and_read_back() {
        assert_eq!(Module::Q.path(0), "model.layers.0.self_attn.q_proj");
        assert_eq!(Module::Down.path(12), "model.layers.12.mlp.down_proj");
        for module in Module::ALL {
            assert_eq!(Module::from_path(&module.path(29)), Some((29, module)));
        }
        for other in [
            "",
            "lm_head",
            "model.layers.0.mlp.q_proj",
            "model.layers.00.self_attn.q_proj",
            "model.layers.+1.self_attn.q_proj",
            "model.layers.99999999999999999999.self_attn.q_proj",
            "model.layers.0.self_attn.q",
            "x.model.layers.0.self_attn.q_proj",
        ] {
            assert_eq!(Module::from_path(other), None, "{other}");
        }
    }

    #[test]
    fn targets_parse() {
        assert_eq!(parse_targets("q,v_proj").unwrap(), [Module::Q, Module::V].into());
        assert_eq!(parse_targets("qkv,gate_up_proj").unwrap(), [Module::Qkv, Module::GateUp].into());
        assert_eq!(parse_targets("all-linear").unwrap().len(), 7);
        assert_eq!(parse_targets("q,lm_head").unwrap_err().code(), "usage");
        assert_eq!(parse_targets("").unwrap_err().code(), "usage");
    }

    #[test]
    fn scale_follows_rank_alpha_and_patterns() {
        let mut config = LoraConfig { rank: 16, alpha: 32.0, ..LoraConfig::default() };
        assert_eq!(config.scale(0, Module::Q), 2.0);
        config.rslora = true;
        assert_eq!(config.scale(0, Module::Q), 8.0);
        config.rank_pattern.insert(Module::Q.path(1), 4);
        config.alpha_pattern.insert(Module::Q.path(1), 6.0);
        assert_eq!((config.rank_of(1, Module::Q), config.scale(1, Module::Q)), (4, 3.0));
        assert_eq!(config.scale(11, Module::Q), 8.0);
    }

    #[test]
    fn useless_settings_are_usage_errors() {
        let bad = [
            LoraConfig { rank: 0, ..LoraConfig::default() },
            LoraConfig { alpha: f64::NAN, ..LoraConfig::default() },
            LoraConfig { dropout: 1.0, ..LoraConfig::default() },
            LoraConfig { targets: BTreeSet::new(), ..LoraConfig::default() },
        ];
        for config in bad {
            assert_eq!(config.validate().unwrap_err().code(), "usage", "{config:?}");
        }
        LoraConfig::default().validate().unwrap();
    }
}
